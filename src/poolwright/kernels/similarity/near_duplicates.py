"""Link near-duplicates: rows whose vectors have a high cosine, or whose hashes or times are close.

Vectors are compared block by block, so that few cosines are in memory at a time.
"""

from __future__ import annotations

from itertools import pairwise
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
    """Return the rows that equal no earlier one, and the number of each row's value; rows without a direction: -1."""
    from xxhash import xxh3_128_digest

    known: dict[bytes, int] = {}
    number = np.full(len(vectors), -1, np.int64)
    firsts: list[int] = []
    for row in np.flatnonzero(has_direction(vectors)):
        digest = xxh3_128_digest(np.ascontiguousarray(vectors[row]).tobytes())
        number[row] = known.setdefault(digest, len(known))
        if number[row] == len(firsts):
            firsts.append(int(row))
    return np.array(firsts, np.int64), number


def link_hashes(links: Links, hashes: npt.NDArray[np.uint64], valid: npt.NDArray[np.bool_], distance: int) -> None:
    """Link all pairs of rows whose 64-bit hashes differ in at most `distance` bits.

    Exact: of distance + 1 runs of bits, two such hashes share at least one, so only hashes that share one are compared
    (M. Norouzi, A. Punjani, D. J. Fleet, Fast exact search in Hamming space with multi-index hashing, 2014).

    Args:
        hashes: uint64 (n,).
        valid: bool (n,); the others are linked to nothing.
        distance: 0 to 63.
    """
    rows = np.flatnonzero(valid)
    values, first, number = np.unique(hashes[rows], return_index=True, return_inverse=True)
    same = np.full(len(hashes), -1, np.int64)
    same[rows] = number.reshape(-1)
    links.chain(same)
    edges: list[int] = np.linspace(0, 64, distance + 2).astype(int).tolist() if distance else []
    for low, high in pairwise(edges):
        run = (values >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(run, kind="stable")
        run, ordered, row = run[order], values[order], rows[first[order]]
        at, step = np.arange(len(run) - 1), 1
        while len(at):
            at = at[at + step < len(run)]
            at = at[run[at] == run[at + step]]
            near = at[np.bitwise_count(ordered[at] ^ ordered[at + step]) <= distance]
            links.add(row[near], row[near + step])
            step += 1


def link_times(links: Links, group: Integers, times: Integers, within: int) -> None:
    """Link rows of one group whose times are at most `within` apart; through rows in between they may be further apart.

    Args:
        group: int64 (n,), below 0 for rows that are linked to nothing.
        times: int64 (n,), in the unit of `within`.
    """
    order = np.lexsort((times, group))
    same = (group[order][1:] == group[order][:-1]) & (group[order][1:] >= 0)
    close = np.diff(times[order]) <= within
    links.add(order[:-1][same & close], order[1:][same & close])
