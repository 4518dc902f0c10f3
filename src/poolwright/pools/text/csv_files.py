"""Read CSV and TSV files as a stream. A row or value that does not fit is an error of that row alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from poolwright.core.columns import ROW_ERROR
from poolwright.core.errors import did_you_mean
from poolwright.core.texts.csv_quotes import is_open
from poolwright.pools.readers.paths import Unreadable
from poolwright.pools.text.csv_quotes import QuoteWatch, check_quotes
from poolwright.pools.text.csv_values import DAMAGED, ValidUtf8, converted
from poolwright.pools.text.dialects import Dialect
from poolwright.pools.text.row_cuts import RowCut, open_rows
from poolwright.pools.text.samples import pieces_of

_BLOCK = 1 << 22  # bytes; a row must fit


@dataclass(frozen=True)
class CsvSample:
    """Rows from the beginning, middle and end of a file.

    Attributes:
        names: columns of the file.
        rows: cells of rows that have one for each column.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def texts(self, name: str) -> list[str]:
        """Return the cells of a column."""
        at = self.names.index(name)
        return [row[at] for row in self.rows]


def sample_csv(path: str, dialect: Dialect, size: int) -> CsvSample:
    """Read a sample of a file, three pieces of `size` bytes.

    Raises:
        Unreadable: the file is empty or damaged, or its names are not UTF-8.
        InputError: the file cannot be opened.
    """
    first, *others = pieces_of(path, size, dialect.encoding)
    if not first.strip():
        raise Unreadable(path, "Empty CSV file")
    rows = list(_rows(first, dialect))
    names = dialect.names
    if not names:
        if not rows:
            raise Unreadable(path, "the first line, with the names of the columns, cannot be read")
        names = tuple(rows.pop(0))
        if any(map(_is_damaged, names)):
            raise Unreadable(
                path,
                "the names of the columns are not UTF-8; name the encoding of the file, such as 'encoding: cp1252'",
            )
    for piece in others:
        mark = dialect.delimiter.encode()
        # Within a value of several lines, a piece could be misread.
        if not dialect.quoted or not any(is_open(line, mark) for line in piece.splitlines() if b'"' in line):
            rows += _rows(piece, dialect)
    # The header of a file that was joined to this one is no row, and what is not UTF-8 fits no column.
    fitting = (tuple(row) for row in rows if len(row) == len(names) and not any(map(_is_damaged, row)))
    return CsvSample(names, tuple(row for row in fitting if row != names))


def _is_damaged(cell: str) -> bool:
    return not cell.isascii() and any("\udc80" <= sign <= "\udcff" for sign in cell)


def _rows(data: bytes, dialect: Dialect) -> Iterator[list[str]]:
    text = io.StringIO(dialect.delimited(data).decode("utf-8", "surrogateescape"), newline="")
    rows = csv.reader(
        text, delimiter=dialect.delimiter, quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE
    )
    try:
        yield from (row for row in rows if row)
    except csv.Error:  # a value of more than 128 kB, such as one that is never closed
        return


def read_csv(
    path: str,
    dialect: Dialect,
    types: Mapping[str, pa.DataType],
    columns: Sequence[str],
    batch_rows: int,
    inferred: Collection[str] = (),
    checked: Collection[str] | None = None,
    cut: RowCut | None = None,
) -> Iterator[pa.Table]:
    """Read rows in order, in batches of at most `batch_rows`. Empty strings are nulls.

    A row with more or fewer cells than there are columns has nulls alone, and a value that does not fit is null.

    Args:
        types: type of every column.
        columns: only these are converted, in this order.
        inferred: columns whose types are only inferred: they hold no number that would change as one, such as '007'.
        checked: columns whose values have to fit. The tables then have a further column, `row_error`, with what is
            wrong in a row.
        cut: the rows to read; None for all.

    Raises:
        Unreadable: a column is missing, or a quoted value is never closed.
        OSError, pyarrow.ArrowException: the file cannot be opened, unpacked or parsed.
    """
    wanted = list(dict.fromkeys([*columns, *(checked or ())]))
    exact = frozenset(inferred)
    for texts, errors, first in _batches(path, dialect, wanted or list(types)[:1], cut):
        for at in range(0, len(errors), batch_rows):
            piece = texts.slice(at, batch_rows)
            found = errors[at : at + batch_rows]
            arrays = {}
            for name in wanted:
                values, wrong = converted(piece.column(name), types[name], name in exact)
                arrays[name] = values
                for row in np.flatnonzero(wrong) if checked is not None and name in checked else ():
                    shown = piece.column(name)[int(row)].as_py()[:80].replace(DAMAGED, "\ufffd")
                    found[int(row)] = found[int(row)] or _misfit(first + at + int(row), name, shown, types[name])
            table = pa.table({name: arrays[name] for name in columns}) if columns else _no_columns(len(piece))
            if checked is not None:
                table = table.append_column(ROW_ERROR, pa.array(found, pa.string()))
            yield table


def _no_columns(rows: int) -> pa.Table:
    return pa.table({"": pa.nulls(rows)}).select([])


def _misfit(row: int, name: str, shown: str, dtype: pa.DataType) -> str:
    if "\ufffd" in shown:
        return f"row {row}: '{name}' is {shown!r}, not UTF-8; name the encoding of the file, such as 'encoding: cp1252'"
    wrong = f"not {dtype} as in the rest of the file"
    return f"row {row}: '{name}' is {shown!r}, {wrong}; name the column's type under 'types' if it should be another"


def _batches(
    path: str, dialect: Dialect, names: Sequence[str], cut: RowCut | None
) -> Iterator[tuple[pa.Table, list[str | None], int]]:
    """Yield columns of texts, the error of each row, and the number of the first row; row 1 is the header."""
    bad: dict[int, str] = {}
    names_there = dialect.names or sample_csv(path, dialect, 1 << 14).names
    lost = [name for name in names if name not in names_there]
    if lost:
        raise Unreadable(
            path, f"has no column '{lost[0]}', which others have; {did_you_mean(lost[0], list(names_there))}"
        )

    number = (1 if dialect.names else 2) + (cut.rows if cut else 0)
    if cut and cut.begin:
        dialect = replace(dialect, names=tuple(names_there))
    before = number - (1 if dialect.names else 2)

    def skipped(row: Any) -> str:
        at = int(row.number) + before
        bad[at] = f"row {at}: {row.actual_columns} values for {row.expected_columns} columns"
        return "skip"

    with open_rows(path, dialect.encoding, cut) as opened:
        whole = ValidUtf8(dialect.opened(opened))
        file = QuoteWatch(whole, dialect.delimiter) if dialect.quoted else whole
        with _reader(file, dialect, names, skipped) as reader:
            for batch in reader:
                table, errors = _with_bad_rows(pa.Table.from_batches([batch]), number, bad)
                yield table, errors, number
                number += len(errors)
        if isinstance(file, QuoteWatch) and file.doubtful:
            check_quotes(path, dialect.delimiter, dialect.encoding)
    if bad:
        table, errors = _with_bad_rows(pa.table({name: pa.array([], pa.string()) for name in names}), number, bad)
        yield table, errors, number


def _with_bad_rows(rows: pa.Table, number: int, bad: dict[int, str]) -> tuple[pa.Table, list[str | None]]:
    """Insert rows of nulls where rows were skipped; they are taken out of `bad`."""
    if not bad:
        return rows, [None] * len(rows)
    positions: list[int | None] = []
    errors: list[str | None] = []
    left = iter(range(len(rows)))
    for at in count(number):
        if at in bad:
            positions.append(None)
            errors.append(bad.pop(at))
        elif (position := next(left, None)) is not None:
            positions.append(position)
            errors.append(None)
        else:
            return rows.take(pa.array(positions, pa.int64())), errors
    raise AssertionError


@contextmanager
def _reader(file: Any, dialect: Dialect, columns: Sequence[str], skipped: Any) -> Iterator[Any]:
    with pacsv.open_csv(
        file,
        read_options=pacsv.ReadOptions(block_size=_BLOCK, use_threads=False, column_names=list(dialect.names) or None),
        parse_options=pacsv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char='"' if dialect.quoted else False,
            newlines_in_values=dialect.quoted,
            invalid_row_handler=skipped,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), include_columns=list(columns), check_utf8=False
        ),
    ) as reader:
        yield reader
