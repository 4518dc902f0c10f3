"""Columns from NumPy arrays: the Arrow column that an array gives, and its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID, WELL_KNOWN, is_vector, wider_type
from poolwright.core.errors import RecipeError
from poolwright.core.runtime.noting import note
from poolwright.core.texts.text_files import whole_text
from poolwright.pools.columns.captions import decoded
from poolwright.pools.columns.casting import as_given, check_values, given_type
from poolwright.pools.columns.vectors import MadeBy, field_of, unit_vectors
from poolwright.pools.readers.numpy_files import ArrayHeader, ArrayReader, read_headers
from poolwright.pools.readers.paths import base_name

_PAIR = np.dtype("u8,u8")
"""A 128-bit id as DataComp writes it: the first 16 hex digits, and the last."""

_FIRST_ROWS = 1_000


@dataclass(frozen=True)
class ArrayGiven:
    """One column made from arrays.

    Attributes:
        field: name, type and metadata.
        array: array with one value per row: the column's own, or indices into `values`; None for row numbers.
        values: array of the values that are looked up.
        drift: what to say if its type differs between files; '' if it does not.
    """

    field: pa.Field
    array: str | None
    values: str | None = None
    drift: str = ""

    def column(self, rows: np.ndarray, values: Mapping[str, np.ndarray]) -> pa.Array:
        """Return the column for some rows of its array.

        Args:
            rows: the rows of `array`.
            values: all arrays of looked-up values, by name.
        """
        if is_vector(self.field.type):
            return unit_vectors(rows)
        if self.values is None:
            return as_given(_plain(rows), self.field.name, self.field.type)
        known = as_given(_plain(values[self.values]), self.field.name, self.field.type)
        inside = (rows >= 0) & (rows < len(known))
        return known.take(pa.array(np.where(inside, rows, 0).astype(np.int64), mask=~inside))


def given_of(
    file: str,
    uid: str | None,
    columns: Mapping[str, MadeBy],
    arrays: Mapping[str, str],
    lookups: Mapping[str, tuple[str, str]],
) -> tuple[ArrayGiven, ...]:
    """Return the columns that a file gives, `uid` first.

    Args:
        uid: array of the uids; None to number the rows.
        columns: encoder by column.
        arrays: array by column.
        lookups: array of values and array of indices, by column.

    Raises:
        RecipeError: an array cannot give its column, or lengths differ.
        Unreadable: the file is damaged, or has no such array.
    """
    names = {*arrays.values(), *(name for pair in lookups.values() for name in pair), *([uid] if uid else [])}
    headers = headers_by_name(file, names)
    found = [ArrayGiven(pa.field(UID, WELL_KNOWN[UID].type), uid)]
    if uid:
        found = [ArrayGiven(_field(file, UID, headers[uid], None), uid)]
    found += [
        ArrayGiven(_field(file, name, headers[arrays[name]], spec), arrays[name]) for name, spec in columns.items()
    ]
    for name, (values, by) in lookups.items():
        if headers[by].dtype.kind not in "iu" or len(headers[by].shape) != 1:
            raise RecipeError(
                f"{file}: '{by}' looks up '{name}', so it must be 1-d integers, not {_shown(headers[by])}"
            )
        found.append(ArrayGiven(_field(file, name, headers[values], None), by, values))
    lengths = _lengths(headers, found)
    if len(set(lengths.values())) > 1:
        raise RecipeError(f"{file}: {_unequal(lengths)}; choose arrays of the same rows")
    for column in found:
        _check_first(file, column, headers)
    return tuple(found)


def headers_of(file: str, given: Iterable[ArrayGiven]) -> dict[str, ArrayHeader]:
    """Read the headers of all arrays that columns need.

    Raises:
        Unreadable: the file is damaged, or has no such array.
    """
    return headers_by_name(file, {name for column in given for name in (column.array, column.values) if name})


def headers_by_name(file: str, names: Iterable[str]) -> dict[str, ArrayHeader]:
    """Read the headers of some arrays; the one array of an .npy goes by every name."""
    wanted = sorted(names)
    headers = read_headers(file, wanted)
    return dict.fromkeys(wanted, headers[""]) if "" in headers else headers


def widened(given: ArrayGiven, file: str, headers: Mapping[str, ArrayHeader]) -> ArrayGiven:
    """Return the column with a type that holds the values of a further file too, if there is one."""
    own = _type_of(given, headers)
    dtype = given.field.type if own is None else wider_type(given.field.type, own)
    if dtype is None or dtype == own == given.field.type or own is None:
        return given
    narrow = f"{own} in {base_name(file)}" if own != dtype else f"{given.field.type} in earlier files"
    words = f"'{given.field.name}' is {dtype}: {narrow}"
    return replace(given, field=given.field.with_type(dtype), drift=words)


def _type_of(given: ArrayGiven, headers: Mapping[str, ArrayHeader]) -> pa.DataType | None:
    """Return the type of a plain column of numbers or strings in a file; None if it is another kind of column."""
    header = headers.get(given.array or "")
    if header is None or given.values is not None or given.field.name in WELL_KNOWN or is_vector(given.field.type):
        return None
    return None if len(header.shape) != 1 or header.dtype.hasobject else _plain(np.empty(0, header.dtype)).type


def damage_of(headers: Mapping[str, ArrayHeader], given: Sequence[ArrayGiven]) -> str:
    """Explain why a further file does not fit the columns of the first; '' if it does."""
    lengths = _lengths(headers, given)
    if len(set(lengths.values())) > 1:
        return _unequal(lengths)
    for column in given:
        header = headers.get(column.array or "")
        if header is None or column.values is not None:
            continue
        dtype = column.field.type
        wanted = (dtype.list_size,) if is_vector(dtype) else ()
        own = _type_of(column, headers)
        if header.shape[1:] != wanted or header.dtype.hasobject or (own and wider_type(own, dtype) != dtype):
            return f"'{header.name}' is {_shown(header)}, which does not fit '{column.field.name}' ({dtype})"
    return ""


def read_whole(file: str, header: ArrayHeader) -> np.ndarray:
    """Read all values of a small array."""
    with ArrayReader(file, header) as reader:
        return reader.rows(0, header.rows)


def _lengths(headers: Mapping[str, ArrayHeader], given: Sequence[ArrayGiven]) -> dict[str, int]:
    return {column.array: headers[column.array].rows for column in given if column.array is not None}


def _unequal(lengths: Mapping[str, int]) -> str:
    return "arrays differ in length: " + ", ".join(f"'{name}' has {rows:,}" for name, rows in lengths.items())


def _shown(header: ArrayHeader) -> str:
    return f"{header.dtype} of shape {header.shape}"


def _field(file: str, name: str, header: ArrayHeader, made_by: MadeBy | None) -> pa.Field:
    if header.dtype.hasobject:
        raise RecipeError(
            f"{file}: '{header.name}' holds pickled Python objects, which are never loaded; save it as a plain array"
        )
    if len(header.shape) == 2 and header.dtype.kind == "f" and header.shape[1] and name not in WELL_KNOWN:
        return field_of(name, header.shape[1], made_by)
    if len(header.shape) != 1:
        raise RecipeError(
            f"{file}: '{header.name}' is {_shown(header)}; a column is 1-d, and vectors are 2-d floats for a column "
            "with a name of its own"
        )
    return pa.field(name, given_type(name, _plain(np.empty(0, header.dtype)).type, f"{file}: '{header.name}'"))


def _plain(values: np.ndarray) -> pa.Array:
    """Convert a 1-d array to Arrow: text to strings, pairs of u8 to 32 hex digits."""
    if values.dtype == _PAIR:
        pairs: list[tuple[int, int]] = values.tolist()
        return pa.array([f"{high:016x}{low:016x}" for high, low in pairs], pa.string())
    if values.dtype.kind == "S":
        return _decoded(values.tolist())
    if values.dtype.kind == "U":
        return pa.array(map(whole_text, values.tolist()), pa.string())
    try:
        return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError):
        raise RecipeError(f"arrays of {values.dtype} cannot be columns; save them as numbers or strings") from None


def _decoded(values: list[bytes]) -> pa.Array:
    texts = [decoded(value, "utf-8") for value in values]
    if None in texts:
        wrong = [text is None for text in texts]
        note("texts of arrays are not UTF-8 and were not read", wrong, repr(values[wrong.index(True)])[:60])
    return pa.array(texts, pa.string())


def _check_first(file: str, column: ArrayGiven, headers: Mapping[str, ArrayHeader]) -> None:
    """Check that the first values can be of a well-known column."""
    header: Any = headers.get(column.array or "")
    if column.field.name not in WELL_KNOWN or header is None or column.values is not None or not header.rows:
        return
    with ArrayReader(file, header) as reader:
        rows = reader.rows(0, min(header.rows, _FIRST_ROWS))
    check_values(_plain(rows), column.field.name, f"{file}: '{header.name}'")
