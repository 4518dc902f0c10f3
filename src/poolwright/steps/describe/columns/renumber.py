"""renumber: number the values of a column from 0, without gaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from poolwright.core.columns import UID
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.group_counts import count_groups
from poolwright.kernels.selection.groups import check_groupable, groups_of

VALUES = "values"


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
        counted = count_groups(frame, self.needs())
        numbers = np.arange(len(counted.groups), dtype=np.int32)
        return State(tables={VALUES: counted.groups.table({"number": numbers, "rows": counted.counts})})

    def apply(self, rows: Rows, state: State) -> Outcome:
        # The group table is sorted, so a group's row in it is its number.
        numbers = groups_of(state.tables[VALUES]).ids(rows)
        return Outcome({self.into: pa.array(numbers.astype(np.int32), mask=numbers < 0)})

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if row.get(self.into) is None:
            return f"no number for {row.get(self.column)!r}"
        number = int(row[self.into])
        table = state.tables[VALUES]
        return f"value {number} of {table.num_rows:,} by order; {in_rows(table.column('rows')[number].as_py())} have it"

    def learned(self, state: State) -> str:
        count = state.tables[VALUES].num_rows
        return f"{count:,} values of {self.column} have rows; they are {self.into} 0 to {count - 1:,}" if count else ""
