"""Values of expressions: equal to DuckDB's own, whatever the columns, but for NaN, which is null."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.core.errors import StepError
from poolwright.core.rows import Rows
from poolwright.expressions.expression import parse

NAN = float("nan")


def values(text: str, **columns: Any) -> list[Any]:
    rows = Rows.of(columns)
    found = parse(text).values(rows)
    assert found.type == parse(text).type_in(rows.schema)
    return found.to_pylist()


NUMBERS = st.one_of(st.none(), st.integers(-9, 9).map(float), st.sampled_from([0.3, -0.0, 1e300, float("inf")]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": NUMBERS,
            "b": NUMBERS,
            "n": st.one_of(st.none(), st.integers(-5, 5)),
            "s": st.one_of(st.none(), st.text("abÄé%_' \n", max_size=4)),
            "xs": st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(-3, 3)), max_size=4)),
            "m": st.one_of(st.none(), st.fixed_dictionaries({"w": NUMBERS, "t": st.sampled_from(["x", None])})),
            "t": st.one_of(st.none(), st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1))),
        }
    ),
    max_size=20,
)
TYPES = pa.schema(
    {
        "a": pa.float64(),
        "b": pa.float32(),
        "n": pa.int32(),
        "s": pa.string(),
        "xs": pa.list_(pa.int64()),
        "m": pa.struct({"w": pa.float64(), "t": pa.string()}),
        "t": pa.timestamp("us"),
    }
)
ATOMS = st.sampled_from(
    [
        *("a > b", "a >= 0.3", "b = 0.3", "n % 3 = 1", "n / n = 1", "s like 'a%'", "s ilike '%Ä_'", "s is null"),
        *("n in (1, 2, 3, 4, 5, 6, 7, 8)", "n not in (1, null)", "a between b and 3", "m.w > 0", "m.t = 'x'"),
        *(
            "xs[1] > 0",
            "xs[-1] = 2",
            "list_contains(xs, 1)",
            "len(list_filter(xs, lambda x: x > n)) > 0",
            "xs[2:] = [1]",
        ),
        *(
            "t > '1999-12-31'",
            "year(t) % 2 = 0",
            "t + interval '1 day' > timestamp '2000-01-01'",
            "n is distinct from 1",
        ),
        *(
            "case n when 1 then true when 2 then a > 1 else b > 1 end",
            "upper(s) = 'A'",
            "s || 'x' < 'b'",
            "true",
            "null",
        ),
        *("coalesce(a, b, n) > 1", "try_cast(s as int) = 1", "cast(n as varchar) = s", "abs(a) < 1", "xs is not null"),
    ]
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "=", "is not distinct from"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
        inner.map(lambda text: f"not ({text})"),
        st.tuples(inner, inner).map(lambda two: f"case when {two[0]} then {two[1]} end"),
    ),
    max_leaves=6,
)


@given(rows=ROWS, text=CONDITIONS)
@settings(max_examples=150, deadline=None)
def test_values_are_those_of_a_select(rows: list[dict[str, Any]], text: str) -> None:
    table = pa.Table.from_pylist(rows, TYPES)
    plain = duckdb.connect()
    plain.execute("set TimeZone = 'UTC'; set ieee_floating_point_ops = false; set error_on_division_by_zero = false")
    plain.register("pool", table)
    wanted = [row[0] for row in plain.execute(f"select {text} from pool").fetchall()]
    assert parse(text).values(Rows(table)).to_pylist() == wanted


@given(
    st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=9),
    st.sampled_from([">", ">=", "<", "<=", "=", "<>"]),
    st.floats(-10, 10).map(lambda value: round(value, 3)),
)
@settings(max_examples=100, deadline=None)
def test_comparisons_of_floats_are_those_of_their_precision(
    column: list[float | None], sign: str, bound: float
) -> None:
    numpy = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
    compare = {**numpy, "=": np.equal, "<>": np.not_equal}[sign]
    wanted = [None if x is None or np.isnan(x) else bool(compare(np.float32(x), np.float32(bound))) for x in column]
    assert values(f"x {sign} {Decimal(repr(bound)):f}", x=pa.array(column, pa.float32())) == wanted


def test_nan_is_null_in_columns_structs_lists_and_results() -> None:
    x = pa.array([1.0, NAN, None])
    assert values("x > 0", x=x) == [True, None, None]
    assert values("x is null", x=x) == [False, True, True]
    assert values("x", x=x) == [1.0, None, None]
    assert values("x > 0", x=x.cast(pa.float16())) == [True, None, None]
    assert values("x > 0", x=x.dictionary_encode()) == [True, None, None]
    assert values("m.x > 0", m=pa.array([{"x": 1.0}, {"x": NAN}, None])) == [True, None, None]
    assert values("m.n", m=pa.array([{"x": NAN, "n": 3}, None])) == [3, None]
    lists = pa.array([[9.0], [1.0, NAN], None, [], [NAN]])
    assert values("xs[2] > 0", xs=lists) == [None, None, None, None, None]
    assert values("xs", xs=lists.slice(1)) == [[1.0, None], None, [], [None]]
    assert values("list_sum(xs)", xs=lists.slice(1, 3)) == [1.0, None, None]
    assert values("inf - inf", inf=[float("inf")]) == [None]
    assert values("cast('nan' as double)", x=[1]) == [None]


def test_a_vector_with_nan_is_null() -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1, 0, NAN, NAN, 0, 1], pa.float32()), 2)
    assert values("v is null", v=vectors) == [False, True, False]
    assert values("v[1] >= 0", v=vectors.slice(1)) == [None, True]
    assert values("array_cosine_similarity(v, v)", v=vectors.cast(pa.list_(pa.float16(), 2))) == [1, None, 1]


def test_null_lists_may_hide_values() -> None:
    xs = pa.ListArray.from_arrays(pa.array([0, 2, 4]), pa.array([1.0, NAN, 3.0, 4.0]), mask=pa.array([True, False]))
    assert values("xs", xs=xs) == [None, [3.0, 4.0]]
    xs = pa.ListArray.from_arrays(pa.array([0, 2, 4]), pa.array([1.0, 2.0, NAN, 4.0]), mask=pa.array([True, False]))
    assert values("xs", xs=xs) == [None, [None, 4.0]]


def test_minus_zero_is_zero() -> None:
    assert values("x = 0 and x >= 0 and not x < 0 and x in (0.0, 1, 2, 3, 4, 5, 6)", x=[-0.0, 0.0]) == [True, True]


def test_names_are_case_sensitive() -> None:
    assert values("a + A * 10 + list_sum([a for a_1 in A_1])", a=[1], A=[2], A_1=[[0, 0]]) == [23]
    assert values("User || user", User=["a"], user=["b"]) == ["ab"]
    with pytest.raises(StepError, match="no column 'Width'; did you mean 'width'"):
        values("Width > 1", width=[1])
    with pytest.raises(StepError, match="differ only in case"):
        values("m.a", m=pa.array([{"a": 1, "A": 2}]))


def test_names_in_quotes() -> None:
    assert values('"odd ""näme" + "select" + "c d".x', **{'odd "näme': [1], "select": [2], "c d": [{"x": 3}]}) == [6]


@pytest.mark.parametrize(
    ("column", "text", "wanted"),
    [
        (pa.array(["a", None]).dictionary_encode(), "x || 'b'", ["ab", None]),
        (pa.array(["a", None], pa.large_string()), "x", ["a", None]),
        (pa.array(["a", None], pa.string_view()), "x", ["a", None]),
        (pa.array([b"a", None], pa.large_binary()), "x = 'a'::blob", [True, None]),
        (pa.array([2**64 - 1, None], pa.uint64()), "x", [2**64 - 1, None]),
        (pa.array([Decimal("1.50"), None]), "x * 2", [Decimal("3.00"), None]),
        (pa.array([1, None], pa.timestamp("s")), "x", [datetime(1970, 1, 1, 0, 0, 1), None]),
        (pa.array([10**9, None], pa.timestamp("ns")), "year(x)", [1970, None]),
        (pa.array([0, None], pa.timestamp("us", "Europe/Berlin")), "hour(x)", [0, None]),
        (pa.array([0], pa.timestamp("us", "UTC")), "x", [datetime(1970, 1, 1, tzinfo=UTC)]),
        (pa.array([0], pa.timestamp("us", "UTC")), "x < '1970-01-01 00:00:01'", [True]),
        (pa.array([0], pa.timestamp("us")), "x at time zone 'UTC'", [datetime(1970, 1, 1, tzinfo=UTC)]),
        (pa.array([0], pa.timestamp("us")), "cast(x as date) + 1", [date(1970, 1, 2)]),
        (pa.array([0, None], pa.date64()), "x >= '1970-01-01'", [True, None]),
        (pa.array([timedelta(days=2)]), "x > interval '1 day'", [True]),
        (pa.array([[{"b": [1.5]}], None]), "x[1].b[1]", [1.5, None]),
        (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())), "x['k']", [1, None]),
        (pa.array([["a"], ["b", "c"]], pa.large_list(pa.string())), "list_contains(x, 'c')", [False, True]),
        (pa.array(['{"a": [1, 2]}', None]), "x ->> '$.a[1]'", ["2", None]),
        (pa.nulls(2), "x is null", [True, True]),
    ],
)
def test_columns_of_many_types_are_read(column: pa.Array, text: str, wanted: list[Any]) -> None:
    assert values(text, x=column) == wanted


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("label", pa.string()),
        ("label || '!'", pa.string()),
        ("width", pa.int32()),
        ("width / 2", pa.float64()),
        ("width * 1.5", pa.float64()),
        ("similarity * 2", pa.float32()),
        ("price", pa.decimal128(10, 2)),
        ("list_sum(sizes)", pa.int64()),
        ("width > 1", pa.bool_()),
        ("null", pa.null()),
        ("label = 'a' and null", pa.bool_()),
        ("'x'::enum('x', 'y')", pa.string()),
        ("uuid '6ecd8c99-4036-403d-bf84-cf8400f67836'", pa.string()),
    ],
)
def test_types(text: str, dtype: pa.DataType) -> None:
    schema = pa.schema(
        {
            "label": pa.dictionary(pa.int32(), pa.string()),
            "width": pa.int32(),
            "similarity": pa.float32(),
            "price": pa.decimal128(10, 2),
            "sizes": pa.list_(pa.int32()),
        }
    )
    assert parse(text).type_in(schema) == dtype


@pytest.mark.parametrize("text", ["interval '1 day'", "union_value(a := width)", "timetz '10:00:00+02'"])
def test_values_that_no_column_holds_are_refused(text: str) -> None:
    with pytest.raises(StepError, match="a column cannot have"):
        values(text, width=[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label > 1", "^label > 1: Cannot compare"),
        ("width * 2147483647", "Overflow"),
        ("cast(label as int)", "Could not convert string 'a'"),
        ("ln(width - 9)", "logarithm of a negative number"),
        ("meta.hight", 'Could not find key "hight" in struct'),
        ("width::no_type", "no_type"),
        ("attach 'x'", "attach"),
    ],
)
def test_what_fails_says_why(text: str, message: str) -> None:
    columns = {"label": ["a"], "width": pa.array([2], pa.int32()), "meta": [{"height": 1}]}
    with pytest.raises(StepError, match=message):
        values(text, **columns)


@pytest.mark.parametrize(
    "gap", [" ", "\n  ", " /* ä */ ", " and width < 9 and width < 9 and width < 9 and width < 9\n"]
)
def test_what_does_not_fit_is_pointed_at_in_long_expressions(gap: str) -> None:
    text = f"'ä' = 'ä' and user = 'b' and Width > a{gap}and label > 1 and width > 3"
    columns = {"label": ["a"], "width": [2], "Width": [2], "a": [1], "user": ["b"]}
    with pytest.raises(StepError, match="Cannot compare") as raised:
        values(text, **columns)
    line, caret = str(raised.value).split("\n")[1:]
    assert line[caret.index("^") :].startswith("label > 1")


def test_expressions_without_columns_have_a_value_for_each_row() -> None:
    assert parse("1 + 1").values(Rows(pa.table({"a": [1, 2, 3]}))).to_pylist() == [2, 2, 2]


def test_rows_keep_their_order_and_chunks_do_not_matter() -> None:
    numbers = np.random.default_rng(0).permutation(300_000)
    table = pa.table({"n": pa.chunked_array(np.array_split(numbers, 7))})
    listed = ", ".join(map(str, range(0, 300_000, 300)))
    assert parse("n * 2").values(Rows(table)).to_numpy().tolist() == (numbers * 2).tolist()
    found = parse(f"n in ({listed})").values(Rows(table)).to_numpy(zero_copy_only=False)
    assert found.tolist() == (numbers % 300 == 0).tolist()


def test_expressions_pickle_as_their_text() -> None:
    expression = parse("width > 1")
    assert pickle.loads(pickle.dumps(expression)) is expression


def test_threads_evaluate_side_by_side() -> None:
    def right(number: int) -> bool:
        column = np.arange(number, number + 1_000)
        return values("n % 7 = 3 and n > 20", n=column) == ((column % 7 == 3) & (column > 20)).tolist()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, range(200)))


def _in_child() -> None:
    assert values("n + 1", n=[1]) == [2]


def test_a_forked_process_evaluates() -> None:
    assert values("n + 1", n=[1]) == [2]
    child = get_context("fork").Process(target=_in_child)
    child.start()
    child.join(60)
    assert child.exitcode == 0


FOREIGN = """
import ctypes
from poolwright.core.rows import Rows
from poolwright.expressions.expression import parse

def work(_):
    assert parse("n + 1").values(Rows.of({"n": [1]})).to_pylist() == [2]
    return 0

call = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(work)
libc = ctypes.CDLL(None)
for _ in range(50):
    thread = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, call, None)
    libc.pthread_join(thread, None)
print("fine")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="starts threads of the C library")
def test_threads_that_python_did_not_start_evaluate() -> None:
    """Connections of DuckDB that such threads own would crash the process when they end."""
    done = subprocess.run([sys.executable, "-c", FOREIGN], capture_output=True, text=True, timeout=120)
    assert done.stdout == "fine\n", done.stderr
