"""Define the base class of the layouts of streams: rows by time bucket and class, images, lists, tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BeforeValidator, Field, WithJsonSchema

from poolwright.core.columns import IMAGE, IMAGE_PATH, LABEL, SHA256, SPLIT, UID, is_text, is_vector
from poolwright.core.errors import MissingExtra, ReleaseError, StepError
from poolwright.core.params import Column, Share
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.core.wording import natural_order
from poolwright.release.card.markdown import fenced
from poolwright.release.card.sections.loading import FOLDER_WORDS
from poolwright.release.checks.result import Findings
from poolwright.release.data.features import (
    CLASS_ID,
    FILE_NAME,
    require,
    require_folders,
    with_features,
    with_meanings,
)
from poolwright.release.data.image_changes import ListedImages
from poolwright.release.data.image_files import MetadataFile, released_rows, write_image
from poolwright.release.data.images import ImageReader
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import safe_name, split_names, unspaced
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.shared.listed_images import (
    LIST_BATCH_ROWS,
    listed_columns,
    listed_meanings,
    listed_schema,
)
from poolwright.release.layouts.streams.sides import check_sides, write_sides
from poolwright.release.layouts.streams.stream import IMAGES, Stream, write_names
from poolwright.release.layouts.streams.tensors import Features, ordered_features
from poolwright.release.layouts.streams.training_folder import (
    FEATURES,
    check_buckets,
    check_lists,
    check_tensors,
    list_path,
    write_training_folder,
)
from poolwright.release.record import OtherFile, ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics

CLASS_NAMES = "class_names.txt"


def _as_mapping(value: Any) -> Any:
    if isinstance(value, str):
        return {value: value}
    if isinstance(value, list | tuple):
        return {name: name for name in value}
    return value


FeatureColumns = Annotated[
    dict[str, Column],
    BeforeValidator(_as_mapping),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "string"}},
            ]
        }
    ),
]
Splits = Annotated[
    tuple[Column, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class FurtherFiles(Protocol):
    """Writer of a layout's files in addition to images, lists and tensors."""

    def add(self, rows: Rows, start: int, files: Sequence[str]) -> None:
        """Add rows, the first of which has number `start` in the table, and the paths of their images."""

    def finish(self, features: Features) -> list[OtherFile]:
        """Close the files and return them."""


class StreamLayout(Layout):
    """Base of the layouts of streams: classes in time buckets, with several splits of each bucket."""

    domain: Column = Field(default="bucket", description="column of the time buckets")
    by: Column = Field(default=LABEL, description="column of the class names")
    splits: Splits | None = Field(
        default=None,
        description="columns with the values train and test, one per split; default split_0, split_1 ... as written by "
        "`split` with `seeds`, else split",
    )
    testset_ratio: Share = Field(
        default=0.3, description="share of test rows; the folder of the splits is named after it"
    )
    features: FeatureColumns | None = Field(
        default=None,
        description="columns of vectors to release as tensors, by encoder name, such as {moco_b0: moco}; "
        "default all, [] none (needs torch). Avalanche loads those of the name moco_b0 alone from train and test",
    )
    images: ListedImages = Field(
        default="copy",
        description="copy the image files, or list only their image_path, for users who have the images; a mapping "
        "copies changed images",
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, bucket, class, splits, features, and the images or their paths."""
        require_folders(self.layout, self.domain, self.by, schema)
        split = self.split_columns(schema)
        for name in split:
            require(name, schema, "'splits'")
            if not is_text(schema.field(name).type):
                raise StepError(f"'splits' names '{name}', which has type {schema.field(name).type}; it must be text")
        vectors = self.feature_columns(schema).values()
        for name in vectors:
            require(name, schema, "'features'")
            if not is_vector(schema.field(name).type):
                kind = schema.field(name).type
                raise StepError(f"'features' names '{name}', which has type {kind}; features are vectors")
        wanted = [UID, self.domain, self.by, *split, *vectors, *listed_columns(schema, self.layout, self._copied)]
        return tuple(dict.fromkeys(wanted))

    @property
    def _copied(self) -> bool:
        return self.images != "none"

    def check(self, schema: pa.Schema) -> None:
        """Check the columns, and that torch is installed if there are features."""
        super().check(schema)
        if self.feature_columns(schema) and find_spec("torch") is None:
            raise MissingExtra("torch", f"features as tensors in layout '{self.layout}' (features: [] leaves them out)")

    def class_name(self) -> str | None:
        """Return the column `by`."""
        return self.by

    def split_columns(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns of the splits."""
        return split_columns(schema.names, self.splits)

    def split_columns_of(self, release: ReleaseRecord) -> tuple[str, ...]:
        """Return the columns of the splits of a release."""
        return split_columns([column.name for column in release.columns], self.splits)

    def feature_columns(self, schema: pa.Schema) -> dict[str, str]:
        """Return the column of each of the features, by the name of its folder."""
        if self.features is not None:
            return {safe_name(unspaced(name)): column for name, column in self.features.items()}
        return {safe_name(unspaced(field.name)): field.name for field in schema if is_vector(field.type)}

    def further(self, table: Table, folder: Path, stream: Stream) -> FurtherFiles | None:
        """Return the writer of this layout's further files; None if it has none."""
        return None

    def divisions(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the columns of the splits and that of the buckets."""
        return [*super().divisions(release), *(self.splits or ())]

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write images, lists and tensors, and the rows of each bucket."""
        stream = Stream.of(table, self.domain, self.by, self.split_columns(table.schema))
        left_out = tuple(self.feature_columns(table.schema).values())
        reader = ImageReader.of(table, self.layout, self.changes()) if self._copied else None
        known = reader.schema if reader else table.schema
        listed = readable_schema(listed_schema(known, left_out, self._copied), table)
        schema = with_features(listed, CLASS_ID, stream.classes)
        further = self.further(table, folder, stream)
        write_names(folder, CLASS_NAMES, stream.classes)
        others = [OtherFile(path=CLASS_NAMES, type="text/plain", words="Names of the classes by index, one per line")]
        files = self._write_rows(table, folder, stream, schema, reader, further)
        with ordered_features(table, stream, self.feature_columns(table.schema), folder) as features:
            others += write_training_folder(folder, stream, files, self.testset_ratio, features)
            others += write_sides(folder, stream, files, features) if self._copied else []
            others += further.finish(features) if further else []
        names = list(self._names(stream).values())
        parts = [
            ReleasedFile(path=f"metadata/{bucket}.parquet", split=name, rows=_sort(folder, stream, number, bucket))
            for number, (bucket, name) in enumerate(zip(stream.folders, names, strict=True))
        ]
        record = self.record(table, schema, parts, {name: name for name in names}, reader, stream.classes, CLASS_ID)
        folders = {f"{IMAGES}/{bucket}": value for value, bucket in stream.buckets.items()}
        record = record.model_copy(update={"domains": folders, "others": tuple(others)})
        return with_meanings(record, listed_meanings("in the folder of the release" if self._copied else None))

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to read the lists and tensors."""
        bucket = next(iter(release.domains)).removeprefix(f"{IMAGES}/")
        start = "this folder" if self._copied else "your folder of images, which are not in the release"
        lines = [
            f'for line in open("{list_path(bucket)}", encoding="utf-8"):',
            f"    path, index = line.split()  # path below {start}",
            "",
            'names = open("class_names.txt", encoding="utf-8").read().split("\\n")  # names[int(index)]',
        ]
        tensors = next((other.path for other in release.others if other.path.startswith(FEATURES)), None)
        if tensors:
            lines += ["", "import torch", "", f'vectors, indices = torch.load("{tensors}")  # in the order of all.txt']
        words = "Avalanche makes benchmarks from `training_folder`, which has lists of paths and class indices as in "
        words += "Caffe, and tensors. Its CLEAR benchmark reads this folder as `clear10_neurips2021`"
        if release.images and self.split_columns_of(release):
            words += ", and by the folders `train` and `test` as `clear10`, its default. Of features, it loads "
            words += "those of the name `moco_b0` alone"
        words += "."
        rows = f'load_dataset("{FOLDER_WORDS}", split="{next(iter(release.splits))}")'
        more = f"`metadata/` has all columns of the rows, in the order of the lists; `{rows}` of `datasets` reads it."
        return "\n\n".join([words, fenced("\n".join(lines), "python"), more])

    def image_folders(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the folders of the buckets."""
        return list(release.domains)

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that class names, lists, splits, further files and tensors agree with the metadata."""
        yield "stream", lambda: self._check_stream(folder, release)

    def check_bucket(self, folder: Path, release: ReleaseRecord, bucket: str, rows: pa.Table) -> Iterator[str]:
        """Yield the problems with further files of a bucket.

        Args:
            bucket: folder of the bucket.
            rows: metadata of the bucket: uid, file_name, class_id and the splits.
        """
        yield from ()

    def _check_stream(self, folder: Path, release: ReleaseRecord) -> Findings:
        buckets = [name.removeprefix(f"{IMAGES}/") for name in release.domains]
        splits = self.split_columns_of(release)
        wrong: list[str] = []
        if (folder / CLASS_NAMES).read_text(encoding="utf-8") != "\n".join(release.classes):
            wrong.append(f"'{CLASS_NAMES}' does not have the {len(release.classes):,} names of release.json")
        wrong += check_buckets(folder, buckets)
        for number, (bucket, file) in enumerate(zip(buckets, release.files, strict=True)):
            rows = pq.read_table(folder / file.path, columns=[UID, FILE_NAME, CLASS_ID, *splits])
            wrong += check_lists(folder, bucket, rows, splits, self.testset_ratio)
            missing = [path for path in rows.column(FILE_NAME).to_pylist() if not (folder / path).is_file()]
            wrong += [f"'{path}' is missing" for path in missing[:1] if release.images]
            wrong += check_tensors(folder, bucket, rows) if find_spec("torch") else []
            wrong += check_sides(folder, number, rows, splits[0], release.classes) if splits and release.images else []
            wrong += self.check_bucket(folder, release, bucket, rows)
        tensors = "" if find_spec("torch") else "; tensors were not read, as torch is not installed"
        return wrong, f"lists of {len(buckets)} buckets in {len(splits)} splits agree with the metadata{tensors}"

    def _names(self, stream: Stream) -> dict[str | None, str]:
        """Return a split name for each bucket, under which `load_dataset` finds its rows."""
        return split_names([f"{self.domain}_{value}" for value in stream.buckets])

    def _write_rows(
        self,
        table: Table,
        folder: Path,
        stream: Stream,
        schema: pa.Schema,
        reader: ImageReader | None,
        further: FurtherFiles | None,
    ) -> list[str]:
        """Write images and metadata in the order of the table; return the path of each row's image."""
        files: list[str] = []
        writers = [MetadataFile(folder / _unsorted(bucket), schema) for bucket in stream.folders]
        try:
            for rows, given in self._batches(table, folder, stream, reader):
                start, paths = len(files), given[FILE_NAME].to_pylist()
                files += paths
                buckets = stream.bucket_of[start : len(files)]
                kinds = pa.array(stream.class_of[start : len(files)])
                released = released_rows(rows, schema, {**given, CLASS_ID: kinds})
                for bucket in np.unique(buckets).tolist():
                    writers[bucket].write(released.take(pa.array(np.flatnonzero(buckets == bucket))))
                if further:
                    further.add(rows, start, paths)
        finally:
            for writer in writers:
                writer.close()
        return files

    def _batches(
        self, table: Table, folder: Path, stream: Stream, reader: ImageReader | None
    ) -> Iterator[tuple[Rows, Mapping[str, pa.Array]]]:
        """Yield rows without their vectors, with the columns that the release adds."""
        gone = {IMAGE, *self.feature_columns(table.schema).values()}
        wanted = [name for name in (reader.schema if reader else table.schema).names if name not in gone]
        if reader is None:
            for rows in table.batches(wanted, LIST_BATCH_ROWS):
                _check_paths(table.name, rows)
                yield rows, {FILE_NAME: rows.column(IMAGE_PATH).cast(pa.string())}
            return
        at = 0
        for rows, images, digests in reader.batches(wanted):
            numbers = range(at, at + len(rows))
            files = [
                write_image(folder, stream.image_folder(row), stream.stems[row], data)
                for row, data in zip(numbers, images, strict=True)
            ]
            at += len(rows)
            yield rows, {FILE_NAME: pa.array(files, pa.string()), SHA256: pa.array(digests, pa.string())}


def split_columns(columns: Sequence[str], named: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of the splits: those named, else split_0, split_1 ... or split, if they exist."""
    if named is not None:
        return tuple(named)
    drawn = [name for name in columns if name.startswith(f"{SPLIT}_") and name[len(SPLIT) + 1 :].isdecimal()]
    return tuple(sorted(drawn, key=natural_order)) or ((SPLIT,) if SPLIT in columns else ())


def _unsorted(bucket: str) -> str:
    return f"metadata/{bucket}.unsorted.parquet"


def _sort(folder: Path, stream: Stream, number: int, bucket: str) -> int:
    """Sort the metadata of a bucket into the order of the lists; return the number of rows."""
    source = folder / _unsorted(bucket)
    rows = pq.read_table(source)
    source.unlink()
    found = np.flatnonzero(stream.bucket_of == number)
    writer = MetadataFile(folder / f"metadata/{bucket}.parquet", rows.schema)
    writer.write(rows.take(pa.array(np.argsort(stream.position[found]))))
    writer.close()
    return writer.rows


def _check_paths(table: str, rows: Rows) -> None:
    for uid, path in zip(rows.strings(UID), rows.strings(IMAGE_PATH), strict=True):
        if not path or path != unspaced(path):
            raise ReleaseError(
                f"table '{table}': the path {path!r} of uid {uid!r} {'has white space' if path else 'is empty'}, and "
                "readers of the lists split lines at white space;  `images: copy` gives the files new names"
            )
