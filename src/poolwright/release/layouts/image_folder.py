"""Image folder layout: `<split>/<class>/<uid>.<ext>` with a metadata file in every split.

`datasets.load_dataset` reads it as an ImageFolder (the column `file_name` joins rows and files), and so does
`torchvision.datasets.ImageFolder` for one split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import LABEL, SHA256, UID, is_groupable
from poolwright.core.errors import StepError
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.checks.loaders import with_torchvision
from poolwright.release.checks.loaders.loader import Loader
from poolwright.release.data.class_names import ClassNames
from poolwright.release.data.features import FILE_NAME, copied_schema, require
from poolwright.release.data.image_changes import CopiedImages
from poolwright.release.data.image_files import MetadataFile, image_stem, released_rows, write_image
from poolwright.release.data.images import ImageReader, image_columns
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import safe_names, split_order
from poolwright.release.data.splits import by_split, split_values, table_splits, with_split
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics

NO_CLASS = "unlabelled"
SplitClass = tuple[str | None, str | None]
"""Values of split and class of a row."""


class ImageFolderLayout(Layout):
    """Image files in folders by split and class, for tools that read folders.

    Unsigned 64-bit integers are written as text, since `datasets` reads no integers beyond int64 from folders.
    """

    layout: ClassVar[str] = "image_folder"
    example: ClassVar[str] = "{table: best, layout: image_folder, by: label, to: out/best-images}"
    tree: ClassVar[str] = """\
train/cat/<uid>.jpg                 image files, by split and class
train/metadata.parquet              the other columns; `file_name` joins rows and files"""

    by: Column | None = Field(
        default=None, description="column whose values are the class folders; default label, if the table has it"
    )
    images: CopiedImages = Field(
        default="copy", description="copy the image files as they were found; a mapping changes them"
    )
    metadata: Literal["parquet", "csv"] = Field(
        default="parquet", description="format of the metadata; CSV keeps no types and leaves out vectors and lists"
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, those of the images, the class."""
        if FILE_NAME in schema.names:
            raise StepError(
                f"layout '{self.layout}' writes a column '{FILE_NAME}', which the table already has; rename it"
            )
        names = [UID, *image_columns(schema, self.layout)]
        by = self._by(schema)
        if by:
            require(by, schema, "'by'")
            if not is_groupable(schema.field(by).type):
                raise StepError(f"'by: {by}' has type {schema.field(by).type}; class folders are strings or integers")
            names.append(by)
        return tuple(dict.fromkeys(names))

    def class_name(self) -> str | None:
        """Return the column `by`."""
        return self.by

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the image files, and next to them the rows of each split."""
        splits = table_splits(table, statistics)
        by = self._by(table.schema)
        classes = ClassNames.of(table, by, alphabetical=True) if by else None
        paths = _ImagePaths(table, splits, classes)
        reader = ImageReader.of(table, self.layout, self.changes())
        schema = readable_schema(self._schema(reader.schema), table)
        kept = [name for name in schema.names if name in reader.schema.names]
        extra = with_split(classes.columns if classes else [], table.schema)
        writers = {name: MetadataFile(folder / name / f"metadata.{self.metadata}", schema) for name in splits.values()}
        try:
            for rows, images, digests in reader.batches([*kept, *extra]):
                files = [_write(folder, *path, data) for path, data in zip(paths.of(rows), images, strict=True)]
                released = released_rows(
                    rows, schema, {FILE_NAME: pa.array(files, pa.string()), SHA256: pa.array(digests)}
                )
                for name, part, _ in by_split(released, [0] * len(files), split_values(rows), splits):
                    writers[name].write(part)
        finally:
            for writer in writers.values():
                writer.close()
        written = [
            ReleasedFile(path=f"{name}/metadata.{self.metadata}", split=name, rows=writers[name].rows)
            for name in sorted(writers, key=split_order)
        ]
        return self.record(table, schema, written, splits, reader)

    def image_root(self, file: ReleasedFile) -> str:
        """Return the folder of the split."""
        return file.path.rpartition("/")[0]

    def image_folders(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the folders of the splits."""
        return list(release.splits)

    def data_files(self, release: ReleaseRecord, config: str | None = None) -> list[tuple[str, str]]:
        """Return everything in the folder of a split, as `datasets` reads image folders."""
        return [(split, f"{split}/**") for split in release.splits]

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to load the release with `datasets`, and with torchvision if it finds all images."""
        words = super().load_snippet(release)
        if self._has_class_folders(release):
            split = next(iter(release.splits))
            words += f'\n\n`torchvision.datasets.ImageFolder("{split}")` loads the images of one split by class.'
        return words

    def loaders(self, release: ReleaseRecord) -> Sequence[Loader]:
        """Return `datasets`, and torchvision if it finds all images."""
        torchvision = [Loader("torchvision", with_torchvision.load)] if self._has_class_folders(release) else []
        return [*super().loaders(release), *torchvision]

    def _has_class_folders(self, release: ReleaseRecord) -> bool:
        """Whether the images are in folders of classes, in formats that torchvision finds."""
        by_class = self.by is not None or release.has(LABEL)
        return by_class and release.images is not None and set(release.images.formats) <= with_torchvision.FORMATS

    def _by(self, schema: pa.Schema) -> str | None:
        return self.by or (LABEL if LABEL in schema.names else None)

    def _schema(self, table: pa.Schema) -> pa.Schema:
        fields = [
            field.with_type(pa.string()) if field.type == pa.uint64() else field for field in copied_schema(table)
        ]
        if self.metadata == "csv":
            fields = [field for field in fields if not pa.types.is_nested(field.type) and not _is_bytes(field.type)]
        return pa.schema(fields)


def _is_bytes(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_fixed_size_binary(dtype))


class _ImagePaths:
    """Path of the image of each row: folder of the split, folder of the class, name without extension.

    Holds every uid in memory, as names that would collide must be known before the first is written.
    """

    def __init__(self, table: Table, splits: dict[str | None, str], classes: ClassNames | None) -> None:
        self.classes = classes
        members: dict[SplitClass, list[str]] = defaultdict(list)
        for rows in table.batches(with_split([UID, *(classes.columns if classes else ())], table.schema)):
            for key, uid in zip(self._keys(rows), rows.strings(UID), strict=True):
                members[key].append(str(uid))
        # Other names in the folder of a split; rows without a class go to a folder of their own.
        taken = ("metadata.parquet", "metadata.csv", NO_CLASS)
        inner = safe_names(classes.names if classes else (), taken=taken)
        self.folders = {
            (split, value): (splits[split], inner[value] if value is not None else NO_CLASS if classes else "")
            for split, value in members
        }
        self.stems = {key: safe_names(uids, image_stem) for key, uids in members.items()}

    def of(self, rows: Rows) -> Iterator[tuple[str, str, str]]:
        for key, uid in zip(self._keys(rows), rows.strings(UID), strict=True):
            yield (*self.folders[key], self.stems[key][str(uid)])

    def _keys(self, rows: Rows) -> Iterator[SplitClass]:
        values: list[str | None] = self.classes.of_rows(rows) if self.classes else [None] * len(rows)
        return zip(split_values(rows), values, strict=True)


def _write(folder: Path, split: str, class_folder: str, stem: str, data: bytes) -> str:
    """Write one image file; return its path relative to the folder of the split."""
    inner = f"{split}/{class_folder}" if class_folder else split
    return write_image(folder, inner, stem, data).removeprefix(f"{split}/")
