"""Write rows as CSV, Parquet or JSON Lines, batch by batch."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from poolwright.core.columns import is_text
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.files import write_atomically
from poolwright.core.parquet import parquet_writer
from poolwright.core.wording import RISKY

Batches = Iterable[pa.RecordBatch]
_ENDINGS = {"csv": "csv", "parquet": "parquet", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl"}


def kind_of(to: Path | None, named: str | None) -> str:
    """Return 'csv', 'parquet' or 'jsonl': the kind that is named, else that of the ending of a file, else 'csv'.

    Raises:
        RecipeError: there is no such kind.
    """
    ending = named if named is not None else to.suffix.removeprefix(".").lower() if to is not None else "csv"
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    what = f"no format '{ending}'" if named is not None else f"{to}: rows are not written as '.{ending}'"
    raise RecipeError(f"{what}; {did_you_mean(ending, ('csv', 'parquet', 'jsonl'))}")


def write_file(batches: Batches, schema: pa.Schema, path: Path, kind: str) -> None:
    """Write rows to a file, which appears once it is complete."""
    write_atomically(path, lambda out: write_rows(batches, schema, out, kind))


def write_rows(batches: Batches, schema: pa.Schema, out: BinaryIO, kind: str) -> None:
    """Write rows of a schema to an open binary file.

    In CSV, texts that a spreadsheet would evaluate are guarded, see `core.wording.guarded`; lists and structs are JSON,
    bytes base64. In JSON Lines, bytes are base64 and numbers that are not finite null.

    Args:
        kind: 'csv', 'parquet' or 'jsonl'.
    """
    _WRITERS[kind](batches, schema, out)


def _write_csv(batches: Batches, schema: pa.Schema, out: BinaryIO) -> None:
    cells = pa.schema([pa.field(field.name, _cells(pa.nulls(0, field.type)).type) for field in schema])
    # All texts are in quotes, so that an empty one is not taken for no value.
    with pacsv.CSVWriter(out, cells, write_options=pacsv.WriteOptions(quoting_style="needed")) as writer:
        for batch in batches:
            writer.write_batch(pa.RecordBatch.from_arrays([_cells(column) for column in batch], schema=cells))


def _cells(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if is_text(values.type):
        texts = values.cast(pa.string())
        risky = pc.match_substring_regex(texts, RISKY)
        return pc.if_else(pc.fill_null(risky, False), pc.binary_join_element_wise("'", texts, ""), texts)
    if pa.types.is_float16(values.type):
        return values.cast(pa.float32())
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_date)
    return values if any(kind(values.type) for kind in plain) else _texts(values)


def _texts(values: pa.Array) -> pa.Array:
    plain = (_plain(value) for value in values.to_pylist())
    texts = [value if value is None or isinstance(value, str) else _json(value) for value in plain]
    return pa.array(texts, pa.string())


def _write_json_lines(batches: Batches, schema: pa.Schema, out: BinaryIO) -> None:
    for batch in batches:
        out.write("".join(f"{_json(_plain(row))}\n" for row in batch.to_pylist()).encode())


def _write_parquet(batches: Batches, schema: pa.Schema, out: BinaryIO) -> None:
    with parquet_writer(out, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


_WRITERS: dict[str, Callable[[Batches, pa.Schema, BinaryIO], None]] = {
    "csv": _write_csv,
    "jsonl": _write_json_lines,
    "parquet": _write_parquet,
}
