"""Image paths as templates over columns."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from poolwright.pools.columns.image_paths import ImagePath, columns, fill


@pytest.mark.parametrize(
    ("template", "paths"),
    [
        ("{photo_id}.jpg", ["123.jpg", "45.jpg", None]),
        ("{hash[0:3]}/{hash[3:6]}/{hash}.jpg", ["abc/def/abcdef0.jpg", None, "ab//ab.jpg"]),
        ("{hash[:2]}/{photo_id[-2:]}", ["ab/23", None, None]),
        ("{hash[2:-1]}", ["cdef", None, ""]),
    ],
)
def test_a_template_is_filled_row_by_row(template: str, paths: list[str | None]) -> None:
    values = {
        "photo_id": pa.array([123, 45, None]),
        "hash": pa.array(["abcdef0", None, "ab"]).dictionary_encode(),
    }
    assert fill(template, values, 3).to_pylist() == paths
    assert fill(template, {name: array[:0] for name, array in values.items()}, 0).type == pa.string()


def test_a_template_names_its_columns() -> None:
    assert columns("{hash[0:3]}/{photo_id}-{hash}.jpg") == ["hash", "photo_id"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("photo.jpg", "names no column"),
        ("{photo_id.jpg", "brace is not closed"),
        ("{photo id}.jpg", "is no column"),
        ("{}.jpg", "is no column"),
        ("{hash[3]}", "is no column"),
        ("{hash[-:2]}", "no number after '-'"),
        ("/data/{photo_id}.jpg", "must be below 'images'"),
        ("../{photo_id}.jpg", "must be below 'images'"),
        ("{image_path}", "is what the template makes"),
    ],
)
def test_a_wrong_template_is_reported(template: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(ImagePath).validate_python(template)
