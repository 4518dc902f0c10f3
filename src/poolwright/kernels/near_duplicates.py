"""Near-duplicates among vectors: rows whose cosine is high, block by block, in one order of operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK = 1_024

Floating = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]


def unit_rows(vectors: Floating) -> npt.NDArray[np.float32]:
    """Rows (n, d) scaled to length 1, as float32; rows of zeros stay."""
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float32)


def nearest_other(left: Floating, right: Floating) -> tuple[Integers, npt.NDArray[np.float32]]:
    """The most similar row of `right` for each row of `left`, and their cosine.

    Args:
        left: (n, d).
        right: (m, d), m >= 1.

    Returns:
        int64 (n,), the first of equally similar rows, and float32 (n,).
    """
    rows, others = unit_rows(left), unit_rows(right)
    place, best = np.zeros(len(rows), np.int64), np.full(len(rows), -np.inf, np.float32)
    for start in range(0, len(others), _BLOCK):
        for at in range(0, len(rows), _BLOCK):
            block = slice(at, at + _BLOCK)
            cosines = rows[block] @ others[start : start + _BLOCK].T
            found = cosines.argmax(axis=1)
            values = cosines[np.arange(len(found)), found]
            better = values > best[block]
            place[block] = np.where(better, found + start, place[block])
            best[block] = np.where(better, values, best[block])
    return place, best


def similar_groups(vectors: Floating, least: float) -> Integers:
    """Groups of rows that are linked by pairs of cosine `least` or more: int64 (n,), the first row of each group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, count = unit_rows(vectors), len(vectors)
    label = np.arange(count)
    for at in range(0, count, _BLOCK):
        ours, others = np.nonzero(rows[at : at + _BLOCK] @ rows[: at + _BLOCK].T >= least)
        # Groups found so far are kept as one edge a row, so that no more than a block of pairs lies in memory.
        starts, ends = np.concatenate([ours + at, np.arange(count)]), np.concatenate([others, label])
        graph = coo_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(count, count))
        _, found = connected_components(graph, directed=False)
        label = np.unique(found, return_index=True)[1][found]
    return np.asarray(label, np.int64)
