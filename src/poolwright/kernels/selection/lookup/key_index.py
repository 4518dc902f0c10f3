"""Find rows by their keys, of one or several columns, among more rows than fit in memory: they are sorted by a hash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_text
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.lookup.value_index import equal_values, plain

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FINE, _MOST_BUCKETS = 16, 1 << 28
"""Bits of a sieve for each row, and bits at most."""
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
        total = mixed(total + _STEP) ^ _hashed(column)
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
    return mixed(np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False)).view(np.uint64))


def mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Mix the bits of numbers as SplitMix64 does; different ones stay different."""
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
        columns = [column.chunks for column in (hashes, *keys)]
        chunks = [chunk for chunk in zip(*columns, strict=True) if len(chunk[0])]
        most = _MOST_BUCKETS // max(len(chunks), 1)
        self._chunks = [_Chunk(known.to_numpy(), columns, most) for known, *columns in chunks]
        self._starts = np.cumsum([0, *(len(chunk.known) for chunk in self._chunks)])

    def find(self, keys: Sequence[pa.Array]) -> npt.NDArray[np.int64]:
        """Return the row of each key: int64 (n,), -1 for a key that no row has, and for one with a null.

        Args:
            keys: (n,) each, of `types`.
        """
        hashes, valid = key_hashes(keys), with_key(keys)
        found = np.full(len(hashes), -1, dtype=np.int64)
        for chunk, start in zip(self._chunks, self._starts, strict=False):
            rows, at = chunk.find(hashes, valid, keys)
            found[rows] = at + start
        return found


class _Chunk:
    """Some rows, whose hashes lie next to each other.

    They are in buckets by the first bits of the distance of their hash to the least. A sieve, one bit for each of many
    more and finer buckets, is small enough for the caches, and stops most keys that no row has.

    Args:
        known: their hashes, sorted, at least one.
        keys: their keys.
        most: number of fine buckets at most.
    """

    def __init__(self, known: npt.NDArray[np.uint64], keys: Sequence[pa.Array], most: int) -> None:
        self.known, self.keys, self.least = known, keys, known[0]
        self.span = known[-1] - known[0]
        fine, coarse = min(len(known) * _FINE, most), min(len(known), most)
        self.fine, self.coarse = (
            np.uint64(max(int(self.span).bit_length() - n.bit_length(), 0)) for n in (fine, coarse)
        )
        passed = np.zeros(int(self.span >> self.fine) + 1, bool)
        passed[self._places(known, self.fine)] = True
        self.sieve = np.packbits(passed, bitorder="little")
        counts = np.bincount(self._places(known, self.coarse), minlength=int(self.span >> self.coarse) + 1)
        self.edges = np.append(0, np.cumsum(counts)).astype(np.int32)

    def _places(self, hashes: npt.NDArray[np.uint64], shift: np.uint64) -> npt.NDArray[np.int64]:
        return np.asarray((hashes - self.least) >> shift).view(np.int64)

    def find(
        self, hashes: npt.NDArray[np.uint64], valid: npt.NDArray[np.bool_], keys: Sequence[pa.Array]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the keys that rows have: their indices, and those of the rows."""
        rows = np.flatnonzero(((hashes - self.least) <= self.span) & valid)
        places = self._places(hashes[rows], self.fine)
        bits = self.sieve[places >> 3] >> (places & 7).astype(np.uint8)
        rows = rows[np.flatnonzero(bits & 1)]
        wanted = hashes[rows]
        at = self._first(wanted)
        found = [(rows[:0], rows[:0])]
        # Keys whose hashes collide are adjacent: continue until all candidates were compared.
        while len(rows):
            left = np.flatnonzero(self.known[np.minimum(at, len(self.known) - 1)] == wanted)
            left = left[at[left] < len(self.known)]
            rows, wanted, at = rows[left], wanted[left], at[left]
            pairs = zip(self.keys, keys, strict=True)
            same = np.logical_and.reduce([equal_values(one, at, other, rows) for one, other in pairs])
            found.append((rows[same], at[same]))
            rows, wanted, at = rows[~same], wanted[~same], at[~same] + 1
        return np.concatenate([rows for rows, _ in found]), np.concatenate([at for _, at in found])

    def _first(self, wanted: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the index of the first hash that is not below each wanted one, as `searchsorted` does."""
        buckets = self._places(wanted, self.coarse)
        at, stop = self.edges[buckets].astype(np.int64), self.edges[buckets + 1]
        left = np.flatnonzero(at < stop)
        while len(left):
            left = left[self.known[at[left]] < wanted[left]]
            at[left] += 1
            left = left[at[left] < stop[left]]
        return at


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
