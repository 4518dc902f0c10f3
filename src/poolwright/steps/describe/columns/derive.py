"""derive: new columns from SQL expressions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator

from poolwright.core.columns import UID
from poolwright.core.errors import StepError
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.expressions.expression import parse


def _checked(text: str) -> str:
    parse(text)
    return text


class Derive(Step):
    """Add columns, each a SQL expression over the columns before this step: `derive: {name: expression}`.

    Expressions are DuckDB's SQL over one row, as those of `where`; NaN counts as null.
    """

    verb: ClassVar[str] = "derive"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "derive: {year: extract(year from taken_at), wide: width / height > 2}"
    shorthand: ClassVar[str | None] = "columns"

    columns: dict[Annotated[str, Field(min_length=1)], Annotated[str, AfterValidator(_checked)]] = Field(
        min_length=1, description='SQL by the name of the new column, such as {pixels: "width::bigint * height"}'
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_mapping(cls, data: Any) -> Any:
        return data if not isinstance(data, dict) or isinstance(data.get("columns"), dict) else {"columns": data}

    @model_validator(mode="after")
    def _names_fit(self) -> Derive:
        if UID in self.columns:
            raise ValueError("'uid' names the rows; it cannot be derived")
        return self

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for text in self.columns.values() for name in parse(text).columns))

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        return [pa.field(name, self._type(name, text, given)) for name, text in self.columns.items()]

    def _type(self, name: str, text: str, given: pa.Schema) -> pa.DataType:
        dtype = parse(text).type_in(given)
        if pa.types.is_null(dtype):
            raise StepError(f"derive: '{name}' is always null; give it a type with cast(... as ...)")
        return dtype

    def apply(self, rows: Rows, state: State) -> Outcome:
        return Outcome({name: parse(text).values(rows) for name, text in self.columns.items()})

    def learned(self, state: State) -> str:
        return "; ".join(f"{name} = {text}" for name, text in self.columns.items())
