"""Link rows that have equal values, and times that are close, in memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.spread import Integers, Spread
from poolwright.kernels.selection.groups import local_groups
from poolwright.kernels.selection.lookup.key_index import key_hashes, with_key
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.steps.describe.duplicates.hashes import parse_hashes
from poolwright.steps.describe.duplicates.links import LINKS, PLACE, Pairs, partitions_for

_TIME, _BIN = "time", "bin"
_BINS = 8
"""Length of a bin of times, in spans that count as equal: an eighth of the rows is dealt to two bins."""
_INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class AlikeRows:
    """What makes rows alike.

    Attributes:
        columns: columns whose values are equal.
        time: column of times that are at most `within` apart.
        within: in microseconds.
        unhashed: column of hashes: rows that have one are left out.
    """

    columns: tuple[str, ...]
    time: str | None = None
    within: int = 0
    unhashed: str | None = None

    @property
    def reads(self) -> list[str]:
        """Columns to read."""
        return list(dict.fromkeys(name for name in (*self.columns, self.time, self.unhashed) if name))


def equal_links(frame: Frame, alike: AlikeRows, rows: int, name: str) -> Iterator[Pairs]:
    """Yield links that connect all rows that are alike; rows that lack one of the values are not linked.

    Rows are dealt out by the hash of their values, and compared by the values themselves.

    Args:
        frame: the live rows.
        alike: which rows are linked.
        rows: number of live rows, about.
        name: names the files among those of the step.
    """
    partitions = partitions_for(rows)
    with frame.spread(alike.reads, DealAlike(alike, partitions), partitions, name) as spread:
        for _, links in spread.map("links", LinkAlike(alike.within)):
            yield links.column("left").to_numpy(), links.column("right").to_numpy()


@dataclass(frozen=True)
class DealAlike:
    """Deals rows out by the hash of their values and, if they have one, the bin of their time.

    A row that is close to the next bin is dealt to that one too, so that it meets the rows there that it is linked to.
    """

    alike: AlikeRows
    partitions: int

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        keys = {str(index): _key(rows.column(name)) for index, name in enumerate(self.alike.columns)}
        if self.alike.time:
            keys[_TIME] = rows.column(self.alike.time).cast(_INSTANT).cast(pa.int64())
        keep = with_key(list(keys.values()))
        if self.alike.unhashed:
            keep &= ~parse_hashes(rows.column(self.alike.unhashed), self.alike.unhashed)[1]
        table = pa.table({PLACE: places, **keys}).filter(pa.array(keep))
        table = _binned(table, self.alike.within) if self.alike.time else table
        hashes = key_hashes([one_array(table.column(name)) for name in _keys(table)])
        return table, (hashes % np.uint64(self.partitions)).astype(np.uint16)


def _key(column: pa.Array) -> pa.Array:
    """Return values as plain ones, times as integers."""
    if not pa.types.is_temporal(column.type):
        return plain(column)
    return column.cast(pa.int32()).cast(pa.int64()) if column.type.bit_width == 32 else column.cast(pa.int64())


def _binned(table: pa.Table, within: int) -> pa.Table:
    """Return the rows with the bin of their time; those close to the next bin once more, with that one."""
    times, width = table.column(_TIME).to_numpy(), max(within * _BINS, 1)
    bins = times // width
    close = np.flatnonzero((times - bins * width >= width - within) & (within > 0))
    again = np.append(np.arange(len(times)), close)
    return table.take(pa.array(again)).append_column(_BIN, pa.array(np.append(bins, bins[close] + 1)))


def _keys(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name not in (PLACE, _TIME)]


@dataclass(frozen=True)
class LinkAlike:
    """Links the rows of a partition that have equal values, each with the one that follows it in time."""

    within: int

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        table = spread.read(partition)
        if not len(table):
            return LINKS.empty_table()
        group, _ = local_groups([one_array(table.column(name)) for name in _keys(table)])
        times = table.column(_TIME).to_numpy() if _TIME in table.column_names else np.zeros(len(group), np.int64)
        order = np.lexsort((times, group))
        close = (np.diff(group[order]) == 0) & (np.diff(times[order]) <= self.within)
        places = table.column(PLACE).to_numpy()[order]
        return pa.table([places[:-1][close], places[1:][close]], schema=LINKS)
