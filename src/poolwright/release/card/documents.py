"""Write all of a release except its data: record, card, statistics, figures, recipe, states, documents, checksums."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from poolwright.core.columns import ATTRIBUTION as ATTRIBUTION_LINE
from poolwright.core.columns import AUTHOR, LICENSE, TITLE, UID, URL, is_text
from poolwright.core.documents import documents_of
from poolwright.core.results.measured import Measured
from poolwright.core.table import Table
from poolwright.core.wording import guarded
from poolwright.release.card.about import About
from poolwright.release.card.card import CARD, DatasetCard
from poolwright.release.card.citation import CITATION, citation
from poolwright.release.card.croissant.document import CROISSANT, DESCRIBED, RECIPE, croissant
from poolwright.release.card.datasheet.datasheet import DATASHEET, datasheet
from poolwright.release.card.examples import write_examples
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.figures.draw import FIGURES, draw_figures
from poolwright.release.card.presentation import Presentation
from poolwright.release.card.sections.making import FUNNEL_FILE, funnel_text
from poolwright.release.card.sections.measured import matrix_files
from poolwright.release.checksums import digests_of, write_sums
from poolwright.release.lineage import Lineage, save_record
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics

STATISTICS = "statistics.json"
ATTRIBUTION = "ATTRIBUTION.csv"


def write_documents(
    folder: Path,
    record: ReleaseRecord,
    family: Lineage,
    about: About,
    statistics: Statistics,
    presentation: Presentation,
    sizes: Mapping[str, int],
    measured: Sequence[Measured] = (),
) -> None:
    """Write the documents of a release whose data files are in `folder`; the checksums of all files last.

    Args:
        presentation: what the layout says about the release.
        sizes: bytes of each data file and its images.
        measured: figures of the recipe that were measured on the table.

    Raises:
        MissingExtra: figures are requested and matplotlib is not installed.
    """
    record.save(folder)
    _text(folder / RECIPE, family.record.recipe_text)
    _text(folder / STATISTICS, statistics.to_json())
    save_record(folder, family.table, family.record)
    for table, clean in zip(family.tables[:-1], family.records[:-1], strict=True):
        save_record(folder / "lineage" / table.name, table, clean)
    shown = _show(folder, family)
    attribution = _attribution(folder, family.table) if record.images else None
    for name, text in (item for detail in statistics.details for item in detail.files().items()):
        _text(folder / name, text)
    matrices = matrix_files(measured, {*FIGURES, *(detail.name for detail in statistics.details)})
    drawn = draw_figures(folder, family, statistics, matrices) if presentation.figures else {}
    facts = ReleaseFacts(record, family, about, statistics)
    _text(folder / DATASHEET, datasheet(facts))
    cited = citation(about, about.title or record.table)
    if cited:
        _text(folder / CITATION, cited)
    _text(folder / FUNNEL_FILE, funnel_text(family, about.title or record.table))
    card = DatasetCard(
        facts=facts,
        presentation=presentation,
        figures=drawn,
        sizes=sizes,
        attribution=attribution,
        measured=tuple(measured),
        matrices=tuple(matrices),
        shown=shown,
        examples=write_examples(folder, family.table, statistics) if record.images and presentation.figures else (),
    )
    _text(folder / CARD, card.to_markdown())
    paths = [*(file.path for file in record.files), *(other.path for other in record.others), *DESCRIBED]
    unknown = [path for path in paths if not record.digests.get(path)]
    digests = {**record.digests, **digests_of(folder, unknown)}
    _text(folder / CROISSANT, croissant(folder, facts, presentation, digests))
    write_sums(folder, digests)


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _show(folder: Path, family: Lineage) -> dict[str, str]:
    """Copy the documents of all steps; return a description of each folder.

    Raises:
        InputError: a document is missing or has changed.
    """
    shown: dict[str, str] = {}
    for table in family.tables:
        for found in documents_of(table):
            name = found.name if not (folder / found.name).exists() else f"{found.name}-{table.name}"
            shown[name] = found.words
            for path in found.files:
                (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found.folder / path, folder / name / path)
    return shown


def _attribution(folder: Path, table: Table) -> str | None:
    """Write author, licence and source of every row, if the table has an author or licence column."""
    present = {name for name in table.schema.names if is_text(table.schema.field(name).type)}
    if not present & {AUTHOR, LICENSE}:
        return None
    names = [name for name in (UID, TITLE, AUTHOR, LICENSE, URL, ATTRIBUTION_LINE) if name in present]
    with (folder / ATTRIBUTION).open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        for rows in table.batches(names):
            writer.writerows(_lines([rows.strings(name) for name in names]))
    return ATTRIBUTION


def _lines(columns: list[list[str | None]]) -> Iterable[list[str]]:
    for values in zip(*columns, strict=True):
        yield [guarded(value or "") for value in values]
