"""rename, keep_columns and derive: columns come and go, rows stay."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.columns import vector_field, vector_model
from poolwright.core.errors import StepError
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.registry import step_class

TABLE = pa.table({"uid": ["a", "b"], "width": [3, 4], "height": [2, None], "name": ["x", "y"]})


def after(verb: str, parameters: dict[str, Any], table: pa.Table = TABLE) -> pa.Table:
    step = step_class(verb).model_validate(parameters)
    fields = {field.name: field for field in step.gives(table.schema)}
    gone = [name for name in step.takes(table.schema) if name not in fields]
    columns = step.apply(Rows(table), State()).columns
    return Rows(table).give(columns, fields).without(gone).table


def test_rename() -> None:
    assert after("rename", {"name": "title", "width": "pixels"}).column_names == ["uid", "height", "title", "pixels"]
    swapped = after("rename", {"columns": {"width": "height", "height": "width"}})
    assert swapped.column("width").to_pylist() == [2, None]


def test_rename_keeps_the_model_of_vectors() -> None:
    field = vector_field("embedding", 2, "clip", "abc")
    table = pa.table([["a"], pa.array([[1.0, 0.0]], field.type)], schema=pa.schema([("uid", pa.string()), field]))
    assert vector_model(after("rename", {"embedding": "clip"}, table).schema.field("clip")) == ("clip", "abc")


def test_names_that_clash_are_refused() -> None:
    with pytest.raises(StepError, match="'width' cannot become 'height'"):
        after("rename", {"width": "height"})
    for parameters in ({"uid": "id"}, {"name": "uid"}, {"width": "x", "height": "x"}):
        with pytest.raises(ValidationError):
            step_class("rename").model_validate(parameters)


def test_keep_columns() -> None:
    assert after("keep_columns", {"columns": ["name"]}).column_names == ["uid", "name"]


def test_derive() -> None:
    made = after("derive", {"area": "width * height", "big": "width > 3", "source": "'web'"})
    assert made.select(["area", "big", "source"]).to_pylist() == [
        {"area": 6, "big": False, "source": "web"},
        {"area": None, "big": True, "source": "web"},
    ]
    assert made.schema.field("source").type == pa.string()
    with pytest.raises(StepError, match="always null"):
        after("derive", {"x": "null"})
    with pytest.raises(ValidationError, match="'uid' names the rows"):
        step_class("derive").model_validate({"uid": "name"})
