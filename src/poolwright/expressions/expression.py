"""Row-wise SQL expressions over columns, evaluated by Daft.

What an expression says of a row depends on that row alone: aggregates, window functions, subqueries,
random values, the clock, files and the network are refused by name. A comparison with null is null, and NaN
counts as null. Column names are case-sensitive; names with other signs than letters, digits and '_' stand
in double quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.errors import RecipeError, StepError
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.quiet import import_daft
from poolwright.expressions.text import checked, pointed, with_sql_case


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        text: as written.
        columns: names of the columns it reads, each once, in order.
    """

    text: str
    columns: tuple[str, ...]
    _aliases: tuple[str, ...] = field(repr=False)
    _daft: Any = field(repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return (parse, (self.text,))

    def type_in(self, given: pa.Schema) -> pa.DataType:
        """The type of its values over columns of these types.

        Raises:
            StepError: it does not fit the types.
        """
        return self.values(Rows(given.empty_table())).type

    def values(self, rows: Rows) -> pa.Array:
        """One value a row.

        Raises:
            StepError: it does not fit the columns' types, or fails on a value (such as a remainder by zero).
        """
        columns = {alias: _plain(rows.column(name)) for name, alias in zip(self.columns, self._aliases, strict=True)}
        if not columns:
            columns = {"row": pa.nulls(len(rows), pa.bool_())}  # carries the number of rows
        try:
            values = one_array(_evaluated(self._daft, pa.table(columns)))
        except Exception as error:
            raise StepError(f"{self.text}: {_first_line(error)}") from None
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # how Rust code of Daft fails; no Exception
                raise
            raise StepError(f"{self.text}: {_first_line(error)}") from None
        return values.cast(pa.string()) if pa.types.is_large_string(values.type) else values


def _evaluated(expression: Any, table: pa.Table) -> pa.ChunkedArray:
    import_daft()
    from daft.expressions import ExpressionsProjection
    from daft.recordbatch import MicroPartition

    projection = ExpressionsProjection([expression.alias("value")])
    return MicroPartition.from_arrow(table).eval_expression_list(projection).to_arrow().column("value")


@lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """Read an expression and check that it is row-wise.

    Raises:
        RecipeError: with the text and a caret under what is wrong.
    """
    plain, names = checked(text)
    expression = _read(text, plain)
    found = _columns_of(text, expression)
    columns = tuple(names.get(name, name) for name in found)
    if "*" in columns:
        raise pointed(text, text.find("*"), "name the columns, '*' stands for none")
    return Expression(text, columns, found, _read(text, with_sql_case(plain)))


def _read(text: str, plain: str) -> Any:
    try:
        return import_daft().sql_expr(plain)
    except Exception as error:
        raise _syntax_error(text, error) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RecipeError(f"{_first_line(error)}\n  {text}") from None


def _columns_of(text: str, expression: Any) -> tuple[str, ...]:
    from daft.expressions import ExpressionVisitor

    class Columns(ExpressionVisitor):  # type: ignore[misc]
        def __init__(self) -> None:
            self.names: dict[str, None] = {}

        def visit_col(self, name: str) -> None:
            self.names[name] = None

        def visit_lit(self, value: Any) -> None:
            pass

        def visit_alias(self, expr: Any, alias: str) -> None:
            raise pointed(text, text.rfind(alias), f"'{alias}' is too much here; one expression only")

        def visit_cast(self, expr: Any, dtype: Any) -> None:
            self.visit(expr)

        def visit_coalesce(self, args: list[Any]) -> None:
            self.visit_function("coalesce", args)

        def visit_is_in(self, expr: Any, items: list[Any]) -> None:
            self.visit_function("is_in", [expr, *items])

        def visit_function(self, name: str, args: list[Any]) -> None:
            for argument in args:
                self.visit(argument)

    visitor = Columns()
    try:
        visitor.visit(expression)
    except RecipeError:
        raise
    except Exception as error:
        raise RecipeError(
            f"{_first_line(error)}; use comparisons and functions of one row's values\n  {text}"
        ) from None
    return tuple(visitor.names)


def _plain(column: pa.Array) -> pa.Array:
    """A column as Daft takes it: no dictionaries, no float16, null for NaN, 0 for -0, which Daft holds to be less."""
    dtype = column.type
    if pa.types.is_dictionary(dtype):
        return column.cast(dtype.value_type)
    if pa.types.is_fixed_size_list(dtype) and pa.types.is_float16(dtype.value_type):
        return column.cast(pa.list_(pa.float32(), dtype.list_size))
    if not pa.types.is_floating(dtype):
        return column
    column = column.cast(pa.float32()) if pa.types.is_float16(dtype) else column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), pc.add(column, pa.scalar(0.0, column.type)))


def _syntax_error(text: str, error: Exception) -> RecipeError:
    message = str(error)
    place = re.search(r"Line: (\d+), Column: (\d+)", message)
    reason = re.search(r"REASON: (.*)", message)
    what = reason.group(1).strip() if reason else _first_line(error)
    if not text.strip():
        return RecipeError('the expression is empty; write a comparison such as "width >= 120"')
    if not place or place.group(1) == "0":
        return RecipeError(f"{what}\n  {text}")
    line, column = int(place.group(1)) - 1, int(place.group(2)) - 1
    return pointed(text, sum(len(before) + 1 for before in text.split("\n")[:line]) + column, what)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].removeprefix("DaftError::").strip()
