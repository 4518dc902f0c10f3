"""Hand the shards of a source to a fetcher, those that have rows to fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import time
from typing import NamedTuple, Protocol

import pyarrow as pa

from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards.finish_shard import rows_to_refetch
from poolwright.fetch.shards.first_rows import FirstRows
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.shards.journal import Journal

SHARDS_OPEN = 3
"""Shards that a process works on at once, so that the last slow rows of one do not hold up the next."""


class ShardRows(NamedTuple):
    """A shard with rows to fetch.

    Attributes:
        number: of the shard.
        rows: all rows of the shard.
        pending: rows to fetch again, of a finished shard; None for all.
        apart: name of the folder to finish the shard in, if it is then moved; see `FetchFolder.apart`.
    """

    number: int
    rows: pa.Table
    pending: Sequence[int] | None
    apart: str | None = None


class OpenShard:
    """A shard that is being fetched; `first` has shard and row of the first row with the URL of a later one."""

    def __init__(self, folder: FetchFolder, shard: ShardRows, first: FirstRows) -> None:
        self.number, self.rows = shard.number, shard.rows
        self.journal = Journal(folder.work, shard.number, shard.pending)
        self.apart = folder.apart(shard.apart) if shard.apart else None
        self.first = first.of(shard.number)
        pending = range(len(self.rows)) if self.journal.pending is None else self.journal.pending
        self.left = [row for row in pending if row not in self.journal.outcomes]
        self.open = len(self.left)
        self.begun = time()


class ShardFeed(Protocol):
    """Shards that are to be fetched by this process.

    Attributes:
        ended: whether there will be no more.
    """

    ended: bool

    def next(self, opened: int, waiting: int) -> ShardRows | None:
        """Return the next shard to begin; None if none is to be begun now.

        Args:
            opened: shards that are being fetched.
            waiting: rows that wait for their turn.
        """
        ...


class SourceFeed:
    """All shards of a source, each when the fetcher needs more rows; see `ShardFeed`."""

    def __init__(self, shards: Iterator[ShardRows], options: FetchOptions) -> None:
        self.ended, self._shards, self._enough = False, shards, 4 * options.concurrency

    def next(self, opened: int, waiting: int) -> ShardRows | None:
        if self.ended or opened >= SHARDS_OPEN or waiting >= self._enough:
            return None
        shard = next(self._shards, None)
        self.ended = shard is None
        return shard


def shards_to_fetch(
    folder: FetchFolder, tables: Iterator[pa.Table], already: Callable[[int], None]
) -> Iterator[ShardRows]:
    """Yield the shards that have rows to fetch; call `already` with the others.

    Args:
        folder: folder of the shards.
        tables: rows of the source, one table per shard.
        already: is given the number of a finished shard.
    """
    for number, rows in enumerate(tables):
        pending = None
        if folder.done(number, len(rows)):
            pending = rows_to_refetch(folder, number, folder.options)
            if pending is None:
                already(number)
                continue
        yield ShardRows(number, rows, pending)
