"""Find the objects and captions of each row of a table, in the columns that hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from poolwright.core.columns import LABEL, TEXT, UID, is_text
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.rows import Rows
from poolwright.release.data.features import require
from poolwright.release.data.image_changes import ChangedImage

NO_CLASS = "unlabelled"
Box = tuple[float, float, float, float]
"""Left, top, width and height, in pixels."""


@dataclass(frozen=True)
class RowObject:
    """An object on an image.

    Attributes:
        label: name of its class; None if it has none.
        box: its box in the pixels of the file that the table knows; None for the whole image.
        area: in square pixels, as annotated; None if the table does not say.
        iscrowd: whether it is a crowd.
        segmentation: polygons or mask; None if the table has none.
    """

    label: str | None
    box: Box | None
    area: float | None = None
    iscrowd: bool = False
    segmentation: Any = None


@dataclass(frozen=True)
class ObjectColumns:
    """The columns of a table that objects and captions are read from.

    Attributes:
        label: column of the class, or of the classes of all objects.
        boxes: column of the box, or of the boxes of all objects; None if there are no boxes.
        captions: column of the caption, or of several.
        several: whether a row has lists of objects.
        more: columns of area, crowd and segmentation that the table has.
    """

    label: str | None
    boxes: str | None
    captions: str | None
    several: bool
    more: tuple[str, str, str]

    @classmethod
    def of(cls, schema: pa.Schema, label: str | None, boxes: str | None, captions: str | None) -> ObjectColumns:
        """Find the columns, by default under the names that the pool `coco` gives them.

        Raises:
            StepError: a column that is named is missing, a column has another type, or there is none of them.
        """
        for name, what in ((label, "label"), (boxes, "boxes"), (captions, "captions")):
            if name is not None:
                require(name, schema, f"'{what}'")
        boxes = boxes or usual_boxes(schema)
        several = boxes is not None and _depth(schema.field(boxes).type) == 2
        label = label or next((name for name in (("labels",) if several else (LABEL,)) if name in schema.names), None)
        captions = captions or next((name for name in ("captions", TEXT) if name in schema.names), None)
        if label is None and boxes is None and captions is None:
            raise StepError(
                "there are no classes, boxes or captions: the table has none of the columns 'label', "
                "'labels', 'bbox', 'boxes', 'captions', 'text'; name yours with 'label', 'boxes' and 'captions'"
            )
        more = ("areas", "iscrowd", "segmentations") if several else ("area", "iscrowd", "segmentation")
        found = cls(label, boxes, captions, several, more)
        found._check(schema)
        return found

    def _check(self, schema: pa.Schema) -> None:
        if self.boxes is not None:
            kind = schema.field(self.boxes).type
            if _depth(kind) not in (1, 2) or not _of_numbers(kind):
                raise StepError(f"'boxes: {self.boxes}' has type {kind}; a box is a list of four numbers")
        for name, depth, what in ((self.label, int(self.several), "label"), (self.captions, None, "captions")):
            if name is None:
                continue
            kind = schema.field(name).type
            wanted = _depth(kind) if depth is None else depth
            if _depth(kind) != wanted or wanted > 1 or not is_text(_inner(kind)):
                words = "a list of texts per row, as there is a list of boxes" if depth else "text"
                raise StepError(f"'{what}: {name}' has type {kind}; it must be {words}")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns without which there is nothing to write."""
        return tuple(name for name in (self.label, self.boxes, self.captions) if name is not None)

    def present(self, schema: pa.Schema) -> list[str]:
        """Return all columns to read."""
        return [*self.names, *(name for name in self.more if name in schema.names)]

    @property
    def has_objects(self) -> bool:
        """Whether rows have objects."""
        return self.label is not None or self.boxes is not None

    def objects(self, rows: Rows) -> Iterator[list[RowObject]]:
        """Yield the objects of each row.

        Raises:
            ReleaseError: a box is not four finite numbers, or lists of a row differ in length.
        """
        values = {name: rows.table.column(name).to_pylist() for name in self.present(rows.schema)}
        for at, uid in enumerate(rows.strings(UID)):
            fields = [values[name][at] if name in values else None for name in (self.label, self.boxes, *self.more)]
            if not self.several:
                label, box = fields[:2]
                if label is not None or box is not None:
                    yield [_object(uid, *fields)]
                else:
                    yield []
                continue
            count = len(fields[1] or fields[0] or ())
            lists = [[None] * count if field is None else field for field in fields]
            if any(len(field) != count for field in lists):
                named = ", ".join(f"'{name}' {len(field)}" for name, field in zip(values, lists, strict=False))
                raise ReleaseError(f"the row of uid {uid!r} has lists of different lengths: {named}")
            yield [_object(uid, *inner) for inner in zip(*lists, strict=True)]

    def texts(self, rows: Rows) -> Iterator[list[str]]:
        """Yield the captions of each row."""
        for value in rows.table.column(self.captions).to_pylist() if self.captions else ():
            yield [text for text in (value if isinstance(value, list) else [value]) if text is not None]


def usual_boxes(schema: pa.Schema) -> str | None:
    """Return the column of the boxes by its usual names; boxes of crops are those in another picture."""
    names = ("boxes",) if "image_file" in schema.names else ("boxes", "bbox")
    return next((name for name in names if name in schema.names), None)


def _object(uid: str | None, label: Any, box: Any, area: Any, iscrowd: Any, segmentation: Any) -> RowObject:
    if box is not None and (len(box) != 4 or not all(number is not None and math.isfinite(number) for number in box)):
        raise ReleaseError(f"the row of uid {uid!r} has the box {box}; a box is left, top, width and height in pixels")
    whole = tuple(map(float, box)) if box is not None else None
    shape = json.loads(segmentation) if isinstance(segmentation, str) else segmentation
    return RowObject(label, whole, area, bool(iscrowd), shape)  # type: ignore[arg-type]


def placed(found: RowObject, image: ChangedImage) -> tuple[Box, float] | None:
    """Return box and area of an object in the pixels of a released file; None if it was cropped off."""
    if found.box is None:
        size = image.stored
        return (0.0, 0.0, float(size[0]), float(size[1])), float(size[0] * size[1])
    if not image.encoded:
        return found.box, found.area if found.area is not None else found.box[2] * found.box[3]
    left, top, width, height = (round(number, 4) for number in image.box(found.box))
    if width <= 0 or height <= 0:
        return None
    before = found.box[2] * found.box[3]
    share = width * height / before if before > 0 else 1.0
    return (left, top, width, height), round((found.area if found.area is not None else before) * share, 4)


def places(
    objects: Sequence[Sequence[RowObject]], images: Sequence[ChangedImage]
) -> list[list[tuple[RowObject, Box, float]]]:
    """Return the objects of each row with box and area in the released pixels, without those that were cropped off."""
    return [
        [(one, *place) for one in row if (place := placed(one, image)) is not None]
        for row, image in zip(objects, images, strict=True)
    ]


def moved_columns(
    rows: Sequence[Sequence[tuple[RowObject, Box, float]]], columns: ObjectColumns, schema: pa.Schema
) -> Mapping[str, pa.Array]:
    """Return the columns of boxes and areas, and of lists that lose entries, as they are in the released pixels.

    Args:
        rows: the objects of each row, as `places` gives them.
        schema: schema of the rows.
    """
    if columns.boxes is None:
        return {}
    area, crowd, _ = columns.more
    values: dict[str, list[list[Any]]] = {
        columns.boxes: [[list(box) for _, box, _ in row] for row in rows],
        area: [[size for _, _, size in row] for row in rows],
    }
    if columns.several and columns.label is not None:
        values[columns.label] = [[found.label for found, _, _ in row] for row in rows]
    if columns.several:
        values[crowd] = [[found.iscrowd for found, _, _ in row] for row in rows]
    single = not columns.several
    return {
        name: pa.array([(row[0] if row else None) if single else row for row in found], schema.field(name).type)
        for name, found in values.items()
        if name in schema.names
    }


def _depth(kind: pa.DataType) -> int:
    return 1 + _depth(kind.value_type) if _is_list(kind) else 0


def _inner(kind: pa.DataType) -> pa.DataType:
    return _inner(kind.value_type) if _is_list(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _of_numbers(kind: pa.DataType) -> bool:
    inner = _inner(kind)
    return bool(pa.types.is_floating(inner) or pa.types.is_integer(inner))


def classes_of(batches: Iterator[Rows], columns: ObjectColumns) -> Sequence[str]:
    """Return the names of the classes of all objects, in order; objects with a box and no class are of `NO_CLASS`."""
    names: set[str] = set()
    for rows in batches:
        for objects in columns.objects(rows):
            names.update(found.label if found.label is not None else NO_CLASS for found in objects)
    return sorted(names)
