"""Read CSV and TSV files with a header line as a stream. The first block of a file decides the types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from poolwright.core.errors import did_you_mean
from poolwright.pools.readers.paths import DAMAGE, Unreadable, first_line, open_text, raise_if_unreachable

DELIMITERS = {"csv": ",", "tsv": "\t"}
_BLOCK = 1 << 22  # bytes; a row must fit


def first_rows(path: str, delimiter: str, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Read the rows of the first block, with the types found in it, or those in `types`.

    A column without any value in it becomes strings.

    Raises:
        Unreadable: the file is empty, or its first rows are malformed.
        InputError: the file cannot be opened.
    """
    try:
        with open_text(path) as file, _reader(file, delimiter, types, None) as reader:
            schema, batches = reader.schema, []
            for batch in reader:
                if batch.num_rows:
                    batches.append(batch)
                    break
    except DAMAGE as error:
        raise_if_unreachable(error, path)
        raise Unreadable(path, _message(error)) from None
    found = pa.Table.from_batches(batches, schema=schema)
    for index, field in enumerate(schema):
        if pa.types.is_null(field.type):
            found = found.set_column(index, pa.field(field.name, pa.string()), pa.nulls(len(found), pa.string()))
        elif pa.types.is_binary(field.type):
            raise Unreadable(path, f"the column '{field.name}' is not UTF-8; convert the file to UTF-8")
    return found


def read_csv(
    path: str, delimiter: str, types: Mapping[str, pa.DataType], columns: Sequence[str], batch_rows: int
) -> Iterator[pa.Table]:
    """Read rows in order, in batches of at most `batch_rows`. Empty strings are nulls.

    Args:
        types: type of every column.
        columns: only these are converted, in this order.

    Raises:
        Unreadable: a row or value is malformed, or a column is missing; the message names the row.
        OSError: the file cannot be opened.
    """
    names = list(columns) or list(types)[:1]
    with open_text(path) as file:
        try:
            with _reader(file, delimiter, types, names) as reader:
                for batch in reader:
                    table = pa.Table.from_batches([batch])
                    table = pa.table([_no_empty(column) for column in table.columns], schema=table.schema)
                    for at in range(0, len(table), batch_rows):
                        yield table.slice(at, batch_rows).select(list(columns))
        except KeyError as error:
            with open_text(path) as again, _reader(again, delimiter, {}, None) as reader:
                raise Unreadable(path, _missing(str(error), names, reader.schema.names)) from None
        except pa.ArrowException as error:
            raise Unreadable(path, _message(error)) from None


@contextmanager
def _reader(
    file: Any, delimiter: str, types: Mapping[str, pa.DataType], columns: Sequence[str] | None
) -> Iterator[Any]:
    wanted = {name: types[name] for name in columns or types if name in types}
    with pacsv.open_csv(
        file,
        read_options=pacsv.ReadOptions(block_size=_BLOCK, use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(column_types=wanted, include_columns=columns),
    ) as reader:
        yield reader


def _no_empty(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace empty strings by null. The option of pyarrow would also replace 'NA', which is Namibia."""
    return pc.if_else(pc.equal(column, ""), None, column) if pa.types.is_string(column.type) else column


def _missing(error: str, wanted: Sequence[str], there: Sequence[str]) -> str:
    lost = [name for name in wanted if name not in there]
    if not lost:
        return error
    return f"has no column '{lost[0]}', which the first file has; {did_you_mean(lost[0], there)}"


def _message(error: BaseException) -> str:
    """Return the message of pyarrow with the row first. Row 1 is the header."""
    text = first_line(error)
    row = re.search(r"Row #(\d+): ", text)
    if not row:
        return f"cannot be read as CSV: {text}"
    said = (
        (text[: row.start()] + text[row.end() :]).replace("CSV parse error: ", "").replace("CSV conversion error", "no")
    )
    hint = "; name the column's type under 'types'" if "conversion error" in text else ""
    return f"row {row.group(1)}: {said}{hint}"
