"""Parquet layout: the rows of a table as plain Parquet files, split by split, for any reader of Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Discriminator, Field, Tag

from poolwright.core.columns import IMAGE, SHA256, UID
from poolwright.core.params import Columns
from poolwright.core.table import Table
from poolwright.release.card.croissant.nodes import rows_file_set
from poolwright.release.card.markdown import fenced
from poolwright.release.data.features import plain_field, require
from poolwright.release.data.image_changes import ImageChanges, changed_schema, form_of
from poolwright.release.data.image_files import released_rows
from poolwright.release.data.images import ImageReader, image_columns
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.reading import StoredImage, embedded_images
from poolwright.release.data.shards import Shards, finish_all
from poolwright.release.data.splits import by_split, split_values, table_splits, with_split
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics

_BATCH_ROWS = 8_192
_Images = Annotated[
    Annotated[Literal["none", "bytes"], Tag("word")] | Annotated[ImageChanges, Tag("changes")], Discriminator(form_of)
]


class ParquetLayout(Layout):
    """Plain Parquet files with all columns of the table, split by split.

    Columns keep their names, types, order and metadata, such as the encoder of vectors; `uid` comes first, and
    dictionaries and other encodings become plain values. The pool `table` reads the same table back.
    """

    layout: ClassVar[str] = "parquet"
    example: ClassVar[str] = "{table: best, layout: parquet, to: out/best-rows}"
    tree: ClassVar[str] = "data/train-00000-of-00002.parquet   rows of each split, in the order of the table"

    images: _Images = Field(
        default="none",
        description="leave images out, or give the bytes of their files as the column `image`; a mapping gives changed "
        "images",
    )
    columns: Columns | None = Field(default=None, description="columns to release; default all; uid is always included")
    shard_bytes: Annotated[int, Field(ge=1_000)] = Field(
        default=500_000_000, description="a file is closed when it is larger than this"
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, that of the images, those that the recipe names."""
        images = image_columns(schema, self.layout) if self.images != "none" else ()
        known = changed_schema(schema, self.changes())
        named = [name for name in self.columns or () if name != IMAGE or self.images == "none"]
        for name in named:
            require(name, known, "'columns'")
        return tuple(dict.fromkeys([UID, *images, *(name for name in named if name in schema.names)]))

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the files, split by split, rows in the order of the table."""
        reader = ImageReader.of(table, self.layout, self.changes()) if self.images != "none" else None
        known = reader.schema if reader else table.schema
        schema = readable_schema(self._schema(known), table)
        splits, embedded = table_splits(table, statistics), reader is not None
        shards: dict[str, Shards] = {}
        kept = [name for name in schema.names if name in known.names and not (embedded and name == IMAGE)]
        try:
            for rows, sizes, values in _batches(table, schema, reader, with_split(kept, table.schema)):
                for name, part, part_sizes in by_split(rows, sizes, values, splits):
                    if name not in shards:
                        shards[name] = Shards(folder, name, schema, self.shard_bytes, embedded)
                    shards[name].add(part, part_sizes)
            files, digests = finish_all(shards[name] for name in sorted(shards, key=split_order))
        finally:
            for shard in shards.values():
                shard.abandon()
        return self.record(table, schema, files, splits, reader).with_digests(digests)

    def read_images(self, folder: Path, release: ReleaseRecord, full: bool = True) -> Iterator[StoredImage]:
        """Yield the images in the rows."""
        return embedded_images(folder, release, full)

    def data_files(self, release: ReleaseRecord, config: str | None = None) -> list[tuple[str, str]]:
        """Return the files of each split."""
        return [(split, f"data/{split}-*") for split in release.splits]

    def file_sets(self, release: ReleaseRecord) -> list[dict[str, Any]]:
        """Return one file set of all files."""
        return [rows_file_set(release, "All rows", [f"data/{split}-*.parquet" for split in release.splits])]

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to read the rows with PyArrow, pandas, Polars and DuckDB."""
        split = next(iter(release.splits))
        files = f"data/{split}-*.parquet"
        code = (
            "import duckdb, pandas, polars, pyarrow.parquet\n\n"
            f'pyarrow.parquet.read_table("{release.files[0].path}")\n'
            f'pandas.read_parquet("{release.files[0].path}")\n'
            f'polars.read_parquet("{files}")\n'
            f"""duckdb.sql("from '{files}'")"""
        )
        return f"{fenced(code, 'python')}\n\nA recipe of poolwright reads it back with `{{read: table, path: data}}`."

    def _schema(self, known: pa.Schema) -> pa.Schema:
        """Return the columns of the files: those of the table, with image and digest if images are released."""
        embedded = self.images != "none"
        wanted = known.names if self.columns is None else list(self.columns)
        names = [UID, *(name for name in wanted if name != UID and not (embedded and name == IMAGE))]
        names += [SHA256] if embedded and SHA256 not in names else []
        digest = pa.field(SHA256, pa.string())
        fields = [digest if embedded and name == SHA256 else plain_field(known.field(name)) for name in names]
        return pa.schema([fields[0], *([pa.field(IMAGE, pa.binary())] if embedded else []), *fields[1:]])


def _batches(
    table: Table, schema: pa.Schema, reader: ImageReader | None, names: Sequence[str]
) -> Iterator[tuple[pa.Table, list[int], list[str | None]]]:
    """Yield released rows, the sizes of their images in bytes, and their splits."""
    if reader is None:
        for rows in table.batches(names, _BATCH_ROWS):
            yield released_rows(rows, schema, {}), [0] * len(rows), split_values(rows)
        return
    for rows, images, digests in reader.batches(names):
        given = {IMAGE: pa.array(images, pa.binary()), SHA256: pa.array(digests, pa.string())}
        yield released_rows(rows, schema, given), [len(data) for data in images], split_values(rows)
