"""Write the rows of a split as a few large Parquet files, the shards, with small row groups."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from poolwright.core.parquet import parquet_writer, row_group_rows
from poolwright.core.rows import RowGroups
from poolwright.core.runtime.overlap import WriteBehind
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
    """Writer of the shards of one split, in a thread of its own. The shard of a row depends only on the rows before it.

    Args:
        folder: folder of the release; the shards are written to `data/`.
        split: name of the split.
        schema: schema of the rows.
        shard_bytes: a shard is full when it is larger than this.
        embedded: whether the rows hold images.
        config: folder within `data/`, for datasets with several configs.

    Attributes:
        digests: SHA-256 of finished files, hex, by their path in the release; found while they are written.
    """

    def __init__(
        self, folder: Path, split: str, schema: pa.Schema, shard_bytes: int, embedded: bool, config: str = ""
    ) -> None:
        self.location = f"data/{config}" if config else "data"
        self.folder, self.split, self.schema, self.shard_bytes = folder / self.location, split, schema, shard_bytes
        self.digests: dict[str, str] = {}
        self._groups = RowGroups(group_rows(schema, embedded), GROUP_BYTES)
        self._sink: _Sink | None = None
        self._writer: Any = None
        self._written: list[tuple[int, str]] = []  # rows and digest of each finished shard
        self._rows = 0
        self._behind = WriteBehind()

    def add(self, rows: pa.Table, sizes: Sequence[int]) -> None:
        """Add rows; `sizes` are the bytes of their images, which limit the row groups.

        Raises:
            OSError: they, or rows that were added before, could not be written.
        """
        for group in self._groups.add(rows, sizes):
            self._behind.call(self._write, group)

    def finish(self) -> list[ReleasedFile]:
        """Write the remaining rows, and give the shards their names."""
        rest = self._groups.rest()
        if rest is not None:
            self._behind.call(self._write, rest)
        self._behind.finish()
        self._close()
        total, files = len(self._written), []
        for number, (rows, digest) in enumerate(self._written):
            name = f"{self.split}-{number:05d}-of-{total:05d}.parquet"
            os.replace(self._path(number), self.folder / name)
            self.digests[f"{self.location}/{name}"] = digest
            files.append(ReleasedFile(path=f"{self.location}/{name}", split=self.split, rows=rows))
        return files

    def abandon(self) -> None:
        """Close open files, so that the folder can be removed on every platform."""
        with suppress(Exception):  # it has been raised, or another one is
            self._behind.finish()
        if self._sink is not None:
            self._sink.close()

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.split}-{number:05d}.unfinished"

    def _write(self, group: pa.Table) -> None:
        if self._sink is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sink = _Sink(self._path(len(self._written)))
            self._writer = parquet_writer(self._sink, self.schema)
        self._writer.write_table(group, row_group_size=group.num_rows)
        self._rows += group.num_rows
        if self._sink.tell() >= self.shard_bytes:
            self._close()

    def _close(self) -> None:
        if self._sink is not None:
            self._writer.close()
            self._sink.close()
            self._written.append((self._rows, self._sink.digest.hexdigest()))
            self._writer = self._sink = None
            self._rows = 0


def finish_all(shards: Iterable[Shards]) -> tuple[list[ReleasedFile], dict[str, str]]:
    """Finish the shards of all splits; return their files, and the SHA-256 of these by path."""
    files, digests = [], {}
    for one in shards:
        files += one.finish()
        digests.update(one.digests)
    return files, digests


class _Sink(io.BufferedIOBase):
    """A file that is written from beginning to end, and digested meanwhile."""

    def __init__(self, path: Path) -> None:
        self._file, self._at, self.digest = path.open("wb"), 0, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._file.write(data)
        self.digest.update(data)
        self._at += size
        return size

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        self._file.close()
        super().close()
