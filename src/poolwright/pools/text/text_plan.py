"""Plan how CSV, TSV and JSON Lines files are read: names and types of columns, from a sample of every file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from poolwright.core.columns import ROW_ERROR, WELL_KNOWN
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.images.formats import is_image_name
from poolwright.pools.columns.mapping import TWO_POOLS, ColumnRequest, Given, map_columns, sources_of
from poolwright.pools.readers.paths import Unreadable, base_name
from poolwright.pools.text.csv_files import CsvSample, read_csv, sample_csv
from poolwright.pools.text.csv_values import converted
from poolwright.pools.text.dialects import Dialect
from poolwright.pools.text.inference import Inference
from poolwright.pools.text.json_lines import BadLine, fitted, read_json_lines, sample_json_lines
from poolwright.pools.text.row_cuts import RowCut
from poolwright.pools.text.samples import bytes_of_each

_URL = re.compile(r"(?:https?:)?//\S+", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class TextLayout:
    """All that reading text files needs, once their samples have been read.

    Attributes:
        types: of all source columns.
        checked: source columns in which a value that does not fit is an error of its row.
        inferred: source columns whose type was not declared.
        closed: whether a key without a type is an error of its row.
        encoding: of files without a byte order mark.
        dialect: of CSV, TSV and lists; None for JSON Lines.
    """

    types: Mapping[str, pa.DataType]
    checked: tuple[str, ...]
    inferred: frozenset[str]
    closed: bool
    encoding: str
    dialect: Dialect | None


def text_columns(
    files: Sequence[str],
    wanted: ColumnRequest,
    declared: Mapping[str, pa.DataType],
    encoding: str,
    dialect: Dialect | None,
) -> tuple[list[Given], TextLayout]:
    """Return the columns of CSV, TSV, JSON Lines or text files, and how to read them.

    Args:
        files: all of one format.
        wanted: the columns that the recipe asks for.
        declared: types that the recipe names, by source column.
        encoding: of files without a byte order mark.
        dialect: of CSV, TSV and lists; None for JSON Lines.

    Raises:
        RecipeError: a column is missing, a file has columns of its own, or the first line looks like data.
        InputError: no file can be read.
    """
    sample = (
        _json_sample(files, declared, encoding) if dialect is None else _csv_sample(files, wanted, declared, dialect)
    )
    return _columns(sample, wanted, declared, encoding, dialect)


def object_columns(
    file: str, rows: Sequence[Mapping[str, Any]], wanted: ColumnRequest, declared: Mapping[str, pa.DataType]
) -> tuple[list[Given], TextLayout]:
    """Return the columns of JSON objects by a sample of them, as `text_columns` does for files of them.

    Args:
        file: that the first is from.
    """
    return _columns(_sample_of_objects(file, rows, declared), wanted, declared, "utf-8", None)


def _columns(
    sample: _Sample,
    wanted: ColumnRequest,
    declared: Mapping[str, pa.DataType],
    encoding: str,
    dialect: Dialect | None,
) -> tuple[list[Given], TextLayout]:
    given = map_columns(pa.schema(list(sample.types.items())), wanted, sample.file, sample.table)
    if any(column.field.name == ROW_ERROR for column in given):
        raise RecipeError(
            f"{sample.file}: the pool itself gives '{ROW_ERROR}', what is wrong in a row; give the column of the file "
            f"another name under 'columns', such as {{NAME: {ROW_ERROR}}}"
        )
    checked = {str(column.source) for column in given if column.source is not None and _is_checked(column)}
    inferred = frozenset(sample.types) - set(declared)
    return given, TextLayout(sample.types, tuple(sorted(checked)), inferred, wanted.keep is None, encoding, dialect)


def read_text(
    file: str, text: TextLayout, sources: Sequence[str], batch_rows: int, checks: bool, cut: RowCut | None = None
) -> Iterator[pa.Table]:
    """Read the rows of a file as `read_csv` or `read_json_lines` does.

    Args:
        text: how the files are read.
        sources: columns to read.
        batch_rows: most rows of a table.
        checks: whether the tables have the column `row_error`.
        cut: the rows to read; None for all.
    """
    checked = text.checked if checks else None
    if text.dialect is None:
        yield from read_json_lines(file, text.types, sources, batch_rows, checked, text.closed, text.encoding, cut)
    else:
        yield from read_csv(file, text.dialect, text.types, sources, batch_rows, text.inferred, checked, cut)


def _is_checked(column: Given) -> bool:
    """Whether a value that does not fit is an error; in well-known columns of numbers and times it is null."""
    name = column.field.name
    return name not in WELL_KNOWN or pa.types.is_string(WELL_KNOWN[name].type)


@dataclass(frozen=True)
class _Sample:
    file: str
    types: dict[str, pa.DataType]
    arrays: Any  # of a column, by its name

    def table(self, names: list[str]) -> pa.Table:
        return pa.table({name: self.arrays(name) for name in names})


def _json_sample(files: Sequence[str], declared: Mapping[str, pa.DataType], encoding: str) -> _Sample:
    size = bytes_of_each(len(files))
    samples = _readable(files, lambda file: sample_json_lines(file, size, encoding))
    return _sample_of_objects(next(iter(samples)), [row for rows in samples.values() for row in rows], declared)


def _sample_of_objects(file: str, rows: Sequence[Mapping[str, Any]], declared: Mapping[str, pa.DataType]) -> _Sample:
    seen = Inference()
    for row in rows:
        seen.see_object(row)
    types = {name: declared[name] if name in declared else found.type() for name, found in seen.fields.items()}
    types.update({name: dtype for name, dtype in declared.items() if name not in types})

    def arrays(name: str) -> pa.Array:
        return pa.array([_fitted_or_null(row.get(name), types[name]) for row in rows], types[name])

    return _Sample(file, types, arrays)


def _fitted_or_null(value: Any, dtype: pa.DataType) -> Any:
    try:
        return fitted(value, dtype)
    except BadLine:
        return None


def _csv_sample(
    files: Sequence[str], wanted: ColumnRequest, declared: Mapping[str, pa.DataType], dialect: Dialect
) -> _Sample:
    size = bytes_of_each(len(files))
    samples = _readable(files, lambda file: sample_csv(file, dialect, size))
    file, first = next(iter(samples.items()))
    _check_names(file, first, wanted, declared, dialect)
    if wanted.keep is None:
        _check_no_more(file, first.names, samples)
    sources = sources_of(first.names, wanted, file)
    # As texts, ids and labels keep their leading zeros, and one odd number does not spoil a file.
    known = {source for name, source in sources.items() if name in WELL_KNOWN}
    rows = {name: [sample for sample in samples.values() if name in sample.names] for name in first.names}
    texts = {name: [text for sample in found for text in sample.texts(name)] for name, found in rows.items()}
    types = {
        name: declared[name] if name in declared else pa.string() if name in known else _type_of(texts[name])
        for name in first.names
    }

    def arrays(name: str) -> pa.Array:
        return converted(pa.array(texts[name], pa.string()), types[name], name not in declared)[0]

    return _Sample(file, types, arrays)


def _type_of(texts: Iterable[str]) -> pa.DataType:
    seen = Inference()
    seen.see_texts(texts)
    return seen.type()


def _readable(files: Sequence[str], read: Any) -> dict[str, Any]:
    """Return the samples of the files that can be read."""
    found: dict[str, Any] = {}
    damage: Unreadable | None = None
    for file in files:
        try:
            found[file] = read(file)
        except Unreadable as error:
            damage = damage or error
    if not found:
        raise damage or InputError("no file of the pool can be read")
    return found


def _check_names(
    file: str, sample: CsvSample, wanted: ColumnRequest, declared: Mapping[str, pa.DataType], dialect: Dialect
) -> None:
    unknown = set(declared) - set(sample.names)
    if unknown:
        name = min(unknown)
        raise RecipeError(f"{file}: no column '{name}' of 'types'; {did_you_mean(name, sample.names)}")
    if dialect.names:
        return
    named = {*wanted.columns.values(), *(wanted.keep or ()), wanted.uid, *declared}
    for at, name in enumerate(sample.names):
        if name not in named and _is_data(name, sample):
            shown = ", ".join(_suggested(name) for name in sample.names)
            raise RecipeError(
                f"{file}: the first line looks like data, not like the names of columns ({name!r} in column {at + 1}); "
                f"name the columns of a file without a header line, such as 'header: [{shown}]'"
            )


def _is_data(name: str, sample: CsvSample) -> bool:
    """Whether a name must be a value: a URL, an image file, or a number that its own column has again."""
    if _URL.fullmatch(name) or is_image_name(name):
        return True
    numbers = [other for other in sample.names if _NUMBER.fullmatch(other)]
    counted = len(numbers) > 1 and numbers in ([str(at + start) for at in range(len(numbers))] for start in (0, 1))
    return name in numbers and not counted and name in sample.texts(name)


def _suggested(value: str) -> str:
    if _URL.fullmatch(value):
        return "url"
    if is_image_name(value):
        return "image_path"
    return "label_index" if _NUMBER.fullmatch(value) else "text"


def _check_no_more(first: str, names: Sequence[str], samples: Mapping[str, CsvSample]) -> None:
    for file, sample in samples.items():
        more = set(sample.names) - set(names)
        if more and set(names) <= set(sample.names):
            raise RecipeError(
                f"{first} and {base_name(file)} differ: only the second has the column '{min(more)}'; name the columns "
                f"to 'keep', or {TWO_POOLS}"
            )
