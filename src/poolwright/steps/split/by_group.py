"""Make splits in which the rows of a group stay together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.controlled_rounding import hash_order
from poolwright.kernels.selection.group_counts import count_groups
from poolwright.kernels.selection.groups import Groups
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.kernels.selection.ranks import ALL, hash_ranks
from poolwright.steps.split.sizes import Sizes

_COMPACT_AT = 2_000_000


def group_ranks(column: pa.Array, key: int) -> np.ndarray:
    """Return hash ranks of the values of a group column: int64 (n,), undefined where it is null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return hash_ranks(plain(column).cast(pa.string()), key)


@dataclass(frozen=True)
class Members:
    """Groups, known by the hash rank of their value, and the split of each.

    Two groups with the same rank (of 2^63 possible) would be in the same split.

    Attributes:
        rank: int64 (g,), ascending.
        rows: int64 (g,), rows of each.
        split: int64 (g,), index of its split; past the end for none.
        without: number of strata that have no row of each split, of those that have rows.
    """

    rank: np.ndarray
    rows: np.ndarray
    split: np.ndarray

    @classmethod
    def of(cls, table: pa.Table) -> Members:
        return cls(*(table.column(name).to_numpy().astype(np.int64) for name in ("rank", "rows", "split")))

    without: tuple[int, ...] = ()

    def table(self) -> pa.Table:
        return pa.table({"rank": self.rank, "rows": self.rows, "split": self.split.astype(np.uint16)})

    def totals(self, splits: int) -> np.ndarray:
        """Return the rows of each of `splits` splits: int64 (m,)."""
        return np.array([self.rows[self.split == split].sum() for split in range(splits)], dtype=np.int64)

    def ends(self, splits: int) -> np.ndarray:
        """Return the greatest rank of each split, int64 (m,), of splits that are consecutive in the order of ranks.

        ALL for the split that takes the last group, so that groups yet to come have a split too.
        """
        ends = np.full(splits, -1, dtype=np.int64)
        for split in range(splits):
            inside = self.rank[self.split <= split]
            ends[split] = ALL if len(inside) == len(self.rank) else inside.max(initial=-1)
        return ends

    def splits_of(self, ranks: np.ndarray, nominal: np.ndarray) -> np.ndarray:
        """Return the split of each row by the rank of its group, int64 (n,); by `nominal` (m,) for a new group."""
        split: np.ndarray = (ranks[:, None] > nominal[None, :]).sum(axis=1)
        if not len(self.rank):
            return split
        at = np.minimum(np.searchsorted(self.rank, ranks), len(self.rank) - 1)
        return np.where(self.rank[at] == ranks, self.split[at], split)


def fit_members(frame: Frame, group: str, strata: Sequence[str], key: int, sizes: Sizes) -> Members:
    """Assign every group to a split, stratum by stratum.

    Within a stratum the groups are lined up by their ranks; each goes to the split in whose share of the
    line the middle of its rows falls. The rows that a split lacks, or has in excess, in one stratum are added to its
    share of the next, so that they do not sum up over many small strata.
    """
    groups = count_groups(frame, strata).groups if strata else Groups([], ())
    names = list(dict.fromkeys([group, *strata]))
    count = frame.fold(names, SummedRows, _AddMembers(group, groups, key), SummedRows.merge)
    rank, stratum, rows = summed(count.parts)
    rank, stratum, rows = _in_one_stratum(rank, stratum, rows)
    in_strata = np.zeros(len(groups), dtype=np.int64)
    np.add.at(in_strata, stratum, rows)
    strata_order = hash_order(groups, key)
    wanted = sizes.in_strata(in_strata, strata_order)
    order = np.lexsort((rank, stratum))
    ends = np.cumsum(np.bincount(stratum, minlength=len(groups)))
    split, owed = np.empty_like(rows), np.zeros(len(wanted), np.int64)
    without = np.zeros(len(wanted), np.int64)
    for number in strata_order.tolist():
        inside = order[ends[number - 1] if number else 0 : ends[number]]
        share = wanted[:, number] + owed
        split[inside] = _by_middle(rows[inside], share)
        given = np.bincount(split[inside], weights=rows[inside], minlength=len(wanted) + 1)[: len(wanted)]
        without += (given == 0) & bool(len(inside))
        owed = share - given.astype(np.int64)
    return Members(rank, rows, split, tuple(without.tolist()))


def _by_middle(rows: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the split in whose share of the line, `share` (m,) rows long each, the middle of each group falls."""
    borders = np.maximum.accumulate(np.clip(np.cumsum(share), 0, rows.sum()))
    middle = 2 * np.cumsum(rows) - rows
    return np.asarray(np.searchsorted(2 * borders, middle, side="right"), np.int64)


@dataclass
class SummedRows:
    """Numbers of rows by a rank and another number, such as a stratum: (rank, number, rows), int64 each."""

    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    pending: int = 0

    def add(self, part: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Add rows; sum all of them once there may be many."""
        self.parts.append(part)
        self.pending += len(part[0])
        if self.pending > max(_COMPACT_AT, 2 * len(self.parts[0][0])):
            self.compact()

    def merge(self, other: SummedRows) -> SummedRows:
        for part in other.parts:
            self.add(part)
        return self

    def compact(self) -> None:
        self.parts, self.pending = [summed(self.parts)], 0

    def __getstate__(self) -> dict[str, Any]:
        self.compact()
        return self.__dict__


@dataclass(frozen=True)
class _AddMembers:
    group: str
    strata: Groups
    key: int

    def __call__(self, count: SummedRows, rows: Rows) -> SummedRows:
        column = rows.column(self.group)
        stratum = self.strata.ids(rows)
        keep = (stratum >= 0) & pc.is_valid(plain(column)).to_numpy(zero_copy_only=False)
        rank = group_ranks(column, self.key)[keep]
        count.add(summed([(rank, stratum[keep], np.ones(len(rank), dtype=np.int64))]))
        return count


def summed(parts: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the rows by (rank, number), ascending."""
    none = np.empty(0, dtype=np.int64)
    rank, stratum, rows = (np.concatenate([none, *(part[kind] for part in parts)]) for kind in range(3))
    order = np.lexsort((stratum, rank))
    rank, stratum, rows = rank[order], stratum[order], rows[order]
    first = np.flatnonzero(np.append(True, (rank[1:] != rank[:-1]) | (stratum[1:] != stratum[:-1]))[: len(rank)])
    return rank[first], stratum[first], np.add.reduceat(rows, first) if len(first) else none


def _in_one_stratum(rank: np.ndarray, stratum: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return one entry per group: its stratum is that with most of its rows, the first of equal ones."""
    order = np.lexsort((stratum, -rows, rank))
    rank, stratum, rows = rank[order], stratum[order], rows[order]
    first = np.flatnonzero(np.append(True, rank[1:] != rank[:-1])[: len(rank)])
    return rank[first], stratum[first], np.add.reduceat(rows, first) if len(first) else rows
