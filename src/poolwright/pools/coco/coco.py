"""Pool `coco`: images or objects of datasets in the format of COCO, with their boxes, classes and captions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr, model_validator

from poolwright.core.columns import IMAGE, IMAGE_ERROR, LABEL, SPLIT, UID
from poolwright.core.errors import RecipeError
from poolwright.core.files import ImageRoot
from poolwright.core.images.encoding import Encoding
from poolwright.core.images.image_files import local_image
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.remote.schemes import is_url
from poolwright.pools.coco.annotations import Annotations, read_annotations, splits_of
from poolwright.pools.coco.columns import flat, image_columns, object_columns, owners, schema_of
from poolwright.pools.coco.crops import crops
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import table_of
from poolwright.pools.readers.paths import PathsOrUrls, find_files, reading

PART_ROWS = 4_096
_CROP_ROWS = 256
"""Rows per batch if images are cropped."""
_BY_SPLIT = "{split}"


class Coco(Pool):
    """Images, or the objects on them, of datasets in the format of COCO: instances and captions.

    Files of one split belong together: `instances_train2017.json` and `captions_train2017.json` are the split
    'train2017'. A file of another name is a split of its own, called as the file, or as its folder if several files
    have one name. Uids are the ids of images or annotations, after the name of the split if there are several.

    With `rows: images`, every image is a row, in the order of 'images', with the lists `labels`, `boxes`, `areas`,
    `iscrowd` (one entry per object) and `captions`; `text` is the first caption. With `rows: objects`, every annotation
    with a box is a row, in the order of the images, and its image is cut out of the image file.

    Boxes are [left, top, width, height] in pixels as they are stored in the file: as in COCO, EXIF is not followed. A
    crop has all pixels that the box touches, within the image: left and top are rounded down, right and bottom up.

    A row without an id or an image file is bad, as is an object whose box has no extent or is outside of the image, or
    whose image or category no file of the split lists. What is not read, such as keypoints, is counted by `check`.
    Files are read entry by entry; what is kept of them, about 100 bytes per object, is held in memory.
    """

    kind: ClassVar[str] = "coco"
    example: ClassVar[str] = """\
coco:
  read: coco
  path: annotations
  images: "{split}"
  rows: objects"""

    path: PathsOrUrls = Field(
        description="JSON file, folder with such files or with a folder `annotations`, glob, URL, or a list of these; "
        ".gz and .bz2 are unpacked"
    )
    images: PathOrUrl | None = Field(
        default=None,
        description="folder or URL that 'file_name' is relative to; '{split}' in it is the name of the split",
    )
    rows: Literal["images", "objects"] = Field(
        default="images", description="one row per image, or per annotation with a box, whose image is the crop"
    )
    crops: Encoding = Field(default="png", description="format of the crops; png keeps the pixels as they were decoded")
    segmentation: bool = Field(
        default=False, description="give `segmentation` (of an image: `segmentations`), as JSON text"
    )

    _files: Once[dict[str, list[str]]] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _read: Once[dict[str, Annotations]] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    @model_validator(mode="after")
    def _check(self) -> Coco:
        if self.rows == "objects" and self.images is None:
            raise ValueError("'rows: objects' needs 'images', the folder of the files that objects are cut out of")
        return self

    def arrow_schema(self) -> pa.Schema:
        self._splits()
        return self._schema()

    def _schema(self) -> pa.Schema:
        return schema_of(self.rows == "objects", self.images is not None, self.segmentation)

    def parts(self) -> list[Part]:
        """Return parts of `PART_ROWS` rows. The files are read once per pool object.

        Raises:
            RecipeError: a file or folder does not exist, or a file is not in the format of COCO.
            InputError: a file is broken, or files of a split contradict each other.
        """
        return list(self._parts.get(self._make_parts))

    def remarks(self) -> list[str]:
        several = len(self._splits()) > 1
        found = self._annotations()
        return [f"{f'{name}: ' if several else ''}{words}" for name, split in found.items() for words in split.remarks]

    def class_names(self) -> dict[str, set[str]]:
        if self.rows == "images":
            return {}
        return {LABEL: {name for split in self._annotations().values() for name, _ in split.categories.values()}}

    def image_root(self) -> ImageRoot:
        if self.images is None or _BY_SPLIT not in self.images:
            return self.images
        return {name: self.images.replace(_BY_SPLIT, name) for name in self._splits()}

    def known_images(self) -> bool:
        return self.rows == "objects"

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        schema = self._schema()
        fields = [schema.field(name) for name in columns]
        batch_rows = min(batch_rows, _CROP_ROWS) if IMAGE in columns or IMAGE_ERROR in columns else batch_rows
        with reading(part):
            name, stop = part.detail["split"], part.start + (part.rows or 0)
            split = self._annotations()[name]
            for start in range(part.start, stop, batch_rows):
                end = min(start + batch_rows, stop)
                found = self._columns(name, split, start, end, set(columns))
                arrays = [flat(found[field.name]) for field in fields]
                yield table_of(arrays, fields, end - start)

    def _columns(self, name: str, split: Annotations, start: int, stop: int, wanted: set[str]) -> dict[str, pa.Array]:
        """Return the wanted columns, and some that come with them, of the rows from `start` to `stop` of a split."""
        root, made = self.image_root(), image_columns if self.rows == "images" else object_columns
        ids = (split.images if self.rows == "images" else split.objects).column("id").slice(start, stop - start)
        paths = self._paths(name, split, start, stop)
        columns = {
            **made(split, paths, start, stop, root),
            UID: flat(ids if len(self._splits()) == 1 else pc.binary_join_element_wise(name, ids, "/")),
            SPLIT: pa.repeat(pa.scalar(name), stop - start),
        }
        if self.rows == "objects" and wanted & {IMAGE, IMAGE_ERROR}:
            boxes = split.objects.column("bbox").slice(start, stop - start).to_pylist()
            cut = list(crops(root, paths.to_pylist(), boxes, self.crops))
            columns[IMAGE] = pa.array([item if isinstance(item, bytes) else None for item in cut], pa.binary())
            columns[IMAGE_ERROR] = pa.array([item if isinstance(item, str) else None for item in cut], pa.string())
        return columns

    def _splits(self) -> dict[str, list[str]]:
        return self._files.get(self._find)

    @property
    def _annotated(self) -> tuple[str, ...]:
        """The paths, with the folder `annotations` in place of that of a whole dataset."""
        inside = [path if is_url(path) else os.path.join(path, "annotations") for path in self.path]
        return tuple(one if os.path.isdir(one) else path for one, path in zip(inside, self.path, strict=True))

    def _find(self) -> dict[str, list[str]]:
        splits = splits_of(find_files(self._annotated, ["json"]))
        roots = {self.images.replace(_BY_SPLIT, name) for name in splits} if self.images else set()
        for root in sorted(roots):
            if not is_url(root) and not os.path.isdir(root):
                raise RecipeError(f"{root}: no such folder of images; see 'images' of the pool")
        return splits

    def _annotations(self) -> dict[str, Annotations]:
        return self._read.get(
            lambda: {name: read_annotations(files, self.segmentation) for name, files in self._splits().items()}
        )

    def _make_parts(self) -> list[Part]:
        parts: list[Part] = []
        for name, split in self._annotations().items():
            rows = len(split.images if self.rows == "images" else split.objects)
            for start in range(0, max(rows, 1), PART_ROWS):
                stop = min(start + PART_ROWS, rows)
                words = f"{name}: {self.rows} {start:,} to {max(stop - 1, start):,}"
                files = (*self._splits()[name], *self._image_files(name, split, start, stop))
                detail = {"split": name}
                parts.append(
                    Part(index=len(parts), name=words, files=files, start=start, rows=stop - start, detail=detail)
                )
        return parts

    def _image_files(self, name: str, split: Annotations, start: int, stop: int) -> list[str]:
        """Return the local image files that objects are cut out of: they are part of the identity of the rows."""
        if self.rows == "images":
            return []
        root = self.image_root()
        files = [
            local_image(root, path) for path in dict.fromkeys(self._paths(name, split, start, stop).to_pylist()) if path
        ]
        return [file for file in files if file is not None and os.path.isfile(file)]

    def _paths(self, name: str, split: Annotations, start: int, stop: int) -> pa.Array:
        """Return the image file of each row, relative to `image_root`."""
        files = split.images.column("file_name")
        files = (
            files.slice(start, stop - start)
            if self.rows == "images"
            else files.take(owners(split.object_ends, start, stop))
        )
        return flat(pc.binary_join_element_wise(name, files, "/") if _BY_SPLIT in (self.images or "") else files)
