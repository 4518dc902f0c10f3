"""`poolwright new mscoco-glt` from drawn images with annotations of COCO to verified releases of crops."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from poolwright import api
from poolwright.recipe.shipped import shipped_text
from tests.calling import call

CLASSES = {"person": 120, "car": 70, "dog": 50}
ATTRIBUTES = ("red", "small", "furry", "wooden", "open")
NUMBERS: dict[str, dict[str, Any]] = {
    "mscoco-glt": {"test_bbl": 8, "test_bl": 8, "test_lt": 8, "val": 4, "frequency": [1, 2]},
    "mscoco-cbl": {"test_bbl": 4, "test_bl": 4, "val": 2, "frequency": [1, 2]},
}


def write_coco(folder: Path) -> dict[str, list[str]]:
    """Images with objects, their annotations and attributes; returns the attributes by uid."""
    draw = np.random.default_rng(8)
    lists: dict[str, list[str]] = {}
    categories = [{"id": at, "name": name, "supercategory": "thing"} for at, name in enumerate(CLASSES, start=1)]
    kinds = draw.permutation(np.repeat([one["id"] for one in categories], list(CLASSES.values())))
    for at, split in enumerate(("train2014", "val2014")):
        (folder / split).mkdir(parents=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, kind in enumerate(kinds[at::2], start=1):
            image = (number + 5) // 6
            if len(images) < image:
                images.append({"id": image, "file_name": f"{image:04d}.png", "width": 48, "height": 32})
                pixels = draw.integers(0, 255, (32, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / f"{image:04d}.png")
            box = [int(draw.integers(0, 30)), int(draw.integers(0, 15)), 12, 10]
            one = {"id": number, "image_id": image, "category_id": int(kind), "bbox": box, "area": 120, "iscrowd": 0}
            annotations.append(one)
            has = np.flatnonzero(draw.random(len(ATTRIBUTES)) < [0.7, 0.4, 0.2, 0.2, 0.1])
            lists[f"{split}/{number}"] = [ATTRIBUTES[name] for name in has]
        annotations[0]["iscrowd"] = 1
        document = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    pq.write_table(pa.table({"uid": list(lists), "attributes": list(lists.values())}), folder / "attributes.parquet")
    return lists


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, dict[str, list[str]]]:
    """The folder it ran in, its result, and the attributes; of the recipe only numbers are changed."""
    folder = tmp_path_factory.mktemp("mscoco")
    lists = write_coco(folder / "data")
    data: dict[str, Any] = yaml.safe_load(shipped_text("mscoco-glt"))
    for name, numbers in NUMBERS.items():
        data["tables"][name]["steps"][0]["glt"] |= numbers
    data["tables"]["with-attributes"]["steps"][2]["drop_small"]["count"] = 20
    data["tables"]["mscoco-glt"]["steps"][0]["glt"]["sizes"]["imbalance"] = 20
    (folder / "mscoco-glt.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    for words in (["check", "mscoco-glt.yaml"], ["run", "mscoco-glt.yaml"]):
        called = call(*words, folder=folder)
        assert called.code == 0, f"{words}: {called.err}{called.out}"
    return folder, api.run(api.Recipe.load(folder / "mscoco-glt.yaml"), folder / "runs" / "mscoco-glt"), lists


def test_the_sets_have_objects_with_their_lists_of_attributes(made: Any) -> None:
    _, result, lists = made
    for name, numbers in NUMBERS.items():
        rows = result.tables[name].read(["uid", "label", "attributes", "split"]).to_pylist()
        counts = Counter((row["split"], row["label"]) for row in rows)
        for set_ in ("test_bbl", "test_bl"):
            assert [counts[set_, label] for label in CLASSES] == [numbers[set_]] * len(CLASSES)
        assert all(row["attributes"] == lists[row["uid"]] != [] for row in rows)
        assert sum(count for (set_, _), count in counts.items() if set_ == "val") == numbers["val"] * len(CLASSES)
    dropped = result.tables["with-attributes"].record.funnel[1].dropped
    assert sum(dropped.values()) == 2, "crowds"


def test_the_releases_have_crops_and_verify(made: Any) -> None:
    folder, _, _ = made
    for name in NUMBERS:
        called = call("verify", f"out/{name}", "--full", folder=folder)
        assert called.code == 0, called.out
