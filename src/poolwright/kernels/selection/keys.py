"""Find rows by their keys, of one or several columns, among more rows than fit in memory: they are sorted by a hash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_text
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.lookup import equal_values, find_sorted, plain

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def key_kind(dtype: pa.DataType) -> str | None:
    """Return the kind of a key, 'text', 'an integer' or 'true or false'; None for types that are no keys."""
    dtype = plain(pa.nulls(0, dtype)).type
    if pa.types.is_integer(dtype):
        return "an integer"
    if pa.types.is_boolean(dtype):
        return "true or false"
    return "text" if pa.types.is_string(dtype) else None


def key_hashes(columns: Sequence[pa.Array]) -> npt.NDArray[np.uint64]:
    """Hash keys to 64 bits: XXH3-64 of texts, SplitMix64 of integers (Steele, Lea and Flood, 2014, figure 15).

    Args:
        columns: (n,) each, of a type that `plain` returns.

    Returns:
        (n,) uint64; that of a key with a null means nothing.
    """
    total = _hashed(columns[0])
    for column in columns[1:]:
        total = _mixed(total + _STEP) ^ _hashed(column)
    return total


def with_key(columns: Sequence[pa.Array]) -> npt.NDArray[np.bool_]:
    """Return which keys have no null: bool (n,)."""
    valid = np.ones(len(columns[0]), bool)
    for column in columns:
        if column.null_count:
            valid &= pc.is_valid(column).to_numpy(zero_copy_only=False)
    return valid


def _hashed(column: pa.Array) -> npt.NDArray[np.uint64]:
    if is_text(column.type):
        return hash64(column, 0)
    column = column.cast(pa.int8()).cast(pa.int64()) if pa.types.is_boolean(column.type) else column
    return _mixed(np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False)).view(np.uint64))


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * factor
    return numbers ^ (numbers >> np.uint64(31))


class KeyIndex:
    """Find rows by their keys.

    Args:
        hashes: `key_hashes` of the rows, sorted. Rows of one hash are in one chunk.
        keys: the keys, in chunks of the same rows; distinct and without nulls.
    """

    def __init__(self, hashes: pa.ChunkedArray, keys: Sequence[pa.ChunkedArray]) -> None:
        self.types = [column.type for column in keys]
        self._hashes = [chunk.to_numpy() for chunk in hashes.chunks if len(chunk)]
        columns = [[chunk for chunk in column.chunks if len(chunk)] for column in keys]
        self._keys = list(zip(*columns, strict=True))
        self._starts = np.cumsum([0, *map(len, self._hashes)])
        self._least = np.array([chunk[0] for chunk in self._hashes], np.uint64)

    def find(self, keys: Sequence[pa.Array]) -> npt.NDArray[np.int64]:
        """Return the row of each key: int64 (n,), -1 for a key that no row has, and for one with a null.

        Args:
            keys: (n,) each, of `types`.
        """
        hashes = key_hashes(keys)
        rows = np.flatnonzero(with_key(keys))
        if len(self._hashes) < 2:
            return self._find_in(0, hashes, rows, keys) if self._hashes else np.full(len(hashes), -1, np.int64)
        found = np.full(len(hashes), -1, dtype=np.int64)
        chunk = np.searchsorted(self._least, hashes[rows], side="right") - 1
        for number in np.unique(chunk[chunk >= 0]).tolist():
            at = self._find_in(number, hashes, rows[chunk == number], keys)
            found = np.where(at >= 0, at + self._starts[number], found)
        return found

    def _find_in(
        self, number: int, hashes: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64], keys: Sequence[pa.Array]
    ) -> npt.NDArray[np.int64]:
        def same(at: np.ndarray, rows: np.ndarray) -> np.ndarray:
            pairs = zip(self._keys[number], keys, strict=True)
            return np.logical_and.reduce([equal_values(one, at, other, rows) for one, other in pairs])

        return find_sorted(self._hashes[number], hashes, rows, same)


def take_or_null(column: pa.ChunkedArray, indices: npt.NDArray[np.int64]) -> pa.Array:
    """Return the values at some indices, null at those below 0; no chunk is copied for it."""
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    if len(chunks) < 2:
        values = chunks[0] if chunks else pa.nulls(1, column.type)
        return values.take(pa.array(np.maximum(indices, 0), mask=indices < 0))
    order = np.argsort(indices, kind="stable")
    order = order[indices[order] >= 0]
    starts = np.cumsum([0, *map(len, chunks)])
    edges = np.searchsorted(indices[order], starts)
    pieces = [
        chunk.take(pa.array(indices[order[first:last]] - start))
        for chunk, start, first, last in zip(chunks, starts, edges, edges[1:], strict=False)
        if first < last
    ]
    if not pieces:
        return pa.nulls(len(indices), column.type)
    place = np.zeros(len(indices), np.int64)
    place[order] = np.arange(len(order))
    return pa.concat_arrays(pieces).take(pa.array(place, mask=indices < 0))
