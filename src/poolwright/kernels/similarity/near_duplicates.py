"""Link near-duplicates: rows whose vectors have a high cosine, or whose hashes or times are close.

Vectors are compared block by block, so that few cosines are in memory at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.connected_components import Links
from poolwright.kernels.similarity.pairs import scan_pairs
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

_BLOCK = 1_024

Floating = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]


def nearest_other(left: Floating, right: Floating) -> tuple[Integers, npt.NDArray[np.float32]]:
    """The most similar row of `right` for each row of `left`, and their cosine.

    Args:
        left: (n, d).
        right: (m, d), m >= 1.

    Returns:
        int64 (n,), the first of equally similar rows, and float32 (n,).
    """
    rows, others = unit_rows(left), unit_rows(right)
    nearest, best = np.zeros(len(rows), np.int64), np.full(len(rows), -np.inf, np.float32)
    for start in range(0, len(others), _BLOCK):
        for at in range(0, len(rows), _BLOCK):
            block = slice(at, at + _BLOCK)
            cosines = rows[block] @ others[start : start + _BLOCK].T
            found = cosines.argmax(axis=1)
            values = cosines[np.arange(len(found)), found]
            better = values > best[block]
            nearest[block] = np.where(better, found + start, nearest[block])
            best[block] = np.where(better, values, best[block])
    return nearest, best


def similar_groups(vectors: Floating, least: float) -> Integers:
    """Groups of rows that are linked by pairs of cosine `least` or more: int64 (n,), the first row of each group."""
    links = Links(len(vectors))
    link_similar(links, vectors, least)
    return links.first()


def link_similar(links: Links, vectors: Floating, least: float) -> None:
    """Link all pairs of rows whose cosine is `least` or more; rows of zeros and rows with NaN are linked to nothing.

    Exact, as `scan_pairs`, but equal rows are compared once.

    Args:
        vectors: (n, d), of any float type and length.
        least: above 0.
    """
    distinct, same = distinct_rows(vectors)
    links.chain(same)
    some = vectors if len(distinct) == len(vectors) else vectors[distinct]
    for i, j, _ in scan_pairs(some, None, least):
        links.add(distinct[i], distinct[j])


def distinct_rows(vectors: Floating) -> tuple[Integers, Integers]:
    """Return the rows that equal no earlier one, and the number of each row's value; rows without a direction: -1.

    Two rows of one value have one number, unless their hash is that of a third value as well, which is as good as
    never; then they are two values that are compared like others.
    """
    rows = np.flatnonzero(has_direction(vectors))
    _, first, value = np.unique(_row_hashes(vectors, rows), return_index=True, return_inverse=True)
    order = np.argsort(first)  # values by their first row
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    distinct, value = rows[first[order]], rank[value.reshape(-1)]
    again = np.flatnonzero(distinct[value] != rows)
    same = [np.array_equal(vectors[rows[row]], vectors[distinct[value[row]]]) for row in again]
    odd = again[~np.array(same, bool)]
    value[odd] = len(distinct) + np.arange(len(odd))
    number = np.full(len(vectors), -1, np.int64)
    number[rows] = value
    return np.concatenate([distinct, rows[odd]]), number


def _row_hashes(vectors: Floating, rows: Integers) -> npt.NDArray[np.uint64]:
    """Return a hash of the bits of some rows."""
    factors = np.random.default_rng(0).integers(0, 2**64, vectors.shape[1], np.uint64) | np.uint64(1)
    bits = np.dtype(f"u{vectors.dtype.itemsize}")
    found = np.empty(len(rows), np.uint64)
    for at in range(0, len(rows), _BLOCK):
        words = np.ascontiguousarray(vectors[rows[at : at + _BLOCK]]).view(bits).astype(np.uint64)
        found[at : at + _BLOCK] = (words * factors).sum(axis=1)
    return found ^ (found >> np.uint64(32))
