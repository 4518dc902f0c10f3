"""Hugging Face layout: a few large Parquet shards that `datasets.load_dataset` reads as they are.

data/<split>-00000-of-00002.parquet    rows with their images; data/<config>/... if there are several configs
README.md, croissant.json, SHA256SUMS, release.json, table.json, recipe.yaml, states/, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from poolwright.core.columns import IMAGE, IMAGE_PATH, SHA256, UID, URL, is_groupable
from poolwright.core.errors import StepError
from poolwright.core.params import Column, Columns
from poolwright.core.rows import Rows, bytes_array, text_array
from poolwright.core.table import Table
from poolwright.release.card.croissant.nodes import rows_file_set
from poolwright.release.data.class_names import ClassNames
from poolwright.release.data.features import released_schema, require, with_features
from poolwright.release.data.image_changes import EmbeddedImages, changed_schema
from poolwright.release.data.images import ImageReader, image_columns, original_name
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.reading import StoredImage, embedded_images
from poolwright.release.data.shards import Shards, finish_all
from poolwright.release.data.splits import by_split, split_values, table_configs, table_splits, with_split
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics

_BATCH_ROWS = 8_192

ConfigSplit = tuple[str | None, str | None]
"""Config and split of a row, as the table has them."""
# Released rows, the sizes of their images in bytes, and their configs and splits.
_Batch = tuple[pa.Table, list[int], list[ConfigSplit]]


class HuggingFace(Layout):
    """Parquet shards with embedded images, readable by `load_dataset` without code."""

    layout: ClassVar[str] = "huggingface"
    example: ClassVar[str] = "{table: best, layout: huggingface, class_label: label, to: out/best}"
    tree: ClassVar[str] = "data/train-00000-of-00002.parquet   rows with their images, a few large shards per split"

    images: EmbeddedImages = Field(
        default="embed",
        description="embed the image files, release only their URLs, or neither; a mapping embeds changed images",
    )
    columns: Columns | None = Field(default=None, description="columns to release; default all; uid is always included")
    class_label: Column | None = Field(
        default=None, description="column to store as a class index, with the names in the schema (ClassLabel)"
    )
    configs: Column | None = Field(
        default=None,
        description='column whose values are configs of their own, such as bucket: `load_dataset(path, "3")`',
    )
    shard_bytes: Annotated[int, Field(ge=1_000)] = Field(
        default=500_000_000, description="a shard is closed when it is larger than this"
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, those of the images, those that the recipe names."""
        names, table = [UID], schema
        if self._embedded:
            names += image_columns(schema, self.layout)
            schema = changed_schema(schema, self.changes())
        if self.images == "urls":
            require(URL, schema, "'images: urls'")
            names.append(URL)
        for name in self.columns or ():
            if name != IMAGE or not self._embedded:
                require(name, schema, "'columns'")
                names.append(name)
        if self.class_label:
            require(self.class_label, schema, "'class_label'")
            if self.class_label not in self._columns(schema):
                raise StepError(f"'class_label' names '{self.class_label}', which 'columns' leaves out; add it there")
            if not is_groupable(schema.field(self.class_label).type):
                raise StepError(
                    f"'class_label: {self.class_label}' has type {schema.field(self.class_label).type}; "
                    "classes are strings or integers"
                )
            names.append(self.class_label)
        if self.configs:
            require(self.configs, schema, "'configs'")
            if not is_groupable(schema.field(self.configs).type):
                kind = schema.field(self.configs).type
                raise StepError(f"'configs: {self.configs}' has type {kind}; configs are strings or integers")
            names.append(self.configs)
        return tuple(name for name in dict.fromkeys(names) if name in table.names or name == UID)

    @property
    def _embedded(self) -> bool:
        return self.images not in ("urls", "none")

    def class_name(self) -> str | None:
        """Return the column `class_label`."""
        return self.class_label

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the shards, split by split, rows in the order of the table."""
        embedded = self._embedded
        reader = ImageReader.of(table, self.layout, self.changes()) if embedded else None
        known = reader.schema if reader else table.schema
        found = ClassNames.of(table, self.class_label, by_index=True) if self.class_label else None
        classes = found.names if found else ()
        schema = released_schema(known, self._columns(known), embedded, self.class_label)
        schema = with_features(readable_schema(schema, table), self.class_label, classes)
        splits = table_splits(table, statistics)
        configs: dict[str | None, str] = {None: ""}
        if self.configs:
            configs = table_configs(table, self.configs, statistics)
        names = {(config, split): f"{configs[config]}/{splits[split]}" for config, split in product(configs, splits)}
        batches = self._with_images(table, schema, reader, found) if reader else self._plain(table, schema, found)
        shards: dict[str, Shards] = {}
        try:
            for rows, sizes, keys in batches:
                for name, part, part_sizes in by_split(rows, sizes, keys, names):
                    if name not in shards:
                        config, _, split = name.partition("/")
                        shards[name] = Shards(folder, split, schema, self.shard_bytes, embedded, config)
                    shards[name].add(part, part_sizes)
            order = sorted(shards, key=lambda name: [split_order(part) for part in name.split("/")])
            files, digests = finish_all(shards[name] for name in order)
        finally:
            for shard in shards.values():
                shard.abandon()
        record = self.record(table, schema, files, splits, reader, classes, self.class_label).with_digests(digests)
        if not self.configs:
            return record
        by_name = {name: value for value, name in configs.items()}
        return record.model_copy(update={"configs": {name: by_name[name] for name in sorted(by_name, key=split_order)}})

    def read_images(self, folder: Path, release: ReleaseRecord, full: bool = True) -> Iterator[StoredImage]:
        """Yield the images in the rows."""
        return embedded_images(folder, release, full)

    def data_files(self, release: ReleaseRecord, config: str | None = None) -> list[tuple[str, str]]:
        """Return the shards of each split, or of each split of a config."""
        if config is None:
            return [(split, f"data/{split}-*") for split in release.splits]
        present = {file.split for file in release.files_of(config)}
        return [(split, f"data/{config}/{split}-*") for split in release.splits if split in present]

    def file_sets(self, release: ReleaseRecord) -> list[dict[str, Any]]:
        """Return one file set of all shards, whose rows hold the images."""
        names = [f"{name}/*" for name in release.configs] or [f"{split}-*" for split in release.splits]
        return [rows_file_set(release, "All shards", [f"data/{name}.parquet" for name in names])]

    def _columns(self, schema: pa.Schema) -> list[str]:
        """Return the released columns, in the order of the table or as named."""
        left_out = {IMAGE} | ({IMAGE_PATH} if self._embedded else set())
        named = [name for name in self.columns or () if name != IMAGE]
        if self.columns is None:
            named = [name for name in schema.names if name not in left_out]
        return [UID, *(name for name in named if name != UID)]

    def _plain(self, table: Table, schema: pa.Schema, classes: ClassNames | None) -> Iterator[_Batch]:
        for rows in table.batches(self._wanted(schema.names, table.schema, classes), _BATCH_ROWS):
            released = _select(rows, schema, {}, classes)
            yield released, [0] * len(rows), self._keys(rows)

    def _wanted(self, names: Sequence[str], schema: pa.Schema, classes: ClassNames | None) -> list[str]:
        """Return the columns to read: those, and the ones of class, config and split."""
        more = [*(classes.columns if classes else ()), *([self.configs] if self.configs else ())]
        return with_split(list(dict.fromkeys([*names, *more])), schema)

    def _keys(self, rows: Rows) -> list[ConfigSplit]:
        configs: list[str | None] = rows.strings(self.configs) if self.configs else [None] * len(rows)
        return list(zip(configs, split_values(rows), strict=True))

    def _with_images(
        self, table: Table, schema: pa.Schema, reader: ImageReader, classes: ClassNames | None
    ) -> Iterator[_Batch]:
        kept = [name for name in schema.names if name in reader.schema.names and name != IMAGE]
        changed = reader.changes is not None
        for rows, images, digests in reader.batches(self._wanted(kept, table.schema, classes)):
            paths = rows.strings(IMAGE_PATH) if IMAGE_PATH in rows.schema.names else [None] * len(rows)
            uids = rows.strings(UID)
            named = zip(paths, uids, images, strict=True)
            names = [original_name(path, str(uid), data, changed) for path, uid, data in named]
            values = [bytes_array(images, pa.binary()), text_array(names)]
            given = {IMAGE: pa.StructArray.from_arrays(values, ["bytes", "path"]), SHA256: text_array(digests)}
            released = _select(rows, schema, given, classes)
            yield released, [len(data) for data in images], self._keys(rows)


def _select(rows: Rows, schema: pa.Schema, given: dict[str, pa.Array], classes: ClassNames | None) -> pa.Table:
    arrays = []
    for field in schema:
        values = given[field.name] if field.name in given else rows.column(field.name)
        if classes and field.name == classes.column:
            found = pa.array(classes.of_rows(rows), pa.string())
            values = pc.index_in(found, value_set=pa.array(classes.names, pa.string()), skip_nulls=True)
        arrays.append(values if values.type == field.type else values.cast(field.type))
    return pa.table(arrays, schema=schema)
