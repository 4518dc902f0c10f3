"""Look up the index of each value in a list of distinct values, exactly and at any size."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.kernels.selection.hashing import hash64

# Arrow builds a hash table of all values on every call: past this ratio of values to rows, sorted hashes win.
_MANY = 50_000
_RATIO = 2


def plain(array: pa.Array) -> pa.Array:
    """Return the array as string, int64, uint64 or bool: one type for values that are equal."""
    dtype = array.type
    if pa.types.is_dictionary(dtype):
        return plain(array.dictionary_decode())
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return array.cast(pa.string())
    if pa.types.is_integer(dtype) and not pa.types.is_uint64(dtype):
        return array.cast(pa.int64())
    return array


class ValueIndex:
    """Find values in a list.

    Args:
        values: distinct strings, integers or booleans, without nulls.
    """

    def __init__(self, values: pa.Array) -> None:
        self.values = plain(values)
        self._index: tuple[np.ndarray, np.ndarray] | None = None

    def find(self, array: pa.Array) -> np.ndarray:
        """Return the index of each value in `values`: int64 (n,), -1 for null and for values not in it."""
        array = plain(array)
        if array.type != self.values.type:
            array = as_plain(array, self.values.type)
        if len(self.values) > max(_MANY, _RATIO * len(array)) and not pa.types.is_boolean(array.type):
            return self._find_by_hash(array)
        indices = pc.index_in(array, value_set=self.values, skip_nulls=True)
        return np.asarray(pc.fill_null(indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False))

    def _find_by_hash(self, array: pa.Array) -> np.ndarray:
        order, known = self._sorted_hashes()
        hashes = _hashes(array)
        found = np.full(len(array), -1, dtype=np.int64)
        rows = np.flatnonzero(pc.is_valid(array).to_numpy(zero_copy_only=False))
        rows = rows[np.argsort(hashes[rows])]  # neighbours are found in the same lines of the cache
        at = np.searchsorted(known, hashes[rows])
        # Values whose hashes collide are adjacent: continue until all candidates were compared.
        while len(rows):
            inside = at < len(known)
            rows, at = rows[inside], at[inside]
            candidate = known[at] == hashes[rows]
            rows, at = rows[candidate], at[candidate]
            same = equal_values(self.values, order[at], array, rows)
            found[rows[same]] = order[at[same]]
            rows, at = rows[~same], at[~same] + 1
        return found

    def _sorted_hashes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (indices of the values by ascending hash, the hashes), computed at the first call."""
        if self._index is None:
            hashes = _hashes(self.values)
            order = np.argsort(hashes, kind="stable")
            self._index = (order, hashes[order])  # in one assignment, as threads share a lookup
        return self._index


def equal_values(one: pa.Array, at: np.ndarray, other: pa.Array, rows: np.ndarray) -> np.ndarray:
    """Return whether values of two arrays of one type, without nulls, are equal, pair by pair: bool (n,)."""
    equal = pc.equal(one.take(pa.array(at)), other.take(pa.array(rows)))
    return np.asarray(equal.to_numpy(zero_copy_only=False), bool)


def _hashes(values: pa.Array) -> np.ndarray:
    if pa.types.is_integer(values.type):
        return np.asarray(pc.fill_null(values, 0).to_numpy(zero_copy_only=False)).view(np.uint64)
    return hash64(values, 0)


def as_plain(array: pa.Array, dtype: pa.DataType) -> pa.Array:
    """Return the array as another plain type; values it cannot represent become null."""
    if pa.types.is_string(dtype):
        return array.cast(dtype)
    if not (pa.types.is_integer(array.type) and pa.types.is_integer(dtype)):
        return pa.nulls(len(array), dtype)
    bound = pa.scalar(2**63 - 1, pa.uint64()) if pa.types.is_uint64(array.type) else pa.scalar(0, pa.int64())
    fits = pc.less_equal(array, bound) if pa.types.is_uint64(array.type) else pc.greater_equal(array, bound)
    return pc.if_else(fits, array.cast(dtype, safe=False), pa.scalar(None, dtype))
