"""Make the table of a shard, one row per row of the input, with the columns of img2dataset and some more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.fetch.outcome import SUCCESS, FetchOutcome

URL, CAPTION, EXPECTED = "url", "caption", "expected_sha256"
"""Columns of the source, by their names in the output."""

OUTCOME_FIELDS: dict[str, pa.DataType] = {
    "key": pa.string(),
    "status": pa.string(),
    "error_message": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "original_width": pa.int32(),
    "original_height": pa.int32(),
    "exif": pa.string(),
    "sha256": pa.string(),
    "error_class": pa.string(),
    "http_status": pa.int32(),
    "attempts": pa.int32(),
    "seconds": pa.float32(),
    "bytes": pa.int64(),
    "format": pa.string(),
    "final_url": pa.string(),
    "content_type": pa.string(),
}
"""Columns from fetching, in order; the first nine are those of img2dataset."""

_TO_JSON = json.JSONEncoder(default=str, ensure_ascii=False).encode

KEPT = tuple(field.name for field in fields(FetchOutcome) if field.name != "row")
"""Columns that an outcome is read back from."""


def make_key(shard: int, row: int, shard_rows: int) -> str:
    """Return the key of a row, as img2dataset writes it: five digits of the shard, then those of the row."""
    digits = len(str(shard_rows - 1)) if shard_rows > 1 else 1
    return f"{shard:05d}{row:0{digits}d}"


def records(rows: pa.Table, outcomes: Sequence[FetchOutcome], shard: int, shard_rows: int) -> pa.Table:
    """Make the table of a shard.

    Args:
        rows: n rows of the source.
        outcomes: n outcomes in the order of the rows.
    """
    columns: dict[str, Any] = {name: [] for name in OUTCOME_FIELDS}
    for outcome in outcomes:
        values = {name: getattr(outcome, name) for name in KEPT}
        values["key"] = make_key(shard, outcome.row, shard_rows)
        values["original_width"], values["original_height"] = outcome.width, outcome.height
        for name, column in columns.items():
            column.append(values[name])
    table = rows
    for name, kind in OUTCOME_FIELDS.items():
        table = table.append_column(name, pa.array(columns[name], kind))
    return table


def read_columns(file: Path, columns: Sequence[str]) -> pa.Table:
    """Read columns of a finished shard, without `pyarrow.dataset`, which `read_table` takes long to import."""
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        return parquet.read(list(columns), use_threads=False)


def read_outcomes(file: Path) -> list[FetchOutcome]:
    """Read the outcomes of a finished shard, in the order of its rows."""
    rows = read_columns(file, KEPT).to_pylist()
    return [FetchOutcome(row=index, **row) for index, row in enumerate(rows)]


def plain_texts(schema: pa.Schema) -> frozenset[str]:
    """Return the columns whose values are texts in JSON: neither numbers nor lists."""
    return frozenset(field.name for field in schema if _is_plain_text(field.type))


def metadata(row: Mapping[str, Any], texts: frozenset[str]) -> bytes:
    """Return a row of `records` as the JSON that is written next to its image.

    No value is null: `datasets` takes the types of a tar from its first five samples, and cannot read a text where
    those have null. A null is '', or left out if its column holds numbers or lists.

    Args:
        row: values by column.
        texts: `plain_texts` of the table.
    """
    given = {}
    for name, value in row.items():
        if value is None:
            if name in texts:
                given[name] = ""
        elif value not in ([], {}):
            given[name] = value
    return _TO_JSON(given).encode("utf-8", "replace")


def _is_plain_text(kind: pa.DataType) -> bool:
    """Whether the JSON of a value is text: that of neither a number nor a list."""
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return not (numbers or pa.types.is_nested(kind))


def caption_of(row: Mapping[str, Any]) -> bytes | None:
    """Return the text that is written next to an image; None if the source has no captions."""
    return (row[CAPTION] or "").encode("utf-8", "replace") if CAPTION in row else None


def statistics(outcomes: Sequence[FetchOutcome], begun: float, ended: float) -> dict[str, Any]:
    """Return the content of img2dataset's `_stats.json`; `status_dict` counts error classes.

    Args:
        outcomes: outcomes of a shard.
        begun, ended: seconds since 1970.
    """
    statuses = Counter(outcome.status for outcome in outcomes)
    return {
        "count": len(outcomes),
        "successes": statuses[SUCCESS],
        "failed_to_download": len(outcomes) - statuses[SUCCESS],
        "failed_to_resize": 0,
        "duration": ended - begun,
        "start_time": begun,
        "end_time": ended,
        "status_dict": dict(sorted(Counter(outcome.error_class or SUCCESS for outcome in outcomes).items())),
        "statuses": dict(sorted(statuses.items())),
    }
