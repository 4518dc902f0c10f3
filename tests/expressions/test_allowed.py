"""Which expressions are row-wise: DuckDB's catalogue against the list, and what is refused, and where."""

from __future__ import annotations

import duckdb
import pytest

from poolwright.core.errors import RecipeError
from poolwright.expressions.expression import parse
from poolwright.expressions.functions import CLOCK, ROW_WISE, SESSION

CATALOGUE = """
    select lower(function_name), function_type, list(stability), bool_or(coalesce(has_side_effects, false))
    from duckdb_functions() group by all
"""


@pytest.fixture(scope="module")
def catalogue() -> dict[str, dict[str, tuple[set[str | None], bool]]]:
    """Stabilities and side effects by function and type."""
    found: dict[str, dict[str, tuple[set[str | None], bool]]] = {}
    for name, kind, stabilities, effects in duckdb.connect().execute(CATALOGUE).fetchall():
        found.setdefault(name, {})[kind] = (set(stabilities), effects)
    return found


@pytest.mark.parametrize("name", sorted(ROW_WISE))
def test_every_allowed_function_is_a_scalar_one_without_side_effects(name: str, catalogue: dict) -> None:
    kinds = catalogue[name]
    assert {"scalar", "macro"} & set(kinds)
    assert not {"aggregate", "window"} & set(kinds)
    if "scalar" in kinds:
        stabilities, effects = kinds["scalar"]
        # Those of times are also listed as consistent within a query, for the time zone, which is set to UTC.
        assert "CONSISTENT" in stabilities
        assert "VOLATILE" not in stabilities
        assert not effects


def test_nothing_that_looks_beyond_the_row_is_allowed(catalogue: dict) -> None:
    aggregates = {name for name, kinds in catalogue.items() if {"aggregate", "window"} & set(kinds)}
    volatile = {name for name, kinds in catalogue.items() if "VOLATILE" in kinds.get("scalar", (set(), False))[0]}
    assert len(aggregates) > 50
    assert len(volatile) > 10
    assert not ROW_WISE & (aggregates | volatile | CLOCK | SESSION)
    assert not {name for name in ROW_WISE if name.startswith(("__", "read_", "pragma_", "duckdb_", "pg_"))}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "sum",
            "count",
            "avg",
            "string_agg",
            "row_number",
            "lag",
            "now",
            "today",
            "random",
            "uuid",
            "gen_random_uuid",
        ),
        *("read_text", "read_csv", "read_parquet", "glob", "current_setting", "getvariable", "getenv", "nextval"),
        *("current_database", "txid_current", "version", "hash", "list_aggregate", "query", "query_table", "error"),
        *("write_log", "sleep_ms", "stats", "vector_type", "unnest", "geomean", "json_serialize_sql", "setseed"),
        *("json_execute_serialized_sql", "pragma_version", "get_block_size", "pg_sleep", "ago", "a_new_function"),
    ],
)
def test_what_is_not_listed_is_refused_by_name(name: str) -> None:
    for text in (f"{name}(width)", f"width > 1 and not ({name.upper()}(width) = 1)", f"[{name}(x) for x in xs][1]"):
        with pytest.raises(RecipeError, match=rf"(?i)'{name}'") as raised:
            parse(text)
        line, caret = str(raised.value).split("\n")[1:]
        assert line[caret.index("^") :].lower().startswith(name)


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("width > ", "syntax error", ">"),
        ("width > 1 and\n  é = 'é' and sum(é) > 2", "'sum' looks at other rows.*list_sum", "sum"),
        ("'ñandú 日本' = label and random() > 1", "is random", "random"),
        ("width > 1; drop", "one expression only", "drop"),
        ("width;", "one expression only", ";"),
        ("width > 1 heigth", "one expression only", "heigth"),
        ("width as w", "one expression only", "as"),
        ("w: width", "one expression only", ":"),
        ("width, height", "one expression only", "height"),
        ("width from pool", "one expression only", "from"),
        ("width where height > 1", "one expression only", "where"),
        ("width limit 1", "one expression only", "limit"),
        ("width order by 1", "one expression only", "order"),
        ("width union select 1", "one expression only", "union"),
        ("distinct width", "one expression only", "distinct"),
        ("1) from range(3) where (1", "syntax error", ")"),
        ("width) + (height", "syntax error", ")"),
        ("width in (select 1)", "a subquery", "(select"),
        ("exists(select 1)", "a subquery", "exists"),
        ("width = any(sizes)", "a subquery", "width"),
        ("a = 1 and sum(width) over () > 1", "a window function", "sum"),
        ("a = 1 and *", "syntax error|name the columns", "*"),
        ("columns('w.*') > 1", "name the columns", "columns"),
        ("width > $1", "no parameters", "$1"),
        ("width > ?", "no parameters", "?"),
        ("#1 > 2", "no parameters", "#1"),
        ("label collate nocase = 'a'", "COLLATE", "label"),
        ("day < current_date", "reads the clock", "current_date"),
        ("age(taken_at) > 1", "reads the clock", "age"),
        ("count(*) > 1", r"'count\(\*\)' looks at other rows", "count"),
        ("label.upper()", "call upper as a function", "label"),
        ("abs(distinct width)", "no FILTER, DISTINCT or ORDER BY", "abs"),
        ("list_filter(xs, x -> x > 1)", "lambda x: ...", "x ->"),
        ("1 = order", 'a column of this name is written "order"', "order"),
        ("group > 1", 'a column of this name is written "group"', ">"),
        ("grouping(width)", "GROUPING", "grouping"),
        ("label = 'open", "unterminated", "'open"),
        ("/* open", "unterminated", "/*"),
    ],
)
def test_what_is_no_row_wise_expression_is_pointed_at(text: str, message: str, at: str) -> None:
    with pytest.raises(RecipeError, match=message) as raised:
        parse(text)
    line, caret = str(raised.value).split("\n")[1:]
    assert line[caret.index("^") :].startswith(at)
    assert line[2:] in text.split("\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "-- nothing",
        "create table a (b int)",
        "attach x",
        "load 'x', 1",
        "set threads = 4",
        "a = 'b'; drop table a",
        "\0",
    ],
)
def test_statements_are_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        parse(text)


@pytest.mark.parametrize("open_close", [("(", ")"), ("not (", ")"), ("[", "]"), ("abs(", ")"), ("- ", "")])
def test_deep_nesting_is_an_error_or_works(open_close: tuple[str, str]) -> None:
    text = open_close[0] * 5_000 + "width" + open_close[1] * 5_000
    with pytest.raises(RecipeError):
        parse(text)


def test_columns_are_named_once_in_the_order_of_the_text() -> None:
    text = """
        "b ""é" > a and list_filter(xs, lambda a, i: a > i and c = 1)[1] = A -- d
        or meta.width /* e */ > case a when 1 then "f" end and [g for g in gs if g > h][1] = j -> '$.k'
    """
    assert parse(text).columns == ('b "é', "a", "xs", "c", "A", "meta", "f", "gs", "h", "j")


def test_columns_may_have_the_names_of_functions_of_the_session() -> None:
    assert parse("user = 'a' and version > 2 and \"current_date\" = 'today'").columns == (
        "user",
        "version",
        "current_date",
    )
