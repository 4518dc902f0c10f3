"""Define the base class of release layouts.

A layout is the form in which a table is released, such as one that users know from a published dataset. It is one class
in one file: it writes its data files, reads their images back, checks its own files, and shows how to load the
release. Record, card, statistics, Croissant and checksums are the same for all layouts. An example:

    class Lists(Layout):
        layout: ClassVar[str] = "lists"

        def needs(self, schema): return (UID, LABEL)

        def write_data(self, table, folder, statistics):
            ...                                     # write Parquet or CSV files with the rows, and other files
            return self.record(table, schema, files, splits, None)

        def checks(self, folder, release):
            yield "lists", lambda: check_lists(folder, release)
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from poolwright.core.columns import is_vector
from poolwright.core.errors import MissingExtra, ReleaseError, StepError
from poolwright.core.params import Column
from poolwright.release.card.about import About
from poolwright.release.checks.result import Findings
from poolwright.release.folder import Written
from poolwright.release.leaks.limit import LeakLimit
from poolwright.release.record import RELEASE_FORMAT, ReleasedFile, ReleaseRecord
from poolwright.release.workers import HERE, Workers

if TYPE_CHECKING:
    import numpy as np

    from poolwright.core.results.measured import Measured
    from poolwright.core.table import Table
    from poolwright.release.card.presentation import Presentation
    from poolwright.release.checks.loaders.loader import Loader
    from poolwright.release.data.image_changes import ImageChanges
    from poolwright.release.data.images import ImageReader
    from poolwright.release.data.reading import StoredImage
    from poolwright.release.lineage import Lineage
    from poolwright.release.parent import Parent
    from poolwright.release.statistics import Detail, Statistics

__all__ = ["About", "Layout", "LayoutCheck", "Written"]

LayoutCheck = tuple[str, Callable[[], Findings]]
"""Name of a check, and the function that makes it. An exception is reported as a failed check."""


class Layout(BaseModel):
    """Base of release layouts, with the parameters as fields; a recipe names a layout by `layout:`.

    Subclasses write the data and read it back. The same table must give the same bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    layout: ClassVar[str]
    example: ClassVar[str]
    """The entry of a recipe that writes the release, in YAML: '{table: best, layout: huggingface, to: out}'."""
    tree: ClassVar[str]
    """The files of the layout, for its reference: a path and its content per line."""
    nested: ClassVar[bool] = False
    """Whether the rows of `tables` must be rows of the released table."""

    figures: bool = Field(default=True, description="whether the card has figures (needs matplotlib)")
    domain: Column | None = Field(
        default=None, description="column of the domains, such as continent; the card shows classes by domain"
    )
    max_leak: LeakLimit | None = Field(
        default=None,
        description="most rows of a later split, bucket or subset that an earlier one may have, too, by equal SHA-256 "
        "or perceptual hash: a number, or a share of them such as 0.1%; with more, nothing is released",
    )
    leak_vectors: Column | Literal[False] | None = Field(
        default=None,
        description="column of vectors by which rows of splits, buckets and subsets are compared, so that near rows "
        "count for max_leak; default the first that has not 'text' in its name, for the card alone; false for none",
    )
    leak_above: float = Field(default=0.95, gt=0, le=1, description="least cosine of vectors that are near")

    # Writing

    @abstractmethod
    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns of the table that this layout reads by name.

        Raises:
            StepError: a column is missing, or has a type that this layout cannot write.
        """

    @abstractmethod
    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the files of this layout into `folder` and describe them; `made_from` is filled in later.

        `files` of the record are Parquet or CSV and have every row of the table once; all other files are in `others`,
        or are images.

        Raises:
            ReleaseError: an image can no longer be read.
        """

    def write_with(self, workers: Workers, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write as `write_data` does, the same bytes; a layout whose files can be made apart has workers make them."""
        return self.write_data(table, folder, statistics)

    def notes(self, schema: pa.Schema) -> Sequence[str]:
        """Return what a user should know before the release is written; `check` and a run show it."""
        return ()

    def tables(self) -> tuple[str, ...]:
        """Return the names of other tables of the same run that this layout reads."""
        return ()

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Check the columns of the tables that `tables` names; raise StepError if one is missing."""

    def others(self, table: Table) -> tuple[Table, ...]:
        """Return the tables that `tables` names, from the run of the released table.

        Raises:
            InputError: a table is not finished.
        """
        from poolwright.core.table import Table as Finished

        return tuple(Finished(table.folder.parent / name) for name in self.tables())

    def class_name(self) -> str | None:
        """Return the column of the class names, if a parameter names one."""
        return None

    def changes(self) -> ImageChanges | None:
        """Return what is done to images on their way into the release: the parameter `images`, if it is a mapping."""
        from poolwright.release.data.image_changes import ImageChanges

        images = getattr(self, "images", None)
        return images if isinstance(images, ImageChanges) else None

    def details(self, table: Table) -> list[Detail]:
        """Count several columns together for statistics and card, such as classes by domain."""
        from poolwright.release.card.details import details_of

        return details_of(table, self.domain, self.class_name())

    # Reading back

    def divisions(self, release: ReleaseRecord) -> Sequence[str]:
        """Return columns that divide the rows into parts that should have none in common; the files' splits do anyway.

        By default those of splits and time buckets, and `domain`.
        """
        from poolwright.release.leaks.divisions import usual_divisions

        return [*usual_divisions(release), *([self.domain] if self.domain else [])]

    def subset_rows(self, folder: Path, release: ReleaseRecord) -> Mapping[str, np.ndarray]:
        """Return the row numbers of each of the record's `subsets`, int64, counted over the data files in order."""
        return {}

    def read_images(self, folder: Path, release: ReleaseRecord, full: bool = True) -> Iterator[StoredImage]:
        """Yield the image of every row, read back from a release; called only if the record counts images.

        By default the column `file_name` of the data files has paths relative to `image_root`, and `sha256` has the
        digests.

        Args:
            full: all images; otherwise a sample that is spread over the data files and quick to read.
        """
        from poolwright.release.data.reading import image_files

        return image_files(folder, release, self.image_root, full)

    def image_root(self, file: ReleasedFile) -> str:
        """Return the folder in the release that paths in the column `file_name` of a data file are relative to."""
        return ""

    def image_folders(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the folders with the image files; none if there are no image files."""
        return ()

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Yield the checks of this layout's own files, such as lists of rows; made after the generic checks."""
        yield from ()

    def loaders(self, release: ReleaseRecord) -> Sequence[Loader]:
        """Return the libraries that the card says how to load the release with; `poolwright verify` tries them.

        By default `datasets`, which loads every release by the header of its card. Croissant is tried for all layouts.
        """
        from poolwright.release.checks.loaders import with_datasets
        from poolwright.release.checks.loaders.loader import Loader

        return [Loader("datasets", with_datasets.load)]

    # Card and Croissant

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to load the release, as Markdown for its card; by default with `load_dataset`."""
        from poolwright.release.card.sections.loading import load_with_datasets

        return load_with_datasets(release)

    def sections(self, release: ReleaseRecord, table: Table) -> Sequence[str]:
        """Return further sections of the card, as Markdown; they follow the section on loading."""
        return ()

    def task_categories(self, release: ReleaseRecord) -> list[str]:
        """Return the task categories of the Hugging Face Hub that the dataset serves."""
        from poolwright.release.card.header import usual_tasks

        return usual_tasks(release)

    def data_files(self, release: ReleaseRecord, config: str | None = None) -> list[tuple[str, str]]:
        """Return (split, glob) pairs of the data files for the Hub and `datasets`, of one config if there are several.

        Splits are in the order of the record.
        """
        return [(file.split, file.path) for file in release.files]

    def declared_features(self, release: ReleaseRecord, table: Table) -> list[dict[str, Any]]:
        """Return the features of the data files for the header of the card, which `datasets` then does not infer."""
        return []

    def file_sets(self, release: ReleaseRecord) -> list[dict[str, Any]]:
        """Return the file sets of the Croissant document; the first has the id 'rows_set' and the data files."""
        from poolwright.release.card.croissant.nodes import image_file_sets, rows_file_set

        rows = rows_file_set(release, "Metadata of all splits", [file.path for file in release.files])
        return [rows, *image_file_sets(release, self.image_folders(release))]

    def record_sets(self, release: ReleaseRecord) -> list[dict[str, Any]]:
        """Return further record sets of the Croissant document, besides splits, classes and rows."""
        from poolwright.release.card.croissant.nodes import image_record_sets

        roots = {self.image_root(file) for file in release.files}
        below = "the folder of the split" if len(roots) > 1 else next(iter(roots)) or "the release"
        return image_record_sets(release, self.image_folders(release), below)

    # Common to all layouts

    def check(self, schema: pa.Schema) -> None:
        """Check parameters and columns before anything runs.

        Raises:
            StepError: as in `needs`.
            MissingExtra: figures are requested and matplotlib is not installed.
        """
        from importlib.util import find_spec

        from poolwright.release.data.features import require
        from poolwright.release.data.splits import check_split
        from poolwright.release.domain_counts import check_domain

        for name in self.needs(schema):
            require(name, schema, f"layout '{self.layout}'")
        check_split(schema)
        if self.leak_vectors:
            require(self.leak_vectors, schema, "'leak_vectors'")
            if not is_vector(schema.field(self.leak_vectors).type):
                raise StepError(f"'leak_vectors' names '{self.leak_vectors}', which holds no vectors")
        if self.domain:
            check_domain(schema, self.domain, self.class_name())
        if self.figures and find_spec("matplotlib") is None:
            raise MissingExtra("matplotlib", "the figures of a dataset card (figures: false leaves them out)")

    def record(
        self,
        table: Table,
        schema: pa.Schema,
        files: Sequence[ReleasedFile],
        splits: Mapping[str | None, str],
        reader: ImageReader | None,
        classes: tuple[str, ...] = (),
        class_column: str | None = None,
    ) -> ReleaseRecord:
        """Return the record of the written data files; `made_from` is left empty.

        Args:
            schema: schema of the data files.
            splits: name of each split by its value in the table.
            reader: reader of the images that were written; None if there are none.
            classes: names of the classes by index, if `class_column` holds indices.
        """
        from poolwright.release.data.features import released_columns
        from poolwright.release.data.naming import split_order

        images = reader.counts.summary(reader.changes) if reader else None
        order = sorted(splits.values(), key=split_order)
        counts = {name: sum(file.rows for file in files if file.split == name) for name in order}
        values = {name: value for value, name in splits.items()}
        return ReleaseRecord(
            format=RELEASE_FORMAT,
            layout=self.layout,
            parameters=self.model_dump(mode="json"),
            table=table.name,
            made_from="",
            rows=sum(counts.values()),
            columns=released_columns(schema, table, class_column, images),
            splits=counts,
            split_names={name: values[name] for name in order},
            files=tuple(files),
            images=images,
            class_column=class_column,
            classes=classes,
        )

    def write(
        self,
        table: Table,
        folder: Path,
        about: About,
        overwrite: bool = False,
        measured: Sequence[Measured] = (),
        versions: Mapping[str, str] | None = None,
        parent: Parent | None = None,
        workers: Workers = HERE,
    ) -> Written:
        """Write a release, or find an identical one in its folder.

        The release appears under its name when it is complete; if the process is killed before that, a previous
        release remains.

        Args:
            table: a finished table.
            folder: folder of the release; its parent is created.
            about: the recipe's statements for the card.
            overwrite: whether a release of something else, or a damaged one, may be replaced.
            measured: figures of the recipe that were measured on the table; the card shows them.
            versions: version of the installed package that provides this layout, by name; none for poolwright's own.
            parent: the release that this one comes after.
            workers: what writes large files; by default this process.

        Raises:
            PoolwrightError: another process writes this release.
            ReleaseError: the table has no rows, an image can no longer be read, or the folder holds something else.
            StepError: the table lacks a column that this layout needs.
        """
        from poolwright.release.folder import find_release, release_lock, replaced
        from poolwright.release.lineage import lineage
        from poolwright.release.origin import origin_of

        folder = Path(os.path.abspath(folder))
        self.check(table.schema)
        if not table.record.rows_kept:
            raise ReleaseError(
                f"table '{table.name}' has no rows, so there is nothing to release; "
                "`poolwright show` lists what each step dropped"
            )
        family, versions = lineage(table), dict(versions or {})
        itself = self.layout, self.model_dump(mode="json")
        before = parent.record if parent else None
        made_from = origin_of(itself, family, about, self.others(table), measured, versions, before)
        if not replaced(folder).exists() and (existing := find_release(folder, made_from, overwrite)):
            return existing
        with release_lock(folder):
            if existing := find_release(folder, made_from, overwrite):
                return existing
            origin = {"made_from": made_from, "versions": versions, "parent": before}
            return self._write(family, folder, about, origin, measured, parent, workers)

    def _write(
        self,
        family: Lineage,
        folder: Path,
        about: About,
        origin: Mapping[str, Any],
        measured: Sequence[Measured],
        parent: Parent | None,
        workers: Workers,
    ) -> Written:
        from poolwright.core.files import remove, write_text
        from poolwright.release.card.documents import write_documents
        from poolwright.release.card.sections.changes import CHANGES, changes_section, changes_text
        from poolwright.release.card.sections.rights import license_notes
        from poolwright.release.data.class_names import class_notes
        from poolwright.release.data.reading import bytes_by_file
        from poolwright.release.folder import put_in_place, written
        from poolwright.release.leaks.count import count_leaks
        from poolwright.release.leaks.limit import check_limit, leak_notes
        from poolwright.release.statistics import gather, of_released

        table = family.table
        for one in (table, *self.others(table)):
            one.check_files()
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{folder.name}.partial")
        remove(partial)
        partial.mkdir()
        try:
            statistics = gather(table, self.details(table))
            record = self.write_with(workers, table, partial, statistics).model_copy(update=origin)
            record.check_files(table.record.rows_kept)
            leaks = count_leaks(partial, record, self, table)
            check_limit(table.name, leaks, self)
            record = record.model_copy(update={"leaks": leaks})
            statistics = of_released(statistics, record)
            notes = (*class_notes(record, statistics, self.class_name()), *leak_notes(leaks))
            notes = (*notes, *license_notes(about, statistics))
            presentation = self._presentation(record, table)
            if parent is not None:
                changes = parent.changes()
                write_text(partial / CHANGES, changes_text(changes))
                section = changes_section(parent.record, changes)
                presentation = replace(presentation, sections=(*presentation.sections, section))
            sizes = bytes_by_file(partial, record, self.image_root)
            write_documents(partial, record, family, about, statistics, presentation, sizes, measured)
            put_in_place(partial, folder)
        except BaseException:
            remove(partial)
            raise
        return written(folder, record, fresh=True, notes=notes)

    def _presentation(self, release: ReleaseRecord, table: Table) -> Presentation:
        from poolwright.release.card.presentation import Presentation

        return Presentation(
            figures=self.figures,
            load_snippet=self.load_snippet(release),
            sections=tuple(self.sections(release, table)),
            task_categories=tuple(self.task_categories(release)),
            data_files={config: self.data_files(release, config) for config in release.configs or [None]},
            features=tuple(self.declared_features(release, table)),
            file_sets=self.file_sets(release),
            record_sets=self.record_sets(release),
        )
