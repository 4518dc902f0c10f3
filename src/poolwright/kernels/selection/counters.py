"""Counters that take no more memory than there are rows to count: only those above 0 are kept while these are few."""

from __future__ import annotations

import numpy as np

_SPARSE = 64
"""Counters above 0 are kept alone up to one in so many: to join more takes longer than to count in all."""


class Counters:
    """`size` counters, from 0. Those above 0 alone are pickled.

    Args:
        size: number of counters, 8 bytes each once more than a few are above 0.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._dense: np.ndarray | None = None
        self._places = self._counts = np.empty(0, dtype=np.int64)

    def add(self, indices: np.ndarray) -> None:
        """Increment the counter at each index, int64 (n,); a repeated index counts each time."""
        if self._stays_sparse(len(indices)):
            self._join(indices, np.ones(len(indices), np.int64))
        else:
            np.add.at(self.counts, indices, 1)

    def merge(self, other: Counters) -> Counters:
        """Add the counts of another `Counters` of the same size to these."""
        if other._dense is not None:
            np.add(self.counts, other._dense, out=self.counts)
        elif self._stays_sparse(len(other._places)):
            self._join(other._places, other._counts)
        else:
            self.counts[other._places] += other._counts
        return self

    def _stays_sparse(self, more: int) -> bool:
        return self._dense is None and (len(self._places) + more) * _SPARSE <= self.size

    def _join(self, places: np.ndarray, counts: np.ndarray) -> None:
        """Add counts at places, which may occur again, to those that are kept."""
        every, counts = np.concatenate([self._places, places]), np.concatenate([self._counts, counts])
        self._places, inverse = np.unique(every, return_inverse=True)
        self._counts = np.zeros(len(self._places), np.int64)
        np.add.at(self._counts, inverse, counts)

    @property
    def counts(self) -> np.ndarray:
        """The counts, int64 (size,), without a copy."""
        if self._dense is None:
            self._dense = np.zeros(self.size, dtype=np.int64)
            self._dense[self._places] = self._counts
        return self._dense

    def __getstate__(self) -> tuple[int, np.ndarray, np.ndarray]:
        dense = self._dense
        places = self._places if dense is None else np.flatnonzero(dense)
        counts = self._counts if dense is None else dense[places]
        small = counts.max(initial=0) < 1 << 32
        return self.size, places.astype(np.uint32), counts.astype(np.uint32) if small else counts

    def __setstate__(self, state: tuple[int, np.ndarray, np.ndarray]) -> None:
        self.size, places, counts = state
        self._dense = None
        self._places, self._counts = places.astype(np.int64), counts.astype(np.int64)
