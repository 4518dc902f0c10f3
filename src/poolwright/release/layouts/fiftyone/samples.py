"""Make the two documents of a FiftyOne dataset from rows of a release: metadata.json and samples.json."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from poolwright.core.columns import LATITUDE, LONGITUDE, SPLIT, UID
from poolwright.core.images.formats import MEDIA_TYPES
from poolwright.core.images.pixels import turned_box
from poolwright.core.rows import Rows
from poolwright.release.data.features import FILE_NAME
from poolwright.release.data.image_changes import ChangedImage
from poolwright.release.data.image_counts import extension
from poolwright.release.layouts.fiftyone.fields import as_json, column_field, declared, field_names, values_of
from poolwright.release.layouts.shared.objects import Box, ObjectColumns, RowObject, placed

VERSION = "1.0.0"
"""Version of FiftyOne whose documents are written: later versions bring them up to date when they load them."""
DATA = "data"
LOCATION, DETECTIONS = "location", "detections"
_LABELS = "fiftyone.core.labels."
_LARGEST_HASH = 2**64


@dataclass(frozen=True)
class SampleFields:
    """The fields of the samples of a release.

    Attributes:
        columns: columns of the data files by the name of their field.
        label: column of the classes of the image, one or a list of them; None if there is none.
        confidence: column of the confidence of the class.
        objects: columns of the objects on the image; None if there are none.
        located: whether there are positions.
    """

    columns: Mapping[str, pa.Field]
    label: str | None
    confidence: str | None
    objects: ObjectColumns | None
    located: bool

    @classmethod
    def of(
        cls, schema: pa.Schema, label: str | None, confidence: str | None, objects: ObjectColumns | None
    ) -> SampleFields:
        """Choose the fields for the columns of the data files."""
        located = {LATITUDE, LONGITUDE} <= {*schema.names}
        parts = {objects.label, objects.boxes, *objects.more} if objects else set()
        shown = [name for name in schema.names if name not in {FILE_NAME, SPLIT, *parts}]
        taken = [*([LOCATION] if located else []), *([DETECTIONS] if objects else [])]
        names = field_names(shown, taken)
        columns = {names[name]: schema.field(name) for name in shown if column_field("", schema.field(name))}
        label = label if objects is None or label != objects.label else None
        return cls(columns, label, confidence, objects, located)

    @property
    def renamed(self) -> dict[str, str]:
        """The names of fields by those of their columns, for those that differ."""
        return {column.name: name for name, column in self.columns.items() if column.name != name}

    def left_out(self, schema: pa.Schema) -> list[str]:
        """Return the columns of the data files that are in no field."""
        seen = {column.name for column in self.columns.values()} | {FILE_NAME, SPLIT}
        if self.objects is not None:
            seen |= {self.objects.label, self.objects.boxes, *self.objects.more[:2]} - {None}
        return [name for name in schema.names if name not in seen]

    def dataset(self, name: str, classes: Sequence[str]) -> dict[str, Any]:
        """Return the document of the dataset.

        Args:
            classes: names of all classes.
        """
        labels = [name for name, column in self.columns.items() if self._is_label(column)]
        field = DETECTIONS if self.objects else next(iter(labels), "")
        return {
            "name": name,
            "version": VERSION,
            "media_type": "image",
            "tags": [],
            "info": {"table": name, "made_with": "poolwright"},
            "classes": {field: list(classes)} if field else {},
            "default_classes": [],
            "mask_targets": {},
            "default_mask_targets": {},
            "skeletons": {},
            "sample_fields": [*_usual_fields(), *self._own_fields()],
            "frame_fields": [],
        }

    def documents(self, rows: pa.Table, splits: Sequence[str], images: Sequence[ChangedImage]) -> Iterator[str]:
        """Yield the sample of each row, as one line of JSON.

        Args:
            rows: rows of the data files.
            splits: name of the split of each row.
            images: the released images, as `measured` finds them: boxes are those of their stored pixels.
        """
        values = {name: values_of(rows.column(column.name), column) for name, column in self.columns.items()}
        found = self.objects.objects(Rows(rows)) if self.objects else iter([[]] * len(rows))
        sure = rows.column(self.confidence).to_pylist() if self.confidence else [None] * len(rows)
        uids, files = rows.column(UID).cast(pa.string()).to_pylist(), rows.column(FILE_NAME).to_pylist()
        places = [rows.column(name).to_pylist() for name in (LATITUDE, LONGITUDE) if self.located]
        for at, (uid, file, split, image, objects) in enumerate(zip(uids, files, splits, images, found, strict=True)):
            sample = _usual_values(uid, f"{DATA}/{split}/{file}", split, image)
            for name, column in self.columns.items():
                value = values[name][at]
                sample[name] = _classes(uid, name, value, sure[at]) if self._is_label(column) else value
            if self.objects:
                sample[DETECTIONS] = _detections(uid, objects, image)
            if places:
                sample[LOCATION] = _location(uid, *(values[at] for values in places))
            yield json.dumps(sample, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def class_names(self, rows: pa.Table) -> Iterator[str]:
        """Yield the names of the classes of rows, with repetitions."""
        column = self.objects.label if self.objects else self.label
        for value in rows.column(column).to_pylist() if column else ():
            yield from (str(one) for one in (value if isinstance(value, list) else [value]) if one is not None)

    def _is_label(self, column: pa.Field) -> bool:
        return bool(column.name == self.label)

    def _own_fields(self) -> Iterator[dict[str, Any]]:
        for name, column in self.columns.items():
            field = column_field(name, column)
            if field and self._is_label(column):
                several = field["ftype"].endswith(".ListField")
                field = _label_field(name, "Classification", "classifications" if several else "")
            yield field or {}
        if self.objects:
            yield _label_field(DETECTIONS, "Detection", DETECTIONS)
        if self.located:
            yield declared(
                LOCATION,
                "EmbeddedDocumentField",
                f"{_LABELS}GeoLocation",
                fields=[*_own_id(), declared("point", "GeoPointField")],
            )


def _label_field(name: str, kind: str, inner: str) -> dict[str, Any]:
    """Return the declaration of a field of labels; of a list of them if `inner` names it."""
    fields = [*_own_id(), declared("label", "StringField"), declared("confidence", "FloatField")]
    if kind == "Detection":
        fields += [
            declared("bounding_box", "ListField", inner="FloatField"),
            declared("iscrowd", "BooleanField"),
            declared("area", "FloatField"),
        ]
    if not inner:
        return declared(name, "EmbeddedDocumentField", _LABELS + kind, fields=fields)
    several = declared(inner, "ListField", _LABELS + kind, "EmbeddedDocumentField", fields)
    return declared(name, "EmbeddedDocumentField", f"{_LABELS}{kind}s", fields=[several])


def _own_id() -> list[dict[str, Any]]:
    return [declared("id", "ObjectIdField", stored="_id"), declared("tags", "ListField", inner="StringField")]


def _usual_fields() -> list[dict[str, Any]]:
    """Return the declarations of the fields that all samples of FiftyOne have."""
    numbers = ("size_bytes", "width", "height", "num_channels")
    about = [declared(name, "IntField") for name in numbers]
    about.insert(1, declared("mime_type", "StringField"))
    return [
        declared("id", "ObjectIdField", stored="_id"),
        declared("filepath", "StringField"),
        declared("tags", "ListField", inner="StringField"),
        declared("metadata", "EmbeddedDocumentField", "fiftyone.core.metadata.ImageMetadata", fields=about),
        declared("_media_type", "StringField"),
        declared("_rand", "FloatField"),
        declared("_dataset_id", "ObjectIdField"),
        {**declared("created_at", "DateTimeField"), "read_only": True},
        {**declared("last_modified_at", "DateTimeField"), "read_only": True},
    ]


def _usual_values(uid: str, path: str, split: str, image: ChangedImage) -> dict[str, Any]:
    kind = MEDIA_TYPES.get(extension(image.data, path))
    about = {"_cls": "ImageMetadata", "size_bytes": len(image.data), "mime_type": kind}
    return {
        "_id": _object_id(uid),
        "filepath": path,
        "tags": [split],
        "metadata": {**about, "width": image.width, "height": image.height, "num_channels": None},
        "_media_type": "image",
        "_rand": int.from_bytes(_digest(uid, "rand")[:8], "big") / _LARGEST_HASH,
    }


def _object_id(*parts: str) -> dict[str, str]:
    return {"$oid": _digest(*parts)[:12].hex()}


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def _label(kind: str, own: Sequence[str], label: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"_id": _object_id(*own), "_cls": kind, "tags": [], "label": label, **more}


def _classes(uid: str, field: str, value: Any, confidence: Any) -> dict[str, Any] | None:
    """Return a Classification, or Classifications for a list."""
    if value is None:
        return None
    sure = {"confidence": as_json(confidence)}
    if not isinstance(value, list):
        return _label("Classification", (uid, field), str(value), sure)
    inner = [_label("Classification", (uid, field, str(at)), str(one), sure) for at, one in enumerate(value)]
    return {"_cls": "Classifications", "classifications": inner}


def _detections(uid: str, objects: Sequence[RowObject], image: ChangedImage) -> dict[str, Any]:
    """Return the objects with boxes as shares of the upright picture, which FiftyOne shows."""
    inner = []
    for at, found in enumerate(objects):
        place = placed(found, image)
        if place is not None:
            more = {"bounding_box": _shares(place[0], image), "iscrowd": found.iscrowd, "area": place[1]}
            inner.append(_label("Detection", (uid, DETECTIONS, str(at)), found.label, more))
    return {"_cls": "Detections", "detections": inner}


def _shares(box: Box, image: ChangedImage) -> list[float]:
    """Return a box of the stored pixels as shares of width and height of the upright picture."""
    turn = image.original.orientation if image.original.format != "TIFF" else 1  # readers turn a TIFF themselves
    left, top, width, height = turned_box(box, turn, (image.width, image.height))
    return [left / image.width, top / image.height, width / image.width, height / image.height]


def _location(uid: str, latitude: Any, longitude: Any) -> dict[str, Any] | None:
    """Return a position; None if it is none on Earth, which MongoDB cannot index."""
    if latitude is None or longitude is None:
        return None
    north, east = float(latitude), float(longitude)
    if not (math.isfinite(north) and math.isfinite(east) and abs(north) <= 90 and abs(east) <= 180):
        return None
    point = {"type": "Point", "coordinates": [east, north]}
    return {"_id": _object_id(uid, LOCATION), "_cls": "GeoLocation", "tags": [], "point": point}
