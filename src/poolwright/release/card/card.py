"""Write the dataset card: README.md with the YAML header that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import PurePosixPath

from poolwright.core.columns import IMAGE, LABEL
from poolwright.core.files import human_bytes
from poolwright.core.images.drawing import DARK_PNG
from poolwright.core.pool import FOLLOWED
from poolwright.core.results.measured import Measured
from poolwright.core.table import TableRecord
from poolwright.core.wording import counted
from poolwright.release.card.about import About
from poolwright.release.card.datasheet.datasheet import DATASHEET
from poolwright.release.card.examples import Example, examples_section
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.figures.draw import FUNNEL, SIMILARITIES
from poolwright.release.card.header import header
from poolwright.release.card.markdown import code, fenced, grid, plain
from poolwright.release.card.presentation import Presentation
from poolwright.release.card.sections.accuracy import accuracy_section
from poolwright.release.card.sections.author import citation_section, contact_section, personal_section, use_section
from poolwright.release.card.sections.images import images_section
from poolwright.release.card.sections.leaks import leaks_section
from poolwright.release.card.sections.making import FUNNEL_FILE, grown, lost_parts, made_by, steps_table
from poolwright.release.card.sections.measured import measured_section
from poolwright.release.card.sections.rights import rights_section
from poolwright.release.card.sections.statistics import splits_section, statistics_section
from poolwright.release.data.class_names import class_notes
from poolwright.release.lineage import Lineage
from poolwright.release.record import ReleasedColumn, ReleaseRecord
from poolwright.release.statistics import Statistics

CARD = "README.md"


@dataclass(frozen=True)
class DatasetCard:
    """The content of a dataset card.

    Attributes:
        facts: what is known about the release.
        presentation: what the layout says about it.
        figures: file name -> caption.
        sizes: bytes of each data file and its images.
        attribution: name of the attribution file, if there is one.
        measured: figures of the recipe that were measured on the table.
        matrices: names of the figures of measured matrices, in order.
        shown: folders with documents of the steps -> what they hold.
        examples: pictures of some rows.
    """

    facts: ReleaseFacts
    presentation: Presentation
    figures: Mapping[str, str]
    sizes: Mapping[str, int]
    attribution: str | None
    measured: tuple[Measured, ...] = ()
    matrices: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    def to_markdown(self) -> str:
        """Return the text of README.md: first what it is and holds, then how it was made and how right it is."""
        parts = [
            header(self.release, self.about, self.title, self.sizes, self.presentation),
            self._title(),
            self._summary(),
            examples_section(self.examples),
            splits_section(self.release, self.statistics, self._figure),
            "## How to load it\n\n" + self.presentation.load_snippet,
            *self.presentation.sections,
            self._columns(),
            self._making(),
            accuracy_section(self.facts),
            self._figure(SIMILARITIES),
            measured_section(self.measured, [self._figure(name) for name in self.matrices]),
            rights_section(self.about, self.statistics, self.attribution),
            leaks_section(self.release),
            personal_section(self.facts),
            self._limits(),
            use_section(self.facts),
            citation_section(self.facts),
            contact_section(self.facts),
            statistics_section(self.release, self.statistics),
            self._verifying(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    @property
    def release(self) -> ReleaseRecord:
        """The record of the release."""
        return self.facts.release

    @property
    def family(self) -> Lineage:
        """The table with those it comes from."""
        return self.facts.family

    @property
    def about(self) -> About:
        """What the recipe says about the dataset."""
        return self.facts.about

    @property
    def statistics(self) -> Statistics:
        """Counts of the table."""
        return self.facts.statistics

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

    def _summary(self) -> str:
        release = self.release
        facts = [f"**{counted(release.rows, 'row')}**"]
        classes = [value for value, _ in self.statistics.counts(LABEL) if value is not None]
        count = len(release.classes) if release.domains else len(classes) if self._has(LABEL) else 0
        if count:
            facts.append(counted(count, "class", "classes"))
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
        if not found:
            return ""
        (file, caption), *_ = found
        if not self.about.dark_figures:
            return f"![{caption}]({file})"
        dark = f'<source media="(prefers-color-scheme: dark)" srcset="{file.removesuffix(".png")}{DARK_PNG}">'
        return f'<picture>{dark}<img src="{file}" alt="{escape(caption)}"></picture>'

    def _columns(self) -> str:
        rows = [
            (code(known.name), code(known.type), plain(known.meaning), self._origin(known))
            for known in self.release.columns
        ]
        words = f"## Columns\n\n{grid(('column', 'type', 'meaning', 'made by'), rows)}"
        if self.release.class_column:
            words += f"\n\n`{self.release.class_column}` holds class indices; "
            words += "the names are in the schema and in `croissant.json`."
        return words

    def _origin(self, column: ReleasedColumn) -> str:
        """Say which step made a column, through all tables, or which source it comes from."""
        made = made_by(column.name, self.family)
        if not made and (column.name == IMAGE or column.name in self.family.table.schema.names):
            made = plain(", ".join(self.facts.sources))
        return made or f"layout {code(self.release.layout)}"

    def _making(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.record.versions.items()))
        parts = [
            "## How it was made\n\nWith poolwright, by the recipe [`recipe.yaml`](recipe.yaml), seed "
            f"{self.record.seed}. [`{FUNNEL_FILE}`]({FUNNEL_FILE}) counts the rows that each step dropped, by reason; "
            "`table.json` records inputs, digests and counts; `states/` holds what each step learned; "
            f"[`{DATASHEET}`]({DATASHEET}) answers the questions of Datasheets for Datasets.",
            steps_table(self.family),
            self._figure(FUNNEL),
            *(grown(record) for record in self.family.records),
            lost_parts(self.family),
            *(f"[`{name}/`]({name}): {plain(words)}." for name, words in self.shown.items()),
            images_section(self.release),
            self._models(),
            f"Made with {versions}." if versions else "",
            self._beside(),
        ]
        return "\n\n".join(part for part in parts if part)

    def _beside(self) -> str:
        if not self.figures:
            return ""
        return "In `figures/` each figure is for dark pages, too, `.dark.png`, and as SVG, which follows the page."

    def _models(self) -> str:
        models = {
            (model.column, model.name, model.weights): None for record in self.family.records for model in record.models
        }
        if not models:
            return ""
        rows = [(code(column), code(name), code(weights)) for column, name, weights in models]
        return f"### Models\n\n{grid(('column', 'model', 'digest of its weights'), rows)}"

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

    def _verifying(self) -> str:
        commands = (
            "poolwright verify .        # checksums, schema, counts, card, Croissant, image bytes; loads it as above\n"
            "sha256sum -c SHA256SUMS    # checksums alone"
        )
        return f"## How to verify it\n\n{fenced(commands, 'sh')}"


def bad_rows(record: TableRecord) -> dict[str, int]:
    """Count the broken rows by reason, as text."""
    bad = {(reason.step, reason.name): reason.words for reason in record.reasons if reason.bad}
    found: dict[str, int] = {}
    for row in record.funnel:
        for name, count in row.dropped.items():
            if (row.step, name) in bad:
                found[bad[row.step, name]] = found.get(bad[row.step, name], 0) + count
    return found
