"""Row-wise SQL expressions over columns, evaluated by Daft.

What an expression says of a row depends on that row alone: aggregates, window functions, subqueries,
random values, the clock, files and the network are refused by name. Nulls follow SQL; NaN counts as null.
Column names are case-sensitive; names with other signs than letters, digits and '_' stand in double quotes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.errors import RecipeError, StepError
from poolwright.core.quiet import import_daft
from poolwright.core.rows import Rows

_FUNCTIONS = """
    abs add_months arccos arccosh arcsin arcsinh arctan arctan2 arctanh array_to_string ascii atan2 bin capitalize
    cast cbrt ceil chr clip coalesce concat concat_ws contains conv convert_time_zone convert_timezone cos cosh
    cosine_distance cosine_similarity cot count_matches csc damerau_levenshtein_distance date date_add date_diff
    date_format date_from_unix_date date_sub date_trunc dateadd datediff datepart day day_of_month day_of_week
    day_of_year dayofmonth dayofyear degrees dot_product e ends_with euclidean_distance exp expm1 extract extract_all
    factorial fill_nan find floor from_unixtime from_utc_timestamp great_circle_distance guess_mime_type
    hamming_distance hamming_distance_str hour hypot is_inf is_nan jaccard_similarity jaro_similarity
    jaro_winkler_similarity last_day left length length_bytes levenshtein_distance list_bool_and list_bool_or
    list_contains list_count list_count_distinct list_distinct list_join list_max list_mean list_min list_sort
    list_sum ln log log10 log1p log2 lower lpad lstrip make_date make_timestamp make_timestamp_ltz microsecond
    millisecond minute month months_between nanosecond negate next_day not_nan pearson_correlation pi pmod pow power
    quarter radians regexp_count regexp_extract regexp_extract_all regexp_match regexp_replace regexp_split repeat
    replace replace_time_zone reverse right round rpad rstrip sec second sign sin sinh soundex space split split_part
    sqrt starts_with strftime strip substr substring substring_index tan tanh time timestamp_micros timestamp_millis
    timestamp_seconds to_camel_case to_date to_datetime to_kebab_case to_snake_case to_string to_title_case
    to_unix_epoch to_upper_camel_case to_upper_kebab_case to_upper_snake_case to_utc_timestamp total_days total_hours
    total_microseconds total_milliseconds total_minutes total_nanoseconds total_seconds translate trunc truncate
    try_cast try_divide unix_date upper url_parse utf8_contains week_of_year weekofyear year
"""
ROW_WISE = frozenset(_FUNCTIONS.split())
_KEYWORDS = frozenset({"in", "and", "or", "not", "between", "case", "when", "then", "else", "like", "ilike", "is"})
_CLOCK = {"current_date", "current_time", "current_timestamp", "current_timezone", "localtime", "localtimestamp"}
_FORBIDDEN = frozenset({"select", "over", "union", "exists", *_CLOCK})
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*"|`[^`]*`)|(?P<comment>--[^\n]*|/\*.*?\*/)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<open>\()|(?P<space>\s+)|(?P<other>\d[\w.]*|.)""",
    re.DOTALL,
)


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
            StepError: it does not fit the columns' types, or fails on a value (such as a cast of 'abc' to int).
        """
        daft = import_daft()
        from daft.expressions import ExpressionsProjection
        from daft.recordbatch import MicroPartition

        columns = {alias: _plain(rows.column(name)) for name, alias in zip(self.columns, self._aliases, strict=True)}
        if not columns:
            columns = {"row": pa.nulls(len(rows), pa.bool_())}  # carries the number of rows
        try:
            part = MicroPartition.from_arrow(pa.table(columns))
            result = part.eval_expression_list(ExpressionsProjection([self._daft.alias("value")])).to_arrow()
        except (daft.exceptions.DaftCoreException, ValueError) as error:
            raise StepError(f"{self.text}: {_first_line(error)}") from None
        values = result.column("value").combine_chunks()
        values = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
        return values.cast(pa.string()) if pa.types.is_large_string(values.type) else values


@lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """Read an expression and check that it is row-wise.

    Raises:
        RecipeError: with the text and a caret under what is wrong.
    """
    rewritten, names = _rewrite(text)
    daft = import_daft()
    try:
        expression = daft.sql_expr(rewritten)
    except Exception as error:
        raise _syntax_error(text, error) from None
    found = _columns_of(text, expression)
    columns = tuple(names.get(name, name) for name in found)
    if "*" in columns:
        raise _error(text, text.find("*"), "name the columns, '*' stands for none")
    return Expression(text, columns, found, expression)


def _rewrite(text: str) -> tuple[str, dict[str, str]]:
    """The text with quoted names replaced by plain ones of the same length, as Daft does not unquote them."""
    tokens = list(_TOKEN.finditer(text))
    mark = next(mark for mark in _marks() if not any(token.group().startswith(mark) for token in tokens))
    parts: list[str] = []
    names: dict[str, str] = {}
    for token, follower in zip_longest(tokens, tokens[1:]):
        part = token.group()
        if token.lastgroup == "word":
            _check_word(text, token, follower)
        elif token.lastgroup == "other" and part in ";'\"`":
            what = "one expression only; remove ';'" if part == ";" else f"this {part} is not closed"
            raise _error(text, token.start(), what)
        elif token.lastgroup == "quoted":
            name = part[1:-1].replace('""', '"') if part[0] == '"' else part[1:-1]
            if not name:
                raise _error(text, token.start(), "a column has a name")
            part = f"{mark}{len(names)}".ljust(len(part), "_")
            names[part] = name
        parts.append(part)
    return "".join(parts), names


def _marks() -> Iterator[str]:
    number = 0
    while True:
        yield f"q{number}_" if number else "q"
        number += 1


def _check_word(text: str, token: re.Match[str], follower: re.Match[str] | None) -> None:
    word = token.group().lower()
    if word in _FORBIDDEN:
        raise _error(text, token.start(), f"'{word.upper()}' is not possible: an expression sees one row's values")
    if follower is None or follower.lastgroup != "open" or word in _KEYWORDS or word in ROW_WISE:
        return
    close = difflib.get_close_matches(word, ROW_WISE, n=1, cutoff=0.75)
    refused = "aggregates, random values, files and the network are not possible"
    instead = f"did you mean '{close[0]}'?" if close else refused
    raise _error(text, token.start(), f"'{token.group()}' is no function of one row's values; {instead}")


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
            raise _error(text, text.rfind(alias), f"'{alias}' is too much here; one expression only")

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
        raise RecipeError(f"{text}: {_first_line(error)}; use plain comparisons and functions of one row") from None
    return tuple(visitor.names)


def _plain(column: pa.Array) -> pa.Array:
    """A column as Daft takes it: no dictionaries, no float16, null for NaN."""
    dtype = column.type
    if pa.types.is_dictionary(dtype):
        return column.cast(dtype.value_type)
    if pa.types.is_fixed_size_list(dtype) and pa.types.is_float16(dtype.value_type):
        return column.cast(pa.list_(pa.float32(), dtype.list_size))
    if not pa.types.is_floating(dtype):
        return column
    column = column.cast(pa.float32()) if pa.types.is_float16(dtype) else column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _syntax_error(text: str, error: Exception) -> RecipeError:
    message = str(error)
    place = re.search(r"Line: (\d+), Column: (\d+)", message)
    reason = re.search(r"REASON: (.*)", message)
    what = reason.group(1).strip() if reason else _first_line(error)
    if not place or place.group(1) == "0":
        return RecipeError(f"{what}\n  {text}") if text.strip() else RecipeError("the expression is empty")
    lines = text.split("\n")
    line, column = int(place.group(1)) - 1, int(place.group(2)) - 1
    return _error(text, sum(len(before) + 1 for before in lines[:line]) + column, what)


def _error(text: str, at: int, what: str) -> RecipeError:
    """The message, the line of the text and a caret under the place."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    return RecipeError(f"{what.rstrip('; ')}\n  {line}\n  {' ' * (at - start)}^")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].removeprefix("DaftError::").strip()
