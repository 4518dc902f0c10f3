"""where: what is refused before anything runs, and what null and NaN mean."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import RecipeError, StepError
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.steps.choose.where import Where


def kept(expression: str, **columns: object) -> list[int]:
    rows = Rows.of(columns)
    step = Where(expression=expression)
    step.gives(rows.schema)
    drop = step.apply(rows.select(step.needs()), State()).drop
    assert drop is not None
    return np.flatnonzero(drop == 0).tolist()


def test_null_and_nan_are_not_true() -> None:
    score = pa.array([0.5, None, float("nan"), float("inf"), -1.0])
    assert kept("score > 0", score=score) == [0, 3]
    assert kept("not score > 0", score=score) == [4]
    assert kept("score is null", score=score) == [1, 2]


def test_minus_zero_is_zero() -> None:
    score = pa.array([-0.0, 0.0])
    assert kept("score >= 0 and score = 0", score=score) == [0, 1]
    assert kept("score < 0", score=score) == []


def test_case_takes_its_else_where_a_condition_is_null() -> None:
    expression = (
        "case when x > 1 then false when (case when x is null then true else false end) then true else x = 1 end"
    )
    assert kept(expression, x=[1, 2, None]) == [0, 2]


def test_names_in_quotes() -> None:
    assert kept(
        '"odd ""name" > 1 and "q0" = \'it\'\'s "x"\'', **{'odd "name': [1, 2, 3], "q0": ["", 'it\'s "x"', ""]}
    ) == [1]


def test_needs_are_the_columns_named() -> None:
    step = Where(
        expression="a in (b, 2) and upper(c) like 'd%' -- e\n or cast(f as int) > case when g then h else 1 end"
    )
    assert step.needs() == ("a", "b", "c", "f", "g", "h")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("width > ", "syntax error"),
        ("", "empty"),
        ("width > 1; drop", "one expression only"),
        ("width > 1;", "one expression only"),
        ("width > 1 heigth", "one expression only"),
        ("sum(width) > 1", "looks at other rows"),
        ("sum (width) > 1", "looks at other rows"),
        ("count(*) over () > 1", "a window function looks at other rows"),
        ("row_number() over (order by width) = 1", "a window function looks at other rows"),
        ("width in (select 1)", "a subquery looks at other rows"),
        ("uuid() = 'a'", "is random"),
        ("random() < 0.5", "is random"),
        ("taken_at < current_timestamp", "'current_timestamp' reads the clock"),
        ("read_text(url) = 'a'", "gives a table"),
        ("nextval('rows') < 9", "reads settings or the session"),
        ("lenght(text) > 1", "did you mean 'length'"),
        ("text = 'open", "unterminated"),
        ("*", "name the columns"),
    ],
)
def test_what_is_not_row_wise_sql_is_refused(expression: str, message: str) -> None:
    with pytest.raises(RecipeError) as raised:
        Where(expression=expression)
    assert message in str(raised.value)


def test_a_mistake_is_pointed_at() -> None:
    with pytest.raises(RecipeError) as raised:
        Where(expression="width > 1\nand sum(height) > 2")
    assert str(raised.value).split("\n")[1:] == ["  and sum(height) > 2", "      ^"]


def test_types_are_checked_before_the_run() -> None:
    schema = pa.schema({"width": pa.int32(), "label": pa.dictionary(pa.int32(), pa.string())})
    with pytest.raises(StepError, match="not true or false"):
        Where(expression="width + 1").gives(schema)
    with pytest.raises(StepError, match="label > 1"):
        Where(expression="label > 1").gives(schema)


def test_an_expression_that_fails_on_a_value_stops_with_its_text() -> None:
    with pytest.raises(StepError, match=r"cast\(label as int\) > 3.*'a'"):
        kept("cast(label as int) > 3", label=["4", "a"])


def test_division_by_zero_is_null() -> None:
    assert kept("width % height = 0", width=[1, 4], height=[0, 2]) == [1]
    assert kept("width / height > 1 or width // height > 1", width=[1, 4], height=[0, 2]) == [1]


def test_intervals_are_added_to_times() -> None:
    times = pa.array([0, 3 * 86_400_000_000], pa.timestamp("us"))
    assert kept("taken_at > '1970-01-01'::timestamp + interval '1 day'", taken_at=times) == [1]


def test_explain_tells_the_values() -> None:
    assert Where(expression="width >= 120").explain({"width": 90}, State()) == "width = 90; wanted: width >= 120"
