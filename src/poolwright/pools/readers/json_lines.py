"""Read JSON Lines files, one object per line, as a stream. The first lines decide names and types."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from poolwright.pools.columns.captions import as_text
from poolwright.pools.readers.paths import Unreadable, first_line, open_text

FIRST_ROWS = 1_000
_BLOCK = 1 << 24  # maximal bytes of a batch


def first_rows(path: str, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Read the first 1,000 rows, with the types found in them, or those in `types`.

    Texts are strings even if they look like times. A key without any value becomes strings.

    Raises:
        Unreadable: a line is not a JSON object, or values of one key differ in type.
        OSError: the file cannot be opened.
    """
    for number, lines in _blocks(path, FIRST_ROWS):
        schema = _inferred(path, number, lines)
        fields = [pa.field(name, types.get(name, _settled(schema.field(name).type))) for name in schema.names]
        fields += [pa.field(name, dtype) for name, dtype in types.items() if name not in schema.names]
        settled = pa.schema(fields)
        return _table(path, number, lines, settled, ())
    return pa.schema(list(types.items())).empty_table()


def read_json_lines(
    path: str, types: Mapping[str, pa.DataType], columns: Sequence[str], batch_rows: int, lenient: Collection[str] = ()
) -> Iterator[pa.Table]:
    """Read rows in order, in batches of at most `batch_rows`. Keys that a line lacks are null.

    Args:
        types: type of every column.
        columns: only these are converted, in this order.
        lenient: columns in which a value of another type is null.

    Raises:
        Unreadable: a line is not a JSON object, or a value of another column has the wrong type; the message names
            the line.
        OSError: the file cannot be opened.
    """
    schema = pa.schema([(name, types[name]) for name in columns])
    for number, lines in _blocks(path, batch_rows):
        yield _table(path, number, lines, schema, lenient)


def _blocks(path: str, rows: int) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield runs of lines with their numbers, from 1. Blank lines are skipped."""
    numbers: list[int] = []
    lines: list[bytes] = []
    size = 0
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
                if line.lstrip().startswith(b"["):
                    raise Unreadable(path, "line 1: begins with '['; write one JSON object per line, not one list")
            if not line.strip():
                continue
            numbers.append(number)
            lines.append(line)
            size += len(line)
            if len(lines) >= rows or size >= _BLOCK:
                yield numbers, lines
                numbers, lines, size = [], [], 0
    if lines:
        yield numbers, lines


def _inferred(path: str, numbers: Sequence[int], lines: Sequence[bytes]) -> pa.Schema:
    try:
        found = _parse(lines, None)
        if len(found) == len(lines):
            return found.schema
        raise pa.ArrowInvalid("a line holds more or less than one object")
    except pa.ArrowException as error:
        for number, line in zip(numbers, lines, strict=True):
            _loaded(path, number, line)
        raise Unreadable(path, f"{first_line(error)}; name the column's type under 'types'") from None


def _parse(lines: Sequence[bytes], schema: pa.Schema | None) -> pa.Table:
    data = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    return pajson.read_json(
        io.BytesIO(data),
        read_options=pajson.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pajson.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "ignore"
        ),
    )


def _table(
    path: str, numbers: Sequence[int], lines: Sequence[bytes], schema: pa.Schema, lenient: Collection[str]
) -> pa.Table:
    if not schema.names:
        for number, line in zip(numbers, lines, strict=True):
            _loaded(path, number, line)
        return pa.table({"": pa.nulls(len(lines))}).select([])
    try:
        found = _parse(lines, schema).select(schema.names)
    except pa.ArrowException:
        found = None
    if found is not None and len(found) == len(lines):
        return found
    return _table_by_value(path, numbers, lines, schema, lenient)


def _table_by_value(
    path: str, numbers: Sequence[int], lines: Sequence[bytes], schema: pa.Schema, lenient: Collection[str]
) -> pa.Table:
    """Like `_table`, line by line: to find the bad line, or to skip a value that may be bad."""
    rows = [_loaded(path, number, line) for number, line in zip(numbers, lines, strict=True)]
    arrays = []
    for field in schema:
        values = [_value(row.get(field.name), field.type) for row in rows]
        for at, value in enumerate(values):
            if not _fits(value, field.type):
                if field.name not in lenient:
                    raise Unreadable(path, _misfit(numbers[at], field, value))
                values[at] = None
        arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _value(value: Any, dtype: pa.DataType) -> Any:
    """Convert numbers and objects to their JSON text if strings are expected."""
    return as_text(value) if pa.types.is_string(dtype) else value


def _fits(value: Any, dtype: pa.DataType) -> bool:
    if value is None or pa.types.is_string(dtype):
        return True
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if pa.types.is_integer(dtype) and isinstance(value, float) and not value.is_integer():
            return False  # pyarrow would truncate it
    try:
        pa.array([value], dtype)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _misfit(number: int, field: pa.Field, value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)[:80]
    return f"line {number}: '{field.name}' is {shown}, not {field.type}; name the column's type under 'types'"


def _loaded(path: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unreadable(path, f"line {number}: no JSON ({first_line(error)})") from None
    if not isinstance(value, dict):
        raise Unreadable(path, f"line {number}: no JSON object but {line[:40].decode('utf-8', 'replace').strip()!r}")
    return value


def _settled(dtype: pa.DataType) -> pa.DataType:
    """Return the type with strings for times, which pyarrow finds in texts, and for nulls."""
    if pa.types.is_null(dtype) or pa.types.is_timestamp(dtype):
        return pa.string()
    if pa.types.is_list(dtype):
        return pa.list_(_settled(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([pa.field(field.name, _settled(field.type)) for field in dtype])
    return dtype
