"""Read Parquet and Arrow files alike: footers, first values, and rows in batches of bounded memory.

Arrow files are streams, as Hugging Face `datasets` saves them, or files with a footer (Feather 2). A stream has no
index, so its rows are one run, counted in the headers of its messages; only the batch that is read is held in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.remote.files import BUFFER, open_file
from poolwright.core.remote.schemes import is_url
from poolwright.pools.readers import parquet
from poolwright.pools.readers.parquet import BATCH_BYTES, Footer
from poolwright.pools.readers.paths import DAMAGE, first_line, raise_if_unreachable, suffix

ARROW = ("arrow", "feather")
"""Extensions of Arrow files."""

_MAGIC = b"ARROW1"
_HEADERS = 1 << 14
"""Bytes of a request where only the headers of messages are read."""
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def read_footer(path: str) -> Footer:
    """Read schema and row counts of a file; damage is reported in the footer.

    Raises:
        InputError: the file cannot be opened.
    """
    if suffix(path) not in ARROW:
        return parquet.read_footer(path)
    try:
        if is_url(path):
            with _source(path, _HEADERS) as source, _reader(source) as (schema, _):
                return Footer(schema, (_rows_of_stream(source),))
        with pa.memory_map(path) as source, _reader(source) as (schema, batches):
            return Footer(schema, (sum(batch.num_rows for batch in batches),))
    except (*DAMAGE, struct.error) as error:
        raise_if_unreachable(error, path)
        return Footer(None, damage=f"is no Arrow file, or cut off: {first_line(error)}")


def read_rows(path: str, groups: Sequence[int], columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
    """Read rows in order, in batches of at most `batch_rows`, fewer if rows are wide.

    Args:
        path: path, or URL of a Parquet file.
        groups: row groups of a Parquet file.
        columns: names of top-level columns; only they are given, in this order.

    Raises:
        OSError, pyarrow.ArrowException: the file cannot be opened or is damaged.
    """
    if suffix(path) not in ARROW:
        yield from parquet.read_parquet(path, groups, columns, batch_rows)
        return
    with _source(path) as source, _reader(source) as (_, batches):
        for batch in batches:
            table, names = pa.Table.from_batches([batch]), list(columns)
            rows = max(1, min(batch_rows, BATCH_BYTES * len(table) // max(table.select(names).nbytes, 1)))
            yield from (table.slice(at, rows).select(names) for at in range(0, len(table), rows))


def first_values(path: str, column: str, rows: int) -> pa.ChunkedArray | None:
    """Read the first `rows` values of a column from where it has any; None if there is no value in the file.

    Raises:
        OSError, pyarrow.ArrowException: the file cannot be opened or is damaged.
    """
    if suffix(path) not in ARROW:
        return parquet.first_values(path, column, rows)
    with _source(path) as source, _reader(source) as (schema, batches):
        for batch in batches if column in schema.names else ():
            values = pa.chunked_array([batch.column(column).slice(0, rows)])
            if pc.any(parquet.has_value(values)).as_py():
                return values
    return None


def _source(path: str, buffer: int = BUFFER) -> Any:
    return pa.PythonFile(open_file(path, buffer), "r") if is_url(path) else pa.OSFile(path)


def _rows_of_stream(source: Any) -> int:
    """Count the rows of an Arrow file in the headers of its record batches, whose bodies are not read.

    A header is a Flatbuffers table `Message`, see https://arrow.apache.org/docs/format/Columnar.html.
    """
    rows, at = 0, 8 if source.read_at(len(_MAGIC), 0) == _MAGIC else 0
    while True:
        mark, length = struct.unpack("<Ii", source.read_at(8, at))
        if mark != 0xFFFFFFFF or length < 0:
            raise pa.ArrowInvalid(f"no message of Arrow at byte {at:,}")
        if length == 0:
            return rows
        header = source.read_at(length, at + 8)
        message = _number(header, 0, "I")
        kind, body = _field(header, message, 1), _field(header, message, 3)
        if kind and header[kind] == _RECORD_BATCH:
            batch = _field(header, message, 2)
            counted = _field(header, batch + _number(header, batch, "I"), 0)
            rows += _number(header, counted, "q") if counted else 0
        at += 8 + length + (_number(header, body, "q") if body else 0)


_RECORD_BATCH = 3


def _number(data: bytes, at: int, kind: str) -> int:
    return int(struct.unpack_from(f"<{kind}", data, at)[0])


def _field(data: bytes, table: int, index: int) -> int:
    """Return where a field of a Flatbuffers table is; 0 if it has its default."""
    entries = table - _number(data, table, "i")
    offset = 4 + 2 * index
    found = _number(data, entries + offset, "H") if offset < _number(data, entries, "H") else 0
    return table + found if found else 0


@contextmanager
def _reader(source: Any) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Give the schema and the batches of an open Arrow file.

    Raises:
        pyarrow.ArrowInvalid: it is none, or a stream without an end.
    """
    if source.read_at(len(_MAGIC), 0) == _MAGIC:
        with pa.ipc.open_file(source) as reader:
            yield reader.schema, (reader.get_batch(at) for at in range(reader.num_record_batches))
        return
    size = source.size()
    if size < len(_END_OF_STREAM) or source.read_at(len(_END_OF_STREAM), size - len(_END_OF_STREAM)) != _END_OF_STREAM:
        raise pa.ArrowInvalid("the stream has no end")
    source.seek(0)
    with pa.ipc.open_stream(source) as reader:
        yield reader.schema, iter(reader)
