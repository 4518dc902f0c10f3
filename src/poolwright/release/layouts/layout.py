"""Layout: a form that users know, in which a table is handed out."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from poolwright.core.errors import MissingExtra, ReleaseError
from poolwright.core.params import Column
from poolwright.release.card.about import About
from poolwright.release.record import RELEASE, RELEASE_FORMAT, ReleasedFile, ReleaseRecord, digest_of

if TYPE_CHECKING:
    from poolwright.core.measured import Measured
    from poolwright.core.table import Table
    from poolwright.release.data.images import ImageReader
    from poolwright.release.lineage import Lineage
    from poolwright.release.statistics import Statistics

__all__ = ["About", "Layout", "Written"]


@dataclass(frozen=True)
class Written:
    """A release that is there now.

    Attributes:
        folder: where it lies.
        layout: its layout.
        rows: rows in it.
        files, bytes: size of the folder.
        fresh: False where the same release was there already and verified.
    """

    folder: Path
    layout: str
    rows: int
    files: int
    bytes: int
    fresh: bool

    @property
    def words(self) -> str:
        from poolwright.core.files import human_bytes

        told = f"{self.rows:,} rows, {self.files:,} files, {human_bytes(self.bytes)}"
        return told if self.fresh else f"unchanged and verified; {told}"


class Layout(BaseModel):
    """A release layout, with its parameters as fields; `layout:` in a recipe names it.

    Subclasses write the data; record, card, statistics, Croissant and checksums are the same for all.
    The same table gives the same bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: ClassVar[str]
    example: ClassVar[str]
    """How a recipe writes the release, in YAML: '{table: best, layout: huggingface, to: out}'."""
    tree: ClassVar[str]
    """The files of the layout, for its reference: a path and what it holds in each line."""
    nested: ClassVar[bool] = False
    """Whether the rows of `tables` must be rows of the released one, so that they come from it."""

    figures: bool = Field(default=True, description="whether the card has figures (needs matplotlib)")
    domain: Column | None = Field(
        default=None, description="column of the domains, such as continent: the card shows classes by domain"
    )

    @abstractmethod
    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Columns of the table that this layout reads by name.

        Raises:
            StepError: a column is missing, or of a type that this layout cannot write.
        """

    @abstractmethod
    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the data files into `folder` and say what was written; `made_from` is filled in later.

        Raises:
            ReleaseError: an image cannot be read any more.
        """

    def tables(self) -> tuple[str, ...]:
        """Other tables of the same run that this layout reads."""
        return ()

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Check that those tables have the columns that will be read; raises StepError."""

    def others(self, table: Table) -> tuple[Table, ...]:
        """Those tables, which lie beside the released one.

        Raises:
            InputError: one is not finished.
        """
        from poolwright.core.table import Table as Finished

        return tuple(Finished(table.folder.parent / name) for name in self.tables())

    def class_name(self) -> str | None:
        """Column of the class names, where a parameter names one."""
        return None

    def loading(self, record: ReleaseRecord, table: Table) -> str:
        """How to load the release, as Markdown for its card; '' where `load_dataset` is the way."""
        return ""

    def check(self, schema: pa.Schema) -> None:
        """Find what is wrong before anything runs.

        Raises:
            StepError: as `needs`.
            MissingExtra: figures are asked for and matplotlib is not installed.
        """
        from importlib.util import find_spec

        from poolwright.release.data.splits import check_split
        from poolwright.release.domain_counts import check_domain

        self.needs(schema)
        check_split(schema)
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
        """The record of data files that were written; `made_from` is left empty."""
        from poolwright.release.data.features import released_columns
        from poolwright.release.data.naming import split_order

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
            columns=released_columns(schema, table, class_column),
            splits=counts,
            split_names={name: values[name] for name in order},
            files=tuple(files),
            images=reader.summary() if reader else None,
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
    ) -> Written:
        """Write a release, or find it there already.

        It appears under its name when it is whole; a kill before that leaves what was there.

        Args:
            table: a finished table.
            folder: where the release goes; its parent is made.
            about: what the card says.
            overwrite: whether a release of something else, or a damaged one, may be replaced.
            measured: figures of the recipe that were measured on the table; the card shows them.
            versions: of the installed package that provides this layout, by its name.

        Raises:
            ReleaseError: the table has no rows, an image cannot be read any more, or something else lies there.
            StepError: the table lacks a column that this layout needs.
        """
        from poolwright.release.lineage import lineage

        folder = Path(os.path.abspath(folder))
        self.check(table.schema)
        if not table.record.rows_kept:
            raise ReleaseError(
                f"table '{table.name}' has no rows, so there is nothing to release; "
                "`poolwright show` tells which step dropped them"
            )
        family = lineage(table)
        made_from = self._made_from(family, about, self.others(table), measured, versions or {})
        there = _there(folder, made_from, overwrite)
        origin = {"made_from": made_from, "versions": dict(versions or {})}
        return there or self._write(family, folder, about, origin, measured)

    def _made_from(
        self,
        family: Lineage,
        about: About,
        others: Sequence[Table],
        measured: Sequence[Measured],
        versions: Mapping[str, str],
    ) -> str:
        from poolwright.release.lineage import without_paths

        parts = [
            RELEASE_FORMAT,
            self.layout,
            self.model_dump(mode="json"),
            about.model_dump(mode="json"),
            [record.model_dump(mode="json") for record in family.records],
        ]
        if others:
            parts.append([without_paths(other.record).model_dump(mode="json") for other in others])
        if measured:
            parts.append({"measured": [found.model_dump(mode="json") for found in measured]})
        if versions:
            parts.append({"versions": dict(versions)})
        return digest_of(*parts)

    def _write(
        self, family: Lineage, folder: Path, about: About, origin: Mapping[str, Any], measured: Sequence[Measured]
    ) -> Written:
        from poolwright.core.files import remove
        from poolwright.release.card.documents import write_documents
        from poolwright.release.statistics import gather

        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{folder.name}.partial")
        remove(partial)
        partial.mkdir()
        try:
            statistics = gather(family.table, self.domain, self.class_name())
            record = self.write_data(family.table, partial, statistics)
            record = record.model_copy(update=origin)
            _check_rows(record, family.table)
            loading = self.loading(record, family.table)
            write_documents(partial, record, family, about, statistics, self.figures, loading, measured)
            _into_place(partial, folder)
        except BaseException:
            remove(partial)
            raise
        return _written(folder, record, fresh=True)


def _check_rows(record: ReleaseRecord, table: Table) -> None:
    kept, files = table.record.rows_kept, sum(file.rows for file in record.files)
    if not kept == record.rows == sum(record.splits.values()) == files:
        raise ReleaseError(
            f"table '{table.name}' has {kept:,} rows and the release {record.rows:,}, its files {files:,}: "
            "the counts do not reconcile; this is a bug in the layout or the table was changed meanwhile"
        )


def _there(folder: Path, made_from: str, overwrite: bool) -> Written | None:
    """The release that is there, if it is the wanted one and whole; None if it is to be written.

    Raises:
        ReleaseError: something else lies there.
    """
    from poolwright.release.checksums import check_sums

    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        record = ReleaseRecord.load(folder)
    except (OSError, ValueError):
        if overwrite and (folder / RELEASE).is_file():
            return None
        raise ReleaseError(f"{folder}: something that is not a release lies there; choose another folder") from None
    wrong = check_sums(folder) if record.made_from == made_from else ["it was made from another table, card or layout"]
    if not wrong:
        return _written(folder, record, fresh=False)
    if overwrite:
        return None
    raise ReleaseError(
        f"{folder}: a release of '{record.table}' lies there, and {wrong[0]}; "
        "remove it, release to another folder, or replace it with --overwrite"
    )


def _into_place(partial: Path, folder: Path) -> None:
    """Flush to disk, then rename; what was there before is gone only when the new release has its name."""
    from poolwright.core.files import remove, sync_folder
    from poolwright.release.checksums import flush

    flush(partial)
    old = folder.with_name(f".{folder.name}.old")
    remove(old)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    sync_folder(folder.parent)
    remove(old)


def _written(folder: Path, record: ReleaseRecord, fresh: bool) -> Written:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Written(folder, record.layout, record.rows, len(sizes), sum(sizes), fresh)
