"""Shards: rows of a split as a few large parquet files with small row groups."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import is_text
from poolwright.release.record import ReleasedFile

IMAGE_GROUP_ROWS = 100
"""Rows in a row group with images: viewers and random access read one whole."""
GROUP_BYTES = 64 << 20
GROUP_ROWS = 50_000
_VECTOR_BYTES = 1_024  # of 512 numbers; plain lists do not say how long they are


def group_rows(schema: pa.Schema, embedded: bool) -> int:
    """Rows in a row group: about 16 MB of vectors, or a hundred images."""
    if embedded:
        return IMAGE_GROUP_ROWS
    width = sum(_width(field.type) for field in schema)
    return int(max(1_000, min(GROUP_ROWS, (16 << 20) // width)))


def _width(dtype: pa.DataType) -> int:
    if pa.types.is_fixed_size_list(dtype):
        return int(dtype.list_size * _width(dtype.value_type))
    if pa.types.is_list(dtype) and pa.types.is_floating(dtype.value_type):
        return _VECTOR_BYTES
    return max(dtype.bit_width // 8, 1) if pa.types.is_primitive(dtype) else 64


class Shards:
    """Writes the shards of one split. Where a row goes depends on the rows before it alone.

    Args:
        folder: of the release; shards go to `data/`.
        split: name of the split.
        schema: of the rows.
        shard_bytes: a shard is full when it is larger than this.
        embedded: whether the rows hold images.
        config: a folder of their own within `data/`, for datasets of several configs.
    """

    def __init__(
        self, folder: Path, split: str, schema: pa.Schema, shard_bytes: int, embedded: bool, config: str = ""
    ) -> None:
        self.place = f"data/{config}" if config else "data"
        self.folder, self.split, self.schema, self.shard_bytes = folder / self.place, split, schema, shard_bytes
        self.group_rows = group_rows(schema, embedded)
        self._options = _options(schema)
        self._waiting: list[pa.Table] = []
        self._rows, self._bytes = 0, 0
        self._sink: Any = None
        self._writer: Any = None
        self._counts: list[int] = []
        self.arrow_bytes = 0

    def add(self, rows: pa.Table, sizes: Sequence[int]) -> None:
        """Add rows; `sizes` are the bytes of their images, by which row groups are kept small."""
        start = 0
        for at, size in enumerate(sizes, 1):
            self._rows, self._bytes = self._rows + 1, self._bytes + size
            if self._rows >= self.group_rows or self._bytes >= GROUP_BYTES:
                self._waiting.append(rows.slice(start, at - start))
                self._write()
                start = at
        if start < len(rows):
            self._waiting.append(rows.slice(start))

    def finish(self) -> list[ReleasedFile]:
        """Write what waits, and give the shards their names."""
        if self._rows:
            self._write()
        self._close()
        total, files = len(self._counts), []
        for number, rows in enumerate(self._counts):
            name = f"{self.split}-{number:05d}-of-{total:05d}.parquet"
            os.replace(self._path(number), self.folder / name)
            files.append(ReleasedFile(path=f"{self.place}/{name}", split=self.split, rows=rows))
        return files

    def abandon(self) -> None:
        """Let go of open files, so that the folder can be removed on every platform."""
        if self._sink is not None:
            self._sink.close()

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.split}-{number:05d}.unfinished"

    def _write(self) -> None:
        group = pa.concat_tables(self._waiting)
        self._waiting, self._rows, self._bytes = [], 0, 0
        if self._writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sink = self._path(len(self._counts)).open("wb")
            self._writer = pq.ParquetWriter(self._sink, self.schema, **self._options)
            self._counts.append(0)
        self._writer.write_table(group, row_group_size=group.num_rows)
        self._counts[-1] += group.num_rows
        self.arrow_bytes += group.nbytes
        if self._sink.tell() >= self.shard_bytes:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._sink.close()
            self._writer = self._sink = None


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Images and vectors are stored as they are: they do not compress."""
    leaves = [(path, _is_raw(dtype)) for field in schema for path, dtype in _leaves(field.name, field.type)]
    return {
        "compression": {path: "none" if raw else "zstd" for path, raw in leaves},
        "use_dictionary": [field.name for field in schema if is_text(field.type)],
        "write_statistics": [path for path, raw in leaves if not raw],
    }


def _is_raw(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_float16(dtype))


def _leaves(path: str, dtype: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Paths and types of the parquet columns that a column is stored in."""
    if pa.types.is_struct(dtype):
        for child in dtype:
            yield from _leaves(f"{path}.{child.name}", child.type)
    elif pa.types.is_map(dtype):
        yield from _leaves(f"{path}.key_value.key", dtype.key_type)
        yield from _leaves(f"{path}.key_value.value", dtype.item_type)
    elif pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype):
        yield from _leaves(f"{path}.list.element", dtype.value_type)
    else:
        yield path, dtype
