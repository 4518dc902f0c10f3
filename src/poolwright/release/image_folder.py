"""Image folder layout: `<split>/<class>/<uid>.<ext>` with a metadata file in every split.

`datasets.load_dataset` reads it as an ImageFolder (the column `file_name` joins rows and files), and so does
`torchvision.datasets.ImageFolder` for one split.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from pydantic import Field

from poolwright.core.columns import IMAGE, IMAGE_PATH, LABEL, SHA256, SPLIT, UID, is_groupable
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.features import FILE_NAME, released_schema, require
from poolwright.release.images import EXTENSIONS, ImageReader, extension, image_columns
from poolwright.release.layout import Layout
from poolwright.release.naming import safe_names, split_order
from poolwright.release.record import ReleasedFile, ReleaseRecord
from poolwright.release.splits import by_split, split_values, table_splits
from poolwright.release.statistics import Statistics

NO_CLASS = "unlabelled"
_GROUP_ROWS = 10_000
Place = tuple[str | None, str | None]


class ImageFolderLayout(Layout):
    """Image files in folders by split and class, for tools that read folders."""

    layout: ClassVar[str] = "image_folder"

    by: Column | None = Field(
        default=None, description="column whose values are the class folders; default label, where it is there"
    )
    metadata: Literal["parquet", "csv"] = Field(
        default="parquet", description="format of the metadata; csv keeps no types and leaves vectors and lists out"
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Columns that are read by name: uid, those of the images, the class."""
        if FILE_NAME in schema.names:
            raise StepError(f"layout '{self.layout}' writes a column '{FILE_NAME}', and the table has one; rename it")
        names = [UID, *image_columns(schema, self.layout)]
        by = self._by(schema)
        if by:
            require(by, schema, "'by'")
            if not is_groupable(schema.field(by).type):
                raise StepError(f"'by: {by}' has type {schema.field(by).type}; class folders are strings or integers")
            names.append(by)
        return tuple(dict.fromkeys(names))

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the image files, and the rows of each split beside them."""
        splits = table_splits(table, statistics)
        by = self._by(table.schema)
        places = _Places(table, splits, by)
        schema = self._schema(table.schema)
        reader = ImageReader.of(table, self.layout)
        there = [name for name in schema.names if name in table.schema.names]
        extra = [name for name in (SPLIT, by) if name and name in table.schema.names]
        writers = {name: _Metadata(folder / name, schema, self.metadata) for name in splits.values()}
        try:
            for rows, images, digests in reader.batches([*there, *extra]):
                files = [_write(folder, *place, data) for place, data in zip(places.of(rows), images, strict=True)]
                released = _rows(rows, schema, {FILE_NAME: pa.array(files, pa.string()), SHA256: pa.array(digests)})
                for name, part, _ in by_split(released, [0] * len(files), split_values(rows), splits):
                    writers[name].write(part)
        finally:
            for writer in writers.values():
                writer.close()
        written = [
            ReleasedFile(path=f"{name}/metadata.{self.metadata}", split=name, rows=writers[name].rows)
            for name in sorted(writers, key=split_order)
        ]
        return self.record(table, schema, written, splits, reader)

    def _by(self, schema: pa.Schema) -> str | None:
        return self.by or (LABEL if LABEL in schema.names else None)

    def _schema(self, table: pa.Schema) -> pa.Schema:
        names = [name for name in table.names if name not in (IMAGE, IMAGE_PATH, UID)]
        fields = list(released_schema(table, [UID, *names], embedded=False, class_column=None))
        fields = [pa.field(SHA256, pa.string()) if field.name == SHA256 else field for field in fields]
        if SHA256 not in names:
            fields.append(pa.field(SHA256, pa.string()))
        if self.metadata == "csv":
            fields = [field for field in fields if not pa.types.is_nested(field.type) and not _is_bytes(field.type)]
        return pa.schema([pa.field(FILE_NAME, pa.string()), *fields])


def _is_bytes(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_fixed_size_binary(dtype))


class _Places:
    """Where the image of each row goes: folder of the split, folder of the class, name without extension.

    Holds every uid in memory, as names that would fall together must be known before the first is written.
    """

    def __init__(self, table: Table, splits: dict[str | None, str], by: str | None) -> None:
        self.table, self.splits, self.by = table, splits, by
        members: dict[Place, list[str]] = defaultdict(list)
        for rows in table.batches([UID, *(name for name in (SPLIT, by) if name and name in table.schema.names)]):
            for place, uid in zip(self._keys(rows), rows.strings(UID), strict=True):
                members[place].append(str(uid))
        # What else stands in the folder of a split; rows without a class go to a folder of their own.
        taken = ("metadata.parquet", "metadata.csv", NO_CLASS)
        classes = safe_names({value for _, value in members if value is not None}, taken=taken)
        self.folders = {
            (split, value): (splits[split], classes[value] if value is not None else NO_CLASS if by else "")
            for split, value in members
        }
        self.stems = {place: safe_names(uids, _stem) for place, uids in members.items()}

    def of(self, rows: Rows) -> Iterator[tuple[str, str, str]]:
        for place, uid in zip(self._keys(rows), rows.strings(UID), strict=True):
            yield (*self.folders[place], self.stems[place][str(uid)])

    def _keys(self, rows: Rows) -> Iterator[Place]:
        values: list[str | None] = rows.strings(self.by) if self.by else [None] * len(rows)
        return zip(split_values(rows), values, strict=True)


def _stem(uid: str) -> str:
    """The uid without the extension of an image file: the file gets the one of its bytes."""
    stem, dot, suffix = uid.rpartition(".")
    return stem if dot and stem and suffix.lower() in EXTENSIONS else uid


def _write(folder: Path, split: str, class_folder: str, stem: str, data: bytes) -> str:
    """Write one image file; returns its path below the folder of the split.

    Raises:
        ReleaseError: a file of that name is there already.
    """
    name = f"{stem}.{extension(data)}"
    relative = f"{class_folder}/{name}" if class_folder else name
    path = folder / split / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as out:
            out.write(data)
    except FileExistsError:
        raise ReleaseError(f"{split}/{relative}: two rows of the table would be written to this file") from None
    return relative


def _rows(rows: Rows, schema: pa.Schema, given: dict[str, pa.Array]) -> pa.Table:
    arrays = [given[field.name] if field.name in given else rows.column(field.name) for field in schema]
    typed = [
        values if values.type == field.type else values.cast(field.type)
        for values, field in zip(arrays, schema, strict=True)
    ]
    return pa.table(typed, schema=schema)


class _Metadata:
    """The metadata file of one split, rows in the order of the table."""

    def __init__(self, folder: Path, schema: pa.Schema, kind: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        path = os.fspath(folder / f"metadata.{kind}")
        self._writer: Any = (
            pacsv.CSVWriter(path, schema) if kind == "csv" else pq.ParquetWriter(path, schema, compression="zstd")
        )

    def write(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        while self._waiting_rows >= _GROUP_ROWS:
            whole = pa.concat_tables(self._waiting)
            self._flush(whole.slice(0, _GROUP_ROWS))
            rest = whole.slice(_GROUP_ROWS)
            self._waiting, self._waiting_rows = [rest], len(rest)

    def close(self) -> None:
        if self._waiting_rows:
            self._flush(pa.concat_tables(self._waiting))
        self._waiting, self._waiting_rows = [], 0
        self._writer.close()

    def _flush(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)
        self.rows += len(rows)
