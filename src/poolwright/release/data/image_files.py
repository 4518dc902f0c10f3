"""Write image files into folders, with metadata files next to them, for all layouts of folders."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from poolwright.core.columns import UID, is_text
from poolwright.core.errors import ReleaseError
from poolwright.core.images.formats import IMAGE_EXTENSIONS
from poolwright.core.parquet import parquet_writer
from poolwright.core.rows import RowGroups, Rows
from poolwright.core.runtime.overlap import WriteBehind
from poolwright.core.table import Table
from poolwright.core.wording import guarded
from poolwright.release.data.image_counts import extension
from poolwright.release.data.naming import safe_names
from poolwright.release.data.splits import split_values, with_split

GROUP_ROWS = 10_000
"""Rows per row group of metadata."""


def image_stem(uid: str) -> str:
    """Return the uid without an image extension: the extension of the file is chosen by its bytes."""
    stem, dot, suffix = uid.rpartition(".")
    return stem if dot and stem and suffix.lower() in IMAGE_EXTENSIONS else uid


def image_stems(table: Table) -> dict[str | None, dict[str, str]]:
    """Return the name of each row's image file, without extension, by value of the split and uid.

    Holds every uid in memory: names that collide must be known before the first file is written.
    """
    members: dict[str | None, list[str]] = defaultdict(list)
    for rows in table.batches(with_split([UID], table.schema)):
        for split, uid in zip(split_values(rows), rows.strings(UID), strict=True):
            members[split].append(str(uid))
    return {split: safe_names(uids, image_stem) for split, uids in members.items()}


def write_image(root: Path, folder: str, stem: str, data: bytes) -> str:
    """Write one image file; return its path relative to `root`.

    Raises:
        ReleaseError: a file of that name exists already.
    """
    relative = f"{folder}/{stem}.{extension(data)}"
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as out:
            out.write(data)
    except FileExistsError:
        raise ReleaseError(f"{relative}: two rows of the table would be written to this file") from None
    return relative


def released_rows(rows: Rows, schema: pa.Schema, given: Mapping[str, pa.Array]) -> pa.Table:
    """Return rows with the columns of `schema`, from `given` if it has them, else from the table."""
    arrays = [given[field.name] if field.name in given else rows.column(field.name) for field in schema]
    typed = [
        values if values.type == field.type else values.cast(field.type)
        for values, field in zip(arrays, schema, strict=True)
    ]
    return pa.table(typed, schema=schema)


class MetadataFile:
    """A metadata file, Parquet or CSV by its extension, with rows in the order in which they are written."""

    def __init__(self, path: Path, schema: pa.Schema, group_rows: int = GROUP_ROWS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self._groups = RowGroups(group_rows)
        self._behind = WriteBehind()
        name = os.fspath(path)
        self._sheet = path.suffix == ".csv"
        self._writer: Any = pacsv.CSVWriter(name, schema) if self._sheet else parquet_writer(name, schema)

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        for group in self._groups.add(rows):
            self._flush(group)

    def close(self) -> None:
        """Write the remaining rows and close the file."""
        try:
            rest = self._groups.rest()
            if rest is not None:
                self._flush(rest)
            self._behind.finish()
        finally:
            self._writer.close()

    def _flush(self, rows: pa.Table) -> None:
        self._behind.call(self._write, rows)
        self.rows += len(rows)

    def _write(self, rows: pa.Table) -> None:
        self._writer.write_table(_guarded_texts(rows) if self._sheet else rows)


def _guarded_texts(rows: pa.Table) -> pa.Table:
    """Return rows whose texts no spreadsheet evaluates as formulas."""
    for at, field in enumerate(rows.schema):
        if is_text(field.type):
            texts = [None if text is None else guarded(text) for text in rows.column(at).to_pylist()]
            rows = rows.set_column(at, field, pa.array(texts, field.type))
    return rows
