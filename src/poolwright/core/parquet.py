"""Writes Parquet with one set of options for tables, ledgers, states, releases and all other files.

- zstd (Arrow's default level) for every leaf column, nested ones too; vectors and bytes are stored as they are, since
  embeddings and encoded images do not compress.
- Dictionaries for texts alone: dictionaries of numbers cost seconds and are abandoned on most columns. None for `uid`,
  which never repeats: without one it is written in half the time and read faster, from smaller files.
- Statistics of every leaf that is compressed; no page index.
- Format version and page sizes are Arrow's defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import UID, is_text, is_vector
from poolwright.core.files import write_atomically

_BYTES_OF_BINARY, _BYTES_OF_TEXT = 65_536, 24
_BYTES_OF_VECTOR = 1_024  # of 512 numbers; plain lists do not say how long they are


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return the options of `pyarrow.parquet.ParquetWriter` and `write_table` for rows of a schema."""
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    packed = [path for path, dtype in leaves if not _is_raw(dtype)]
    return {
        "compression": dict.fromkeys(packed, "zstd") | {path: "none" for path, dtype in leaves if _is_raw(dtype)},
        "use_dictionary": [path for path, dtype in leaves if is_text(dtype) and path != UID],
        "write_statistics": packed,
    }


def _leaves(path: str, dtype: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Paths of the Parquet columns that a column is stored in, each with its type; for vectors that of the list."""
    if pa.types.is_struct(dtype):
        for child in dtype:
            yield from _leaves(f"{path}.{child.name}", child.type)
    elif pa.types.is_map(dtype):
        yield from _leaves(f"{path}.key_value.key", dtype.key_type)
        yield from _leaves(f"{path}.key_value.value", dtype.item_type)
    elif is_vector(dtype):
        yield f"{path}.list.element", dtype
    elif pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype):
        yield from _leaves(f"{path}.list.element", dtype.value_type)
    else:
        yield path, dtype


def _is_raw(dtype: pa.DataType) -> bool:
    return is_vector(dtype) or _is_bytes(dtype)


def _is_bytes(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype))


def parquet_writer(out: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a writer of rows of a schema, to a path or an open binary file."""
    return pq.ParquetWriter(out, schema, **parquet_options(schema))


def write_parquet(path: Path, table: pa.Table) -> str:
    """Write a small table atomically, as a file of one row group; return its `digest_file`."""
    return write_atomically(path, lambda out: pq.write_table(table, out, **parquet_options(table.schema)))


def row_group_rows(schema: pa.Schema, group_bytes: int, least: int, most: int) -> int:
    """Return the number of rows of a row group of about `group_bytes` in memory, from `least` to `most`."""
    return int(max(least, min(most, group_bytes // max(sum(_row_bytes(field.type) for field in schema), 1))))


def _row_bytes(dtype: pa.DataType) -> int:
    if pa.types.is_fixed_size_list(dtype):
        return int(dtype.list_size * _row_bytes(dtype.value_type))
    if pa.types.is_list(dtype) and pa.types.is_floating(dtype.value_type):
        return _BYTES_OF_VECTOR
    if _is_bytes(dtype):
        return _BYTES_OF_BINARY
    return dtype.bit_width // 8 or 1 if pa.types.is_primitive(dtype) else _BYTES_OF_TEXT
