"""keep_columns: drop all other columns."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import UID
from poolwright.core.params import Columns
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step


class KeepColumns(Step):
    """Keep only the listed columns and 'uid'; later steps see no others."""

    verb: ClassVar[str] = "keep_columns"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "keep_columns: [label, continent, url]"
    shapes_columns: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "columns"

    columns: Columns = Field(description="columns to keep; 'uid' always stays")

    def needs(self) -> tuple[str, ...]:
        return self.columns

    def takes(self, given: pa.Schema) -> tuple[str, ...]:
        return tuple(name for name in given.names if name != UID and name not in self.columns)

    def apply(self, rows: Rows, state: State) -> Outcome:
        return Outcome()

    def learned(self, state: State) -> str:
        return f"kept: {', '.join(dict.fromkeys((UID, *self.columns)))}"
