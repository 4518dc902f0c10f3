"""The pool `coco`: rows of images and of objects, held against pycocotools; crops; what is wrong with files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from poolwright import api
from poolwright.core.errors import InputError, RecipeError
from poolwright.pools.coco import json_stream
from poolwright.pools.coco.coco import Coco
from poolwright.pools.coco.crops import corners
from poolwright.testing.pools import read_part
from tests.pools.coco import dataset, document, entry, marked, pixels, save


def opened(folder: Path, **parameters: Any) -> Coco:
    return Coco.model_validate(parameters, context={"folder": str(folder), "models": {}})


def rows_of(pool: Coco) -> list[dict[str, Any]]:
    names = pool.arrow_schema().names
    return [row for part in pool.parts() for row in read_part(pool, part, names).to_pylist()]


def test_rows_are_those_of_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peers = pytest.importorskip("pycocotools.coco")
    dataset(tmp_path)
    pool = opened(tmp_path, path="annotations", images="{split}")
    rows = {row["uid"]: row for row in rows_of(pool)}
    assert rows_of(opened(tmp_path, path=".", images="{split}")) == list(rows.values())
    objects = {
        row["uid"]: row for row in rows_of(opened(tmp_path, path="annotations", images="{split}", rows="objects"))
    }
    for split in ("train", "val"):
        peer = peers.COCO(str(tmp_path / "annotations" / f"instances_{split}.json"))
        names = {kind["id"]: kind["name"] for kind in peer.loadCats(peer.getCatIds())}
        for image in peer.loadImgs(peer.getImgIds()):
            row = rows[f"{split}/{image['id']}"]
            found = peer.loadAnns(peer.getAnnIds(image["id"]))
            assert row["boxes"] == [annotation["bbox"] for annotation in found]
            assert row["labels"] == [names[annotation["category_id"]] for annotation in found]
            assert row["iscrowd"] == [bool(annotation["iscrowd"]) for annotation in found]
            assert row["areas"] == [annotation["area"] for annotation in found]
            assert (row["width"], row["height"], row["url"]) == (40, 30, image["coco_url"])
            assert row["image_path"] == f"{split}/{image['file_name']}"
            for annotation in found:
                one = objects.pop(f"{split}/{annotation['id']}")
                assert (one["label"], one["bbox"]) == (names[annotation["category_id"]], annotation["bbox"])
                assert (one["image_id"], one["category_id"]) == (str(image["id"]), annotation["category_id"])
    assert not objects
    peer = peers.COCO(str(tmp_path / "annotations" / "captions_train.json"))
    texts = [annotation["caption"] for annotation in peer.loadAnns(peer.getAnnIds(4))]
    assert rows["train/4"]["captions"] == texts
    assert rows["train/4"]["text"] == texts[0]
    assert (rows["val/8"]["captions"], rows["val/8"]["text"]) == ([], None)
    assert rows["val/8"]["license"] == "https://creativecommons.org/licenses/by/2.0/"


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((1, 2, 10, 12), (1, 2, 11, 14)),
        ((0.4, 0.6, 2.2, 3.3), (0, 0, 3, 4)),
        ((38.5, 20, 9, 90), (38, 20, 40, 30)),
        ((-5, -5, 6, 6), (0, 0, 1, 1)),
        ((2.0000000001, 1, 2.9999999999, 1), (2, 1, 5, 2)),
        ((0.5, 0.5, 0.25, 0.25), (0, 0, 1, 1)),
        ((40, 0, 5, 5), None),
    ],
)
def test_a_crop_has_all_pixels_that_its_box_touches(box: Any, found: Any) -> None:
    assert corners(box, 40, 30) == found


def test_crops_are_the_stored_pixels_though_exif_says_to_turn_them(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels(1).save(tmp_path / "0001.png", exif=exif)
    save(tmp_path / "a.json", document([entry(1)], [marked(1, 1, (30.2, 3, 20, 4))]))
    row = rows_of(opened(tmp_path, path="a.json", images=".", rows="objects"))[0]
    crop = np.asarray(Image.open(io.BytesIO(row["image"])))
    assert np.array_equal(crop, np.asarray(pixels(1))[3:7, 30:40])
    assert (row["width"], row["height"]) == (10, 4)


def test_what_is_wrong_with_single_annotations_is_said_of_their_rows(tmp_path: Path) -> None:
    pixels(1).save(tmp_path / "0001.png")
    images = [entry(1), entry(1), entry(2), {"id": 3}, entry(4)]
    boxes = [
        marked(1, 1),
        marked(1, 1, (3, 3, 4, 4)),
        marked(2, 1, (1, 1, "wide", 4)),
        marked(3, 1, (90, 1, 4, 4)),
        marked(4, 1, category=7),
        marked(5, 2),
        marked(6, 77),
        {"id": 7, "image_id": 1, "keypoints": [1, 2]},
        "no annotation",
    ]
    save(tmp_path / "a.json", document(images, boxes))
    pool = opened(tmp_path, path="a.json", images=".")
    errors = [(row["uid"], row["row_error"]) for row in rows_of(pool)]
    assert [uid for uid, _ in errors] == ["1", "1", "2", "3", "4"]
    assert [error for _, error in errors] == [
        None,
        None,
        "the image file '0002.png' is not there",
        "the image has no 'file_name'",
        "the image file '0004.png' is not there",
    ]
    remarks = "\n".join(pool.remarks())
    for words in (
        "entries of 'annotations' that are no objects: 1",
        "annotations with neither 'bbox' nor 'caption': 1",
        "annotations of images that no file of the split lists: 1",
        "objects of categories that no file of the split lists: 1",
        "images without annotation: 3 of 5",
        "fields of annotations that are not read: 'keypoints' (1)",
    ):
        assert words in remarks
    objects = rows_of(opened(tmp_path, path="a.json", images=".", rows="objects"))
    assert {row["uid"]: row["row_error"] for row in objects if row["row_error"]} == {
        "2": "'bbox' is [1, 1, 'wide', 4], not four numbers with a width and a height",
        "3": "the box is outside of the image",
        "4": "its category 7 is not in 'categories'",
        "5": "the image file '0002.png' is not there",
        "6": "its image 77 is not in 'images'",
    }


def test_a_run_counts_repeated_ids_and_missing_files(tmp_path: Path) -> None:
    pixels(1).save(tmp_path / "0001.png")
    save(tmp_path / "a.json", document([entry(1), entry(1), entry(2)], []))
    data = {
        "recipe": 1,
        "name": "small",
        "max_bad": 1.0,
        "pools": {"p": {"read": "coco", "path": "a.json", "images": "."}},
    }
    recipe = api.Recipe.from_data({**data, "tables": {"all": {"from": "p", "steps": ["size"]}}}, tmp_path)
    record = api.run(recipe, tmp_path / "run").tables["all"].record
    assert (record.rows_in, record.rows_kept) == (3, 1)
    assert {**record.funnel[0].dropped} == {"duplicate_uid": 1, "bad_row": 1}


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('{"images": [{"id": 1}', InputError, "broken JSON at character 21"),
        ('{"images": [{"id": 1,, "file_name": "a"}]' + " " * 90 + "}", InputError, "broken JSON at character 21"),
        ("[]", InputError, "no JSON object"),
        ("", InputError, "no JSON object"),
        ('{"annotations": []}', RecipeError, "no list 'images'"),
        ('{"images": []} {}', InputError, "there is more after its end"),
        ('{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', InputError, "category 1 is"),
    ],
)
def test_a_file_that_is_no_coco_is_one_error(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(error, match=f"a.json: .*{words}"):
        opened(tmp_path, path="a.json").parts()


def test_entries_are_read_over_the_edges_of_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 7)
    images = [entry(number, coco_url="ä🙂" * number) for number in range(1, 30)]
    file = tmp_path / "a.json"
    file.write_text(
        json.dumps({"n": 123456789.5, "nested": [[1, [2]], {}], "images": images}, indent=1, ensure_ascii=False)
    )
    rows = rows_of(opened(tmp_path, path="a.json"))
    assert [(row["uid"], row["url"]) for row in rows] == [(str(image["id"]), image["coco_url"]) for image in images]


def test_types_are_lists_and_no_vectors(tmp_path: Path) -> None:
    dataset(tmp_path)
    schema = opened(tmp_path, path="annotations", images="{split}", rows="objects").arrow_schema()
    assert schema.field("bbox").type == pa.list_(pa.float64())
