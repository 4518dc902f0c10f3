"""Convert the DataFrame of GeoYFCC to Arrow columns, before they get the types of the pool."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.remote.schemes import is_url
from poolwright.pools.columns.casting import plain as plain_array
from poolwright.pools.readers.pandas_frame import PandasFrame, Values, chunks_of, plain, read_frame
from poolwright.pools.yfcc.fields import fields_of

PART_ROWS = 65_536

ROW_ID = "yfcc_row_id"
METADATA = "yfcc_metadata"
LABELS = pa.list_(pa.int64())
FIELD_LIST = pa.list_(pa.string())
"""Type of metadata that is not one text: a list of its fields; a list of one is the text of a line."""


class _Loaded:
    """The table of the pickle that was read last: one per process, for all pools and workers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._table: dict[str, pa.ChunkedArray] = {}

    def get(self, path: str) -> dict[str, pa.ChunkedArray]:
        key = _state(path)
        with self._lock:
            if key != self._key:
                self._key, self._table = (), {}  # released before the next one is read
                self._table = _arrow_columns(read_frame(path))
                self._key = key
            return self._table


def _state(path: str) -> tuple[object, ...]:
    if is_url(path):
        return (path,)
    try:
        found = os.stat(path)
    except OSError:
        return (path,)  # opening it reports the error
    return path, found.st_size, found.st_mtime_ns


_LOADED = _Loaded()


def pickled_columns(path: str) -> dict[str, pa.ChunkedArray]:
    """Return the columns of a pickled GeoYFCC, in chunks of `PART_ROWS`; kept until another pickle is read.

    A row index called 'yfcc_row_id' becomes a column if there is none of that name. Types are those of the values;
    metadata is strings, or lists of fields if some of it is not text.

    Raises:
        InputError: the file cannot be opened, or is no pickle of a DataFrame.
    """
    return _LOADED.get(path)


def _arrow_columns(frame: PandasFrame) -> dict[str, pa.ChunkedArray]:
    columns = dict(frame.columns)
    if ROW_ID not in columns and ROW_ID in frame.index:
        columns = {ROW_ID: frame.index[ROW_ID], **columns}
    frame.columns.clear()
    found = {}
    for name in list(columns):
        make = _MAKERS.get(name, _natural)
        found[name] = _unified([make(chunk) for chunk in chunks_of(columns.pop(name), PART_ROWS)])
    return found


def _natural(values: Values) -> pa.Array:
    """Convert values to their type; to text if they have several."""
    if not isinstance(values, list):
        return plain_array(pa.array(values, from_pandas=True))
    try:
        return plain_array(pa.array(values, from_pandas=True))
    except (pa.ArrowException, TypeError, OverflowError):
        values = [plain(value) for value in values]
    try:
        return plain_array(pa.array(values, from_pandas=True))
    except (pa.ArrowException, TypeError, OverflowError):
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)


def _labels(values: Values) -> pa.Array:
    """Convert to lists of integers; a single number becomes a list of one. Null if a value is neither."""
    if not isinstance(values, list):
        return _natural(values)
    try:
        return pa.array(values, LABELS)
    except (pa.ArrowException, TypeError, OverflowError):
        return pa.array([_label_list(plain(value)) for value in values], LABELS)


def _label_list(value: Any) -> list[int] | None:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, int | float | np.integer) and item == int(item) for item in values):
        return None
    return [int(item) for item in values]


def _metadata(values: Values) -> pa.Array:
    try:
        return pa.array(values, pa.string(), from_pandas=True) if isinstance(values, list) else _natural(values)
    except (pa.ArrowException, TypeError):
        return pa.array([_fields(plain(value)) for value in values], FIELD_LIST)


def _fields(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str | bytes):
        return [_text(value) or ""]
    if isinstance(value, dict):
        return fields_of(value)
    return ["" if item is None else str(_text(item)) for item in value] if isinstance(value, list) else [str(value)]


_MAKERS: dict[str, Callable[[Values], pa.Array]] = {
    "label_ids": _labels,
    "in_5k_label_ids": _labels,
    METADATA: _metadata,
}


def _unified(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Convert chunks to one type: the widest number, lists of fields before text, else text."""
    types = list(dict.fromkeys(chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)))
    if len(types) > 1:
        types = [_common(types)]
    wanted = types[0] if types else pa.string()
    return pa.chunked_array([_as_type(chunk, wanted) for chunk in chunks], wanted)


def _common(types: Sequence[pa.DataType]) -> pa.DataType:
    if all(pa.types.is_integer(dtype) for dtype in types):
        return pa.int64()
    if all(pa.types.is_integer(dtype) or pa.types.is_floating(dtype) for dtype in types):
        return pa.float64()
    return FIELD_LIST if set(types) == {FIELD_LIST, pa.string()} else pa.string()


def _as_type(chunk: pa.Array, wanted: pa.DataType) -> pa.Array:
    if chunk.type == wanted:
        return chunk
    if wanted == FIELD_LIST and pa.types.is_string(chunk.type):
        return pa.array([None if text is None else [text] for text in chunk.to_pylist()], FIELD_LIST)
    if pa.types.is_string(wanted):
        return pa.array([_text(value) for value in chunk.to_pylist()], pa.string())
    return chunk.cast(wanted)
