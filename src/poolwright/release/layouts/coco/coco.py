"""COCO layout: image files by split, with instances and captions as JSON.

train/<uid>.jpg                     image files
annotations/instances_train.json    images, categories, and one annotation per object
annotations/captions_train.json     images, and one annotation per caption
metadata/train.parquet              the rows of each split, in the order of 'images'

Format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from poolwright.core.columns import LICENSE, UID, URL
from poolwright.core.errors import StepError
from poolwright.core.params import Column
from poolwright.core.table import Table
from poolwright.release.card.markdown import code, fenced
from poolwright.release.checks.result import Findings
from poolwright.release.data.features import FILE_NAME, copied_schema, with_features, with_meanings
from poolwright.release.data.image_changes import CopiedImages
from poolwright.release.data.images import ImageReader, image_columns
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.splits import table_splits, with_split
from poolwright.release.layouts.coco.writing import CocoWriter
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.shared.objects import NO_CLASS, ObjectColumns, classes_of
from poolwright.release.record import ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics


class CocoLayout(Layout):
    """Image files by split, with instances and captions in the JSON format of COCO.

    Objects come from lists of boxes and classes, as the pool `coco` gives them, or one per row from `bbox` and `label`.
    A row with a class and no box is one object with the box of the whole image. Boxes are [left, top, width, height] in
    pixels as they are stored; if `images` changes these, boxes, areas and the columns of the metadata change with them,
    and boxes that are cropped off are left out. Boxes of crops (rows with `image_file`) are those in another picture,
    and are only written if `boxes` names them.

    Ids of images are the uids if all of these are whole numbers, else the rows are numbered from 1. Categories are
    numbered from 1 in the order of their names.
    """

    layout: ClassVar[str] = "coco"
    example: ClassVar[str] = "{table: best, layout: coco, images: {resize: 640, mode: longest}, to: out/best-coco}"
    tree: ClassVar[str] = """\
train/<uid>.jpg                     image files, by split
annotations/instances_train.json    images, categories, and one annotation per object
annotations/captions_train.json     images, and one annotation per caption
metadata/train.parquet              all columns, rows in the order of 'images'"""

    label: Column | None = Field(
        default=None, description="column of the classes; default `labels` with lists of boxes, else `label`"
    )
    boxes: Column | None = Field(default=None, description="column of the boxes; default `boxes`, else `bbox`")
    captions: Column | None = Field(
        default=None, description="column of the captions, lists or texts; default `captions`, else `text`"
    )
    images: CopiedImages = Field(
        default="copy", description="copy the image files as they were found; a mapping changes them"
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, those of the images, of objects and of captions."""
        if FILE_NAME in schema.names:
            raise StepError(
                f"layout '{self.layout}' writes a column '{FILE_NAME}', which the table already has; rename it"
            )
        columns, changes = self._columns(schema), self.changes()
        if changes and (changes.resize or changes.upright) and columns.more[2] in schema.names:
            raise StepError(
                f"'images' moves pixels, and the polygons and masks in '{columns.more[2]}' are not moved with them; "
                "leave the column out in a step `keep_columns`, or write images: {upright: false} without 'resize'"
            )
        return tuple(dict.fromkeys([UID, *image_columns(schema, self.layout), *columns.names]))

    def class_name(self) -> str | None:
        """Return the column `label`, if it is named."""
        return self.label

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the image files, the JSON files, and the rows of each split."""
        splits, columns = table_splits(table, statistics), self._columns(table.schema)
        classes = classes_of(table.batches([UID, *columns.present(table.schema)]), columns)
        reader = ImageReader.of(table, self.layout, self.changes())
        schema = with_features(readable_schema(copied_schema(reader.schema), table), None, ())
        written = CocoWriter(folder, table, splits, columns, classes, schema)
        kept = [name for name in schema.names if name in reader.schema.names]
        wanted = [
            *kept,
            *columns.present(table.schema),
            *(name for name in (URL, LICENSE) if name in table.schema.names),
        ]
        try:
            for rows, images, digests in reader.measured_batches(with_split(wanted, table.schema)):
                written.add(rows, images, digests)
            others = written.finish()
        finally:
            written.close()
        files = [
            ReleasedFile(path=f"metadata/{name}.parquet", split=name, rows=written.metadata[name].rows)
            for name in sorted(splits.values(), key=split_order)
        ]
        record = self.record(table, schema, files, splits, reader).model_copy(update={"others": tuple(others)})
        return with_meanings(record, {FILE_NAME: "Path of the image file in the folder of the split"})

    def image_root(self, file: ReleasedFile) -> str:
        """Return the folder of the split."""
        return file.split

    def image_folders(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the folders of the splits."""
        return list(release.splits)

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to read it with pycocotools and torchvision."""
        split = next(iter(release.splits))
        file = next(other.path for other in release.others if other.path.endswith(f"_{split}.json"))
        lines = [
            "from pycocotools.coco import COCO",
            "",
            f'dataset = COCO("{file}")',
            "image = dataset.loadImgs(dataset.getImgIds())[0]",
            f'path = "{split}/" + image["file_name"]',
            'annotations = dataset.loadAnns(dataset.getAnnIds(image["id"]))',
            "",
            "from torchvision.datasets import CocoDetection",
            "",
            f'pairs = CocoDetection("{split}", "{file}")',
        ]
        listed = "\n".join(f"- `{other.path}`: {other.words}" for other in release.others)
        more = (
            "`metadata/` has all columns of the rows, in the order of `images`; `uid` of an image in the JSON files is "
        )
        more += f"that of its row. Objects without a class are of the category {code(NO_CLASS)}."
        return "\n\n".join([fenced("\n".join(lines), "python"), listed, more])

    def task_categories(self, release: ReleaseRecord) -> list[str]:
        """Return object detection, and captions if there are some."""
        kinds = {other.path.partition("/")[2].partition("_")[0] for other in release.others}
        tasks = {"instances": "object-detection", "captions": "image-to-text"}
        return [task for kind, task in tasks.items() if kind in kinds]

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that the JSON files have the images of the metadata, and only annotations of these."""
        yield "coco", lambda: _check(folder, release)

    def _columns(self, schema: pa.Schema) -> ObjectColumns:
        return ObjectColumns.of(schema, self.label, self.boxes, self.captions)


def _check(folder: Path, release: ReleaseRecord) -> Findings:
    wrong, total = [], 0
    for other in release.others:
        kind, _, split = Path(other.path).stem.partition("_")
        found = json.loads((folder / other.path).read_text(encoding="utf-8"))
        rows = pq.read_table(folder / "metadata" / f"{split}.parquet", columns=[UID, FILE_NAME]).to_pylist()
        listed = [(image["uid"], image["file_name"]) for image in found["images"]]
        if listed != [(str(row[UID]), row[FILE_NAME]) for row in rows]:
            wrong.append(
                f"'{other.path}' does not have the {len(rows):,} images of 'metadata/{split}.parquet', in order"
            )
        numbers = {image["id"] for image in found["images"]}
        kinds = {category["id"] for category in found.get("categories", ())}
        lost = sum(annotation["image_id"] not in numbers for annotation in found["annotations"])
        lost += sum(
            annotation["category_id"] not in kinds for annotation in found["annotations"] if kind == "instances"
        )
        if lost or len(numbers) < len(rows):
            wrong.append(f"'{other.path}' repeats ids of images, or has annotations of unknown images or categories")
        total += len(found["annotations"])
    return wrong, f"{len(release.others)} JSON files with {total:,} annotations have the images of the metadata"
