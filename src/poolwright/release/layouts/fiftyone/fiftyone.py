"""FiftyOne layout: the folder that FiftyOne itself exports and imports as `FiftyOneDataset`.

data/train/<uid>.jpg        image files
metadata.json               the dataset: its fields and classes
samples.json                the samples, one line each
metadata/train.parquet      the rows of each split

Format: https://docs.voxel51.com/user_guide/import_datasets.html#fiftyonedataset, and `FiftyOneDatasetImporter` of
fiftyone 1.22, which reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from poolwright.core.columns import LABEL, SHA256, UID, is_groupable
from poolwright.core.errors import StepError
from poolwright.core.files import write_text
from poolwright.core.params import Column
from poolwright.core.table import Table
from poolwright.release.card.markdown import code, fenced
from poolwright.release.checks.loaders import with_fiftyone
from poolwright.release.checks.loaders.loader import Loader
from poolwright.release.checks.result import Findings
from poolwright.release.data.features import FILE_NAME, copied_schema, require, with_features, with_meanings
from poolwright.release.data.image_changes import ChangedImage, CopiedImages, measured
from poolwright.release.data.image_files import MetadataFile, image_stems, released_rows, write_image
from poolwright.release.data.images import ImageReader, image_columns
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.splits import by_split, split_values, table_splits, with_split
from poolwright.release.layouts.fiftyone.samples import DATA, SampleFields
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.shared.objects import ObjectColumns, moved_columns, places, usual_boxes
from poolwright.release.record import OtherFile, ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics

DATASET, SAMPLES = "metadata.json", "samples.json"
_BATCH_ROWS = 256
_THREADS = 8


class FiftyOneLayout(Layout):
    """Image files and samples as FiftyOne's own `FiftyOneDataset`, with classes, boxes and positions.

    Splits are tags of the samples. The column of the classes becomes a field of the type Classification, or
    Classifications if it has lists of them. Boxes, found as in the layout `coco`, become the field `detections`;
    `latitude` and `longitude` become the field `location`. Other columns keep their names and become fields of the
    corresponding types: FiftyOne's Brain takes the vectors as embeddings, and times have milliseconds. Columns whose
    names FiftyOne has another use for, such as `tags`, get `_` after theirs. Bytes, polygons and masks are in the
    Parquet files alone.

    Sizes and boxes are those of the upright picture, as FiftyOne computes and shows them, even where the pixels are
    stored in another orientation. The documents are those of FiftyOne 1.0; later versions migrate them when they load
    them.
    """

    layout: ClassVar[str] = "fiftyone"
    example: ClassVar[str] = "{table: best, layout: fiftyone, confidence: probability, to: out/best-fiftyone}"
    tree: ClassVar[str] = """\
data/train/<uid>.jpg                image files, by split
metadata.json                       the dataset: its fields and classes
samples.json                        the samples, in the order of the table
metadata/train.parquet              all columns of the rows of each split"""

    label: Column | None = Field(
        default=None, description="column of the classes; default `labels` with lists of boxes, else `label`"
    )
    confidence: Column | None = Field(default=None, description="column of the confidence of the classes")
    boxes: Column | None = Field(default=None, description="column of the boxes; default `boxes`, else `bbox`")
    images: CopiedImages = Field(
        default="copy", description="copy the image files as they were found; a mapping changes them"
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, those of the images, classes, confidence and boxes."""
        if FILE_NAME in schema.names:
            raise StepError(
                f"layout '{self.layout}' writes a column '{FILE_NAME}', which the table already has; rename it"
            )
        objects, label = self._objects(schema), self._label(schema)
        named = [*(objects.names if objects else ()), *(name for name in (label, self.confidence) if name)]
        if self.confidence:
            require(self.confidence, schema, "'confidence'")
            kind = schema.field(self.confidence).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                raise StepError(f"'confidence: {self.confidence}' has type {kind}; a confidence is a number")
        return tuple(dict.fromkeys([UID, *image_columns(schema, self.layout), *named]))

    def class_name(self) -> str | None:
        """Return the column `label`, if it is named."""
        return self.label

    def notes(self, schema: pa.Schema) -> Sequence[str]:
        """Name the columns that get another name, and those that FiftyOne does not see."""
        return list(self._notes(copied_schema(schema)))

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the image files, the two JSON files, and the rows of each split."""
        splits, stems = table_splits(table, statistics), image_stems(table)
        reader = ImageReader.of(table, self.layout, self.changes())
        schema = with_features(readable_schema(copied_schema(reader.schema), table), None, ())
        fields = self._fields(schema)
        classes: set[str] = set()
        kept = [name for name in schema.names if name in reader.schema.names]
        metadata = {name: MetadataFile(folder / "metadata" / f"{name}.parquet", schema) for name in splits.values()}
        samples = SamplesFile(folder / SAMPLES)
        try:
            for rows, images, digests in reader.measured_batches(with_split(kept, table.schema)):
                files = []
                for split, uid, image in zip(split_values(rows), rows.strings(UID), images, strict=True):
                    inner = f"{DATA}/{splits[split]}"
                    path = write_image(folder, inner, stems[split][str(uid)], image.data)
                    files.append(path.removeprefix(f"{inner}/"))
                given = {FILE_NAME: pa.array(files, pa.string()), SHA256: pa.array(digests, pa.string())}
                if fields.objects and any(image.encoded for image in images):
                    moved = places(list(fields.objects.objects(rows)), images)
                    given |= moved_columns(moved, fields.objects, rows.schema)
                released = released_rows(rows, schema, given)
                names = [splits[value] for value in split_values(rows)]
                samples.write(fields.documents(released, names, [_as_released(image) for image in images]))
                classes.update(fields.class_names(released))
                for name, part, _ in by_split(released, [0] * len(files), split_values(rows), splits):
                    metadata[name].write(part)
        finally:
            samples.close()
            for file in metadata.values():
                file.close()
        write_text(folder / DATASET, _text(fields, table.name, classes))
        written = [
            ReleasedFile(path=f"metadata/{name}.parquet", split=name, rows=metadata[name].rows)
            for name in sorted(splits.values(), key=split_order)
        ]
        record = self.record(table, schema, written, splits, reader)
        others = (
            OtherFile(path=DATASET, type="application/json", words="the dataset: its fields and classes"),
            OtherFile(path=SAMPLES, type="application/json", words="the samples, in the order of the table"),
        )
        record = record.model_copy(update={"others": others})
        return with_meanings(record, {FILE_NAME: "Path of the image file in the folder of the split in data/"})

    def image_root(self, file: ReleasedFile) -> str:
        """Return the folder of the images of a split."""
        return f"{DATA}/{file.split}"

    def image_folders(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the folder of the images."""
        return [DATA]

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to load it with FiftyOne."""
        split = next(iter(release.splits))
        lines = [
            "import fiftyone as fo",
            "",
            'dataset = fo.Dataset.from_dir(dataset_dir=".", dataset_type=fo.types.FiftyOneDataset)',
            f'view = dataset.match_tags("{split}")',
            "session = fo.launch_app(view)",
        ]
        words = "The folder `.` is that of the release. `metadata/` has all columns of the rows; "
        words += "the `uid` of a sample is that of its row."
        return "\n\n".join([fenced("\n".join(lines), "python"), words])

    def sections(self, release: ReleaseRecord, table: Table) -> Sequence[str]:
        """Name the fields that have other names than their columns, and the columns that are in no field."""
        notes = list(self._notes(copied_schema(table.schema)))
        return ["### Fields of FiftyOne\n\n" + "\n".join(f"- {note}." for note in notes)] if notes else []

    def task_categories(self, release: ReleaseRecord) -> list[str]:
        """Return object detection if there are boxes."""
        boxes = release.has("boxes") or release.has("bbox") or self.boxes is not None
        return ["object-detection"] if boxes else super().task_categories(release)

    def loaders(self, release: ReleaseRecord) -> Sequence[Loader]:
        """Return FiftyOne, and `datasets` for the metadata."""
        return [Loader("fiftyone", with_fiftyone.load, local=True), *super().loaders(release)]

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that the JSON files say what the rows and the images do."""
        yield "samples", lambda: self._check(folder, release)

    def _check(self, folder: Path, release: ReleaseRecord) -> Findings:
        fields = self._fields(pq.read_schema(folder / release.files[0].path))
        classes: set[str] = set()
        wanted = {file.split: _documents(folder, file, fields, classes) for file in release.files}
        count = 0
        for line in lines_of(folder / SAMPLES):
            tags = json.loads(line).get("tags") or [None]
            if line != next(wanted.get(tags[0], iter(())), None):
                return [f"'{SAMPLES}': sample {count + 1} is not the one of its row and image"], ""
            count += 1
        wrong = [f"'{SAMPLES}' has {count:,} samples, the release has {release.rows:,} rows"]
        wrong = wrong if count != release.rows else []
        if (folder / DATASET).read_text(encoding="utf-8") != _text(fields, release.table, classes):
            wrong.append(f"'{DATASET}' does not declare the fields and classes of the rows")
        return wrong, f"{count:,} samples have the fields of their rows and images"

    def _fields(self, schema: pa.Schema) -> SampleFields:
        return SampleFields.of(schema, self._label(schema), self.confidence, self._objects(schema))

    def _objects(self, schema: pa.Schema) -> ObjectColumns | None:
        if self.boxes is None and usual_boxes(schema) is None:
            return None
        return replace(ObjectColumns.of(schema, self.label, self.boxes, None), captions=None)

    def _label(self, schema: pa.Schema) -> str | None:
        if self.label is None:
            return LABEL if LABEL in schema.names else None
        kind = schema.field(self.label).type
        inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
        if not is_groupable(inner):
            raise StepError(f"'label: {self.label}' has type {kind}; classes are strings or integers, or lists of them")
        return self.label

    def _notes(self, schema: pa.Schema) -> Iterator[str]:
        fields = self._fields(schema)
        for column, name in fields.renamed.items():
            yield f"the column {code(column)} is the field {code(name)}, as FiftyOne has another use for its name"
        if left := fields.left_out(schema):
            yield f"FiftyOne does not see the columns {', '.join(map(code, left))}; they are in the Parquet files"


class SamplesFile:
    """The file of the samples, one per line, of which FiftyOne reads one after the other."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._file.write('{"samples": [')
        self._first = True

    def write(self, samples: Iterator[str]) -> None:
        """Add samples."""
        for sample in samples:
            self._file.write(f"{'' if self._first else ','}\n{sample}")
            self._first = False

    def close(self) -> None:
        """End the document and close the file."""
        self._file.write("\n]}\n")
        self._file.close()


def lines_of(path: Path) -> Iterator[str]:
    """Yield the samples of a file as they were written.

    Raises:
        ValueError: the file begins or ends in another way.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        line = file.readline()
        if line != '{"samples": [\n':
            raise ValueError(f"'{path.name}' does not begin as it should")
        for line in file:
            if line == "]}\n":
                break
            yield line.rstrip("\n").removesuffix(",")
        if line != "]}\n" or file.read():
            raise ValueError(f"'{path.name}' does not end as it should")


def _documents(folder: Path, file: ReleasedFile, fields: SampleFields, classes: set[str]) -> Iterator[str]:
    """Yield the samples that a data file should have, from its rows and the headers of its images."""

    def image(name: str) -> ChangedImage:
        found = measured((folder / DATA / file.split / name).read_bytes())
        if isinstance(found, str):
            raise ValueError(f"'{DATA}/{file.split}/{name}' is not an image: {found}")
        return found

    with pq.ParquetFile(folder / file.path) as parquet, ThreadPoolExecutor(_THREADS) as threads:
        for batch in parquet.iter_batches(_BATCH_ROWS):
            rows = pa.Table.from_batches([batch])
            classes.update(fields.class_names(rows))
            images = list(threads.map(image, rows.column(FILE_NAME).to_pylist()))
            yield from fields.documents(rows, [file.split] * len(rows), images)


def _as_released(image: ChangedImage) -> ChangedImage:
    """Return an image as it is in the release, without what was done to it."""
    found = measured(image.data) if image.encoded else image
    assert isinstance(found, ChangedImage), found
    return found


def _text(fields: SampleFields, name: str, classes: set[str]) -> str:
    return json.dumps(fields.dataset(name, sorted(classes)), ensure_ascii=False, indent=1) + "\n"
