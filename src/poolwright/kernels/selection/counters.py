"""Counters of one unit that travel small: only what was counted is pickled."""

from __future__ import annotations

from collections.abc import Iterable

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
        if self._dense is None:
            self._dense = total([self], self.size)
        np.add.at(self._dense, places, 1)

    def put_into(self, counters: np.ndarray) -> None:
        """Add these counts to `counters` (int64 (size,))."""
        if self._dense is not None:
            counters += self._dense
        else:
            counters[self._places] += self._counts

    def __getstate__(self) -> tuple[int, np.ndarray, np.ndarray]:
        dense = total([self], self.size)
        places = np.flatnonzero(dense)
        return self.size, places.astype(np.uint32), dense[places].astype(np.uint32)

    def __setstate__(self, state: tuple[int, np.ndarray, np.ndarray]) -> None:
        self.size, self._places, self._counts = state
        self._dense = None


def total(units: Iterable[Counters], size: int) -> np.ndarray:
    """The counts of all units together: int64 (size,)."""
    counters = np.zeros(size, dtype=np.int64)
    for unit in units:
        unit.put_into(counters)
    return counters
