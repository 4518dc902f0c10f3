"""WebDataset layout: tars in the naming of img2dataset, with a Parquet file of the same rows next to each.

train/00000.tar           000000000.jpg, 000000000.txt, 000000000.cls, 000000000.json; 000000001.jpg, ...
train/00000.parquet       the rows of the tar, all columns
train/00000_stats.json    their number
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import IMAGE, IMAGE_PATH, SHA256, UID, is_groupable
from poolwright.core.errors import StepError
from poolwright.core.params import Column, Columns
from poolwright.core.table import Table
from poolwright.release.card.croissant.nodes import rows_file_set
from poolwright.release.card.markdown import fenced
from poolwright.release.card.sections.loading import FOLDER_WORDS
from poolwright.release.checks.loaders import with_webdataset
from poolwright.release.checks.loaders.loader import Loader
from poolwright.release.data.class_names import ClassNames
from poolwright.release.data.features import released_schema, require, with_meanings
from poolwright.release.data.image_changes import CopiedImages, changed_schema
from poolwright.release.data.images import ImageReader, image_columns
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.reading import StoredImage
from poolwright.release.data.splits import table_splits, with_split
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.shared.tar_checks import check_tars, tar_images, tar_of
from poolwright.release.layouts.shared.tar_samples import CLS, KEY, picture_extension, sample_features
from poolwright.release.layouts.shared.tar_shards import ShardForm, ShardNames
from poolwright.release.layouts.shared.tar_writing import SampleSource, write_tars
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics
from poolwright.release.workers import HERE, Workers

SOURCE = "source_"
"""Prefix of a column of the table whose name the layout needs."""
_MEANINGS = {
    KEY: "Key of the sample in its tar",
    CLS: "Class of the row, as an index into the class names; -1 if it has none",
}


class WebDatasetLayout(Layout):
    """WebDataset tars of pictures, texts, classes and JSON, named as by img2dataset.

    Every sample has the same files: the picture, `.txt` if the table has `text`, `.cls` with `class_label`, and
    `.json` with all columns but vectors and bytes, which are in the Parquet files. Pictures of one format, JPEG, PNG or
    WebP, have its extension; pictures of several are all called `.jpg`, as by img2dataset, since readers know a
    format by the bytes and `load_dataset` wants one extension. `images: {format: jpeg}` makes them one format.

    Keys are the number of the shard and of the row in it, and begin anew in each split. The JSON has no null: a null
    text is '', other nulls and empty lists are left out. Times and sizes of the tars do not depend on when and by whom
    they are written. The folder of a split is also read by the pools `webdataset` and `img2dataset`.
    torchdata 0.11 reads no tars itself; its `StatefulDataLoader` takes a `webdataset.WebDataset` as its dataset.
    """

    layout: ClassVar[str] = "webdataset"
    example: ClassVar[str] = "{table: best, layout: webdataset, class_label: label, to: out/best-shards}"
    tree: ClassVar[str] = """\
train/00000.tar                     000000000.jpg, .txt, .cls and .json of each row
train/00000.parquet                 the rows of the tar, all columns
train/00000_stats.json              their number, as img2dataset counts them"""

    columns: Columns | None = Field(default=None, description="columns to release; default all; uid is always included")
    class_label: Column | None = Field(
        default=None, description="column whose class index is `.cls`; -1 for rows without a class"
    )
    images: CopiedImages = Field(
        default="copy", description="copy the image files as they were found; a mapping changes them"
    )
    shard_rows: Annotated[int, Field(ge=1)] = Field(default=10_000, description="most rows of a shard")
    shard_bytes: Annotated[int, Field(ge=1_000)] = Field(
        default=1_000_000_000, description="a shard is closed when its tar is larger than this"
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, those of the images, those that the recipe names."""
        names = [UID, *image_columns(schema, self.layout)]
        known = changed_schema(schema, self.changes())
        for name in self.columns or ():
            require(name, known, "'columns'")
            names.append(name)
        if self.class_label:
            require(self.class_label, schema, "'class_label'")
            if not is_groupable(schema.field(self.class_label).type):
                kind = schema.field(self.class_label).type
                raise StepError(f"'class_label: {self.class_label}' has type {kind}; classes are strings or integers")
            names.append(self.class_label)
        for name in self._taken():
            if name in schema.names and f"{SOURCE}{name}" in schema.names:
                raise StepError(
                    f"layout '{self.layout}' writes a column '{name}' and gives the table's the name '{SOURCE}{name}', "
                    "which it has already; rename one in a step"
                )
        return tuple(name for name in dict.fromkeys(names) if name in schema.names or name == UID)

    def class_name(self) -> str | None:
        """Return the column `class_label`."""
        return self.class_label

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the shards of all splits, rows in the order of the table."""
        return self.write_with(HERE, table, folder, statistics)

    def write_with(self, workers: Workers, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write as `write_data` does, whole shards on each of several workers."""
        splits = table_splits(table, statistics)
        classes = ClassNames.of(table, self.class_label, by_index=True) if self.class_label else None
        reader = ImageReader.of(table, self.layout, self.changes())
        schema = self._schema(table)
        source = SampleSource(
            table=Path(os.path.abspath(table.folder)),
            column=reader.column,
            root=reader.root,
            changes=reader.changes,
            read=tuple(self._read(table, reader.schema, classes)),
            named={f"{SOURCE}{name}": name for name in self._taken()},
            classes=classes,
        )
        form = ShardForm(folder, schema, self.shard_rows, self.shard_bytes, self._names)
        shards, counts = write_tars(source, form, splits, workers)
        reader.counts.add(counts)
        shards.sort(key=lambda shard: (split_order(shard.split), shard.number))
        described = [form.files(shard) for shard in shards]
        names, column = (classes.names, CLS) if classes else ((), None)
        record = self.record(table, schema, [rows for rows, _ in described], splits, reader, names, column)
        record = with_meanings(record, _MEANINGS).model_copy(
            update={"others": tuple(other for _, others in described for other in others)}
        )
        return record.with_digests(
            {tar.path: shard.digest for shard, (_, (tar, _)) in zip(shards, described, strict=True) if shard.digest}
        )

    def read_images(self, folder: Path, release: ReleaseRecord, full: bool = True) -> Iterator[StoredImage]:
        """Yield the pictures in the tars."""
        return tar_images(folder, release, full)

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that the tars hold what the rows say."""
        yield "tars", lambda: check_tars(folder, release)

    def loaders(self, release: ReleaseRecord) -> Sequence[Loader]:
        """Return `datasets` and `webdataset`."""
        return [Loader("datasets", with_webdataset.load_with_datasets), Loader("webdataset", with_webdataset.load)]

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to load the release with `datasets` and with `webdataset`."""
        split, ending = next(iter(release.splits)), picture_extension(release.images.formats if release.images else {})
        tars = [tar_of(file) for file in release.files if file.split == split]
        first, last = self._names.shard(0), self._names.shard(len(tars) - 1)
        named = f"{split}/{{{first}..{last}}}.tar" if len(tars) > 1 else tars[0]
        more = f', "{CLS}"' if self.class_label else ""
        with_datasets = [
            "from datasets import load_dataset",
            "",
            f'dataset = load_dataset("{FOLDER_WORDS}")',
            f'row = dataset["{split}"][0]',
            f'row["{ending}"]  # a PIL image, decoded on access',
            'row["json"]["uid"]  # columns of the row',
        ]
        with_webdataset = [
            "import webdataset",
            "",
            f'dataset = webdataset.WebDataset("{named}", shardshuffle=False).decode("pil")',
            f'for image, row{", index" if more else ""} in dataset.to_tuple("{ending}", "json"{more}):',
            "    ...",
        ]
        words = [fenced("\n".join(with_datasets), "python"), fenced("\n".join(with_webdataset), "python")]
        words.append(
            "The header of this card has the types of all columns: `load_dataset` with `data_files` and without this "
            "card takes them from the first five samples, and does not see a column that none of these has. "
            "All columns, vectors among them, are in the Parquet files: "
            f'`pyarrow.parquet.read_table("{release.files[0].path}")`.'
        )
        if release.images and len(release.images.formats) > 1:
            words.append(
                f"Pictures of all formats are called `.{ending}`: readers know a format by the bytes, and `datasets` "
                "wants one extension."
            )
        return "\n\n".join(words)

    def data_files(self, release: ReleaseRecord, config: str | None = None) -> list[tuple[str, str]]:
        """Return the tars of each split."""
        return [(split, f"{split}/*.tar") for split in release.splits]

    def declared_features(self, release: ReleaseRecord, table: Table) -> list[dict[str, Any]]:
        """Return the features of the tars."""
        ending = picture_extension(release.images.formats if release.images else {})
        return sample_features(self._schema(table), ending, release.classes)

    def file_sets(self, release: ReleaseRecord) -> list[dict[str, Any]]:
        """Return one file set of the Parquet files."""
        return [rows_file_set(release, "Rows of all splits", [f"{split}/*.parquet" for split in release.splits])]

    @property
    def _names(self) -> ShardNames:
        return ShardNames()

    def _taken(self) -> tuple[str, ...]:
        return (KEY, CLS) if self.class_label else (KEY,)

    def _sources(self, schema: pa.Schema) -> dict[str, str]:
        """Return the released columns of the table, with their names there."""
        named = [name for name in self.columns or schema.names if name not in (UID, IMAGE, IMAGE_PATH)]
        return {f"{SOURCE}{name}" if name in self._taken() else name: name for name in (UID, *named)}

    def _schema(self, table: Table) -> pa.Schema:
        known = changed_schema(table.schema, self.changes())
        sources = self._sources(known)
        fields = list(released_schema(known, list(sources.values()), embedded=False, class_column=None))
        fields = [field.with_name(name) for name, field in zip(sources, fields, strict=True)]
        fields = [pa.field(SHA256, pa.string()) if field.name == SHA256 else field for field in fields]
        fields += [pa.field(SHA256, pa.string())] if SHA256 not in sources else []
        fields += [pa.field(CLS, pa.int64())] if self.class_label else []
        names = {source: name for name, source in sources.items()}
        return readable_schema(pa.schema([pa.field(KEY, pa.string()), *fields]), table, names)

    def _read(self, table: Table, known: pa.Schema, classes: ClassNames | None) -> list[str]:
        return with_split([*self._sources(known).values(), *(classes.columns if classes else ())], table.schema)
