"""Fit steps that decide on groups, in memory that does not grow with the number of groups.

Up to `MANY` groups are counted in memory. Rows of more are dealt out to partitions on disk by the hash of their group,
so that each group is whole in one of them, and every partition is fitted alone, after all groups are compared if the
step compares them. The table of all groups is then sorted by that hash, and mapped into memory, so that no process
holds all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.frame import Frame, MemoryFrame
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.runtime.spread import Integers, Spread
from poolwright.core.state import State
from poolwright.kernels.selection.by_group.comparison import (
    AmongGroups,
    CountedGroups,
    GroupComparison,
    compare_all,
    count_table,
    places_of,
)
from poolwright.kernels.selection.groups import GROUP_HASH, PREFIX
from poolwright.kernels.selection.lookup.key_index import key_hashes, take_or_null, with_key
from poolwright.kernels.selection.lookup.value_index import plain

C = TypeVar("C", bound=CountedGroups)

GROUPS = "groups"
"""Name of the table of groups in a state."""

MANY = 2_000_000
"""Groups that are counted in memory at most, about 100 bytes each."""

_ROWS = 1_000_000
"""Rows that are dealt to a partition, about; fewer than `MANY`, so that no partition has too many groups."""

_MOST_PARTITIONS = 1 << 15


class TooManyGroups(Exception):
    """There are more groups than a fit counts in memory.

    Attributes:
        rows: number of rows, those in no group included.
    """

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.rows = rows


@dataclass(frozen=True)
class GroupFit(Generic[C]):
    """How a step fits groups. The functions are picklable.

    Attributes:
        columns: the group columns.
        reads: all columns that are read.
        count: counts the groups of a frame; raises `TooManyGroups` if there are more than the second argument.
        table: returns the table of the groups of a frame.
        comparison: how groups are compared; None if each is decided by its own rows.
        top: how many of the group columns make the groups that are compared, the first ones; 0 for all. A partition has
            all groups within one of these, and `compared` returns them.
        compared: returns the groups that are compared, as `count_table` does.
    """

    columns: tuple[str, ...]
    reads: tuple[str, ...]
    count: Callable[[Frame, int | None], C]
    table: Callable[[Frame, C, AmongGroups], pa.Table]
    comparison: GroupComparison | None
    top: int = 0
    compared: Callable[[C], pa.Table] = count_table


def fit_by_group(
    frame: Frame,
    fit: GroupFit[C],
    values: Mapping[str, Any] | None = None,
    name: str = GROUPS,
    files: str = "groups",
) -> State:
    """Return the state of a step that decides on groups.

    Args:
        frame: the live rows.
        fit: how groups are fitted.
        values: values of the state.
        name: of the table of groups in the state.
        files: names the files of very many groups among those of the step.
    """
    try:
        counted = fit.count(frame, MANY)
        among = fit.comparison.among_all(fit.compared(counted)) if fit.comparison else AmongGroups()
        return State(values or {}, {name: fit.table(frame, counted, among)})
    except TooManyGroups as many:
        partitions = min(-(-many.rows // _ROWS), _MOST_PARTITIONS)
        deal = _DealGroups(fit.columns[: fit.top or None], fit.reads, partitions)
        with frame.spread(fit.reads, deal, partitions, files) as spread:
            known, places = _compared(spread, fit)
            fitted = spread.map("fitted", _FitPartition(fit, many.rows, known, places))
            if fit.top:
                fitted = _by_hash(spread, fitted)
            return State(values or {}, mapped={name: pa.concat_tables([table for _, table in fitted])})


def group_table(state: State, name: str = GROUPS) -> pa.Table:
    """Return the table of groups of a state that `fit_by_group` returned."""
    return state.mapped[name] if name in state.mapped else state.tables[name]


def figures_of(table: pa.Table, name: str, ids: Integers, absent: int) -> npt.NDArray[np.integer[Any]]:
    """Return a figure of the groups of some rows: integers (n,).

    Args:
        table: see `group_table`.
        name: column of integers.
        ids: int64 (n,) the group of each row as a row of the table, -1 for one that is not in it.
        absent: the figure of those.
    """
    if GROUP_HASH in table.column_names:
        found = pc.fill_null(take_or_null(table.column(name), ids), absent)
        return np.array(found)
    dtype = table.schema.field(name).type.to_pandas_dtype()
    figures = once(name, table, lambda table: np.append(table.column(name).to_numpy(), dtype(absent)))
    return figures[ids]


@dataclass(frozen=True)
class _DealGroups:
    """Deals rows to ranges of the hash of their group; rows in no group are left out."""

    columns: tuple[str, ...]
    reads: tuple[str, ...]
    partitions: int

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        keys = [plain(rows.column(name)) for name in self.columns]
        keep = with_key(keys)
        partition = _range_of(key_hashes(keys)[keep], self.partitions)
        return rows.table.select(self.reads).filter(pa.array(keep)), partition


def _range_of(hashes: npt.NDArray[np.uint64], partitions: int) -> Integers:
    """Return which of as many equal ranges each hash is in: int64 (n,)."""
    leading = (hashes >> np.uint64(32)) * np.uint64(partitions)
    return (leading >> np.uint64(32)).astype(np.int64)


def _by_hash(spread: Spread, fitted: Iterator[tuple[int, pa.Table]]) -> Iterator[tuple[int, pa.Table]]:
    """Deal fitted groups out again, by their own hash, and sort them by it."""
    for _ in fitted:
        pass
    return spread.then("fitted", "hashed", _DealByHash(spread.partitions), spread.partitions).map("sorted", _sorted)


@dataclass(frozen=True)
class _DealByHash:
    """Deals groups to ranges of their hash."""

    partitions: int

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        return rows.table, _range_of(rows.column(GROUP_HASH).to_numpy(), self.partitions)


def _sorted(partition: int, spread: Spread) -> pa.Table:
    return spread.read(partition).sort_by(GROUP_HASH).combine_chunks()


def _compared(spread: Spread, fit: GroupFit[Any]) -> tuple[Any, Spread | None]:
    """As `compare_all`; nothing for a step that does not compare groups."""
    if fit.comparison is None:
        return None, None
    return compare_all(spread, _CountPartition(fit), fit.comparison, _ROWS)


@dataclass(frozen=True)
class _CountPartition:
    """Counts the groups of a partition, sorted by their values."""

    fit: GroupFit[Any]

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        return self.fit.compared(self.fit.count(MemoryFrame(spread.read(partition)), None))


@dataclass(frozen=True)
class _FitPartition:
    """Fits the groups of a partition, and sorts their table by the hash of the group."""

    fit: GroupFit[Any]
    rows: int
    known: Any
    places: Spread | None

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        frame = MemoryFrame(spread.read(partition))
        table = self.fit.table(frame, self.fit.count(frame, None), self._among(partition))
        names = [name for name in table.column_names if name.startswith(PREFIX)]
        hashes = key_hashes([one_array(table.column(name)) for name in names])
        order = np.argsort(hashes, kind="stable")
        return table.append_column(GROUP_HASH, pa.array(hashes)).take(pa.array(order)).combine_chunks()

    def _among(self, partition: int) -> AmongGroups:
        places = places_of(self.places, partition) if self.places else ()
        return AmongGroups(self.rows, self.known, *places)
