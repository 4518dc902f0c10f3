"""Make the columns of images and of objects from the annotations of a split."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import (
    HEIGHT,
    IMAGE,
    IMAGE_ERROR,
    IMAGE_PATH,
    LABEL,
    LICENSE,
    ROW_ERROR,
    SPLIT,
    TEXT,
    UID,
    URL,
    WIDTH,
    described,
)
from poolwright.core.files import ImageRoot
from poolwright.core.images.image_files import local_image
from poolwright.pools.coco.annotations import BOX, Annotations, Numbers
from poolwright.pools.coco.crops import corners

_MEANINGS: Mapping[str, str] = {
    "labels": "Class of each object",
    "boxes": "Box of each object: left, top, width, height in pixels of the stored picture",
    "areas": "Area of each object in square pixels, as annotated",
    "captions": "All captions of the image",
    "bbox": "Box of the object in its image: left, top, width, height in pixels of the stored picture",
    "area": "Area of the object in square pixels, as annotated",
    "category_id": "Number of the class in the COCO file",
    "supercategory": "Group of classes that the class is in",
    "image_id": "Id of the image that the object is on",
    "image_file": "File that the object was cut out of",
}
_TEXT, _NUMBER = pa.string(), pa.float64()
_BOTH = {UID: _TEXT, SPLIT: _TEXT, URL: _TEXT, LICENSE: _TEXT, WIDTH: pa.int32(), HEIGHT: pa.int32()}
_IMAGES = {
    TEXT: _TEXT,
    "captions": pa.list_(_TEXT),
    "labels": pa.list_(_TEXT),
    "boxes": pa.list_(BOX),
    "areas": pa.list_(_NUMBER),
    "iscrowd": pa.list_(pa.bool_()),
    "date_captured": _TEXT,
}
_OBJECTS = {
    IMAGE: pa.binary(),
    IMAGE_ERROR: _TEXT,
    LABEL: _TEXT,
    "supercategory": _TEXT,
    "category_id": pa.int64(),
    "bbox": BOX,
    "area": _NUMBER,
    "iscrowd": pa.bool_(),
    "image_id": _TEXT,
    "image_file": _TEXT,
}


def schema_of(objects: bool, paths: bool, segmentation: bool) -> pa.Schema:
    """Return the columns of images or objects.

    Args:
        objects: rows are objects, with their crops.
        paths: images have paths.
        segmentation: give polygons and masks.
    """
    kinds = _BOTH | (_OBJECTS if objects else ({IMAGE_PATH: _TEXT} if paths else {}) | _IMAGES)
    if segmentation:
        kinds |= {"segmentation": _TEXT} if objects else {"segmentations": pa.list_(_TEXT)}
    fields = [pa.field(name, kind) for name, kind in {**kinds, ROW_ERROR: _TEXT}.items()]
    return pa.schema(
        [described(field, _MEANINGS[field.name]) if field.name in _MEANINGS else field for field in fields]
    )


def image_columns(split: Annotations, paths: pa.Array, start: int, stop: int, root: ImageRoot) -> dict[str, pa.Array]:
    """Return the columns of the images from `start` to `stop`, except those that the split's name is in.

    Args:
        paths: image file of each, relative to `root`.
    """
    images, ends = split.images.slice(start, stop - start), split.object_ends
    objects = split.objects.slice(int(ends[start]), int(ends[stop] - ends[start]))
    lists = {
        "labels": _names(split, objects),
        "boxes": objects.column("bbox"),
        "areas": objects.column("area"),
        "iscrowd": objects.column("iscrowd"),
        "segmentations": objects.column("segmentation"),
    }
    first, last = split.caption_ends[start], split.caption_ends[stop]
    captions = _grouped(split.captions.slice(int(first), int(last - first)), split.caption_ends, start, stop)
    gone = missing(root, paths.to_pylist())
    errors = [
        error or (gone.get(path) if path else None)
        for error, path in zip(images.column(ROW_ERROR).to_pylist(), paths.to_pylist(), strict=True)
    ]
    return {
        **{column: images.column(column) for column in (URL, LICENSE, WIDTH, HEIGHT, "date_captured")},
        **{column: _grouped(values, ends, start, stop) for column, values in lists.items()},
        IMAGE_PATH: paths,
        "captions": captions,
        TEXT: pc.list_element(pc.list_slice(captions, 0, 1, return_fixed_size_list=True), 0),
        ROW_ERROR: pa.array(errors, _TEXT),
    }


def object_columns(split: Annotations, paths: pa.Array, start: int, stop: int, root: ImageRoot) -> dict[str, pa.Array]:
    """Return the columns of the objects from `start` to `stop`, except their crops and those with the split's name.

    Args:
        paths: image file of each, relative to `root`.
    """
    objects = split.objects.slice(start, stop - start)
    images = split.images.take(owners(split.object_ends, start, stop))
    kinds = objects.column("category").to_pylist()
    boxes, sizes = objects.column("bbox").to_pylist(), images.select([WIDTH, HEIGHT]).to_pylist()
    inner = [
        corners(box, size[WIDTH] or math.inf, size[HEIGHT] or math.inf) if box else None
        for box, size in zip(boxes, sizes, strict=True)
    ]
    errors = _object_errors(split, start, images, missing(root, paths.to_pylist()), paths.to_pylist(), inner)
    return {
        **{column: images.column(column) for column in (URL, LICENSE)},
        **{column: objects.column(column) for column in ("bbox", "area", "iscrowd", "segmentation")},
        WIDTH: pa.array([box[2] - box[0] if box else None for box in inner], pa.int32()),
        HEIGHT: pa.array([box[3] - box[1] if box else None for box in inner], pa.int32()),
        LABEL: _names(split, objects),
        "supercategory": pa.array([split.categories.get(kind, (None, None))[1] for kind in kinds], _TEXT),
        "category_id": objects.column("category"),
        "image_id": split.image_ids.slice(start, stop - start),
        "image_file": paths,
        ROW_ERROR: pa.array(errors, _TEXT),
    }


def missing(root: ImageRoot, paths: Collection[str | None]) -> dict[str | None, str]:
    """Return what to say of those image files that are local and not there."""
    found: dict[str | None, str] = {}
    for path in dict.fromkeys(paths):
        file = local_image(root, path) if path is not None and root is not None else None
        if file is not None and not os.path.isfile(file):
            found[path] = f"the image file '{path}' is not there"
    return found


def _object_errors(
    split: Annotations,
    start: int,
    images: pa.Table,
    gone: Mapping[str | None, str],
    paths: Sequence[str | None],
    inner: Sequence[object],
) -> Iterator[str | None]:
    """Yield what is wrong with each object; None if nothing is."""
    objects = split.objects.slice(start, len(paths))
    ids = split.image_ids.slice(start, len(paths)).to_pylist()
    found = (objects.column(ROW_ERROR), objects.column("category"), images.column("id"))
    rows = zip(*(column.to_pylist() for column in found), ids, paths, inner, strict=True)
    for error, kind, listed, image, path, box in rows:
        if error is None and listed is None:
            error = f"its image {image} is not in 'images'" if image else "the annotation has no 'image_id'"
        elif error is None and kind not in split.categories:
            error = f"its category {kind} is not in 'categories'"
        elif error is None and path is None:
            error = "the image has no 'file_name'"
        elif error is None and box is None:
            error = "the box is outside of the image"
        yield error or gone.get(path)


def owners(ends: Numbers, start: int, stop: int) -> pa.Array:
    """Return the number of the image of each object; null if no file lists it."""
    found = np.searchsorted(ends, np.arange(start, stop), side="right") - 1
    return pa.array(found, mask=found >= len(ends) - 1)


def _names(split: Annotations, objects: pa.Table) -> pa.Array:
    kinds = objects.column("category").to_pylist()
    return pa.array([split.categories.get(kind, (None, None))[0] for kind in kinds], _TEXT)


def _grouped(values: pa.Array | pa.ChunkedArray, ends: Numbers, start: int, stop: int) -> pa.Array:
    """Return values of the objects of some images as lists, one per image."""
    offsets = pa.array((ends[start : stop + 1] - ends[start]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, flat(values))


def flat(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the values as one array."""
    if isinstance(values, pa.Array):
        return values
    return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
