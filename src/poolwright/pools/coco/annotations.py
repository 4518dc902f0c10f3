"""Read the annotations of one split of a COCO dataset, from one or several files, as Arrow tables.

Format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.errors import InputError, RecipeError
from poolwright.pools.coco.json_stream import read_lists
from poolwright.pools.readers.paths import base_name, raise_if_unreachable, stem

BOX = pa.list_(pa.float64())  # of any length in Arrow: lists of a fixed length are vectors
IMAGES = pa.schema(
    [
        ("id", pa.string()),
        ("file_name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("url", pa.string()),
        ("license", pa.string()),
        ("date_captured", pa.string()),
        ("row_error", pa.string()),
    ]
)
OBJECTS = pa.schema(
    [
        ("id", pa.string()),
        ("category", pa.int64()),
        ("bbox", BOX),
        ("area", pa.float64()),
        ("iscrowd", pa.bool_()),
        ("segmentation", pa.string()),
        ("row_error", pa.string()),
    ]
)
_CHUNK_ROWS = 65_536
_KNOWN = frozenset(
    ["id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "caption"]
)  # fields of annotations that are read
_KINDS = re.compile(r"(?:instances|captions|person_keypoints|stuff|panoptic|image_info|annotations)_(.+)")

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Annotations:
    """Images of a split, with the objects and captions of each.

    Attributes:
        images: one row per entry of 'images', as `IMAGES`.
        objects: one row per annotation with a box, as `OBJECTS`, in the order of the images.
        captions: text of each caption, in the order of the images.
        object_ends: int64 (n + 1,): the objects of image i are those from object_ends[i] to object_ends[i + 1];
            those after the last are of images that no file lists.
        caption_ends: the same for captions.
        image_ids: image id of each object.
        categories: name and supercategory by category id.
        remarks: what is not read, in sentences.
    """

    images: pa.Table
    objects: pa.Table
    captions: pa.Array
    object_ends: Numbers
    caption_ends: Numbers
    image_ids: pa.Array
    categories: Mapping[int, tuple[str, str | None]]
    remarks: tuple[str, ...]


def splits_of(files: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each split, by its name: 'train2017' of instances_train2017.json and captions_train2017.json.

    Files of other names are splits of their own, called as their folder if several have one name. Instances come first:
    the images are described as the first file of a split does.
    """
    stems = Counter(map(stem, files))
    splits: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files, key=lambda file: not stem(file).startswith("instances_")):
        named = _KINDS.fullmatch(stem(file))
        folder = base_name(file.rpartition("/")[0])
        splits[named[1] if named else folder if stems[stem(file)] > 1 else stem(file)].append(file)
    return {name: splits[name] for name in sorted(splits)}


def read_annotations(files: Sequence[str], segmentation: bool) -> Annotations:
    """Read the files of one split.

    Args:
        segmentation: keep polygons and masks, as JSON.

    Raises:
        Unreadable: a file is no JSON, or no COCO.
        InputError: a file cannot be read, or files of the split contradict each other.
    """
    made = _Reader(segmentation)
    for file in files:
        try:
            made.read(file)
        except OSError as error:
            raise_if_unreachable(error, file)
            raise InputError(f"{file}: cannot be read: {error}") from None
    return made.result()


class _Columns:
    """Values by column, as Arrow tables once there are many."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema, self._tables = schema, [schema.empty_table()]
        self._values: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        self._values.append(values)
        if len(self._values) == _CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._values:
            columns = zip(self._schema, zip(*self._values, strict=True), strict=True)
            self._tables.append(pa.table([pa.array(values, field.type) for field, values in columns], self._schema))
            self._values = []

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self._tables).combine_chunks()


_OBJECTS_AND_IMAGES = OBJECTS.append(pa.field("image_id", pa.string()))
_CAPTIONS = pa.schema([("image_id", pa.string()), ("caption", pa.string())])


class _Reader:
    """Collects the entries of the files of one split."""

    def __init__(self, segmentation: bool) -> None:
        self._segmentation = segmentation
        self._images, self._objects, self._captions = map(_Columns, (IMAGES, _OBJECTS_AND_IMAGES, _CAPTIONS))
        self._names: dict[str, str | None] = {}  # file name by image id
        self._number: dict[str, int] = {}  # of the entry, by image id
        self._rows = 0
        self._categories: dict[int, tuple[str, str | None]] = {}
        self._licenses: dict[str, str] = {}
        self._license_ids: list[str | None] = []
        self._left: Counter[str] = Counter()
        self._fields: Counter[str] = Counter()
        self._file = ""
        self._seen: set[str] = set()

    def read(self, file: str) -> None:
        self._file, self._seen = file, set()
        found = read_lists(
            file,
            {
                "images": self._only(self._image, "images"),
                "annotations": self._only(self._annotation, "annotations"),
                "categories": self._only(self._category, "categories"),
                "licenses": self._only(self._license, "licenses"),
            },
        )
        if "images" not in found:
            raise RecipeError(f"{file}: no list 'images' in it; is it a COCO file of instances or captions?")

    def _only(self, take: Callable[[dict[str, Any]], None], key: str) -> Callable[[Any], None]:
        def taken(entry: Any) -> None:
            if isinstance(entry, dict):
                take(entry)
            else:
                self._left[f"entries of '{key}' that are no objects"] += 1

        return taken

    def _image(self, entry: dict[str, Any]) -> None:
        key, name = _id(entry.get("id")), _text(entry.get("file_name"))
        if key in self._number and key not in self._seen:  # listed by another file of the split
            self._seen.add(key)
            if self._names[key] != name:
                raise InputError(
                    f"{self._file}: image {key} is {name!r}, and {self._names[key]!r} in another file of the split; "
                    "read the files as two pools"
                )
            return
        error = "the image has no 'id'" if key is None else "the image has no 'file_name'" if name is None else None
        urls = (_text(entry.get(url)) for url in ("coco_url", "flickr_url", "url"))
        url = next((url for url in urls if url), None)
        sizes = (_size(entry.get("width")), _size(entry.get("height")))
        self._images.add(key, name, *sizes, url, _id(entry.get("license")), _text(entry.get("date_captured")), error)
        if key is not None and key not in self._number:
            self._names[key], self._number[key] = name, self._rows
            self._seen.add(key)
        self._rows += 1

    def _annotation(self, entry: dict[str, Any]) -> None:
        self._fields.update(entry.keys() - _KNOWN)
        image = _id(entry.get("image_id"))
        caption = _text(entry.get("caption"))
        if caption is not None:
            self._captions.add(image, caption)
        if "bbox" in entry:
            self._object(entry, image)
        elif caption is None:
            self._left["annotations with neither 'bbox' nor 'caption'"] += 1

    def _object(self, entry: dict[str, Any], image: str | None) -> None:
        key, box, category = _id(entry.get("id")), _box(entry["bbox"]), entry.get("category_id")
        error = None
        if key is None:
            error = "the annotation has no 'id'"
        elif box is None:
            error = f"'bbox' is {str(entry['bbox'])[:60]}, not four numbers with a width and a height"
        area = float(entry["area"]) if _is_number(entry.get("area")) else None
        shape = _dumped(entry.get("segmentation")) if self._segmentation else None
        kind = category if isinstance(category, int) and not isinstance(category, bool) else None
        self._objects.add(key, kind, box, area, bool(entry.get("iscrowd", False)), shape, error, image)

    def _category(self, entry: dict[str, Any]) -> None:
        key, name = entry.get("id"), _text(entry.get("name"))
        if not isinstance(key, int) or name is None:
            self._left["entries of 'categories' without 'id' or 'name'"] += 1
            return
        known = self._categories.setdefault(key, (name, _text(entry.get("supercategory"))))
        if known[0] != name:
            raise InputError(f"{self._file}: category {key} is '{name}', and '{known[0]}' elsewhere in the split")

    def _license(self, entry: dict[str, Any]) -> None:
        key, name = _id(entry.get("id")), _text(entry.get("url")) or _text(entry.get("name"))
        if key is not None and name:
            self._licenses.setdefault(key, name)

    def result(self) -> Annotations:
        images = self._images.table()
        at = images.schema.get_field_index("license")
        licenses = [self._licenses.get(key) if key else None for key in images.column(at).to_pylist()]
        images = images.set_column(at, images.schema.field(at), pa.array(licenses, pa.string()))
        objects, object_ends = self._by_image(self._objects.table())
        captions, caption_ends = self._by_image(self._captions.table())
        return Annotations(
            images=images,
            objects=objects.drop_columns(["image_id"]),
            captions=captions.column("caption").combine_chunks(),
            object_ends=object_ends,
            caption_ends=caption_ends,
            image_ids=objects.column("image_id").combine_chunks(),
            categories=self._categories,
            remarks=tuple(self._remarks(objects, object_ends, caption_ends, len(captions))),
        )

    def _by_image(self, rows: pa.Table) -> tuple[pa.Table, Numbers]:
        """Return rows in the order of their images, and where those of each image begin and end."""
        numbers = [self._number.get(key, self._rows) for key in rows.column("image_id").to_pylist()]
        owner = np.array(numbers, np.int64)
        order = np.argsort(owner, kind="stable")
        ends = np.searchsorted(owner[order], np.arange(self._rows + 1)).astype(np.int64)
        return rows.take(pa.array(order)).combine_chunks(), ends

    def _remarks(self, objects: pa.Table, object_ends: Numbers, caption_ends: Numbers, captions: int) -> Iterator[str]:
        for words, count in self._left.items():
            yield f"{words}: {count:,}"
        lost = len(objects) - int(object_ends[-1]) + captions - int(caption_ends[-1])
        if lost:
            yield f"annotations of images that no file of the split lists: {lost:,}"
        unknown = sum(kind not in self._categories for kind in objects.column("category").to_pylist())
        if unknown:
            yield f"objects of categories that no file of the split lists: {unknown:,}"
        bare = int(((np.diff(object_ends) == 0) & (np.diff(caption_ends) == 0)).sum())
        if bare:
            yield f"images without annotation: {bare:,} of {self._rows:,}"
        if self._fields:
            listed = ", ".join(f"'{name}' ({count:,})" for name, count in sorted(self._fields.items()))
            yield f"fields of annotations that are not read: {listed}"


def _id(value: Any) -> str | None:
    """Return an id as text, from an integer or text."""
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and _encodes(value) else None


def _encodes(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _size(value: Any) -> int | None:
    return int(value) if _is_number(value) and 0 < value < 2**31 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _box(value: Any) -> list[float] | None:
    """Return a box (left, top, width, height) of some extent; None if the value is none."""
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        return None
    return [float(number) for number in value] if value[2] > 0 and value[3] > 0 else None


def _dumped(value: Any) -> str | None:
    import json

    return None if value is None else json.dumps(value, separators=(",", ":"))
