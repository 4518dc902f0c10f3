"""rename: give columns other names."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, model_validator

from poolwright.core.columns import UID
from poolwright.core.errors import StepError
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step


class Rename(Step):
    """Give columns other names: `rename: {old: new}`. Names can be swapped; values and their types stay."""

    verb: ClassVar[str] = "rename"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "rename: {label: class, text: caption}"
    shapes_columns: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "columns"

    columns: dict[str, str] = Field(min_length=1, description="new names by old names, such as {caption: text}")

    @model_validator(mode="before")
    @classmethod
    def _bare_mapping(cls, data: Any) -> Any:
        return data if not isinstance(data, dict) or isinstance(data.get("columns"), dict) else {"columns": data}

    @model_validator(mode="after")
    def _names_fit(self) -> Rename:
        new = list(self.columns.values())
        if UID in self.columns or UID in new:
            raise ValueError("'uid' names the rows; it cannot be renamed, and no column can be renamed to it")
        if len(set(new)) < len(new):
            raise ValueError("two columns would get the same name; give each its own")
        if "" in new:
            raise ValueError("a column's new name is empty; write one")
        return self

    def needs(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        for old, new in self.columns.items():
            if new in given.names and new not in self.columns:
                raise StepError(
                    f"rename: '{old}' cannot become '{new}', a column already; rename that too, or use another name"
                )
        return [given.field(old).with_name(new) for old, new in self.columns.items()]

    def takes(self, given: pa.Schema) -> tuple[str, ...]:
        return tuple(old for old in self.columns if old not in self.columns.values())

    def apply(self, rows: Rows, state: State) -> Outcome:
        return Outcome({new: rows.column(old) for old, new in self.columns.items()})

    def learned(self, state: State) -> str:
        return ", ".join(f"{old} is now {new}" for old, new in self.columns.items())
