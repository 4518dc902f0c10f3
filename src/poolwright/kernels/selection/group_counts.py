"""Count rows by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.by_group.many_groups import TooManyGroups
from poolwright.kernels.selection.groups import Groups, local_groups, plain_type

ROWS = "rows"
_COMPACT_AT = 200_000


@dataclass(frozen=True)
class Counted:
    """The groups of some rows.

    Attributes:
        groups: the groups.
        counts: int64 (k,) rows of each.
        total: all rows, including those in no group.
    """

    groups: Groups
    counts: np.ndarray
    total: int


def count_groups(frame: Frame, columns: Sequence[str], most: int | None = None) -> Counted:
    """Count the live rows of each group. Without columns all rows are one group.

    Raises:
        TooManyGroups: there are more than `most`.
    """
    if not columns:
        total = count_rows(frame)
        return Counted(Groups([], ()), np.array([total], dtype=np.int64), total)
    start, add_rows = partial(GroupCount, most), AddGroupCount(tuple(columns))
    count: GroupCount = frame.fold(list(columns), start, add_rows, GroupCount.merge)
    return count.counted(frame.schema, columns)


def count_rows(frame: Frame) -> int:
    """Count the live rows."""
    count: int = frame.fold([UID], int, _add_rows, add)
    return count


def _add_rows(count: int, rows: Rows) -> int:
    return count + len(rows)


@dataclass
class GroupCount:
    """Rows per group, as tables that are summed from time to time.

    Attributes:
        most: groups that are counted at most; None for any number.
        over: whether there are more, so that none of them is known.
        tables: groups and their rows; a group may be in several.
        pending: groups in tables that have not been summed.
        rows: all rows, those in no group included.
    """

    most: int | None = None
    over: bool = False
    tables: list[pa.Table] = field(default_factory=list)
    pending: int = 0
    rows: int = 0

    _values: list[pa.Array] = field(default_factory=list)
    _counts: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def add(self, values: Sequence[pa.Array], counts: np.ndarray) -> None:
        """Count `counts` more rows of each of the groups `values` (one array per column)."""
        same = len(values) == 1 == len(self._values) and values[0].equals(self._values[0])
        if same:  # consecutive batches often share their dictionary
            self._counts += counts
            return
        self._flush()
        if not self.over:
            self._values, self._counts = list(values), counts.astype(np.int64)

    def merge(self, other: GroupCount) -> GroupCount:
        """Add the rows that another has counted."""
        self._flush()
        other.compact()
        self.rows += other.rows
        if self.over or other.over:
            self._give_up()
            return self
        self.tables += other.tables
        self._pend(sum(table.num_rows for table in other.tables))
        return self

    def counted(self, schema: pa.Schema, columns: Sequence[str]) -> Counted:
        """Return the counts as one sorted group table.

        Args:
            schema: with the types of the columns.
            columns: names of the columns that were counted.

        Raises:
            TooManyGroups: there are more than `most`.
        """
        self.compact()
        if self.over:
            raise TooManyGroups(self.rows)
        total = _summed(self.tables, [plain_type(schema.field(name).type) for name in columns])
        keys = [(name, "ascending") for name in total.column_names[:-1]]
        total = total.take(pc.sort_indices(total, sort_keys=keys))
        values = [total.column(index).combine_chunks() for index in range(len(columns))]
        return Counted(Groups(values, columns), total.column(ROWS).to_numpy(), self.rows)

    def _give_up(self) -> None:
        self.over, self.tables = True, []
        self._values, self._counts = [], np.empty(0, dtype=np.int64)

    def _flush(self) -> None:
        seen = self._counts > 0
        if not seen.any():
            return
        keep = pa.array(np.flatnonzero(seen))
        columns = {str(index): column.take(keep) for index, column in enumerate(self._values)}
        self.tables.append(pa.table({**columns, ROWS: self._counts[seen]}))
        self._values, self._counts = [], np.empty(0, dtype=np.int64)
        self._pend(len(keep))

    def _pend(self, groups: int) -> None:
        """Sum the tables once enough groups were added for them to be long."""
        self.pending += groups
        if self.pending > _COMPACT_AT and self.pending > 2 * self.tables[0].num_rows:
            self.compact()

    def compact(self) -> None:
        """Sum the tables into one."""
        self._flush()
        most = np.inf if self.most is None else self.most
        if len(self.tables) > 1 or any(len(table) > most for table in self.tables):
            self.tables = [_summed(self.tables, [column.type for column in self.tables[0].columns[:-1]])]
            if len(self.tables[0]) > most:
                self._give_up()
        self.pending = 0

    def __getstate__(self) -> dict[str, Any]:
        self.compact()
        return self.__dict__


@dataclass(frozen=True)
class AddGroupCount:
    """Add the rows of a batch to a `GroupCount`."""

    columns: tuple[str, ...]

    def __call__(self, count: GroupCount, rows: Rows) -> GroupCount:
        count.rows += len(rows)
        if count.over:
            return count
        local, values = local_groups([rows.column(name) for name in self.columns])
        count.add(values, np.bincount(local + 1, minlength=len(values[0]) + 1)[1:])
        return count


def _summed(tables: Sequence[pa.Table], types: Sequence[pa.DataType]) -> pa.Table:
    names = [str(index) for index in range(len(types))]
    schema = pa.schema([*zip(names, types, strict=True), (ROWS, pa.int64())])
    whole = pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])
    summed = whole.group_by(names, use_threads=False).aggregate([(ROWS, "sum")])
    return summed.rename_columns([*names, ROWS]).select([*names, ROWS])
