"""Rank rows, and compare their ranks with thresholds.

Rows are ranked by a column, best first, and rows that are equal in it by the hash rank of their uid.
A threshold is the (key, rank) of the last row that is in; comparing a row with it needs no other row.
The module `thresholds` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_orderable
from poolwright.core.errors import StepError
from poolwright.core.rows import Rows
from poolwright.kernels.selection.hashing import hash64

ALL = np.iinfo(np.int64).max
NONE = np.iinfo(np.int64).min


def check_orderable(verb: str, given: pa.Schema, column: str) -> None:
    """Check that rows can be ranked by this column.

    Raises:
        StepError: it holds neither numbers, booleans nor times.
    """
    dtype = given.field(column).type
    if not is_orderable(dtype):
        raise StepError(f"{verb}: rows cannot be ranked by '{column}' of type {dtype}; use numbers or times")


def hash_ranks(uids: pa.Array, key: int) -> np.ndarray:
    """Hash ranks: int64 (n,) in 0..2^63-1, evenly spread, from the key and the uid alone."""
    return (hash64(uids, key) >> np.uint64(1)).view(np.int64)


@dataclass(frozen=True)
class Ranking:
    """An order of rows: by a column and then by the hash rank of the uid.

    Attributes:
        by: the column.
        lowest: the lowest values are the best.
        key: 64-bit key of the hash ranks.
    """

    by: str
    lowest: bool
    key: int

    def keys(self, rows: Rows, dtype: pa.DataType | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Sort keys, the best the smallest.

        Args:
            dtype: type to cast the column to first: that of the rows a threshold was found on.

        Returns:
            int64 (n,), and bool (n,): false where the value is null or NaN and the row cannot be ranked.
        """
        column = rows.column(self.by)
        if dtype is not None and column.type != dtype:
            column = column.cast(dtype, safe=False)
        keys, valid = _ascending(column)
        return (keys if self.lowest else ~keys), valid

    def value(self, keys: np.ndarray, dtype: pa.DataType) -> pa.Array:
        """Return the values that have these keys as an array of `dtype`; null for ALL and NONE, which have none."""
        nothing = (keys == ALL) | (keys == NONE)
        keys = np.where(nothing, 0, keys)
        return _from_keys(keys if self.lowest else ~keys, dtype, nothing)


def _ascending(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    dtype = column.type
    if pa.types.is_floating(dtype):
        numbers = column.to_numpy(zero_copy_only=False).astype(np.float64)
        bits = (numbers + 0.0).view(np.int64)  # -0.0 + 0.0 is 0.0: the two zeros are equal
        return bits ^ ((bits >> 63) & np.int64(ALL)), valid & ~np.isnan(numbers)
    if pa.types.is_uint64(dtype):
        numbers = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        return (numbers ^ np.uint64(1 << 63)).view(np.int64), valid
    numbers = pc.fill_null(_as_int64(column), 0).to_numpy(zero_copy_only=False)
    return numbers.astype(np.int64), valid


def _as_int64(column: pa.Array) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int8())
    if pa.types.is_temporal(column.type) and column.type.bit_width == 32:
        return column.cast(pa.int32())
    return column.cast(pa.int64())


def _from_keys(keys: np.ndarray, dtype: pa.DataType, nothing: np.ndarray) -> pa.Array:
    mask = np.asarray(nothing, dtype=bool)
    if pa.types.is_floating(dtype):
        bits = keys ^ ((keys >> 63) & np.int64(ALL))
        numbers = bits.view(np.float64)
        numpy_type = {16: np.float16, 32: np.float32}.get(dtype.bit_width, np.float64)
        return pa.array(numbers.astype(numpy_type), mask=mask)
    if pa.types.is_uint64(dtype):
        return pa.array(keys.view(np.uint64) ^ np.uint64(1 << 63), mask=mask)
    whole = pa.array(keys, pa.int64(), mask=mask)
    if pa.types.is_boolean(dtype):
        return whole.cast(dtype)
    if pa.types.is_temporal(dtype) and dtype.bit_width == 32:
        return whole.cast(pa.int32()).cast(dtype)
    return whole.cast(dtype)


@dataclass(frozen=True)
class RankCuts:
    """The last row that is in, of each group.

    Attributes:
        key: int64 (k,) sort key of that row; ALL keeps every row of the group, NONE none.
        rank: int64 (k,) its hash rank, or ALL where every row of its key is in.
    """

    key: np.ndarray
    rank: np.ndarray

    def keeps(self, keys: np.ndarray, ids: np.ndarray, uids: pa.Array, order: Ranking) -> np.ndarray:
        """Return which rows are in: bool (n,).

        Args:
            keys: int64 (n,) sort keys.
            ids: int64 (n,) groups.
            uids: hashed only if a tie at the threshold has to be broken.
        """
        cut = self.key[ids]
        keep = keys < cut
        tied = np.flatnonzero(keys == cut)
        if len(tied):
            keep[tied] = True
            rank = self.rank[ids[tied]]
            split = rank != ALL
            if split.any():
                rows = tied[split]
                keep[rows] = hash_ranks(uids.take(pa.array(rows)), order.key) <= rank[split]
        return np.asarray(keep)


def unsigned(keys: np.ndarray) -> np.ndarray:
    """Sort keys as uint64 in the same order, for their leading bits."""
    return (keys ^ np.int64(NONE)).view(np.uint64)


def signed(keys: np.ndarray) -> np.ndarray:
    """The inverse of `unsigned`."""
    return np.asarray(keys.view(np.int64) ^ np.int64(NONE))
