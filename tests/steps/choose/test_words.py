"""What the steps of this room say they learned, and what they say of one row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.registry import step_class

TABLE = pa.table(
    {
        "uid": [f"u{number}" for number in range(10)],
        "similarity": pa.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.8, 0.9, None], pa.float32()),
        "label": ["cat"] * 5 + ["dog"] * 4 + [None],
    }
)


def words(verb: str, row: dict[str, Any], **parameters: Any) -> tuple[str, str]:
    step = step_class(verb).model_validate(parameters)
    state = step.fit(MemoryFrame(TABLE), Context(1))
    return step.learned(state), step.explain(row, state)


CAT = {"uid": "u1", "similarity": 0.2, "label": "cat"}


@pytest.mark.parametrize(
    ("verb", "parameters", "learned", "explained"),
    [
        ("top", {"by": "similarity", "n": 2}, "kept similarity >= 0.8 (2 of 9 rows kept)", "similarity = 0.2; "),
        (
            "top",
            {"by": "similarity", "n": 4},
            "kept similarity >= 0.5, ties by hash (4 of 9 rows kept)",
            "ties by hash",
        ),
        ("top", {"by": "similarity", "n": 99}, "9 of 9 rows kept", "9 of 9 rows kept"),
        ("top", {"by": "similarity", "n": 1, "group": "label"}, "2 of 9 rows kept: the highest", "of cat"),
        (
            "cap",
            {"group": "label", "n": 4},
            "8 of 9 rows kept; 1 of 2 groups of label were cut",
            "4 of the 5 rows of cat",
        ),
        ("sample", {"n": 3}, "3 of 10 rows drawn by hash", "3 of the 10 rows of all rows"),
        (
            "largest",
            {"group": "label", "n": 1},
            "1 of 2 groups of label kept, 5 of 9 rows; dropped: dog (4)",
            "cat has 5 rows: kept",
        ),
        ("drop_small", {"group": "label", "count": 5}, "dropped: dog (4)", "cat has 5 rows: kept"),
        ("balance", {"group": "label"}, "8 of 9 rows kept", "4 of the 5 rows of cat drawn"),
        ("remove", {"ids": ["u1", "x"]}, "a list of 2 entries of uid", "uid = u1: on the list of 2"),
    ],
)
def test_words(verb: str, parameters: dict[str, Any], learned: str, explained: str) -> None:
    said = words(verb, CAT, **parameters)
    assert learned in said[0]
    assert explained in said[1]


@pytest.mark.parametrize(
    ("verb", "parameters", "message"),
    [
        ("top", {"by": "similarity"}, "needs n or fraction"),
        ("top", {"by": "similarity", "n": 1, "fraction": 0.5}, "not n and fraction"),
        ("sample", {"fraction": "120%"}, "between 0 and 1"),
        ("drop_small", {"group": "label", "below": 4}, "such as '4%'"),
        ("drop_small", {"group": "label"}, "needs below or count"),
        ("cap", {"group": [], "n": 1}, "at least 1 item"),
        ("cap", {"group": ["a", "a"], "n": 1}, "named twice"),
        ("balance", {"group": ["a", "b"], "proportions": {"x": 1}}, "one column"),
        ("balance", {"group": "a", "total": 5}, "proportions"),
    ],
)
def test_parameters_that_make_no_sense(verb: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        step_class(verb).model_validate(parameters)


@pytest.mark.parametrize(
    ("verb", "parameters", "message"),
    [
        ("cap", {"group": "similarity", "n": 1}, "bucket it first"),
        ("top", {"by": "label", "n": 1}, "cannot be ranked by 'label'"),
    ],
)
def test_columns_of_the_wrong_type_are_named(verb: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=message):
        step_class(verb).model_validate(parameters).gives(TABLE.schema)


def test_proportions_of_a_value_that_no_row_has() -> None:
    step = step_class("balance").model_validate({"group": "label", "proportions": {"cat": 1, "dgo": 1}})
    with pytest.raises(StepError, match="did you mean 'dog'"):
        step.fit(MemoryFrame(TABLE), Context())
