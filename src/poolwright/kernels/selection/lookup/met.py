"""Counts which of some entries rows were met for, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass
class Met:
    """The entries of an index that rows were met for.

    Attributes:
        there: whether a row had the entry, bool (n,).
        rows: number of rows that were looked at.
        matched: number of those that have an entry.
    """

    there: npt.NDArray[np.bool_]
    rows: int = 0
    matched: int = 0

    def add(self, found: npt.NDArray[np.int64]) -> Met:
        """Add rows by the index of the entry of each, -1 for none: int64 (m,)."""
        matched = found[found >= 0]
        self.there[matched] = True
        self.rows += len(found)
        self.matched += len(matched)
        return self

    def merge(self, other: Met) -> Met:
        """Return what was met in either."""
        return Met(self.there | other.there, self.rows + other.rows, self.matched + other.matched)


@dataclass(frozen=True)
class NothingMet:
    """Makes an empty count for a number of entries."""

    entries: int

    def __call__(self) -> Met:
        return Met(np.zeros(self.entries, bool))
