"""Sort rows into bins of a column's values within their group, and count them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.apportion import apportion
from poolwright.kernels.selection.counters import Counters
from poolwright.kernels.selection.groups import Groups

_PRECISION = {pa.float16().id: np.float16, pa.float32().id: np.float32}

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HistogramCells:
    """The bins of every group, group by group.

    Attributes:
        groups: the groups.
        by: column of the values.
        edges: inner edges, ascending: a value equal to an edge is in the bin above it.
    """

    groups: Groups
    by: str
    edges: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are read."""
        return tuple(dict.fromkeys((*self.groups.columns, self.by)))

    @property
    def bins(self) -> int:
        """Number of bins of a group."""
        return len(self.edges) + 1

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.groups) * self.bins

    def ids(self, rows: Rows) -> Integers:
        """Return the cell of each row: int64 (n,), -1 for no group, another group or no value."""
        groups, bins = self.groups.ids(rows), bins_of(rows, self.by, self.edges)
        return np.where((groups < 0) | (bins < 0), -1, groups * self.bins + bins)

    def count(self, frame: Frame) -> Integers:
        """Count the rows of each cell: int64 (g, bins)."""
        return self.shaped(frame.fold(self.columns, self.start, self.add, Counters.merge))

    def shaped(self, counters: Counters) -> Integers:
        """Return counts by group and bin: int64 (g, bins)."""
        return counters.counts.reshape(len(self.groups), self.bins)

    def start(self) -> Counters:
        """Return counters at 0."""
        return Counters(self.size)

    def add(self, counters: Counters, rows: Rows) -> Counters:
        """Count the rows that are in a cell."""
        ids = self.ids(rows)
        counters.add(ids[ids >= 0])
        return counters


def bins_of(rows: Rows, by: str, edges: Sequence[float]) -> Integers:
    """Return the bin of each row: int64 (n,), -1 if it has no value."""
    values = rows.numbers(by)
    return np.where(np.isnan(values), -1, np.searchsorted(np.array(edges), values, side="right")).astype(np.int64)


def in_precision(edges: Sequence[float], dtype: pa.DataType) -> tuple[float, ...]:
    """Return edges as a column of this type has them, so that 0.6 as float32 is not below the edge 0.6."""
    return tuple(float(edge) for edge in np.array(edges, _PRECISION.get(dtype.id, np.float64)))


def scaled(histogram: Iterable[int], total: int) -> list[int]:
    """Scale a histogram to `total` rows by largest remainders; of equal remainders that of the later bin is first."""
    return apportion(total, [Fraction(int(rows)) for rows in histogram][::-1])[::-1]


def with_overflow(wanted: Iterable[int], there: Iterable[int]) -> list[int]:
    """Return the rows to draw from each bin.

    What a bin lacks is taken from the next one; what the last one lacks, from the ones before it, the last first.
    """
    drawn, most, owed = [], list(map(int, there)), 0
    for number, rows in zip(map(int, wanted), most, strict=True):
        drawn.append(min(number + owed, rows))
        owed += number - drawn[-1]
    for at in reversed(range(len(drawn))):
        more = min(owed, most[at] - drawn[at])
        drawn[at] += more
        owed -= more
    return drawn
