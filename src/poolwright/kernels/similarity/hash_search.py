"""Find, for each hash of 64 or 256 bits, the nearest of other hashes within some bits, exactly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

_AT_ONCE = 1 << 22
"""Candidates compared at once."""


class HashSearch:
    """Search hashes that differ in few bits.

    Of distance + 1 runs of bits, two such hashes share at least one, so only hashes that share one are compared
    (M. Norouzi, A. Punjani, D. J. Fleet, Fast exact search in Hamming space with multi-index hashing, 2014).

    Args:
        known: uint64 (m, w), w words each.
        distance: most bits in which hashes differ, 0 to 63 for each word.
    """

    def __init__(self, known: Hashes, distance: int) -> None:
        self.known, self.distance = known, distance
        words = known.shape[1]
        edges: list[int] = np.linspace(0, 64, distance // words + 2).astype(int).tolist()
        self._runs = [
            (word, np.uint64(low), np.uint64((1 << (high - low)) - 1))
            for word in range(words)
            for low, high in pairwise(edges)
        ]
        orders = [np.argsort(self._cut(known, run), kind="stable") for run in self._runs]
        self._sorted = [
            (order.astype(np.int64), self._cut(known[order], run))
            for order, run in zip(orders, self._runs, strict=True)
        ]

    @staticmethod
    def _cut(hashes: Hashes, run: tuple[int, np.uint64, np.uint64]) -> Hashes:
        word, low, mask = run
        return np.asarray((hashes[:, word] >> low) & mask)

    def nearest(self, hashes: Hashes) -> tuple[Integers, npt.NDArray[np.uint16]]:
        """Return the nearest known hash of each, the first of equally near ones, and the bits in which they differ.

        Args:
            hashes: uint64 (n, w).

        Returns:
            int64 (n,), -1 if none is within the distance, and uint16 (n,).
        """
        none = 64 * self.known.shape[1] + 1
        best = np.full(len(hashes), none << 48, np.int64)  # bits, then the index
        for run, (order, values) in zip(self._runs, self._sorted, strict=True):
            wanted = self._cut(hashes, run)
            first, last = np.searchsorted(values, wanted, "left"), np.searchsorted(values, wanted, "right")
            self._compare(hashes, order, first, last - first, best)
        bits = best >> 48
        return np.where(bits <= self.distance, best & ((1 << 48) - 1), -1), np.minimum(bits, none - 1).astype(np.uint16)

    def _compare(self, hashes: Hashes, order: Integers, first: Integers, counts: Integers, best: Integers) -> None:
        """Compare hash i with the known ones at order[first[i] : first[i] + counts[i]], and note the nearest."""
        start = 0
        ends = np.cumsum(counts)
        while start < len(hashes):
            before = int(ends[start - 1]) if start else 0
            stop = max(int(np.searchsorted(ends, before + _AT_ONCE, "right")), start + 1)
            some = np.repeat(np.arange(start, stop), counts[start:stop])
            within = np.arange(len(some)) - np.repeat(
                ends[start:stop] - counts[start:stop] - before, counts[start:stop]
            )
            there = order[first[some] + within]
            bits = np.bitwise_count(hashes[some] ^ self.known[there]).sum(axis=1, dtype=np.int64)
            near = np.flatnonzero(bits <= self.distance)
            np.minimum.at(best, some[near], (bits[near] << 48) | there[near])
            start = stop
