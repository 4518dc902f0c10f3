"""Write the dataset card: README.md with the YAML header that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from poolwright.core.columns import IMAGE, LABEL, LICENSE
from poolwright.core.files import human_bytes
from poolwright.core.pool import FOLLOWED
from poolwright.core.results.measured import Measured
from poolwright.core.table import FunnelRow, TableRecord
from poolwright.release.card.about import About
from poolwright.release.card.citation import CITATION
from poolwright.release.card.datasheet.datasheet import DATASHEET
from poolwright.release.card.figures.draw import CLASSES, FUNNEL, SIMILARITIES
from poolwright.release.card.header import header
from poolwright.release.card.markdown import code, counted, fenced, grid, plain, share
from poolwright.release.card.presentation import Presentation
from poolwright.release.card.sections.classifier import classifier_section
from poolwright.release.card.sections.images import images_section
from poolwright.release.card.sections.leaks import leaks_section
from poolwright.release.card.sections.measured import measured_section
from poolwright.release.card.sections.statistics import statistics_section
from poolwright.release.data.class_names import class_notes
from poolwright.release.lineage import Lineage
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics

CARD = "README.md"
_MOST_FILES = 20


@dataclass(frozen=True)
class DatasetCard:
    """The content of a dataset card.

    Attributes:
        release: record of the release.
        family: the table with those it comes from.
        about: what the recipe says about the dataset.
        statistics: counts of the table.
        presentation: what the layout says about the release.
        figures: file name -> caption.
        sizes: bytes of each data file.
        attribution: name of the attribution file, if there is one.
        measured: figures of the recipe that were measured on the table.
        matrices: names of the figures of measured matrices, in order.
        shown: folders with documents of the steps -> what they hold.
    """

    release: ReleaseRecord
    family: Lineage
    about: About
    statistics: Statistics
    presentation: Presentation
    figures: Mapping[str, str]
    sizes: Mapping[str, int]
    attribution: str | None
    measured: tuple[Measured, ...] = ()
    matrices: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)

    def to_markdown(self) -> str:
        """Return the text of README.md."""
        parts = [
            header(self.release, self.about, self.title, self.sizes, self.presentation),
            self._title(),
            self._facts(),
            self._figure(CLASSES),
            "## How to load it\n\n" + self.presentation.load_snippet,
            *self.presentation.sections,
            self._columns(),
        ]
        parts += [self._making(), statistics_section(self.release, self.statistics, self._figure)]
        parts += [
            leaks_section(self.release),
            self._figure(SIMILARITIES),
            *(classifier_section(table) for table in self.family.tables),
        ]
        parts += [measured_section(self.measured, [self._figure(name) for name in self.matrices])]
        parts += [self._rights(), self._limits(), self._citation(), self._verifying()]
        return "\n\n".join(part for part in parts if part) + "\n"

    @property
    def title(self) -> str:
        """The title from the recipe, else the name of the table."""
        return self.about.title or self.release.table

    @property
    def record(self) -> TableRecord:
        """The record of the released table."""
        return self.family.record

    def _has(self, column: str) -> bool:
        return self.release.has(column)

    def _title(self) -> str:
        made = f"Made by the recipe `{self.record.recipe}`, table `{self.release.table}`."
        return f"# {plain(self.title)}\n\n{(self.about.description or made).strip()}"

    def _facts(self) -> str:
        release = self.release
        facts = [f"**{counted(release.rows, 'row')}**"]
        classes = [value for value, _ in self.statistics.counts(LABEL) if value is not None]
        count = len(release.classes) if release.domains else len(classes) if self._has(LABEL) else 0
        if count:
            facts.append(f"{count:,} {'class' if count == 1 else 'classes'}")
        if release.domains:
            facts.append(counted(len(release.domains), "domain"))
        if len(release.splits) > 1:
            facts.append(f"{len(release.splits)} splits")
        if release.images:
            formats = ", ".join(f"{count:,} {name}" for name, count in release.images.formats.items())
            facts.append(
                f"images embedded{'' if release.images.changes else ' unchanged'} "
                f"({human_bytes(release.images.bytes)}: {formats})"
                if release.has(IMAGE)
                else f"{human_bytes(release.images.bytes)} of images ({formats})"
            )
        facts.append(f"version {self.about.version}")
        if self.about.homepage:
            facts.append(f"[home page]({self.about.homepage})")
        return " · ".join(facts)

    def _figure(self, name: str) -> str:
        found = [(file, caption) for file, caption in self.figures.items() if PurePosixPath(file).stem == name]
        return f"![{found[0][1]}]({found[0][0]})" if found else ""

    def _columns(self) -> str:
        rows = [(code(known.name), code(known.type), plain(known.meaning)) for known in self.release.columns]
        words = f"## Columns\n\n{grid(('column', 'type', 'meaning'), rows)}"
        if self.release.class_column:
            words += f"\n\n`{self.release.class_column}` holds class indices; "
            words += "the names are in the schema and in `croissant.json`."
        return words

    def _making(self) -> str:
        recipe = fenced(self.record.recipe_text or "# not recorded", "yaml")
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.record.versions.items()))
        parts = [
            f"## How it was made\n\nWith poolwright, by this recipe, seed {self.record.seed}. "
            "`table.json` records inputs, digests and counts; `states/` holds what each step learned. "
            f"[`{DATASHEET}`]({DATASHEET}) answers the questions of Datasheets for Datasets.",
            recipe,
        ]
        parts += ["### What was kept and dropped", self._figure(FUNNEL)]
        parts += [funnel(record, len(self.family.records) > 1) for record in self.family.records]
        parts += [grown(record) for record in self.family.records]
        parts += ["### What the steps learned", learned(self.family)]
        parts += [f"[`{name}/`]({name}): {plain(words)}." for name, words in self.shown.items()]
        parts += [images_section(self.release), self._models(), self._inputs()]
        parts.append(f"Made with {versions}." if versions else "")
        return "\n\n".join(part for part in parts if part)

    def _models(self) -> str:
        models = {
            (model.column, model.name, model.weights): None for record in self.family.records for model in record.models
        }
        if not models:
            return ""
        rows = [(code(column), code(name), code(weights)) for column, name, weights in models]
        return f"### Models\n\n{grid(('column', 'model', 'digest of its weights'), rows)}"

    def _inputs(self) -> str:
        pools = (record for record in self.family.records if len(record.parents) < len(record.rows_by_source))
        files = list(dict.fromkeys(file for record in pools for file in record.files)) or self.family.records[0].files
        rows = [(code(file.path), human_bytes(file.size), code(file.digest)) for file in files[:_MOST_FILES]]
        more = len(files) - len(rows)
        words = f"### Inputs\n\n{grid(('file', 'size', 'XXH3-128'), rows, (1,))}" if rows else ""
        if more > 0:
            words += f"\n\nand {more:,} more, all in `{'table.json' if len(self.family.records) == 1 else 'lineage/'}`."
        bad = [(record.name, part) for record in self.family.records for part in record.quarantined]
        if bad:
            listed = "\n".join(f"- {code(part.name)}: {plain(part.quarantined)}" for _, part in bad[:_MOST_FILES])
            words += (
                f"\n\n**Not in this dataset: {counted(len(bad), 'input part')} that could not be read.**\n\n{listed}"
            )
            words += f"\n- and {len(bad) - _MOST_FILES:,} more" if len(bad) > _MOST_FILES else ""
        return words.strip()

    def _rights(self) -> str:
        words = ["## Licences and attribution"]
        if self.about.license:
            link = (
                f"[{plain(self.about.license)}]({self.about.license_url})"
                if self.about.license_url
                else plain(self.about.license)
            )
            words.append(f"Dataset: {link}.")
        else:
            words.append("The licence of the dataset is not stated.")
        counts = self.statistics.counts(LICENSE)
        if counts:
            rows = [
                (plain(value) if value is not None else "not stated", f"{n:,}", share(n, self.release.rows))
                for value, n in counts[:50]
            ]
            words.append("The images keep their own licences:\n\n" + grid(("licence", "images", "share"), rows, (1, 2)))
        else:
            words.append("The table has no licence per image; the rights to the images remain with their owners.")
        if self.attribution:
            words.append(f"`{self.attribution}` lists the author, licence and source of every image.")
        return "\n\n".join(words)

    def _limits(self) -> str:
        lines = [f"- {limit}" for limit in (*self.about.known_limits, *self._found_limits())]
        return "## Known limits\n\n" + ("\n".join(lines) if lines else "None were stated.")

    def _found_limits(self) -> Iterator[str]:
        """Yield the limits that follow from the record."""
        bad = sum(count for record in self.family.records for count in bad_rows(record).values())
        if bad:
            yield f"{counted(bad, 'row')} of the pool unreadable or malformed, and therefore missing."
        if any(FOLLOWED in record.remarks for record in self.family.records):
            yield "Image paths, URLs and links were followed wherever they lead, as the recipe says `outside: true`."
        yield from class_notes(self.release, self.statistics, None)
        files = [self.attribution or "", *(name for detail in self.statistics.details for name in detail.files())]
        files += [file.path for file in self.release.files] + [other.path for other in self.release.others]
        if any(name.endswith(".csv") for name in files):
            yield (
                "In CSV files, texts that begin with `=`, `+`, `-` or `@` follow an apostrophe, so that no spreadsheet "
                "evaluates them as formulas."
            )
        lost = sum(len(record.quarantined) for record in self.family.records)
        if lost:
            yield f"{counted(lost, 'input part')} could not be read; their rows are missing."
        if self.release.images is None and self._has("url"):
            yield "Images are given by URL, not contained: when they are fetched, some will be gone or have changed."
        for leak in self.release.leaks.some if self.release.leaks else ():
            yield f"{counted(leak.rows, 'row')} of a later part are in an earlier one, too: {plain(leak.words)}."
        turned = self.release.images.turned if self.release.images else 0
        if turned:
            yield (
                f"{counted(turned, 'image')} with an EXIF orientation, stored as found: width, height and hashes are "
                "of the upright picture. `datasets`, OpenCV and FiftyOne turn such images when they read them; "
                "torchvision, webdataset, TensorFlow and mlcroissant do not, so turn them with "
                "`PIL.ImageOps.exif_transpose`."
            )
        labelled_by = {step.labelled_by for record in self.family.records for step in record.steps}
        if self._has(LABEL) and "model" in labelled_by and "people" not in labelled_by:
            yield "Labels were given by a model, not by people; their accuracy on this data was not measured."

    def _citation(self) -> str:
        words = ["## Citation"]
        if self.about.citation:
            words.append(
                fenced(self.about.citation, "bibtex") if "@" in self.about.citation else self.about.citation.strip()
            )
        else:
            words.append("No citation was given.")
        if self.about.authors:
            words.append(f"Authors: {plain(', '.join(self.about.authors))}. `{CITATION}` has the same for tools.")
        else:
            words.append(f"There is no `{CITATION}`, as the recipe names no authors: `card: {{authors: [...]}}`.")
        return "\n\n".join(words)

    def _verifying(self) -> str:
        commands = (
            "poolwright verify .        # checksums, schema, counts, card, Croissant, image bytes; loads it as above\n"
            "sha256sum -c SHA256SUMS    # checksums alone"
        )
        return f"## How to verify it\n\n{fenced(commands, 'sh')}"


def funnel(record: TableRecord, named: bool) -> str:
    """Return a Markdown table of the rows before and after every step, with the reasons for dropping them."""
    words = {(reason.step, reason.name): reason.words for reason in record.reasons}
    rows = [
        (_step_name(row), f"{row.rows_in:,}", _reasons(row, words), f"{row.kept:,}")
        for row in record.funnel
        if row.step >= 0 or row.dropped
    ]
    rows = [(f"from {name}", f"{read:,}", "", f"{read:,}") for name, read in _sources(record.sources)] + rows
    rows.append(("**all**", f"**{record.rows_in:,}**", f"{record.rows_dropped:,} dropped", f"**{record.rows_kept:,}**"))
    source = ", ".join(name for name, _ in _sources(record.rows_by_source))
    head = f"Table `{record.name}`, from {source}:\n\n" if named else ""
    remarks = "".join(f"\n- {plain(remark)}" for remark in record.remarks)
    return head + grid(("step", "rows in", "dropped, and why", "kept"), rows, (1, 3)) + (remarks and f"\n{remarks}")


def grown(record: TableRecord) -> str:
    """Return a Markdown table of the generations in which the rows of a table came; '' if it never grew."""
    if not record.generations:
        return ""
    rows = [
        (str(number), f"{one.parts:,}", f"{one.rows_in:,}", f"{one.rows_kept:,}")
        for number, one in enumerate(record.generations, 1)
    ]
    head = (
        f"Table `{record.name}` was extended by new parts of its source. Its steps learned from the first generation, "
        "and decided about the rows of the others by that:"
    )
    return f"{head}\n\n{grid(('generation', 'parts', 'rows in', 'kept'), rows, (0, 1, 2, 3))}"


def _sources(read: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield the sources of a table in words, with the rows that were read of each."""
    for name, rows in read.items():
        kind, _, name = name.partition(".")
        yield f"{kind.removesuffix('s')} {name}", rows


def bad_rows(record: TableRecord) -> dict[str, int]:
    """Count the broken rows by reason, as text."""
    bad = {(reason.step, reason.name): reason.words for reason in record.reasons if reason.bad}
    found: dict[str, int] = {}
    for row in record.funnel:
        for name, count in row.dropped.items():
            if (row.step, name) in bad:
                found[bad[row.step, name]] = found.get(bad[row.step, name], 0) + count
    return found


def _step_name(row: FunnelRow) -> str:
    return f"{row.step + 1}. `{row.verb}`" if row.step >= 0 else f"`{row.verb}`"


def _reasons(row: FunnelRow, words: Mapping[tuple[int, str], str]) -> str:
    texts = [f"{count:,}: {plain(words.get((row.step, name), name))}" for name, count in row.dropped.items() if count]
    return "<br>".join(texts) if texts else "–"


def learned(family: Lineage) -> str:
    """Return a Markdown list of what every step learned."""
    named = len(family.records) > 1
    lines = []
    for record in family.records:
        for step in record.steps:
            text = step.learned or (f"gives {', '.join(step.gives)}" if step.gives else "nothing to learn")
            lines.append(f"- {f'{record.name}: ' if named else ''}{step.index + 1}. `{step.verb}`: {plain(text)}")
    return "\n".join(lines) if lines else "The table has no steps: every row of its source is in it."
