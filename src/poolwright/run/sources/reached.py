"""Remembers which rows of a unit are live after some steps, so that the next pass continues from there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_MOST_BYTES = 1 << 28
"""Bytes of codes that are remembered at most, one for each row as a rule."""


@dataclass(frozen=True)
class Reached:
    """The outcome of the first steps on all rows of a unit.

    Attributes:
        steps: number of steps.
        codes: integers (n,): 0 for live rows, else the ledger code they were dropped with.
        tallies: counts of the steps, by '<step name>.<tally>'.
    """

    steps: int
    codes: np.ndarray
    tallies: Mapping[str, np.ndarray]


class LastPasses:
    """The outcomes of the last passes over the units of a table.

    It serves one attempt at a table in one process. On other nodes it is empty, and what does not fit is left out:
    steps are then applied again, with the same results.
    """

    def __init__(self) -> None:
        self._reached: dict[int, Reached] = {}
        self._left, self._lock = _MOST_BYTES, threading.Lock()

    def __reduce__(self) -> tuple[type[LastPasses], tuple[()]]:
        return LastPasses, ()

    def of(self, unit: int) -> Reached | None:
        """Return what is known of a unit."""
        return self._reached.get(unit)

    def keep(self, unit: int, reached: Reached) -> None:
        """Remember what was found of a unit, in place of what was known after fewer steps."""
        with self._lock:
            known = self._reached.get(unit)
            freed = known.codes.nbytes if known else 0
            if (known is None or known.steps < reached.steps) and reached.codes.nbytes <= self._left + freed:
                self._reached[unit] = reached
                self._left += freed - reached.codes.nbytes
