"""MapPool layout: rows of a web-scale pool with their URLs and vectors, in the columns of the published MapPool.

data/<split>-00000-of-00002.parquet    uid, url, text, original_width, original_height, sha256, l14_img, l14_txt,
                                       clip_l14_similarity_score, and those of `more`; vectors float16

Images are not contained: the card has command lines that fetch and verify them.
https://huggingface.co/datasets/sraimund/MapPool
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from poolwright.core.columns import HEIGHT, SHA256, TEXT, UID, URL, WIDTH, is_text, is_vector, vector_model, vector_type
from poolwright.core.errors import did_you_mean
from poolwright.core.params import Column, Columns
from poolwright.core.rows import Rows, is_valid, vector_array
from poolwright.core.table import Table
from poolwright.release.card.markdown import fenced
from poolwright.release.card.sections.loading import FOLDER_WORDS
from poolwright.release.data.features import (
    plain_field,
    require_more,
    require_published,
    with_features,
    with_meanings,
)
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.shards import Shards, finish_all
from poolwright.release.data.splits import by_split, split_values, table_splits, with_split
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics

MEANINGS = {
    "uid": "Id of the row in the pool",
    "url": "URL at which the image was found",
    "text": "Caption of the image",
    "original_width": "Width of the image when it was found, pixels",
    "original_height": "Height of the image when it was found, pixels",
    "sha256": "SHA-256 of the image file when it was found, hex",
    "l14_img": "Vector of the image",
    "l14_txt": "Vector of the caption",
    "clip_l14_similarity_score": "Cosine of l14_img and l14_txt",
}
"""Meanings of the published columns, in their order."""

_INSTEAD = {"original_width": WIDTH, "original_height": HEIGHT}
"""Names of some of them in pools."""
_VECTORS = ("l14_img", "l14_txt")
_L14 = re.compile(r"vit[-_ ]?l[-_/ ]?14(?![-@_]?336)", re.IGNORECASE)
"""Names of the encoder of the published vectors."""
_BATCH_ROWS = 8_192


def _known(value: Any) -> Any:
    for name in value if isinstance(value, Mapping) else ():
        if name not in MEANINGS:
            raise ValueError(f"'{name}' is not a published column; {did_you_mean(str(name), MEANINGS)}")
    return value


Sources = Annotated[
    dict[str, Column | None],
    BeforeValidator(_known),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {name: {"type": ["string", "null"]} for name in MEANINGS},
            "additionalProperties": False,
        }
    ),
]


class MapPool(Layout):
    """URLs, captions and vectors in Parquet shards, in the columns of the published MapPool."""

    layout: ClassVar[str] = "mappool"
    example: ClassVar[str] = "{table: best, layout: mappool, columns: {l14_txt: null}, more: [decision], to: out/best}"
    tree: ClassVar[str] = (
        "data/train-00000-of-00002.parquet   one row per image, published columns; vectors float16, images by URL"
    )

    columns: Sources = Field(
        default_factory=dict,
        description="column of the table by published column, if the names differ, such as {l14_img: clip}; null "
        "leaves one out",
    )
    more: Columns | None = Field(default=None, description="further columns to release, such as decision, probability")
    shard_bytes: Annotated[int, Field(ge=1_000)] = Field(
        default=500_000_000, description="a shard is closed when it is larger than this"
    )

    @field_validator("columns")
    @classmethod
    def _uid_stays(cls, columns: dict[str, str | None]) -> dict[str, str | None]:
        if columns.get(UID, UID) != UID:
            raise ValueError("'uid' is the uid of the table; it cannot be another column or left out")
        return columns

    def sources(self, schema: pa.Schema) -> dict[str, str]:
        """Return the column of the table by published column, in the published order.

        Raises:
            StepError: the table lacks a column, or its type does not fit.
        """
        found = {}
        for name in MEANINGS:
            usual = _INSTEAD.get(name, name) if name not in schema.names else name
            column = self.columns.get(name, usual)
            if column is not None:
                require_published(name, column, schema, partial(_fits, name))
                found[name] = column
        return found

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: the sources of the published ones, and `more`."""
        sources = self.sources(schema)
        more = require_more(self.more, schema, sources)
        return tuple(dict.fromkeys([*sources.values(), *more]))

    def write_data(self, table: Table, folder: Any, statistics: Statistics) -> ReleaseRecord:
        """Write the shards, split by split, rows in the order of the table."""
        columns = {**self.sources(table.schema), **{name: name for name in self.more or ()}}
        fields = [_field(name, table.schema.field(column)) for name, column in columns.items()]
        schema = with_features(readable_schema(pa.schema(fields), table, columns), None, ())
        splits = table_splits(table, statistics)
        shards = {name: Shards(folder, name, schema, self.shard_bytes, False) for name in splits.values()}
        try:
            for rows, values in _batches(table, columns, schema):
                for name, part, sizes in by_split(rows, [0] * len(rows), values, splits):
                    shards[name].add(part, sizes)
            files, digests = finish_all(shards[name] for name in sorted(shards, key=split_order))
        finally:
            for shard in shards.values():
                shard.abandon()
        record = self.record(table, schema, files, splits, None).with_digests(digests)
        return with_meanings(record, self._meanings(table.schema))

    def notes(self, schema: pa.Schema) -> Sequence[str]:
        """Return the published columns of vectors that another encoder than the published one made."""
        return [
            f"'{name}' of the published MapPool has vectors of CLIP ViT-L/14; here they are by {model}"
            for name, model in self._encoders(schema).items()
            if not _L14.search(model)
        ]

    def _encoders(self, schema: pa.Schema) -> dict[str, str]:
        """Return the encoder of each published column of vectors."""
        models = {name: vector_model(schema.field(at)) for name, at in self.sources(schema).items() if name in _VECTORS}
        return {
            name: model[0] if model else "an encoder that the table does not name" for name, model in models.items()
        }

    def _meanings(self, schema: pa.Schema) -> dict[str, str]:
        made = self._encoders(schema)
        return {name: f"{words}, by {made[name]}" if name in made else words for name, words in MEANINGS.items()}

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to load the rows with `load_dataset` or any reader of Parquet."""
        lines = ["from datasets import load_dataset", "", f'dataset = load_dataset("{FOLDER_WORDS}")']
        lines.append(f'row = dataset["{next(iter(release.splits))}"][0]')
        if release.has("l14_img"):
            lines.append('row["l14_img"]  # unit length, float16')
        words = f'Any reader of Parquet works too: `pyarrow.parquet.read_table("{release.files[0].path}")`.'
        text = "\n".join(lines)
        return f"{fenced(text, 'python')}\n\n{words}"

    def sections(self, release: ReleaseRecord, table: Table) -> Sequence[str]:
        """Return a section on fetching the images by their URLs."""
        names = [column.name for column in release.columns]
        return ["## How to get the images", _fetching(names)] if URL in names else []

    def data_files(self, release: ReleaseRecord, config: str | None = None) -> list[tuple[str, str]]:
        """Return the shards of each split."""
        return [(split, f"data/{split}-*") for split in release.splits]


def _field(name: str, field: pa.Field) -> pa.Field:
    """Return the released field: vectors are float16, whatever their type in the table."""
    dtype = vector_type(field.type.list_size) if name in _VECTORS else plain_field(field).type
    return pa.field(name, dtype, metadata=field.metadata)


def _batches(
    table: Table, columns: Mapping[str, str], schema: pa.Schema
) -> Iterator[tuple[pa.Table, list[str | None]]]:
    for rows in table.batches(with_split(list(dict.fromkeys(columns.values())), table.schema), _BATCH_ROWS):
        arrays = [_values(rows, columns[field.name], field) for field in schema]
        yield pa.table(arrays, schema=schema), split_values(rows)


def _values(rows: Rows, column: str, field: pa.Field) -> pa.Array:
    values = rows.column(column)
    if is_vector(values.type) and values.type.value_type != field.type.value_type:
        values = vector_array(rows.vectors(column).astype(np.float16), is_valid(values))
    return values if values.type == field.type else values.cast(field.type)


def _fits(name: str, dtype: pa.DataType) -> bool:
    if name in _VECTORS:
        return is_vector(dtype)
    if name in _INSTEAD:
        return bool(pa.types.is_integer(dtype))
    return bool(pa.types.is_floating(dtype)) if name == "clip_l14_similarity_score" else is_text(dtype)


def _fetching(names: list[str]) -> str:
    """Return command lines that fetch the unchanged images, and verify them if their hashes are known."""
    carried = ", ".join(f'"{name}"' for name in (UID,) if name in names)
    lines = [
        "img2dataset --url_list data --input_format parquet --output_folder images --output_format webdataset",
        f"--url_col {URL}" + (f" --caption_col {TEXT}" if TEXT in names else ""),
        f"--save_additional_columns '[{carried}]' --disable_all_reencoding True",
        "--compute_hash sha256" + (""" --verify_hash '["sha256","sha256"]'""" if SHA256 in names else ""),
    ]
    own = "poolwright rebuild . images      # the same, guarded, with a report of what was recovered and lost"
    words = "Images are given by URL. With [img2dataset](https://github.com/rom1504/img2dataset), not resized"
    words += ", and with their hashes verified:" if SHA256 in names else ":"
    command = fenced(" \\\n  ".join(lines), "sh")
    or_own = "Or with poolwright, which refuses private addresses and counts all losses:"
    return "\n\n".join([words, command, or_own, fenced(own, "sh")])
