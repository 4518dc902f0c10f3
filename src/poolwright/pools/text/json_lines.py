"""Read JSON Lines files, one object per line, as a stream. A line that does not fit is an error of that row alone."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from poolwright.core.columns import ROW_ERROR
from poolwright.core.texts.text_files import load_json, whole_text
from poolwright.pools.columns.captions import as_text
from poolwright.pools.readers.paths import Unreadable, first_line
from poolwright.pools.text.inference import EXACT
from poolwright.pools.text.row_cuts import RowCut, open_rows
from poolwright.pools.text.samples import pieces_of

_BLOCK = 1 << 24  # maximal bytes of a batch


class BadLine(ValueError):
    """A line that is no JSON object, or a value that does not fit its column."""


def sample_json_lines(path: str, size: int, encoding: str = "utf-8") -> list[dict[str, Any]]:
    """Read objects from the beginning, middle and end of a file, three pieces of `size` bytes; bad lines are skipped.

    Raises:
        Unreadable: the file is damaged, is one JSON list, or has no line that is an object.
        InputError: the file cannot be opened.
    """
    found = []
    first_bad: BadLine | None = None
    pieces = pieces_of(path, size, encoding)
    _check_no_list(path, pieces[0])
    for piece in pieces:
        for line in piece.split(b"\n"):
            if line.strip():
                try:
                    found.append(load_line(line))
                except BadLine as error:
                    first_bad = first_bad or error
    if first_bad is not None and not found:
        raise Unreadable(path, f"{first_bad}; write one JSON object per line")
    return found


def read_json_lines(
    path: str,
    types: Mapping[str, pa.DataType],
    columns: Sequence[str],
    batch_rows: int,
    checked: Collection[str] | None = None,
    closed: bool = True,
    encoding: str = "utf-8",
    cut: RowCut | None = None,
) -> Iterator[pa.Table]:
    """Read rows in order, in batches of at most `batch_rows`. Keys that a line lacks are null.

    A line that is no JSON object has nulls alone, and a value that does not fit is null. Half of a surrogate pair
    becomes U+FFFD.

    Args:
        types: type of every column.
        columns: only these are converted, in this order.
        checked: columns whose values have to fit. The tables then have a further column, `row_error`, with what is
            wrong in a row.
        closed: whether keys without a type are errors as well.
        encoding: of a file without a byte order mark.
        cut: the rows to read; None for all.

    Raises:
        Unreadable: the file is one JSON list.
        OSError: the file cannot be opened.
    """
    for numbers, lines in _blocks(path, batch_rows, encoding, cut):
        yield read_objects(lines, _Lines(numbers), types, columns, checked, closed)


class _Lines:
    """Names lines by their numbers, for errors."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    def __call__(self, at: int) -> str:
        return f"line {self._numbers[at]}"


def read_objects(
    lines: Sequence[bytes],
    place: Callable[[int], str],
    types: Mapping[str, pa.DataType],
    columns: Sequence[str],
    checked: Collection[str] | None = None,
    closed: bool = True,
    sample: str = "line of the sample",
) -> pa.Table:
    """Convert JSON objects to rows, as `read_json_lines` does with the lines of a file.

    Args:
        lines: n objects, each without line breaks in it.
        place: what the error of the object at an index begins with.
        types, columns, checked, closed: as there.
        sample: what an error calls that which the types were inferred from.
    """
    schema = pa.schema([(name, types[name]) for name in columns])
    if checked is not None:
        schema = pa.schema(
            list(types.items()) if closed else [(name, types[name]) for name in dict.fromkeys([*columns, *checked])]
        )
    found = _parsed(lines, schema, closed and checked is not None)
    errors: list[str | None] = [None] * len(lines)
    if found is None:
        found, errors = _by_value(lines, schema, checked or (), types if closed else None, sample)
        errors = [error and f"{place(at)}: {error}" for at, error in enumerate(errors)]
    found = found.select(list(columns))
    return found if checked is None else found.append_column(ROW_ERROR, pa.array(errors, pa.string()))


def _check_no_list(path: str, start: bytes) -> None:
    if start.lstrip().startswith(b"["):
        raise Unreadable(path, "line 1: begins with '['; write one JSON object per line, not one list")


def _blocks(path: str, rows: int, encoding: str, cut: RowCut | None) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield runs of lines with their numbers, from 1. Blank lines are skipped."""
    numbers: list[int] = []
    lines: list[bytes] = []
    size = 0
    with open_rows(path, encoding, cut) as file:
        for number, line in enumerate(file, start=1 + (cut.lines if cut else 0)):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
                _check_no_list(path, line)
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


def _parsed(lines: Sequence[bytes], schema: pa.Schema, closed: bool) -> pa.Table | None:
    """Parse lines at once; None if any of them needs a closer look."""
    if not schema.names:
        return None
    data = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    try:
        data.decode()  # pyarrow would pass on what is not UTF-8
        found = pajson.read_json(
            io.BytesIO(data),
            read_options=pajson.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pajson.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error" if closed else "ignore"
            ),
        ).select(schema.names)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if len(found) != len(lines) or any(_rounded(column) for column in found.columns):
        return None
    return found


def _rounded(values: pa.ChunkedArray) -> bool:
    """Whether a column has floats so large that they may have been other integers."""
    if not pa.types.is_float64(values.type):
        return False
    return bool(pc.any(pc.greater_equal(pc.abs(values), EXACT)).as_py())


def _by_value(
    lines: Sequence[bytes],
    schema: pa.Schema,
    checked: Collection[str],
    known: Mapping[str, pa.DataType] | None,
    sample: str,
) -> tuple[pa.Table, list[str | None]]:
    """Convert lines value by value, and return what is wrong with each."""
    errors: list[str | None] = []
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for line in lines:
        try:
            row, error = load_line(line), None
        except BadLine as bad:
            row, error = {}, str(bad)
        for field in schema:
            try:
                value = fitted(row.get(field.name), field.type)
            except BadLine as bad:
                value = None
                if field.name in checked:
                    error = error or f"'{field.name}' {bad}; name the column's type under 'types'"
            columns[field.name].append(value)
        if known is not None and error is None:
            error = _unknown(row, pa.struct(list(known.items())), sample)
        errors.append(error)
    if not schema.names:
        return pa.table({"": pa.nulls(len(lines))}).select([]), errors
    return pa.table({name: pa.array(values, schema.field(name).type) for name, values in columns.items()}), errors


def load_line(line: bytes) -> dict[str, Any]:
    """Parse a line.

    Raises:
        BadLine: it is no JSON object, or has a key twice.
    """
    try:
        value = load_json(line, _object)
    except BadLine:
        raise
    except ValueError as error:
        raise BadLine(f"no JSON ({first_line(error)})") from None
    if not isinstance(value, dict):
        raise BadLine(f"no JSON object but {line[:40].decode('utf-8', 'replace').strip()!r}")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {whole_text(key): value for key, value in pairs}
    if len(found) < len(pairs):
        keys = [whole_text(key) for key, _ in pairs]
        raise BadLine(f"the key '{next(key for key in keys if keys.count(key) > 1)}' occurs twice in an object")
    return found


def fitted(value: Any, dtype: pa.DataType) -> Any:
    """Return a JSON value as one that pyarrow takes as `dtype`. Anything becomes JSON text if strings are expected.

    Raises:
        BadLine: it does not fit.
    """
    if value is None:
        return None
    if pa.types.is_string(dtype):
        return as_text(value)
    if pa.types.is_struct(dtype) and isinstance(value, dict):
        return {field.name: fitted(value.get(field.name), field.type) for field in dtype}
    if (pa.types.is_list(dtype) or pa.types.is_fixed_size_list(dtype)) and isinstance(value, list):
        return [fitted(item, dtype.value_type) for item in value]
    try:
        return _simple(value, dtype)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        shown = whole_text(json.dumps(value, ensure_ascii=False))[:80]
        raise BadLine(f"is {shown}, not {dtype}") from None


def _simple(value: Any, dtype: pa.DataType) -> Any:
    number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype)
    if number and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError
    if pa.types.is_integer(dtype):
        if value != int(value):
            raise ValueError
        return pa.scalar(int(value), dtype).as_py()
    if pa.types.is_floating(dtype):
        if isinstance(value, int) and pa.types.is_float64(dtype) and int(float(value)) != value:
            raise ValueError  # it would be rounded
        return float(value)
    if isinstance(value, str) and pa.types.is_temporal(dtype):
        return pa.scalar(value, pa.string()).cast(dtype).as_py()
    return pa.scalar(value, dtype).as_py()


def _unknown(value: Any, dtype: pa.DataType, sample: str) -> str | None:
    """Say which key has no type, at any depth; None if all have one."""
    if isinstance(value, list) and pa.types.is_list(dtype):
        return next(filter(None, (_unknown(item, dtype.value_type, sample) for item in value)), None)
    if not isinstance(value, dict) or not pa.types.is_struct(dtype):
        return None
    for key, item in value.items():
        at = dtype.get_field_index(key)
        if at < 0:
            return f"the key '{whole_text(key)}' is in no {sample}; name its type under 'types'"
        if found := _unknown(item, dtype.field(at).type, sample):
            return found
    return None
