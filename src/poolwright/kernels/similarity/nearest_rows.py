"""Find the rows nearest to each of many queries, exactly, in two passes over all rows.

The first pass sees some rows, drawn by hash, which gives every query a cosine that its nearest rows have at least. The
second compares all rows with it: products in few directions bound the cosines, see `centroid_index`, and few pairs
remain. Rows of equal cosine are ordered by the hash rank of their uid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.clusters.centroid_index import CentroidIndex
from poolwright.kernels.selection.group_counts import count_rows
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.ranks import ALL, hash_ranks
from poolwright.kernels.similarity.cosine import Float32, Integers, exact_pairs, float32_error
from poolwright.kernels.similarity.float16 import widen
from poolwright.kernels.similarity.nearest import index_texts, nearest
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

_SAMPLED, _PER_PLACE = 65_536, 64
"""Rows that the first pass sees, at least: so many, and so many for each row that a query finds."""

_QUERIES = 65_536
"""Queries compared at once."""


@dataclass
class NearestRows:
    """The nearest rows of each query, best first; where fewer were seen, the score is -inf.

    Attributes:
        scores: float32 (q, k) cosines.
        ranks: int64 (q, k) hash ranks of the rows' uids.
        checks: uint64 (q, k) hashes of the same uids with another key, so that both name a row.
    """

    scores: Float32
    ranks: Integers
    checks: npt.NDArray[np.uint64]

    @classmethod
    def none(cls, queries: int, k: int) -> NearestRows:
        shape = (queries, k)
        return cls(np.full(shape, -np.inf, np.float32), np.full(shape, ALL), np.zeros(shape, np.uint64))

    def merge(self, other: NearestRows) -> NearestRows:
        """Take over what is nearer in another."""
        for start in range(0, len(self.scores), _QUERIES):
            at = slice(start, start + _QUERIES)
            scores = np.concatenate([self.scores[at], other.scores[at]], axis=1)
            ranks = np.concatenate([self.ranks[at], other.ranks[at]], axis=1)
            checks = np.concatenate([self.checks[at], other.checks[at]], axis=1)
            best = np.lexsort((ranks, -scores), axis=1)[:, : self.scores.shape[1]]
            self.scores[at] = np.take_along_axis(scores, best, axis=1)
            self.ranks[at] = np.take_along_axis(ranks, best, axis=1)
            self.checks[at] = np.take_along_axis(checks, best, axis=1)
        return self

    def add(self, queries: Integers, scores: Float32, ranks: Integers, checks: npt.NDArray[np.uint64]) -> None:
        """Add pairs of queries and rows, (p,) each."""
        order = np.lexsort((ranks, -scores, queries))
        place = np.arange(len(order)) - np.searchsorted(queries[order], queries[order])
        order, place = order[place < self.scores.shape[1]], place[place < self.scores.shape[1]]
        found, at = np.unique(queries[order], return_inverse=True)
        new = NearestRows.none(len(found), self.scores.shape[1])
        for mine, values in ((new.scores, scores), (new.ranks, ranks), (new.checks, checks)):
            mine[at, place] = values[order]
        held = NearestRows(self.scores[found], self.ranks[found], self.checks[found]).merge(new)
        self.scores[found], self.ranks[found], self.checks[found] = held.scores, held.ranks, held.checks


@dataclass(frozen=True)
class RowSearch:
    """Adds the rows of a batch to the nearest ones. Which batches they come in does not matter.

    Attributes:
        column: column with the vectors.
        queries: (q, d) float16 or float32, finite and not zero.
        key: of the hash ranks.
        most: highest rank of the rows that are seen.
        least: (q,) cosines below which a row is not wanted; None before any are known.
    """

    column: str
    queries: npt.NDArray[np.floating]
    key: int
    most: int
    least: Float32 | None

    def __call__(self, found: NearestRows, rows: Rows) -> NearestRows:
        vectors, ranks = rows.vectors(self.column), hash_ranks(rows.column(UID), self.key)
        seen = np.flatnonzero(has_direction(vectors) & (ranks <= self.most))
        if not len(seen):
            return found
        seen = seen[np.argsort(ranks[seen], kind="stable")]  # the first of equal ones is that of the lowest rank
        unit, ranks = unit_rows(vectors[seen]), ranks[seen]
        checks = hash64(rows.column(UID).take(seen), check_key(self.key))
        near = self._drawn(unit, found.scores.shape[1]) if self.least is None else self._above(unit, self.least)
        for start, i, j, scores in near:
            found.add(start + i, scores, ranks[j], checks[j])
        return found

    def _drawn(self, vectors: Float32, k: int) -> Iterator[tuple[int, Integers, Integers, Float32]]:
        """Yield the first of some queries, and pairs of these and the k vectors nearest to each, with cosines."""
        index, k = index_texts(vectors), min(k, len(vectors))
        for start in range(0, len(self.queries), _QUERIES):
            best, scores = nearest(self.queries[start : start + _QUERIES], index, k=k)
            yield start, np.repeat(np.arange(len(best)), k), best.ravel().astype(np.int64), scores.ravel()

    def _above(self, vectors: Float32, least: Float32) -> Iterator[tuple[int, Integers, Integers, Float32]]:
        """Yield the first of some queries, and pairs of these and vectors whose cosine is not too low."""
        index = CentroidIndex(vectors, "cosine")
        for start in range(0, len(self.queries), _QUERIES):
            at = slice(start, start + _QUERIES)
            queries = widen(self.queries[at])
            unit = queries / np.sqrt(np.vecdot(queries, queries))[:, None]
            i, j = index.candidates(unit, least[at] - np.float32(4 * float32_error(unit.shape[1])))
            scores = exact_pairs(queries, vectors, i, j)
            enough = scores >= least[at][i]
            yield start, i[enough], j[enough], scores[enough]


def check_key(key: int) -> int:
    """Return the key of the second hash of a uid."""
    return key ^ 0x9E3779B97F4A7C15


def nearest_rows(frame: Frame, column: str, queries: npt.NDArray[np.floating], k: int, key: int) -> NearestRows:
    """Find the `k` live rows of highest cosine to each query, by `exact_similarity`; of equal ones by hash rank.

    Takes 40 bytes for each query and row found, a few times over, besides the queries and a batch of rows.

    Args:
        column: column with the vectors; rows without a usable one are not found.
        queries: (q, d) float16 or float32, finite and not zero.
        key: 64-bit key of the hash ranks.
    """
    rows = count_rows(frame)
    share = max(_SAMPLED, _PER_PLACE * k) / max(rows, 1)
    most = ALL if share >= 1 else int(share * 2.0**63)
    start = partial(NearestRows.none, len(queries), k)
    search = RowSearch(column, queries, key, most, None)
    found: NearestRows = frame.fold([UID, column], start, search, NearestRows.merge)
    if share < 1:
        search = RowSearch(column, queries, key, ALL, found.scores[:, -1].copy())
        found = frame.fold([UID, column], start, search, NearestRows.merge)
    return found
