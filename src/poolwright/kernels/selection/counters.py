"""Counters with a small pickle: only those above 0 are pickled."""

from __future__ import annotations

import numpy as np


class Counters:
    """`size` counters, from 0.

    Args:
        size: number of counters, 8 bytes each while they count.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._dense: np.ndarray | None = np.zeros(size, dtype=np.int64)
        self._places = self._counts = np.empty(0, dtype=np.int64)

    def add(self, indices: np.ndarray) -> None:
        """Increment the counter at each index, int64 (n,); a repeated index counts each time."""
        np.add.at(self.counts, indices, 1)

    def merge(self, other: Counters) -> Counters:
        """Add the counts of another `Counters` of the same size to these."""
        if other._dense is not None:
            np.add(self.counts, other._dense, out=self.counts)
        else:
            self.counts[other._places] += other._counts
        return self

    @property
    def counts(self) -> np.ndarray:
        """The counts, int64 (size,), without a copy."""
        if self._dense is None:
            self._dense = np.zeros(self.size, dtype=np.int64)
            self._dense[self._places] = self._counts
        return self._dense

    def __getstate__(self) -> tuple[int, np.ndarray, np.ndarray]:
        indices = np.flatnonzero(self.counts)
        counts = self.counts[indices]
        small = counts.max(initial=0) < 1 << 32
        return self.size, indices.astype(np.uint32), counts.astype(np.uint32) if small else counts

    def __setstate__(self, state: tuple[int, np.ndarray, np.ndarray]) -> None:
        self.size, self._places, self._counts = state
        self._dense = None
