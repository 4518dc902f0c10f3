"""Line groups up by the hash ranks of their values, stratum by stratum, and divide the lines among splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.kernels.selection.ranks import ALL
from poolwright.steps.split.sizes import Sizes

Integers = npt.NDArray[np.int64]


class Lines:
    """The groups of some strata, each in the order of ranks.

    Args:
        stretches: groups with `rank`, `stratum` and `rows`, int64, sorted by stratum and rank; the ranks of one stretch
            are above those of the stretch before it. They may be larger than memory.
        strata: number of strata.
    """

    def __init__(self, stretches: Sequence[pa.Table], strata: int) -> None:
        self.stretches = stretches
        bounds = [np.searchsorted(one.column("stratum").to_numpy(), np.arange(strata + 1)) for one in stretches]
        self._starts = np.array(bounds).reshape(len(stretches), strata + 1)
        upto = [np.append(0, np.cumsum(one.column("rows").to_numpy())) for one in stretches]
        rows = [np.diff(total[bound]) for total, bound in zip(upto, bounds, strict=True)]
        self._upto = np.cumsum(np.array(rows).reshape(len(stretches), strata), axis=0)

    @property
    def totals(self) -> Integers:
        """The rows of each stratum: int64 (k,)."""
        return np.asarray(self._upto[-1])

    def cut(self, stratum: int, border: int) -> tuple[int, int]:
        """Find the groups of a stratum the middle of whose rows is before a border, in rows from the start of its line.

        Returns:
            The greatest rank of these groups, -1 if there are none, and the number of their rows.
        """
        upto = self._upto[:, stratum]
        at = min(int(np.searchsorted(upto, border)), len(upto) - 1)
        before = int(upto[at - 1]) if at else 0
        rows = self._slice(at, stratum, "rows")
        ends = before + np.cumsum(rows)
        count = int(np.searchsorted(2 * ends - rows, 2 * border))
        if count:
            return int(self._slice(at, stratum, "rank")[count - 1]), int(ends[count - 1])
        return self._last(at, stratum), before

    def _slice(self, at: int, stratum: int, name: str) -> Integers:
        start, end = self._starts[at, stratum : stratum + 2].tolist()
        return np.asarray(self.stretches[at].column(name).slice(start, end - start).to_numpy())

    def _last(self, at: int, stratum: int) -> int:
        """Return the last rank of a stratum in the stretches before one, -1 if it has none there."""
        lengths = self._starts[:at, stratum + 1] - self._starts[:at, stratum]
        filled = np.flatnonzero(lengths)
        return int(self._slice(int(filled[-1]), stratum, "rank")[-1]) if len(filled) else -1


@dataclass(frozen=True)
class Division:
    """How the lines of strata are divided among m splits.

    Attributes:
        ends: int64 (m, k) the greatest rank of a split, or of those before it, in each stratum; -1 for none, ALL if the
            line ends there, so that groups yet to come have a split too.
        totals: int64 (m,) rows of each split.
        without: number of strata that have no row of each split, of those that have rows.
    """

    ends: Integers
    totals: Integers
    without: tuple[int, ...]

    @classmethod
    def of(cls, lines: Lines, order: Integers, sizes: Sizes) -> Division:
        """Divide lines: each group goes to the split in whose share of its line the middle of its rows is.

        The rows that a split lacks, or has in excess, in one stratum are added to its share of the next, so that they
        do not sum up over many small strata.

        Args:
            order: int64 (k,), the strata in the order in which rows are carried over.
        """
        wanted = sizes.in_strata(lines.totals, order)
        ends = np.empty_like(wanted)
        owed, totals, without = (np.zeros(len(wanted), np.int64) for _ in range(3))
        for stratum in order.tolist():
            rows = int(lines.totals[stratum])
            share = wanted[:, stratum] + owed
            borders = np.maximum.accumulate(np.clip(np.cumsum(share), 0, rows))
            cuts = np.array([lines.cut(stratum, border) for border in borders.tolist()]).reshape(-1, 2)
            ends[:, stratum] = np.where(cuts[:, 1] == rows, ALL, cuts[:, 0])
            given = np.diff(cuts[:, 1], prepend=0)
            without += (given == 0) & (rows > 0)
            totals, owed = totals + given, share - given
        return cls(ends, totals, tuple(without.tolist()))

    def assign(self, stretch: pa.Table) -> pa.Table:
        """Return the groups of a stretch with the `split` of each, past the end for none, in the order of ranks."""
        rank, stratum, rows = (column.to_numpy() for column in stretch.columns)
        split = sum((rank > end[stratum] for end in self.ends), np.zeros(len(rank), np.uint16))
        order = np.argsort(rank, kind="stable")
        return pa.table({"rank": rank[order], "rows": rows[order], "split": split[order].astype(np.uint16)})


class Members:
    """The splits of groups, known by the hash ranks of their values.

    Two groups with the same rank (of 2^63 possible) would be in the same split.

    Args:
        table: see `Division.assign`; it may be larger than memory.
    """

    def __init__(self, table: pa.Table) -> None:
        chunks = zip(table.column("rank").chunks, table.column("split").chunks, strict=True)
        self._chunks = [(rank.to_numpy(), split.to_numpy()) for rank, split in chunks if len(rank)]
        self._firsts = np.array([rank[0] for rank, _ in self._chunks], np.int64)

    def splits_of(self, ranks: Integers, nominal: Integers) -> Integers:
        """Return the split of each row by the rank of its group, int64 (n,); by `nominal` (m,) for a new group."""
        split = np.asarray((ranks[:, None] > nominal[None, :]).sum(axis=1))
        order = np.argsort(ranks, kind="stable")
        edges = np.append(np.searchsorted(ranks[order], self._firsts), len(ranks))
        for (known, splits), start, end in zip(self._chunks, edges, edges[1:], strict=False):
            rows = order[start:end]
            at = np.minimum(np.searchsorted(known, ranks[rows]), len(known) - 1)
            same = known[at] == ranks[rows]
            split[rows[same]] = splits[at[same]]
        return split
