"""Join the rows that a pass collects, and split passes that would collect too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

COLLECT = 4_000_000
"""Rows that are collected and sorted at once, 24 bytes each."""


def joined(batches: Sequence[Any], types: Sequence[Any]) -> list[np.ndarray]:
    """Concatenate the arrays of all batches, one result per type."""
    return [
        np.concatenate([np.empty(0, dtype), *(batch[kind] for batch in batches)]) for kind, dtype in enumerate(types)
    ]


def turns(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield runs of indices of `rows` with at most about COLLECT rows together."""
    turn = np.floor((np.cumsum(rows) - rows) / COLLECT).astype(np.int64)
    for number in np.unique(turn):
        yield np.flatnonzero(turn == number)
