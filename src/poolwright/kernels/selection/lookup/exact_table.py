"""Look up keys of 128 bits in a hash table, many at a time: open addressing with linear probing (Knuth 6.4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]

_FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
"""Masks of the first bytes of a little-endian word, by their number."""

_SPARE = 4
"""Slots for each key, at least."""


def word_keys(data: npt.NDArray[np.uint8], starts: Integers, lengths: Integers) -> tuple[Keys, Keys]:
    """Return two numbers for each word: its first 8 bytes, and its length mixed with what follows.

    Up to 8 bytes they are the word itself. Longer ones are distinguished by a hash of 64 bits as well.

    Args:
        data: bytes, 8 more than the words have.
        starts, lengths: (n,) in bytes.
    """
    loads = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))
    first = loads[starts] & _MASKS[np.minimum(lengths, 8)]
    rest = lengths.astype(np.uint64)
    at, place = np.flatnonzero(lengths > 8), 8
    while len(at):
        left = lengths[at] - place
        rest[at] = _mixed(rest[at] ^ (loads[starts[at] + place] & _MASKS[np.minimum(left, 8)]))
        at, place = at[left > 8], place + 8
    return first, rest


def _mixed(numbers: Keys) -> Keys:
    numbers = numbers * _FACTORS[0]
    numbers ^= numbers >> np.uint64(32)
    numbers *= _FACTORS[1]
    return numbers ^ (numbers >> np.uint64(29))


class ExactTable:
    """Finds the index of each key.

    Args:
        first, rest: (n,) the keys, all distinct; None if keys have 64 bits.
    """

    def __init__(self, first: Keys, rest: Keys | None = None) -> None:
        self._first, self._rest = first, rest
        bits = max(int(_SPARE * len(first)).bit_length(), 1)
        self._shift = np.uint64(64 - bits)
        self._slots = np.full(1 << bits, -1, np.int32)
        left, at = np.arange(len(first), dtype=np.int32), self._places(first, rest)
        while len(left):
            free = self._slots[at] < 0
            self._slots[at[free]] = left[free]
            lost = self._slots[at] != left
            left, at = left[lost], self._next(at[lost])

    def find(self, first: Keys, rest: Keys | None = None) -> Indices:
        """Return the index of each key, int32 (m,), -1 for one that is not there."""
        at = self._places(first, rest)
        found = self._slots[at]
        rows = np.flatnonzero(found >= 0)
        while len(rows):
            index = found[rows]
            other = self._first[index] != first[rows]
            if self._rest is not None and rest is not None:
                other |= self._rest[index] != rest[rows]
            rows = rows[other]
            at[rows] = self._next(at[rows])
            found[rows] = self._slots[at[rows]]
            rows = rows[found[rows] >= 0]
        return found

    def _places(self, first: Keys, rest: Keys | None) -> Integers:
        hashes = _mixed(first if rest is None else first ^ (rest * _FACTORS[1]))
        return (hashes >> self._shift).view(np.int64)

    def _next(self, at: Integers) -> Integers:
        return (at + 1) & np.int64(len(self._slots) - 1)
