"""top with `ties: keep`: as DataComp's baselines cut a fraction by a threshold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.steps.choose.top import Top


def kept(scores: list[float], **parameters: object) -> list[int]:
    """Return the indices of the rows that are kept, after checking the count in the state."""
    table = pa.table(
        {"uid": [f"{number:03}" for number in range(len(scores))], "score": pa.array(scores, pa.float32())}
    )
    step = Top.model_validate({"by": "score", "ties": "keep", **parameters})
    state = step.fit(MemoryFrame(table, cuts=(len(scores) // 2,), batch_rows=7), Context(5))
    drop = step.apply(Rows(table), state).drop
    assert drop is not None
    rows = np.flatnonzero(drop == 0).tolist()
    assert state.tables["groups"].column("kept").to_pylist() == [len(rows)]
    return [int(row) for row in rows]


def test_all_rows_at_the_threshold_are_kept() -> None:
    assert kept([3, 1, 2, 2, 2, 0], n=2) == [0, 2, 3, 4]
    assert kept([3, 1, 2, 2, 2, 0], n=2, lowest=True) == [1, 5]
    assert kept([3, 1, 2, 2, 2, 0], n=3, lowest=True) == [1, 2, 3, 4, 5]
    assert kept([float("nan"), 1, 1, float("nan")], n=1) == [1, 2]
    assert kept([2, 2], n=0) == []


@pytest.mark.parametrize(("fraction", "count"), [(0.3, 4), (0.25, 3), (0.05, 1), ("29%", 3), (0.999, 10)])
def test_a_fraction_means_the_value_at_its_place(fraction: float | str, count: int) -> None:
    """Ten distinct values: int(10 f) + 1 rows."""
    assert kept([float(number) for number in range(10)], fraction=fraction) == list(range(10 - count, 10))


@given(scores=st.lists(st.integers(0, 6), min_size=1, max_size=60), fraction=st.floats(0.01, 0.99))
def test_the_rows_are_those_of_the_threshold(scores: list[int], fraction: float) -> None:
    """The rule as DataComp states it: the value at place int(n f) of the values in falling order, or more."""
    values = np.array(scores, np.float32)
    threshold = np.sort(values)[::-1][int(len(values) * fraction)]
    assert kept([float(score) for score in scores], fraction=fraction) == np.flatnonzero(values >= threshold).tolist()
