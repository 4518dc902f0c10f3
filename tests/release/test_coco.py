"""The layout `coco` is read back by pycocotools and by our own pool; boxes move with pixels."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright import api
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.table import Table
from poolwright.pools.coco.coco import Coco
from poolwright.release.data.image_changes import ImageChanges
from poolwright.release.layouts.coco.coco import CocoLayout
from poolwright.testing.layouts import ABOUT
from poolwright.testing.pools import read_part
from tests.pools import coco
from tests.release.build import toy_rows, write_table


def made(folder: Path, **pool: Any) -> Table:
    """A table of all rows of the small COCO dataset."""
    coco.dataset(folder)
    pools = {"p": {"read": "coco", "path": "annotations", "images": "{split}", **pool}}
    data = {"recipe": 1, "name": "small", "pools": pools, "tables": {"all": {"from": "p"}}}
    return api.run(api.Recipe.from_data(data, folder), folder / "run").tables["all"]


def released(table: Table, folder: Path, **parameters: Any) -> Path:
    CocoLayout(figures=False, **parameters).write(table, folder, ABOUT)
    return folder


def test_pycocotools_reads_what_it_had_read_before(tmp_path: Path) -> None:
    peers = pytest.importorskip("pycocotools.coco")
    out = released(made(tmp_path), tmp_path / "out")
    for split in ("train", "val"):
        before = peers.COCO(str(tmp_path / "annotations" / f"instances_{split}.json"))
        after = peers.COCO(str(out / "annotations" / f"instances_{split}.json"))
        for image in after.loadImgs(after.getImgIds()):
            old = before.loadImgs(int(image["uid"].partition("/")[2]))[0]
            assert [image[key] for key in ("width", "height", "coco_url")] == [
                old[key] for key in ("width", "height", "coco_url")
            ]
            stored = (tmp_path / split / old["file_name"]).read_bytes()
            assert (out / split / image["file_name"]).read_bytes() == stored
            found = [_plain(after, annotation) for annotation in after.loadAnns(after.getAnnIds(image["id"]))]
            assert found == [_plain(before, annotation) for annotation in before.loadAnns(before.getAnnIds(old["id"]))]
    texts = peers.COCO(str(out / "annotations" / "captions_train.json"))
    assert [text["caption"] for text in texts.loadAnns(texts.getAnnIds(1))] == ["caption 0 of 1", "caption 1 of 1"]


def _plain(peer: Any, annotation: dict[str, Any]) -> list[Any]:
    name = peer.loadCats(annotation["category_id"])[0]["name"]
    return [name, annotation["bbox"], annotation["area"], annotation["iscrowd"]]


def test_our_own_pool_reads_it_back(tmp_path: Path) -> None:
    table = made(tmp_path)
    out = released(table, tmp_path / "out")
    pool = Coco.model_validate({"path": str(out / "annotations"), "images": str(out / "{split}")})
    names = ["labels", "boxes", "areas", "iscrowd", "captions", "width", "height", "url", "license", "split"]
    rows = [row for part in pool.parts() for row in read_part(pool, part, names).to_pylist()]
    assert rows == table.read(names).to_pylist()


def test_boxes_move_with_the_pixels(tmp_path: Path) -> None:
    out = released(made(tmp_path), tmp_path / "out", images=ImageChanges(resize=15, mode="center_crop"))
    found = json.loads((out / "annotations" / "instances_train.json").read_text())
    rows = pq.read_table(out / "metadata" / "train.parquet").to_pylist()
    assert {(image["width"], image["height"]) for image in found["images"]} == {(15, 15)}
    boxes = [annotation["bbox"] for annotation in found["annotations"]]
    assert boxes == [box for row in rows for box in row["boxes"]]
    assert all(left >= 0 and left + width <= 15 for left, _, width, _ in boxes)
    assert [len(row["labels"]) for row in rows] == [len(row["boxes"]) for row in rows]


def test_objects_that_are_cropped_off_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = toy_rows(1).select(["uid", "image_path"])
    rows = rows.append_column("labels", pa.array([["cat", "dog"]]))
    rows = rows.append_column("boxes", pa.array([[[0.0, 0.0, 4.0, 4.0], [20.0, 0.0, 4.0, 4.0]]]))
    (tmp_path / "0").mkdir()
    coco.pixels(1).save(tmp_path / "0" / "0.jpg")
    table = write_table(tmp_path / "toy", rows, image_root=tmp_path)
    out = released(table, tmp_path / "out", images=ImageChanges(resize=30, mode="center_crop"))
    assert pq.read_table(out / "metadata" / "train.parquet").to_pylist()[0]["labels"] == ["dog"]
    assert (
        "1 object on 1 image of the split train; of all splits, 1 object cropped off" in (out / "README.md").read_text()
    )


def test_boxes_are_in_stored_pixels_of_pictures_that_exif_turns(tmp_path: Path) -> None:
    rows = toy_rows(1).select(["uid", "image_path"])
    rows = rows.append_column("label", pa.array(["dog"])).append_column("bbox", pa.array([[2.0, 4.0, 10.0, 6.0]]))
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (2, 4, 12, 10))
    image.save(out, "PNG", exif=exif)
    (tmp_path / "images" / "0").mkdir(parents=True)
    (tmp_path / "images" / "0" / "0.jpg").write_bytes(out.getvalue())
    table = write_table(tmp_path / "toy", rows, image_root=tmp_path / "images")
    for name, parameters, size in (("as", {}, (40, 20)), ("up", {"images": ImageChanges()}, (20, 40))):
        folder = released(table, tmp_path / name, **parameters)
        found = json.loads((folder / "annotations" / "instances_train.json").read_text())
        entry, box = found["images"][0], found["annotations"][0]["bbox"]
        assert (entry["width"], entry["height"]) == size
        pixels = np.asarray(Image.open(folder / "train" / entry["file_name"]).convert("L"))
        top, left = np.argwhere(pixels > 128).min(0)
        bottom, right = np.argwhere(pixels > 128).max(0) + 1
        assert box == [left, top, right - left, bottom - top]


def test_classes_without_boxes_are_of_the_whole_image(tmp_path: Path) -> None:
    table = made(tmp_path, rows="objects")
    out = released(table, tmp_path / "out", images=ImageChanges(resize=4))
    found = json.loads((out / "annotations" / "instances_train.json").read_text())
    assert [kind["name"] for kind in found["categories"]] == ["car", "person"]
    sizes = {image["id"]: [0.0, 0.0, image["width"], image["height"]] for image in found["images"]}
    assert all(annotation["bbox"] == sizes[annotation["image_id"]] for annotation in found["annotations"])
    assert not (out / "annotations" / "captions_train.json").exists()


@pytest.mark.parametrize(
    ("column", "values", "parameters", "words"),
    [
        ("bbox", [[1.0, 2.0, 3.0]], {}, r"the row of uid 'row-0000' has the box \[1.0, 2.0, 3.0\]"),
        ("boxes", [[[1.0, 2.0, 3.0, 4.0]]], {"label": "label"}, "must be a list of texts per row"),
        ("words", [["a"]], {"boxes": "words"}, "a box is a list of four numbers"),
        ("segmentation", ["[[1,2]]"], {"images": ImageChanges(resize=9)}, "polygons and masks in 'segmentation'"),
    ],
)
def test_what_cannot_be_written_is_named(
    tmp_path: Path, column: str, values: list[Any], parameters: dict[str, Any], words: str
) -> None:
    rows = toy_rows(1).select(["uid", "image_path", "label"]).append_column(column, pa.array(values))
    coco.pixels(1).save(tmp_path / "0.png")
    (tmp_path / "0").mkdir()
    (tmp_path / "0.png").rename(tmp_path / "0" / "0.jpg")
    table = write_table(tmp_path / "toy", rows, image_root=tmp_path)
    with pytest.raises((StepError, ReleaseError), match=words):
        released(table, tmp_path / "out", **parameters)
