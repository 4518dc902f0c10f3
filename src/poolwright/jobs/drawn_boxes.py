"""Read the boxes that one person drew, from a file in the format of COCO."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poolwright.core.errors import InputError
from poolwright.kernels.statistics.box_groups import Boxes
from poolwright.pools.coco.annotations import Annotations, read_annotations


@dataclass(frozen=True)
class DrawnImage:
    """A picture, with the boxes that somebody drew.

    Attributes:
        file_name: as the file names it.
        size: width and height in pixels, or None where the file has none.
        boxes: float64 (n, 4), in pixels.
        classes: their classes.
    """

    file_name: str
    size: tuple[int | None, int | None]
    boxes: Boxes
    classes: tuple[str, ...]


@dataclass(frozen=True)
class DrawnBoxes:
    """The pictures that somebody looked at, by the names that files of several people have in common."""

    images: dict[str, DrawnImage]
    remarks: tuple[str, ...]


def read_drawn(file: Path, strip: str = "") -> DrawnBoxes:
    """Read the boxes of one person.

    Pictures are named by the last part of their paths.

    Args:
        strip: regular expression of what is left out at the beginning of names, such as '[0-9a-f]{8}-'.

    Raises:
        InputError: the file cannot be read, or two pictures have one name.
        RecipeError: it is not in the format of COCO.
    """
    found = read_annotations([str(file)], segmentation=False)
    try:
        begin = re.compile(strip)
    except re.error as error:
        raise InputError(f"strip {strip!r}: not a regular expression: {error}") from None
    images: dict[str, DrawnImage] = {}
    left: Counter[str] = Counter()
    for one in _images(found, left):
        name = posixpath.basename(one.file_name.replace("\\", "/"))
        begins = begin.match(name)
        name = name[begins.end() :] if begins else name
        if name in images:
            raise InputError(
                f"{file}: two images are called '{name}': '{images[name].file_name}' and '{one.file_name}'; "
                "give them different names"
            )
        images[name] = one
    counted = (f"{file.name}: {words}: {count:,}" for words, count in left.items())
    return DrawnBoxes(images, (*(f"{file.name}: {remark}" for remark in found.remarks), *counted))


def _images(found: Annotations, left: Counter[str]) -> Iterator[DrawnImage]:
    objects = found.objects.to_pylist()
    for index, image in enumerate(found.images.to_pylist()):
        if image["row_error"]:
            left[f"images that are not read, as {image['row_error']}"] += 1
            continue
        boxes, classes = list[list[float]](), list[str]()
        for one in objects[found.object_ends[index] : found.object_ends[index + 1]]:
            if one["bbox"] is None or one["iscrowd"] or one["category"] not in found.categories:
                left["boxes of a crowd, without extent, or of no class"] += 1
                continue
            named = found.categories[one["category"]][0], one["bbox"]
            if named in zip(classes, boxes, strict=True):
                left["boxes that are drawn twice"] += 1
                continue
            classes.append(named[0])
            boxes.append(named[1])
        size = image["width"], image["height"]
        yield DrawnImage(image["file_name"], size, np.array(boxes, np.float64).reshape(-1, 4), tuple(classes))
