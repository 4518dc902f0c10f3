"""where: keep the rows for which an expression is true."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from poolwright.core.errors import StepError
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.table import Limit
from poolwright.core.wording import number
from poolwright.expressions.expression import Expression, parse


def _checked(text: str) -> str:
    parse(text)
    return text


_COMPARED = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*")
_SIGNS = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}


class Where(Step):
    """Keep the rows for which a SQL expression over columns is true.

    Null counts as not true, and NaN as null. The expression is DuckDB's SQL over one row: no aggregates, subqueries,
    window functions, random values or clock. `docs/recipes.md` lists what is allowed.
    """

    verb: ClassVar[str] = "where"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "where: width >= 120 and height >= 120 and taken_at <= uploaded_at"
    shorthand: ClassVar[str | None] = "expression"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("not_true", "the expression is not true"),)

    expression: Annotated[str, AfterValidator(_checked)] = Field(
        description='SQL over columns, such as "width >= 120 and taken_at <= uploaded_at"'
    )

    def _parsed(self) -> Expression:
        return parse(self.expression)

    def needs(self) -> tuple[str, ...]:
        return self._parsed().columns

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        dtype = self._parsed().type_in(given)
        if not pa.types.is_boolean(dtype):
            raise StepError(f"where: '{self.expression}' gives {dtype}, not true or false; compare it with something")
        return []

    def apply(self, rows: Rows, state: State) -> Outcome:
        keep = pc.fill_null(self._parsed().values(rows), False).to_numpy(zero_copy_only=False)
        return Outcome(drop=(~keep).astype(np.uint8))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        values = ", ".join(f"{name} = {number(row.get(name))}" for name in self.needs())
        return f"{values}; wanted: {self.expression}"

    def limits(self, state: State) -> list[Limit]:
        """Of comparisons with a number that are joined by `and`."""
        if re.search(r"\b(or|not|case)\b", self.expression, flags=re.IGNORECASE):
            return []
        clauses = re.split(r"\band\b", self.expression, flags=re.IGNORECASE)
        compared = [found.groups() for clause in clauses if (found := _COMPARED.fullmatch(clause))]
        return [
            Limit(column=column, value=float(value), words=f"where {_SIGNS[sign]} {value}")
            for column, sign, value in compared
            if math.isfinite(float(value))
        ]

    def learned(self, state: State) -> str:
        return self.expression
