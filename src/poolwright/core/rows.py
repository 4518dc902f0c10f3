"""Rows: the batch of rows that a step sees; and rows regrouped into batches of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_vector


class Rows:
    """Some rows with named columns: a thin, immutable view of an Arrow table.

    A step's `apply` gets one and must treat each row by itself. Columns come as single Arrow arrays
    (`column`), or as NumPy arrays for arithmetic (`numbers`, `vectors`).
    """

    __slots__ = ("table",)

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Rows:
        """Rows from Python lists, NumPy or Arrow arrays by column name."""
        return cls(pa.table({name: as_array(values) for name, values in columns.items()}))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    def column(self, name: str) -> pa.Array:
        """The column as one Arrow array."""
        return one_array(self.table.column(name))

    def strings(self, name: str) -> list[str | None]:
        """The column as Python strings, None for null."""
        values: list[str | None] = self.table.column(name).cast(pa.string()).to_pylist()
        return values

    def numbers(self, name: str) -> np.ndarray:
        """The column as float64 (n,), NaN for null."""
        array = self.column(name)
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.int8())
        if pa.types.is_temporal(array.type):
            array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
        return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))

    def vectors(self, name: str) -> np.ndarray:
        """The column as (n, d) of its own float type; a null vector is a row of NaN."""
        return vectors_of(self.column(name))

    def filter(self, keep: np.ndarray) -> Rows:
        """The rows where `keep` (bool (n,)) is true."""
        return Rows(self.table.filter(pa.array(keep)))

    def slice(self, start: int, length: int) -> Rows:
        return Rows(self.table.slice(start, length))

    def select(self, names: Sequence[str]) -> Rows:
        return Rows(self.table.select(list(names)))

    def without(self, names: Sequence[str]) -> Rows:
        return Rows(self.table.drop_columns([name for name in names if name in self.table.column_names]))

    def give(self, columns: Mapping[str, pa.Array], fields: Mapping[str, pa.Field]) -> Rows:
        """These rows with columns added or replaced, typed and annotated as `fields` say."""
        table = self.table
        for name, values in columns.items():
            array = values if values.type == fields[name].type else values.cast(fields[name].type)
            place = table.schema.get_field_index(name)
            if place < 0:
                table = table.append_column(fields[name], array)
            else:
                table = table.set_column(place, fields[name], array)
        return Rows(table)


def as_array(values: Any) -> pa.Array:
    """An Arrow array of lists, NumPy arrays (n,) or (n, d), or Arrow arrays."""
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, pa.ChunkedArray):
        return one_array(values)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return vector_array(values)
    return pa.array(values)


def one_array(chunked: pa.ChunkedArray) -> pa.Array:
    """All chunks of a column as one array, without a copy where there is one chunk."""
    if chunked.num_chunks == 1:
        return chunked.chunk(0)
    if pa.types.is_dictionary(chunked.type):
        chunked = chunked.unify_dictionaries()
    combined = chunked.combine_chunks()
    return combined if isinstance(combined, pa.Array) else combined.chunk(0)


def vector_array(matrix: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """A fixed-size-list array of a (n, d) matrix; rows where `valid` (bool (n,)) is false are null."""
    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    mask = None if valid is None else pa.array(~valid)
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1], mask=mask)


def vectors_of(array: pa.Array) -> np.ndarray:
    """A fixed-size-list array as (n, d); null rows are NaN. Without a copy where nothing is null.

    Every step reads vectors through this function: the values below a null row mean nothing, and Arrow's own
    `values` knows neither of nulls nor of slices.
    """
    matrix = _matrix(array)
    if array.null_count:
        matrix = matrix.copy()
        matrix[~is_valid(array)] = np.nan
    return matrix


def missing_as_null(array: pa.Array) -> pa.Array:
    """A fixed-size-list array whose missing vectors are null: those that are, and those that are NaN throughout.

    Tables were written with NaN for a missing vector while PyArrow could not read null ones back. A vector that is
    NaN in part is a value like any other.
    """
    if not array.type.list_size or not len(array):
        return array
    matrix, valid = _matrix(array), is_valid(array)
    suspect = np.flatnonzero(np.isnan(matrix[:, 0]) & valid)
    missing = suspect[np.isnan(matrix[suspect]).all(axis=1)]
    if not len(missing):
        return array
    valid[missing] = False
    return pa.FixedSizeListArray.from_arrays(_flat_values(array), type=array.type, mask=pa.array(~valid))


def is_valid(array: pa.Array) -> np.ndarray:
    """Which values are not null: bool (n,), a copy."""
    return np.array(pc.is_valid(array).to_numpy(zero_copy_only=False), bool)


def _matrix(array: pa.Array) -> np.ndarray:
    """A fixed-size-list array as (n, d), with whatever lies below null rows; a null within a vector is NaN."""
    shape, values = (len(array), array.type.list_size), _flat_values(array)
    if not values.null_count:
        return np.asarray(values.to_numpy(zero_copy_only=True)).reshape(shape)
    # Readers of Parquet leave nulls below a null row, and Arrow would convert all values for them: 400 times as long.
    dtype = np.dtype(values.type.to_pandas_dtype())
    matrix = np.frombuffer(values.buffers()[1], dtype, len(values), values.offset * dtype.itemsize).reshape(shape)
    there = _valid_bits(values).reshape(shape)
    if (is_valid(array) & ~there.all(axis=1)).any():
        matrix = np.where(there, matrix, dtype.type(np.nan))
    return matrix


def _valid_bits(values: pa.Array) -> np.ndarray:
    """As `is_valid` for an array that has nulls, as uint8; several times as fast."""
    first, last = values.offset, values.offset + len(values)
    packed = np.frombuffer(values.buffers()[0], np.uint8)[first // 8 : -(-last // 8)]
    return np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + len(values)]


def _flat_values(array: pa.Array) -> pa.Array:
    """The values of a fixed-size-list array with those below null rows, of this slice alone."""
    width = array.type.list_size
    return array.values.slice(array.offset * width, len(array) * width)


def with_missing_as_null(table: pa.Table) -> pa.Table:
    """The table with null for every missing vector, see `missing_as_null`; the same table if none was NaN."""
    for index, field in enumerate(table.schema):
        if is_vector(field.type):
            chunks = table.column(index).chunks
            found = [missing_as_null(chunk) for chunk in chunks]
            if any(one is not chunk for one, chunk in zip(found, chunks, strict=True)):
                table = table.set_column(index, field, pa.chunked_array(found, field.type))
    return table


class RowGroups:
    """Cuts a stream of tables into groups: a group ends at `rows` rows, or at the row that fills `most_bytes`.

    Where a group ends depends on the rows before it alone, never on the pieces. Nothing is copied: groups are slices of
    what came in, in as many chunks as pieces went into them.

    Args:
        rows: of a group; the last may have fewer.
        most_bytes: of a group, by the sizes that `add` is given; None has no such limit.
    """

    def __init__(self, rows: int, most_bytes: int | None = None) -> None:
        self.rows, self.most_bytes = rows, most_bytes
        self._waiting: list[pa.Table] = []
        self._count, self._bytes = 0, 0

    def add(self, table: pa.Table, sizes: npt.ArrayLike | None = None) -> Iterator[pa.Table]:
        """Take more rows; gives the groups that they complete.

        Args:
            table: rows, of one schema throughout.
            sizes: (n,) bytes of each row, for `most_bytes`.
        """
        start = 0
        total = None if sizes is None else np.cumsum(np.asarray(sizes, np.int64))
        while start < len(table):
            stop, full = self._end(start, len(table), total)
            self._waiting.append(table.slice(start, stop - start))
            self._count += stop - start
            if total is not None:
                self._bytes += int(total[stop - 1] - (total[start - 1] if start else 0))
            start = stop
            if full:
                yield self._taken()

    def _end(self, start: int, rows: int, total: npt.NDArray[np.int64] | None) -> tuple[int, bool]:
        """Where the group's rows of a table end, and whether the group is complete there."""
        stop = start + self.rows - self._count
        if total is not None and self.most_bytes is not None:
            before = int(total[start - 1]) if start else 0
            stop = min(stop, int(np.searchsorted(total, self.most_bytes - self._bytes + before)) + 1)
        return min(stop, rows), stop <= rows

    def rest(self) -> pa.Table | None:
        """The rows of the last group, which is not full; None where no rows wait."""
        return self._taken() if self._count else None

    def _taken(self) -> pa.Table:
        group = pa.concat_tables(self._waiting)
        self._waiting, self._count, self._bytes = [], 0, 0
        return group


def in_row_groups(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The rows of some tables in groups of `rows` rows; the last may have fewer. Nothing of nothing."""
    groups = RowGroups(rows)
    for table in tables:
        yield from groups.add(table)
    if (rest := groups.rest()) is not None:
        yield rest
