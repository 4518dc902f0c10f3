"""Values that steps compare columns with, as charts draw them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from poolwright import Context, MemoryFrame
from poolwright.core.state import State
from poolwright.steps.choose.top import Top
from poolwright.steps.choose.where import Where


@pytest.mark.parametrize(
    ("expression", "limits"),
    [
        ("width >= 120 and aspect <= 2", [("width", 120.0, "where ≥ 120"), ("aspect", 2.0, "where ≤ 2")]),
        ("similarity > 2.5e-1", [("similarity", 0.25, "where > 2.5e-1")]),
        ("width >= 120 or aspect <= 2", []),
        ("not width > 3", []),
        ("width >= height and width < 9", [("width", 9.0, "where < 9")]),
    ],
)
def test_of_comparisons_with_numbers(expression: str, limits: list[tuple[str, float, str]]) -> None:
    found = Where(expression=expression).limits(State())
    assert [(limit.column, limit.value, limit.words) for limit in found] == limits


def test_of_the_best_rows() -> None:
    rows = pa.table({"uid": [str(number) for number in range(10)], "score": [float(number) for number in range(10)]})

    def limits(step: Top) -> list[tuple[str, float, str]]:
        found = step.limits(step.fit(MemoryFrame(rows), Context()))
        return [(limit.column, limit.value, limit.words) for limit in found]

    assert limits(Top(by="score", n=3)) == [("score", 7.0, "top ≥ 7")]
    assert limits(Top(by="score", n=3, lowest=True)) == [("score", 2.0, "top ≤ 2")]
    assert limits(Top(by="score", n=1, group=("uid",))) == []


def test_an_infinite_threshold_is_not_drawn() -> None:
    rows = pa.table({"uid": ["a", "b", "c"], "score": [float("inf"), float("inf"), 1.0]})
    step = Top(by="score", n=1)
    assert step.limits(step.fit(MemoryFrame(rows), Context())) == []
    assert Where(expression="score < 1e999").limits(State()) == []
