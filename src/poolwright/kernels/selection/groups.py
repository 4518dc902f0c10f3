"""Groups of rows over one or several columns: their table and their ids.

A group table has one row per group, sorted by the group's values (strings by their UTF-8 bytes), so that
the same rows give the same table whatever their order and batches. Rows with a null in any group
column are in no group.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_groupable
from poolwright.core.errors import StepError
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.kernels.selection.lookup.key_index import KeyIndex
from poolwright.kernels.selection.lookup.value_index import ValueIndex, as_plain, plain

GROUP_HASH = "hash"
"""Column of a state's table of very many groups, which is sorted by it."""

PREFIX = "group."  # prefix of group columns in a state's table, so that none clashes with a column of figures


def check_groupable(verb: str, given: pa.Schema, columns: Sequence[str]) -> None:
    """Check that rows can be grouped by these columns.

    Raises:
        StepError: a column holds floats, times, lists or vectors.
    """
    for name in columns:
        dtype = given.field(name).type
        if is_groupable(dtype):
            continue
        if pa.types.is_floating(dtype) or pa.types.is_temporal(dtype):
            raise StepError(f"{verb}: '{name}' is {dtype}, too fine to group by; bucket it first")
        raise StepError(f"{verb}: cannot group by '{name}' of type {dtype}; use strings, integers or booleans")


class Groups:
    """The groups of some rows.

    Args:
        values: one array per group column, with one entry per group; sorted, without nulls and duplicates.
        columns: names of the group columns in the rows; () is one group of all rows.
    """

    def __init__(self, values: Sequence[pa.Array], columns: Sequence[str]) -> None:
        self.values, self.columns = [plain(column) for column in values], tuple(columns)
        self._uniques = [sorted_unique(column) for column in self.values]
        self._lookups = [ValueIndex(unique) for unique in self._uniques]
        parts = [lookup.find(column) for lookup, column in zip(self._lookups, self.values, strict=True)]
        self._codes = self._radix(parts)
        self._seen: tuple[pa.Array | None, np.ndarray] = (None, self._codes)

    def __len__(self) -> int:
        return len(self.values[0]) if self.columns else 1

    def __reduce__(self) -> tuple[Any, ...]:
        return (Groups, (self.values, self.columns))

    def _radix(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        codes = np.zeros(len(parts[0]) if parts else 0, dtype=np.int64)
        for part, unique in zip(parts, self._uniques, strict=True):
            codes = np.where((part < 0) | (codes < 0), -1, codes * len(unique) + part)
        return codes

    def ids(self, rows: Rows) -> np.ndarray:
        """Return each row's group as a row of the table: int64 (n,), -1 for no value or another group."""
        if not self.columns:
            return np.zeros(len(rows), dtype=np.int64)
        columns = [rows.column(name) for name in self.columns]
        if len(columns) == 1 and pa.types.is_dictionary(columns[0].type):
            return take_or(self._rows_of_dictionary(columns[0].dictionary), _codes(columns[0].indices))
        local, values = local_groups(columns)
        return take_or(self._rows_of(values), local)

    def _rows_of_dictionary(self, dictionary: pa.Array) -> np.ndarray:
        """Return the rows of the values of a dictionary, looked up once for consecutive batches that share it."""
        known, indices = self._seen
        if known is None or not known.equals(dictionary):
            indices = self._lookups[0].find(dictionary)
            self._seen = (dictionary, indices)
        return indices

    def _rows_of(self, values: Sequence[pa.Array]) -> np.ndarray:
        parts = [lookup.find(column) for lookup, column in zip(self._lookups, values, strict=True)]
        if len(parts) == 1:
            return parts[0]
        codes = self._radix(parts)
        indices = np.searchsorted(self._codes, codes)
        indices[indices == len(self._codes)] = 0
        if not len(self._codes):
            return np.full(len(codes), -1, dtype=np.int64)
        return np.where((codes >= 0) & (self._codes[indices] == codes), indices, -1)

    def index_of(self, row: Mapping[str, Any]) -> int:
        """Return the group of one row, given as Python values, as a row of the table; -1 if it is not in it."""
        if not self.columns:
            return 0
        names = zip(self.columns, self.values, strict=True)
        return int(self.ids(Rows(pa.table({name: pa.array([row[name]], values.type) for name, values in names})))[0])

    def name(self, index: int) -> str:
        """Return the display name of one group."""
        return ", ".join(str(values[index].as_py()) for values in self.values) if self.columns else "all rows"

    def names(self) -> list[str]:
        """Return display names of the groups: 'Europe', or 'Europe, 2004'."""
        if not self.columns:
            return ["all rows"]
        return [", ".join(map(str, row)) for row in zip(*self._lists(), strict=True)]

    def tokens(self) -> pa.Array:
        """Return one unique string per group, to hash."""
        return tokens_of(self.values)

    def _lists(self) -> list[list[Any]]:
        return [column.to_pylist() for column in self.values]

    def table(self, figures: Mapping[str, Any]) -> pa.Table:
        """Return the group table with further columns of figures, for a state."""
        columns = {PREFIX + name: values for name, values in zip(self.columns, self.values, strict=True)}
        return pa.table({**columns, **figures})


class HashedGroups(Groups):
    """The groups of a state's table that is sorted by their hash, and may be larger than memory.

    Args:
        table: has `GROUP_HASH`, uint64, and the group columns; groups of one hash are in one chunk.
        columns: names of the group columns in the rows.
    """

    def __init__(self, table: pa.Table, columns: Sequence[str]) -> None:
        self.values, self.columns = [table.column(PREFIX + name) for name in columns], tuple(columns)
        self._index = KeyIndex(table.column(GROUP_HASH), self.values)

    def ids(self, rows: Rows) -> np.ndarray:
        """As `Groups.ids`."""
        local, values = local_groups([rows.column(name) for name in self.columns])
        keys = [
            found if found.type == dtype else as_plain(found, dtype)
            for found, dtype in zip(values, self._index.types, strict=True)
        ]
        return take_or(self._index.find(keys), local)


def groups_of(table: pa.Table) -> Groups:
    """Return the groups of a state's table, built once per table."""

    def build(table: pa.Table) -> Groups:
        names = [name.removeprefix(PREFIX) for name in table.column_names if name.startswith(PREFIX)]
        if GROUP_HASH in table.column_names:
            return HashedGroups(table, names)
        return Groups([table.column(PREFIX + name).combine_chunks() for name in names], names)

    return once("groups", table, build)


def tokens_of(values: Sequence[pa.Array]) -> pa.Array:
    """Return one unique string for each of some groups, given one array per column."""
    if len(values) == 1:
        return values[0].cast(pa.string())
    rows = zip(*(column.to_pylist() for column in values), strict=True)
    return pa.array([json.dumps(row, ensure_ascii=False) for row in rows], pa.string())


def local_groups(columns: Sequence[pa.Array]) -> tuple[np.ndarray, list[pa.Array]]:
    """Find the groups within one batch.

    Returns:
        The index of each row's group, int64 (n,), -1 where a column is null; and the groups, one array
        per column, of plain type. Groups may repeat or have no row.
    """
    coded = [_coded(column) for column in columns]
    if len(coded) == 1:
        codes, values = coded[0]
        return codes, [values]
    combined = np.zeros(len(columns[0]), dtype=np.int64)
    for codes, values in coded:
        combined = np.where((codes < 0) | (combined < 0), -1, combined * max(len(values), 1) + codes)
        # Renumbered after every column, so that the product of many columns cannot overflow.
        first, combined = _renumbered(combined)
    return combined, [values.take(pa.array(codes[first])) for codes, values in coded]


def _renumbered(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row of each distinct code >= 0, codes renumbered from 0; -1 stays)."""
    distinct, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    missing = int(len(distinct) > 0 and distinct[0] < 0)
    return first[missing:], inverse.reshape(-1) - missing


def _coded(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Return (index of each row's value, -1 for null; the values)."""
    if not pa.types.is_dictionary(column.type):
        column = plain(column).dictionary_encode()
    values = plain(column.dictionary)
    codes = _codes(column.indices)
    if values.null_count:
        indices = np.where(pc.is_null(values).to_numpy(zero_copy_only=False), -1, np.arange(len(values)))
        codes = take_or(indices, codes)
    return codes, values


def _codes(indices: pa.Array) -> np.ndarray:
    """Dictionary indices as NumPy integers, -1 for null."""
    if indices.null_count:
        indices = pc.fill_null(indices.cast(pa.int64()), -1)
    return np.asarray(indices.to_numpy(zero_copy_only=False))


def lacks_value(rows: Rows, columns: Sequence[str]) -> np.ndarray:
    """Find rows with a null in one of the columns: bool (n,)."""
    lacks = np.zeros(len(rows), dtype=bool)
    for name in columns:
        column = rows.column(name)
        if pa.types.is_dictionary(column.type):
            # A null can be in the indices or in the dictionary.
            column = column.dictionary_decode() if column.dictionary.null_count else column.indices
        if column.null_count:
            lacks |= pc.is_null(column).to_numpy(zero_copy_only=False)
    return lacks


def take_or(indices: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return `indices[codes]`, -1 where the code is -1."""
    return np.asarray(np.append(indices, -1)[codes])


def plain_type(dtype: pa.DataType) -> pa.DataType:
    """Return the type that group values of a column have: string, int64, uint64 or bool."""
    return plain(pa.array([], dtype)).type


def sorted_unique(values: pa.Array) -> pa.Array:
    """Return the distinct values in ascending order, strings by their UTF-8 bytes."""
    unique = pc.unique(values)
    return unique.take(pc.sort_indices(unique))
