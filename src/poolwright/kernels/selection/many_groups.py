"""Fit steps that decide group by group, in memory that does not grow with the number of groups.

Up to `MANY` groups are counted in memory. Rows of more are dealt out to partitions on disk by the hash of their group,
so that each group is whole in one of them, and every partition is fitted alone. The table of all groups is then sorted
by that hash, and mapped into memory, so that no process holds all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.frame import Frame, MemoryFrame
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.runtime.spread import Integers, Spread
from poolwright.core.state import State
from poolwright.kernels.selection.groups import GROUP_HASH, PREFIX
from poolwright.kernels.selection.lookup.key_index import key_hashes, take_or_null, with_key
from poolwright.kernels.selection.lookup.value_index import plain

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


FitGroups = Callable[[Frame, int | None, int | None], pa.Table]
"""Fits the groups of a frame, and returns their table.

It raises `TooManyGroups` if there are more than the second argument. The third is the number of rows altogether if the
frame has some of the groups only, else None.
"""


def fit_by_group(
    frame: Frame,
    columns: Sequence[str],
    reads: Sequence[str],
    fit: FitGroups,
    alone: bool,
    values: Mapping[str, Any] | None = None,
) -> State:
    """Return the state of a step that decides on groups.

    Args:
        frame: the live rows.
        columns: the group columns.
        reads: all columns that `fit` reads.
        fit: picklable.
        alone: whether each group is decided by its own rows; if not, all groups are counted in memory.
        values: values of the state.
    """
    try:
        return State(values or {}, {GROUPS: fit(frame, MANY if alone else None, None)})
    except TooManyGroups as many:
        partitions = min(-(-many.rows // _ROWS), _MOST_PARTITIONS)
        deal = _DealGroups(tuple(columns), tuple(reads), partitions)
        with frame.spread(reads, deal, partitions, "groups") as spread:
            fitted = spread.map("fitted", _FitPartition(fit, many.rows))
            return State(values or {}, mapped={GROUPS: pa.concat_tables([table for _, table in fitted])})


def group_table(state: State) -> pa.Table:
    """Return the table of groups of a state that `fit_by_group` returned."""
    return state.mapped[GROUPS] if GROUPS in state.mapped else state.tables[GROUPS]


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
        leading = (key_hashes(keys)[keep] >> np.uint64(32)) * np.uint64(self.partitions)
        return rows.table.select(self.reads).filter(pa.array(keep)), (leading >> np.uint64(32)).astype(np.int64)


@dataclass(frozen=True)
class _FitPartition:
    """Fits the groups of a partition, and sorts their table by the hash of the group."""

    fit: FitGroups
    rows: int

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        table = self.fit(MemoryFrame(spread.read(partition)), None, self.rows)
        names = [name for name in table.column_names if name.startswith(PREFIX)]
        hashes = key_hashes([one_array(table.column(name)) for name in names])
        order = np.argsort(hashes, kind="stable")
        return table.append_column(GROUP_HASH, pa.array(hashes)).take(pa.array(order)).combine_chunks()
