"""size: measures of image files."""

from __future__ import annotations

import pyarrow as pa
from PIL import Image
from tests.models.making import encoded, picture

from poolwright.core.columns import WELL_KNOWN
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.steps.describe.size import Size


def test_sizes_are_those_of_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture(1, 100, 50), exif=exif)
    files = [turned, encoded(picture(2, 33, 33), "PNG"), turned[:-100], None, b"", b"text of a page"]
    rows = Rows.of({"uid": list("abcdef"), "image": pa.array(files, pa.binary())})
    step = Size()
    outcome = step.apply(rows, State())
    assert {name: column.type for name, column in outcome.columns.items()} == {
        field.name: field.type for field in step.gives(rows.schema)
    }
    assert outcome.columns["bytes"].type == WELL_KNOWN["bytes"].type
    assert outcome.columns["width"].to_pylist() == [50, 33, 50, None, None, None]
    assert outcome.columns["height"].to_pylist() == [100, 33, 100, None, None, None]
    assert outcome.columns["aspect"].to_pylist() == [2, 1, 2, None, None, None]
    assert outcome.columns["bytes"].to_pylist() == [
        len(turned),
        len(files[1] or b""),
        len(turned) - 100,
        None,
        None,
        None,
    ]
    assert outcome.drop is not None
    names = [step.reasons[code - 1].name if code else None for code in outcome.drop]
    assert names == [None, None, None, "missing_file", "empty_file", "not_an_image"]


def test_limits_and_no_rows() -> None:
    rows = Rows.of({"uid": ["a"], "image": pa.array([encoded(picture(1))], pa.binary())})
    outcome = Size(max_pixels=10).apply(rows, State())
    assert outcome.drop is not None
    assert Size.reasons[outcome.drop[0] - 1].name == "too_many_pixels"
    assert all(len(column) == 0 for column in Size().apply(rows.slice(0, 0), State()).columns.values())
