"""Write images, JSON files and metadata of the layout `coco`, split by split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from poolwright.core.columns import LICENSE, SHA256, UID, URL
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.core.wording import counted
from poolwright.release.data.features import FILE_NAME
from poolwright.release.data.image_changes import ChangedImage
from poolwright.release.data.image_files import MetadataFile, image_stems, released_rows, write_image
from poolwright.release.data.splits import by_split, split_values
from poolwright.release.layouts.coco.documents import CocoDocument
from poolwright.release.layouts.shared.objects import NO_CLASS, Box, ObjectColumns, RowObject, moved_columns, places
from poolwright.release.record import OtherFile

FOLDER = "annotations"
_WORDS = {"instances": "object", "captions": "caption"}
_LARGEST_ID = 2**53
"""Numbers from here on are not exact in every reader of JSON."""


def _is_number(uid: str) -> bool:
    return uid.isascii() and uid.isdecimal() and str(int(uid)) == uid and int(uid) < _LARGEST_ID


@dataclass
class CocoWriter:
    """Writes images, JSON files and metadata of all splits."""

    folder: Path
    table: Table
    splits: dict[str | None, str]
    columns: ObjectColumns
    classes: Sequence[str]
    schema: pa.Schema
    metadata: dict[str, MetadataFile] = field(init=False)
    documents: dict[tuple[str, str], CocoDocument] = field(init=False)
    licenses: dict[str, int] = field(default_factory=dict)
    cropped: int = 0
    _row: int = 0
    _next: int = 1

    def __post_init__(self) -> None:
        self.stems = image_stems(self.table)
        self.by_uid = all(_is_number(uid) for stems in self.stems.values() for uid in stems)
        self.category = {name: number for number, name in enumerate(self.classes, start=1)}
        kinds = ["instances"] if self.columns.has_objects else []
        kinds += ["captions"] if self.columns.captions is not None else []
        names = self.splits.values()
        self.metadata = {
            name: MetadataFile(self.folder / "metadata" / f"{name}.parquet", self.schema) for name in names
        }
        header = {"info": {"description": f"Table {self.table.name}, by poolwright"}}
        categories = [{"id": number, "name": name} for name, number in self.category.items()]
        self.documents = {
            (kind, name): CocoDocument(
                self.folder / FOLDER / f"{kind}_{name}.json",
                header | ({"categories": categories} if kind == "instances" else {}),
            )
            for kind in kinds
            for name in names
        }

    def add(self, rows: Rows, images: Sequence[ChangedImage], digests: Sequence[str]) -> None:
        """Write some rows with their images."""
        objects = list(self.columns.objects(rows)) if self.columns.has_objects else [[]] * len(rows)
        captions = list(self.columns.texts(rows)) or [[]] * len(rows)
        entries, files = list(self._entries(rows, images)), []
        moved = places(objects, images)
        self.cropped += sum(map(len, objects)) - sum(map(len, moved))
        for split, entry, image, found, texts in zip(split_values(rows), entries, images, moved, captions, strict=True):
            name, stem = self.splits[split], self.stems[split][entry["uid"]]
            entry["file_name"] = write_image(self.folder, name, stem, image.data).removeprefix(f"{name}/")
            files.append(entry["file_name"])
            for kind in ("instances", "captions"):
                if (kind, name) in self.documents:
                    self.documents[kind, name].add_image(entry)
            self._annotate(name, entry["id"], found)
            for text in texts:
                self.documents["captions", name].add_annotation(
                    {"id": self._number(), "image_id": entry["id"], "caption": text}
                )
        given = {FILE_NAME: pa.array(files, pa.string()), SHA256: pa.array(digests, pa.string())}
        if any(image.encoded for image in images):
            given |= moved_columns(moved, self.columns, rows.schema)
        released = released_rows(rows, self.schema, given)
        for name, part, _ in by_split(released, [0] * len(files), split_values(rows), self.splits):
            self.metadata[name].write(part)

    def _annotate(self, split: str, number: int, objects: Sequence[tuple[RowObject, Box, float]]) -> None:
        """Write the objects of an image."""
        for found, box, area in objects:
            self.documents["instances", split].add_annotation(
                {
                    "id": self._number(),
                    "image_id": number,
                    "category_id": self.category[found.label if found.label is not None else NO_CLASS],
                    "bbox": list(box),
                    "area": area,
                    "iscrowd": int(found.iscrowd),
                    **({"segmentation": found.segmentation} if found.segmentation is not None else {}),
                }
            )

    def _entries(self, rows: Rows, images: Sequence[ChangedImage]) -> Iterator[dict[str, Any]]:
        nothing = [None] * len(rows)
        urls, licenses, dates = (
            rows.strings(name) if name in rows.schema.names else nothing for name in (URL, LICENSE, "date_captured")
        )
        for uid, image, url, license, date in zip(rows.strings(UID), images, urls, licenses, dates, strict=True):
            self._row += 1
            width, height = image.stored
            more = {"coco_url": url, "date_captured": date}
            if license is not None:
                more["license"] = self.licenses.setdefault(license, len(self.licenses) + 1)  # type: ignore[assignment]
            yield {
                "id": int(str(uid)) if self.by_uid else self._row,
                "file_name": "",
                "width": width,
                "height": height,
                **{key: value for key, value in more.items() if value is not None},
                "uid": str(uid),
            }

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def finish(self) -> list[OtherFile]:
        """Complete the JSON files and return them."""
        licenses = [
            {"id": number, "name": name, **({"url": name} if "://" in name else {})}
            for name, number in self.licenses.items()
        ]
        others = []
        for (kind, split), document in self.documents.items():
            document.finish({"licenses": licenses})
            entries, images = counted(document.annotations, _WORDS[kind]), counted(document.images, "image")
            words = f"{entries} on {images} of the split {split}"
            if kind == "instances" and self.cropped:
                words += f"; of all splits, {counted(self.cropped, 'object')} cropped off"
            path = document.path.relative_to(self.folder).as_posix()
            others.append(OtherFile(path=path, type="application/json", words=words))
        return others

    def close(self) -> None:
        """Close all files."""
        for document in self.documents.values():
            document.abandon()
        for file in self.metadata.values():
            file.close()
