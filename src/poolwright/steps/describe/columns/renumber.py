"""renumber: number the values of a column from 0, without gaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from poolwright.core.columns import UID
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Integers
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.by_group.comparison import AmongGroups, GroupComparison, GroupValues
from poolwright.kernels.selection.by_group.many_groups import GroupFit, figures_of, fit_by_group, group_table
from poolwright.kernels.selection.group_counts import Counted, count_groups
from poolwright.kernels.selection.groups import check_groupable, groups_of

VALUES = "values"
_MOST = np.iinfo(np.int32).max


class Renumber(Step):
    """Number the values of a column that have rows 0 to n-1, in their order (strings by their UTF-8 bytes).

    Classes of a vocabulary that no row has are left out, as class indices of a dataset must be without gaps; the
    column itself stays, and the state maps its values to the numbers. Rows without a value get null.
    """

    verb: ClassVar[str] = "renumber"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "renumber: {column: label_index, into: class_index}"
    fits_rows: ClassVar[bool] = True

    column: Column = Field(description="column whose values are numbered, such as label_index")
    into: Column = Field(description="column of the numbers, such as class_index")

    @model_validator(mode="after")
    def _names_fit(self) -> Renumber:
        if self.into == UID:
            raise ValueError("'uid' names the rows; numbers go into another column")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.column,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self.needs())
        return [pa.field(self.into, pa.int32())]

    def fit(self, frame: Frame, context: Context) -> State:
        fit = GroupFit(self.needs(), self.needs(), self._count, self._table, GroupComparison(_by_value))
        return fit_by_group(frame, fit, name=VALUES)

    def _count(self, frame: Frame, most: int | None) -> Counted:
        return count_groups(frame, self.needs(), most)

    def _table(self, frame: Frame, counted: Counted, among: AmongGroups) -> pa.Table:
        if among.place.max(initial=0) > _MOST:
            raise StepError(
                f"renumber: '{self.column}' has more than {_MOST + 1:,} values, the most that int32 numbers"
            )
        return counted.groups.table({"number": among.place.astype(np.int32), "rows": counted.counts})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = group_table(state, VALUES)
        numbers = figures_of(table, "number", groups_of(table).ids(rows), absent=-1)
        return Outcome({self.into: pa.array(numbers, pa.int32(), mask=numbers < 0)})

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if row.get(self.into) is None:
            return f"no number for {row.get(self.column)!r}"
        table = group_table(state, VALUES)
        rows = table.column("rows")[groups_of(table).index_of(row)].as_py()
        return f"value {row[self.into]} of {table.num_rows:,} by order; {in_rows(rows)} have it"

    def learned(self, state: State) -> str:
        count = group_table(state, VALUES).num_rows
        return f"{count:,} values of {self.column} have rows; they are {self.into} 0 to {count - 1:,}" if count else ""


def _by_value(groups: GroupValues, counts: Integers, known: None) -> tuple[()]:
    """Order groups by nothing but their values."""
    return ()
