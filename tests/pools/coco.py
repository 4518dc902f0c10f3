"""Small datasets in the format of COCO."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "person"},
    {"id": 3, "name": "car", "supercategory": "vehicle"},
    {"id": 90, "name": "toothbrush"},
]


def pixels(number: int, width: int = 40, height: int = 30) -> Image.Image:
    draw = np.random.default_rng(number)
    return Image.fromarray(draw.integers(0, 255, (height, width, 3), dtype=np.uint8))


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number:04d}.png", "width": 40, "height": 30, **more}


def marked(number: int, image: int, box: Any = (1, 2, 10, 12), category: int = 1, **more: Any) -> dict[str, Any]:
    """An annotation with a box."""
    return {"id": number, "image_id": image, "category_id": category, "bbox": list(box), "area": 99.5, **more}


def document(images: list[Any], annotations: list[Any], **more: Any) -> dict[str, Any]:
    return {"info": {"year": 2017}, "images": images, "annotations": annotations, "categories": CATEGORIES, **more}


def save(file: Path, data: Mapping[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def dataset(folder: Path) -> None:
    """Two splits: images 1 to 6 with instances and captions, images 7 to 9 with instances."""
    for split, numbers in (("train", range(1, 7)), ("val", range(7, 10))):
        (folder / split).mkdir(parents=True)
        for number in numbers:
            pixels(number).save(folder / split / f"{number:04d}.png")
        boxes = [
            marked(10 * number + at, number, (at, 0, 5 + number, 6.5), (1, 3, 90)[at % 3], iscrowd=at % 2)
            for number in numbers
            for at in range(number % 3)
        ]
        images = [entry(number, license=4, coco_url=f"https://example.org/{number}") for number in numbers]
        licenses = [{"id": 4, "name": "Attribution", "url": "https://creativecommons.org/licenses/by/2.0/"}]
        save(folder / "annotations" / f"instances_{split}.json", document(images, boxes[::-1], licenses=licenses))
    texts = [
        {"id": 500 + 2 * number + at, "image_id": number, "caption": f"caption {at} of {number}"}
        for number in range(1, 7)
        for at in range(2)
    ]
    captions = {"info": {}, "annotations": texts, "images": [entry(number) for number in range(1, 7)]}
    save(folder / "annotations" / "captions_train.json", captions)
