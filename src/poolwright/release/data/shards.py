"""Write the rows of a split as a few large Parquet files, the shards, with small row groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from poolwright.core.parquet import parquet_writer, row_group_rows
from poolwright.core.rows import RowGroups
from poolwright.release.record import ReleasedFile

IMAGE_GROUP_ROWS = 100
"""Rows per row group with images: viewers and random access read whole row groups."""
GROUP_BYTES = 64 << 20
GROUP_ROWS = 50_000


def group_rows(schema: pa.Schema, embedded: bool) -> int:
    """Return the rows per row group: about 16 MB of vectors, or a hundred images."""
    if embedded:
        return IMAGE_GROUP_ROWS
    return row_group_rows(schema, 16 << 20, 1_000, GROUP_ROWS)


class Shards:
    """Writer of the shards of one split. The shard of a row depends only on the rows before it.

    Args:
        folder: folder of the release; the shards are written to `data/`.
        split: name of the split.
        schema: schema of the rows.
        shard_bytes: a shard is full when it is larger than this.
        embedded: whether the rows hold images.
        config: folder within `data/`, for datasets with several configs.
    """

    def __init__(
        self, folder: Path, split: str, schema: pa.Schema, shard_bytes: int, embedded: bool, config: str = ""
    ) -> None:
        self.location = f"data/{config}" if config else "data"
        self.folder, self.split, self.schema, self.shard_bytes = folder / self.location, split, schema, shard_bytes
        self._groups = RowGroups(group_rows(schema, embedded), GROUP_BYTES)
        self._sink: Any = None
        self._writer: Any = None
        self._counts: list[int] = []
        self.arrow_bytes = 0

    def add(self, rows: pa.Table, sizes: Sequence[int]) -> None:
        """Add rows; `sizes` are the bytes of their images, which limit the row groups."""
        for group in self._groups.add(rows, sizes):
            self._write(group)

    def finish(self) -> list[ReleasedFile]:
        """Write the remaining rows, and give the shards their names."""
        rest = self._groups.rest()
        if rest is not None:
            self._write(rest)
        self._close()
        total, files = len(self._counts), []
        for number, rows in enumerate(self._counts):
            name = f"{self.split}-{number:05d}-of-{total:05d}.parquet"
            os.replace(self._path(number), self.folder / name)
            files.append(ReleasedFile(path=f"{self.location}/{name}", split=self.split, rows=rows))
        return files

    def abandon(self) -> None:
        """Close open files, so that the folder can be removed on every platform."""
        if self._sink is not None:
            self._sink.close()

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.split}-{number:05d}.unfinished"

    def _write(self, group: pa.Table) -> None:
        if self._writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sink = self._path(len(self._counts)).open("wb")
            self._writer = parquet_writer(self._sink, self.schema)
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
