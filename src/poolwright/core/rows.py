"""Rows: a batch of rows as a step sees it; and streams of rows regrouped into batches of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_vector


def empty_table(schema: pa.Schema) -> pa.Table:
    """Return a table of no rows. Other than `schema.empty_table()`, this does not import pandas if it is installed."""
    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def text_array(texts: Sequence[str]) -> pa.Array:
    """Return texts as an Arrow array. Other than `pa.array`, this does not import pandas if it is installed."""
    return bytes_array([text.encode() for text in texts], pa.string())


def bytes_array(values: Sequence[bytes], dtype: pa.DataType) -> pa.Array:
    """Return bytes, at most 2 GiB of them, as an Arrow array of binary values or texts; see `text_array`."""
    ends = np.fromiter(accumulate(map(len, values), initial=0), np.int32, len(values) + 1)
    return pa.Array.from_buffers(dtype, len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


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
        """Make rows from Python lists, NumPy or Arrow arrays by column name."""
        return cls(pa.table({name: as_array(values) for name, values in columns.items()}))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Names, types and metadata of the columns."""
        return self.table.schema

    def column(self, name: str) -> pa.Array:
        """Return the column as one Arrow array."""
        return one_array(self.table.column(name))

    def strings(self, name: str) -> list[str | None]:
        """Return the column as Python strings, None for null."""
        values: list[str | None] = self.table.column(name).cast(pa.string()).to_pylist()
        return values

    def numbers(self, name: str) -> np.ndarray:
        """Return the column as float64 (n,), NaN for null."""
        array = self.column(name)
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.int8())
        if pa.types.is_temporal(array.type):
            array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
        return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))

    def vectors(self, name: str) -> np.ndarray:
        """Return the column as (n, d) of its own float type; a null vector is a row of NaN."""
        return vectors_of(self.column(name))

    def filter(self, keep: np.ndarray) -> Rows:
        """Return the rows for which `keep` (bool (n,)) is true."""
        return Rows(self.table.filter(pa.array(keep)))

    def slice(self, start: int, length: int) -> Rows:
        """Return `length` rows from row `start` on, without a copy."""
        return Rows(self.table.slice(start, length))

    def select(self, names: Sequence[str]) -> Rows:
        """Return the rows with these columns only, in this order."""
        return Rows(self.table.select(list(names)))

    def without(self, names: Sequence[str]) -> Rows:
        """Return the rows without these columns; names that are not columns are ignored."""
        return Rows(self.table.drop_columns([name for name in names if name in self.table.column_names]))

    def give(self, columns: Mapping[str, pa.Array], fields: Mapping[str, pa.Field]) -> Rows:
        """Return these rows with columns added or replaced, typed and annotated as `fields` say."""
        table = self.table
        for name, values in columns.items():
            array = values if values.type == fields[name].type else values.cast(fields[name].type)
            index = table.schema.get_field_index(name)
            if index < 0:
                table = table.append_column(fields[name], array)
            else:
                table = table.set_column(index, fields[name], array)
        return Rows(table)


def as_array(values: Any) -> pa.Array:
    """Convert a list, a NumPy array (n,) or (n, d), or an Arrow array to one Arrow array."""
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, pa.ChunkedArray):
        return one_array(values)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return vector_array(values)
    return pa.array(values)


def cast_or_null(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Cast; if something does not fit, cast halves, until only what does not fit is null."""
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, wanted)
    half = len(values) // 2
    return pa.concat_arrays([cast_or_null(values[:half], wanted), cast_or_null(values[half:], wanted)])


def one_array(chunked: pa.ChunkedArray) -> pa.Array:
    """Return all chunks of a column as one array, without a copy if there is only one."""
    if chunked.num_chunks == 1:
        return chunked.chunk(0)
    if not chunked.num_chunks:
        return pa.nulls(0, chunked.type)
    if pa.types.is_dictionary(chunked.type):
        chunked = chunked.unify_dictionaries()
    combined = chunked.combine_chunks()
    return combined if isinstance(combined, pa.Array) else combined.chunk(0)


def vector_array(matrix: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """Convert a (n, d) matrix to a fixed-size-list array; rows for which `valid` (bool (n,)) is false are null."""
    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    mask = None if valid is None else pa.array(~valid)
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1], mask=mask)


def vectors_of(array: pa.Array) -> np.ndarray:
    """Convert a fixed-size-list array to (n, d); null rows are NaN. Nothing is copied if nothing is null.

    Every step reads vectors through this function: the values under a null row are meaningless, and Arrow's own
    `values` ignores both nulls and slices.
    """
    matrix = _matrix(array)
    if array.null_count:
        matrix = matrix.copy()
        matrix[~is_valid(array)] = np.nan
    return matrix


def missing_as_null(array: pa.Array) -> pa.Array:
    """Return a fixed-size-list array whose missing vectors are null: those that were, and those that are all NaN.

    Tables were written with NaN for a missing vector while PyArrow could not read null ones back. A vector that is
    only partly NaN is a value like any other.
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
    """Return which values are not null: bool (n,), a copy."""
    return np.array(pc.is_valid(array).to_numpy(zero_copy_only=False), bool)


def _matrix(array: pa.Array) -> np.ndarray:
    """Convert a fixed-size-list array to (n, d), with whatever is under null rows; a null within a vector is NaN."""
    shape, values = (len(array), array.type.list_size), _flat_values(array)
    if not values.null_count:
        return np.asarray(values.to_numpy(zero_copy_only=True)).reshape(shape)
    # Readers of Parquet leave nulls under a null row, for which Arrow would convert all values: 400 times slower.
    dtype = np.dtype(values.type.to_pandas_dtype())
    matrix = np.frombuffer(values.buffers()[1], dtype, len(values), values.offset * dtype.itemsize).reshape(shape)
    valid = _valid_bits(values).reshape(shape)
    if (is_valid(array) & ~valid.all(axis=1)).any():
        matrix = np.where(valid, matrix, dtype.type(np.nan))
    return matrix


def _valid_bits(values: pa.Array) -> np.ndarray:
    """As `is_valid`, as uint8, for an array that has nulls; several times faster."""
    first, last = values.offset, values.offset + len(values)
    packed = np.frombuffer(values.buffers()[0], np.uint8)[first // 8 : -(-last // 8)]
    return np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + len(values)]


def _flat_values(array: pa.Array) -> pa.Array:
    """Return the values of a fixed-size-list array, of this slice alone, with those under null rows."""
    width = array.type.list_size
    return array.values.slice(array.offset * width, len(array) * width)


def with_missing_as_null(table: pa.Table) -> pa.Table:
    """Return the table with null for every missing vector, see `missing_as_null`; the same table if none was NaN."""
    for index, field in enumerate(table.schema):
        if is_vector(field.type):
            chunks = table.column(index).chunks
            cleaned = [missing_as_null(chunk) for chunk in chunks]
            if any(new is not old for new, old in zip(cleaned, chunks, strict=True)):
                table = table.set_column(index, field, pa.chunked_array(cleaned, field.type))
    return table


class RowGroups:
    """Cuts a stream of tables into groups: a group ends at `rows` rows, or at the row that fills `most_bytes`.

    Where a group ends depends only on the rows before, never on the pieces they come in. Nothing is copied: groups are
    slices of the tables added, with one chunk per table that went into them.

    Args:
        rows: number of rows in a group; the last may have fewer.
        most_bytes: size of a group, by the sizes that `add` receives; None sets no such limit.
    """

    def __init__(self, rows: int, most_bytes: int | None = None) -> None:
        self.rows, self.most_bytes = rows, most_bytes
        self._waiting: list[pa.Table] = []
        self._count, self._bytes = 0, 0

    def add(self, table: pa.Table, sizes: npt.ArrayLike | None = None) -> Iterator[pa.Table]:
        """Take more rows; yield the groups that they complete.

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
        """Return the row of a table at which the group ends, and whether the group is then complete."""
        stop = start + self.rows - self._count
        if total is not None and self.most_bytes is not None:
            before = int(total[start - 1]) if start else 0
            stop = min(stop, int(np.searchsorted(total, self.most_bytes - self._bytes + before)) + 1)
        return min(stop, rows), stop <= rows

    def rest(self) -> pa.Table | None:
        """Return the rows of the last group, which is not full; None if no rows are left."""
        return self._taken() if self._count else None

    def _taken(self) -> pa.Table:
        group = pa.concat_tables(self._waiting)
        self._waiting, self._count, self._bytes = [], 0, 0
        return group


def in_row_groups(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the rows of some tables in groups of `rows` rows; the last may have fewer. No rows give no group."""
    groups = RowGroups(rows)
    for table in tables:
        yield from groups.add(table)
    if (rest := groups.rest()) is not None:
        yield rest
