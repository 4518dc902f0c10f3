"""Rows that a pass collects, and passes in turns where they would be too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

COLLECT = 4_000_000
"""Rows that are collected and sorted at once, 24 bytes each."""


def joined(batches: Sequence[Any], types: Sequence[Any]) -> list[np.ndarray]:
    """The arrays of all batches, one after the other, one per kind."""
    return [
        np.concatenate([np.empty(0, dtype), *(batch[kind] for batch in batches)]) for kind, dtype in enumerate(types)
    ]


def turns(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Places of `rows`, cut into runs of at most about COLLECT rows together."""
    turn = np.floor((np.cumsum(rows) - rows) / COLLECT).astype(np.int64)
    for number in np.unique(turn):
        yield np.flatnonzero(turn == number)
