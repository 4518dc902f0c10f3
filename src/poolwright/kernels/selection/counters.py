"""Counters that travel small: only what was counted is pickled."""

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

    def add(self, places: np.ndarray) -> None:
        """Count one more at each place (int64 (n,), repeats count)."""
        np.add.at(self.counts, places, 1)

    def merge(self, other: Counters) -> Counters:
        """Add the counts of another with as many counters to these."""
        if other._dense is not None:
            np.add(self.counts, other._dense, out=self.counts)
        else:
            self.counts[other._places] += other._counts
        return self

    @property
    def counts(self) -> np.ndarray:
        """int64 (size,), no copy."""
        if self._dense is None:
            self._dense = np.zeros(self.size, dtype=np.int64)
            self._dense[self._places] = self._counts
        return self._dense

    def __getstate__(self) -> tuple[int, np.ndarray, np.ndarray]:
        places = np.flatnonzero(self.counts)
        counts = self.counts[places]
        small = counts.max(initial=0) < 1 << 32
        return self.size, places.astype(np.uint32), counts.astype(np.uint32) if small else counts

    def __setstate__(self, state: tuple[int, np.ndarray, np.ndarray]) -> None:
        self.size, self._places, self._counts = state
        self._dense = None
