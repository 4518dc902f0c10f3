"""Make splits in which the rows of a group stay together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Spread
from poolwright.kernels.selection.by_group import many_groups
from poolwright.kernels.selection.controlled_rounding import hash_order
from poolwright.kernels.selection.group_counts import count_groups
from poolwright.kernels.selection.groups import Groups
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.steps.split.lines import Division, Lines
from poolwright.steps.split.sizes import Sizes

_COMPACT_AT = 2_000_000
_LINE = ("rank", "stratum", "rows")

_ROWS = 1_000_000
"""Rows that are dealt to a partition, about."""


def group_ranks(column: pa.Array, key: int) -> np.ndarray:
    """Return hash ranks of the values of a group column: int64 (n,), undefined where it is null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return hash_ranks(plain(column).cast(pa.string()), key)


@dataclass(frozen=True)
class FittedGroups:
    """Groups that were assigned to splits.

    Attributes:
        division: where the groups of each stratum are divided.
        members: the groups and their splits, see `Members`; None without strata, as the division says all then.
        many: whether the members may be larger than memory.
    """

    division: Division
    members: pa.Table | None
    many: bool = False


def fit_members(frame: Frame, group: str, strata: Sequence[str], key: int, sizes: Sizes) -> FittedGroups:
    """Assign every group to a split, stratum by stratum, see `Division.of`.

    Up to `many_groups.MANY` groups are summed in memory. Rows of more are dealt out to files by ranges of the ranks,
    each of which is a stretch of the line of every stratum.
    """
    groups = count_groups(frame, strata).groups if strata else Groups([], ())
    names, order = list(dict.fromkeys([group, *strata])), hash_order(groups, key)
    add = _AddMembers(group, groups, key)
    count = frame.fold(names, partial(SummedRows, many_groups.MANY), add, SummedRows.merge)
    count.compact()
    if not count.over:
        line = _line(*summed(count.parts))
        division = Division.of(Lines([line], len(groups)), order, sizes)
        return FittedGroups(division, division.assign(line) if strata else None)
    partitions = -(-count.rows // _ROWS)
    with frame.spread(names, _DealMembers(add, partitions), partitions, f"members-{key:016x}") as spread:
        lines = [line for _, line in spread.map("lined", _line_up)]
        division = Division.of(Lines(lines, len(groups)), order, sizes)
        if not strata:
            return FittedGroups(division, None)
        assigned = [table for _, table in spread.map("assigned", _AssignStretch(division))]
        return FittedGroups(division, pa.concat_tables(assigned), many=True)


@dataclass
class SummedRows:
    """Numbers of rows by a rank and another number, such as a stratum: (rank, number, rows), int64 each.

    Attributes:
        most: pairs of a rank and a number that are summed at most; None for any number.
        over: whether there are more, so that nothing is known but `rows`.
        parts: rows by rank and number; a pair may be in several.
        pending: pairs that were added since the parts were summed.
        rows: all rows.
    """

    most: int | None = None
    over: bool = False
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    pending: int = 0
    rows: int = 0

    def add(self, part: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Add rows; sum all of them once there may be many."""
        self.rows += int(part[2].sum())
        if self.over:
            return
        self.parts.append(part)
        self.pending += len(part[0])
        if self.pending > max(_COMPACT_AT, 2 * len(self.parts[0][0])):
            self.compact()

    def merge(self, other: SummedRows) -> SummedRows:
        if other.over:
            self.over, self.parts, self.rows = True, [], self.rows + other.rows
        for part in other.parts:
            self.add(part)
        return self

    def compact(self) -> None:
        self.parts, self.pending = [summed(self.parts)], 0
        if self.most is not None and len(self.parts[0][0]) > self.most:
            self.over, self.parts = True, []

    def __getstate__(self) -> dict[str, Any]:
        self.compact()
        return self.__dict__


@dataclass(frozen=True)
class _AddMembers:
    group: str
    strata: Groups
    key: int

    def __call__(self, count: SummedRows, rows: Rows) -> SummedRows:
        count.add(self.summed(rows))
        return count

    def summed(self, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows of each group in each stratum; those without a group or stratum are left out."""
        column = rows.column(self.group)
        stratum = self.strata.ids(rows)
        keep = (stratum >= 0) & pc.is_valid(plain(column)).to_numpy(zero_copy_only=False)
        rank = group_ranks(column, self.key)[keep]
        return summed([(rank, stratum[keep], np.ones(len(rank), dtype=np.int64))])


@dataclass(frozen=True)
class _DealMembers:
    """Deals the rows of groups to ranges of their ranks."""

    add: _AddMembers
    partitions: int

    def __call__(self, rows: Rows, places: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        found = self.add.summed(rows)
        return pa.table(dict(zip(_LINE, found, strict=True))), (found[0] >> 31) * self.partitions >> 32


def _line_up(partition: int, spread: Spread) -> pa.Table:
    """Return the groups of a range of ranks as a stretch of the lines of all strata."""
    table = spread.read(partition)
    return _line(*summed([tuple(table.column(name).to_numpy() for name in _LINE)]))


@dataclass(frozen=True)
class _AssignStretch:
    """Assigns the groups of a range of ranks to splits."""

    division: Division

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        return self.division.assign(_line_up(partition, spread))


def summed(parts: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the rows by (rank, number), ascending."""
    none = np.empty(0, dtype=np.int64)
    rank, stratum, rows = (np.concatenate([none, *(part[kind] for part in parts)]) for kind in range(3))
    order = np.lexsort((stratum, rank))
    rank, stratum, rows = rank[order], stratum[order], rows[order]
    first = np.flatnonzero(np.append(True, (rank[1:] != rank[:-1]) | (stratum[1:] != stratum[:-1]))[: len(rank)])
    return rank[first], stratum[first], np.add.reduceat(rows, first) if len(first) else none


def _line(rank: np.ndarray, stratum: np.ndarray, rows: np.ndarray) -> pa.Table:
    """Return one entry for each group, sorted by stratum and rank: its stratum is the first of those with most rows."""
    order = np.lexsort((stratum, -rows, rank))
    rank, stratum, rows = rank[order], stratum[order], rows[order]
    first = np.flatnonzero(np.append(True, rank[1:] != rank[:-1])[: len(rank)])
    rows = np.add.reduceat(rows, first) if len(first) else rows
    order = np.lexsort((rank[first], stratum[first]))
    return pa.table(dict(zip(_LINE, (rank[first][order], stratum[first][order], rows[order]), strict=True)))
