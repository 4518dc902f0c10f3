"""Read the files of a list of URLs: Parquet as it is stored, everything else as text."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from poolwright.core.errors import InputError
from poolwright.core.runtime.packed import unpacked
from poolwright.core.texts.csv_quotes import unclosed_quote
from poolwright.core.texts.text_files import load_json, whole_text

_BATCH = 16_384


@contextmanager
def reading_source(file: Path) -> Iterator[None]:
    """Turn what readers raise of a file that is damaged or cut off into an InputError."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: {error}") from None


def _read_parquet(file: Path, names: Sequence[str], header: Sequence[str]) -> Iterator[pa.Table]:
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(batch_size=_BATCH, columns=list(dict.fromkeys(names)), use_threads=False):
            yield pa.Table.from_batches([batch]).select(list(names))


def _parsing(file: Path) -> pc_csv.ParseOptions:
    """Return how lines are read; in TSV, as of CC3M and CC12M, quotes are characters like any other."""
    if ".tsv" in file.suffixes:
        return pc_csv.ParseOptions(delimiter="\t", quote_char=False)
    return pc_csv.ParseOptions(newlines_in_values=True)


def csv_header(file: Path) -> list[str]:
    """Return the names in the first line of a CSV or TSV file."""
    with _opened(file) as lines, pc_csv.open_csv(lines, parse_options=_parsing(file)) as reader:
        return list(reader.schema.names)


def _read_csv(file: Path, names: Sequence[str], header: Sequence[str]) -> Iterator[pa.Table]:
    """Read every value as text, unchanged."""
    read = pc_csv.ReadOptions(column_names=list(header) or None)
    convert = pc_csv.ConvertOptions(
        column_types=dict.fromkeys(header or csv_header(file), pa.string()),
        include_columns=list(names),
        strings_can_be_null=False,
    )
    if ".tsv" not in file.suffixes:
        _check_quotes(file)
    with (
        _opened(file) as lines,
        pc_csv.open_csv(lines, read_options=read, parse_options=_parsing(file), convert_options=convert) as reader,
    ):
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _check_quotes(file: Path) -> None:
    with _opened(file) as lines:
        if unclosed := unclosed_quote(lines, ","):
            raise InputError(f"{file}: {unclosed}")


def _opened(file: Path) -> BinaryIO:
    return unpacked(file.open("rb"), file.name)


def json_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON Lines.

    Raises:
        InputError: a line is not an object.
    """
    with _opened(file) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = load_json(line)
            except ValueError as error:
                raise InputError(f"{file}, line {number}: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{file}, line {number}: not an object with a URL in it")
            yield row


def _read_lines(file: Path, names: Sequence[str], header: Sequence[str]) -> Iterator[pa.Table]:
    """Read JSON Lines; values that are not text become their JSON text."""
    rows: list[dict[str, Any]] = []
    for row in json_rows(file):
        rows.append(row)
        if len(rows) == _BATCH:
            yield _text_table(rows, names)
            rows = []
    if rows:
        yield _text_table(rows, names)


def _text_table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> pa.Table:
    def text(value: Any) -> str | None:
        if value is None:
            return None
        return whole_text(value if isinstance(value, str) else json.dumps(value, sort_keys=True))

    return pa.table({name: pa.array([text(row.get(name)) for row in rows], pa.string()) for name in names})


SOURCE_READERS: Mapping[str, Callable[[Path, Sequence[str], Sequence[str]], Iterator[pa.Table]]] = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "tsv": _read_csv,
    "jsonl": _read_lines,
}
"""Functions (file, columns, names of the columns of CSV without a line of names) -> tables, by kind of file."""
