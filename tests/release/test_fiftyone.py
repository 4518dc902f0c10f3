"""The layout `fiftyone` is loaded by FiftyOne, has the types it expects, and boxes as they are seen."""

from __future__ import annotations

import base64
import io
import json
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from poolwright import verify
from poolwright.core.columns import LATITUDE, LONGITUDE
from poolwright.core.errors import StepError
from poolwright.core.table import Table
from poolwright.release.data.image_changes import ImageChanges
from poolwright.release.layouts.fiftyone.fields import field_names
from poolwright.release.layouts.fiftyone.fiftyone import FiftyOneLayout
from poolwright.testing.layouts import ABOUT
from tests.release.build import pictures, toy_rows, write_table


def table_of(folder: Path, **columns: Any) -> Table:
    """A table of three rows in two splits with images and further columns."""
    rows = toy_rows(3).select(["uid", "image_path", "split"])
    for name, values in columns.items():
        rows = rows.append_column(name, values)
    pictures(folder / "images", rows.column("image_path").to_pylist())
    return write_table(folder / "tables" / "toy", rows, image_root=folder / "images")


def samples(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "samples.json").read_text())["samples"])


def released(table: Table, folder: Path, **parameters: Any) -> list[dict[str, Any]]:
    FiftyOneLayout(figures=False, **parameters).write(table, folder, ABOUT)
    return samples(folder)


def declared(folder: Path) -> dict[str, Any]:
    fields = json.loads((folder / "metadata.json").read_text())["sample_fields"]
    return {field["name"]: field for field in fields}


def test_values_have_the_types_of_fiftyone(tmp_path: Path) -> None:
    noon = datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=UTC)
    table = table_of(
        tmp_path,
        label=pa.array(["cat", None, "dog"]),
        sure=pa.array([0.25, 0.5, float("nan")]),
        labels=pa.array([["cat", "dog"], [], None]),
        tags=pa.array([["x"], [], None]),
        seen=pa.array([noon, None, noon], pa.timestamp("us", tz="UTC")),
        day=pa.array([date(2020, 2, 29)] * 3),
        large=pa.array([2**64 - 1] * 3, pa.uint64()),
        price=pa.array([Decimal("1.50")] * 3),
        flag=pa.array([True, False, None]),
        vector=pa.array([[1.0, 0.0]] * 3, pa.list_(pa.float16(), 2)),
        raw=pa.array([b"x"] * 3),
        inner=pa.array([{"when": date(2020, 2, 29), "words": ["a"]}] * 3),
        sealed=pa.array([{"word": "a", "raw": b"x"}] * 3),
        latitude=pa.array([48.5, 91.0, None]),
        longitude=pa.array([9.0, 9.0, 9.0]),
    )
    first, second, third = released(table, tmp_path / "out", confidence="sure")
    assert first["filepath"] == "data/train/row-0000.jpg"
    assert [one["tags"] for one in (first, second, third)] == [["train"], ["train"], ["test"]]
    assert {key: first["label"][key] for key in ("_cls", "label", "confidence")} == {
        "_cls": "Classification",
        "label": "cat",
        "confidence": 0.25,
    }
    assert second["label"] is None
    assert third["label"]["confidence"] == {"$numberDouble": "NaN"}
    assert first["labels"] == ["cat", "dog"]
    assert (first["tags_"], first["large"], first["price"], first["flag"]) == (["x"], str(2**64 - 1), 1.5, True)
    assert first["seen"] == {"$date": {"$numberLong": "-14182939877"}}
    assert first["day"] == {"$date": {"$numberLong": str(1582934400000)}}
    stored = base64.b64decode(first["vector"]["$binary"]["base64"])
    assert np.load(io.BytesIO(zlib.decompress(stored))).tolist() == [1.0, 0.0]
    assert first["inner"] == {"when": first["day"], "words": ["a"]}
    assert first["location"]["point"] == {"type": "Point", "coordinates": [9.0, 48.5]}
    assert [second["location"], third["location"]] == [None, None]
    assert first["metadata"] | {"size_bytes": 0} == {
        "_cls": "ImageMetadata",
        "size_bytes": 0,
        "mime_type": "image/jpeg",
        "width": 32,
        "height": 24,
        "num_channels": None,
    }
    kinds = {name: field["ftype"].rpartition(".")[2] for name, field in declared(tmp_path / "out").items()}
    assert (kinds["seen"], kinds["day"], kinds["vector"], kinds["tags_"], kinds["large"]) == (
        "DateTimeField",
        "DateField",
        "VectorField",
        "ListField",
        "StringField",
    )
    assert set(first) - set(kinds) == {"_id"}  # declared as 'id'
    card = (tmp_path / "out" / "README.md").read_text()
    assert "the column `tags` is the field `tags_`" in card
    assert "FiftyOne does not see the columns `raw`, `sealed`" in card


def test_lists_of_classes_are_classifications(tmp_path: Path) -> None:
    rows = released(table_of(tmp_path, kinds=pa.array([["a", "b"], [], None])), tmp_path / "out", label="kinds")
    assert [one["label"] for one in rows[0]["kinds"]["classifications"]] == ["a", "b"]
    assert rows[2]["kinds"] is None
    field = declared(tmp_path / "out")["kinds"]
    assert field["embedded_doc_type"] == "fiftyone.core.labels.Classifications"


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_boxes_are_where_they_are_seen(tmp_path: Path, orientation: int) -> None:
    rows = toy_rows(1).select(["uid", "image_path"])
    rows = rows.append_column("boxes", pa.array([[[2.0, 4.0, 10.0, 6.0]]]))
    rows = rows.append_column("labels", pa.array([["dog"]]))
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (2, 4, 12, 10))
    image.save(out, "PNG", exif=exif)
    (tmp_path / "images" / "0").mkdir(parents=True)
    (tmp_path / "images" / "0" / "0.jpg").write_bytes(out.getvalue())
    table = write_table(tmp_path / "toy", rows, image_root=tmp_path / "images")
    for name, parameters in (
        ("as", {}),
        ("up", {"images": ImageChanges()}),
        ("small", {"images": ImageChanges(resize=10)}),
    ):
        (sample,) = released(table, tmp_path / name, **parameters)
        with Image.open(tmp_path / name / sample["filepath"]) as stored:
            stored = np.asarray(_upright(stored).convert("L"))
        height, width = stored.shape
        assert (sample["metadata"]["width"], sample["metadata"]["height"]) == (width, height)
        top, left = np.argwhere(stored > 128).min(0)
        bottom, right = np.argwhere(stored > 128).max(0) + 1
        (found,) = sample["detections"]["detections"]
        shares = [left / width, top / height, (right - left) / width, (bottom - top) / height]
        assert found["bounding_box"] == pytest.approx(shares)
        assert verify(tmp_path / name, load=False).ok


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def test_names_that_fiftyone_has_a_use_for_are_changed() -> None:
    names = field_names(["uid", "id", "a.b", "_x", "$", "location", "id_"], taken=["location"])
    assert names == {
        "uid": "uid", "id": "id_", "a.b": "a_b", "_x": "x", "$": "column", "location": "location_", "id_": "id__",
    }  # fmt: skip


def test_a_sample_that_says_something_else_is_found(tmp_path: Path) -> None:
    released(table_of(tmp_path, label=pa.array(["cat", None, "dog"])), tmp_path / "out")
    file = tmp_path / "out" / "samples.json"
    file.write_text(file.read_text().replace('"label":"dog"', '"label":"cat"'))
    words = verify(tmp_path / "out", load=False).words
    assert "'samples.json': sample 3 is not the one of its row and image" in words


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, raw=pa.array([b"x"] * 3), label=pa.array(["a"] * 3))
    for parameters, words in (
        ({"label": "raw"}, "classes are strings or integers"),
        ({"confidence": "label"}, "is a number"),
    ):
        with pytest.raises(StepError, match=words):
            released(table, tmp_path / "out", **parameters)


@pytest.mark.loads
def test_fiftyone_loads_it(tmp_path: Path) -> None:
    pytest.importorskip("fiftyone")  # with a database, of its own or that of FIFTYONE_DATABASE_URI
    table = table_of(
        tmp_path,
        label=pa.array(["cat", None, "dog"]),
        boxes=pa.array([[[1.0, 2.0, 3.0, 4.0]], [], None]),
        labels=pa.array([["cat"], [], None]),
        clip=pa.array([[1.0, 0.0]] * 3, pa.list_(pa.float16(), 2)),
        **{LATITUDE: pa.array([48.5, 91.0, None]), LONGITUDE: pa.array([9.0, 9.0, 9.0])},
    )
    released(table, tmp_path / "out")
    found = {check.name: check for check in verify(tmp_path / "out").checks}
    assert found["fiftyone"].ok, found["fiftyone"].words
