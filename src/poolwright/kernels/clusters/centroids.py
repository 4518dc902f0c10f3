"""The nearest centroid of each row, among those of its own group: decided exactly, screened in float32."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from poolwright.kernels.clusters.centroid_index import CentroidIndex
from poolwright.kernels.clusters.lloyd import Metric
from poolwright.kernels.similarity.cosine import Float32, Float64, Integers, float32_error
from poolwright.kernels.similarity.unit_length import has_direction

_FLOATS_AT_ONCE = 1 << 18
_PAIRS_AT_ONCE = 64
_ROWS_AT_ONCE = 8_192
_FEW = 1_000
"""Up to this many centroids in a group, products with all of them cost less than avoiding some."""

_USUAL = 2.0**20
"""Squared lengths within this factor of 1 are those of vectors that the index can be trusted with."""


@dataclass(frozen=True)
class Centroids:
    """Centroids of groups, those of a group in consecutive rows.

    Attributes:
        vectors: (m, d) float32; with metric 'cosine' of unit length.
        first: (g,) int64 row of each group's first centroid.
        counts: (g,) int64 centroids of each group.
        metric: 'euclidean' or 'cosine'.
    """

    vectors: Float32
    first: Integers
    counts: Integers
    metric: Metric
    _indexes: dict[int, CentroidIndex | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, group: int) -> Float32:
        """The centroids of a group."""
        return self.vectors[self.first[group] : self.first[group] + self.counts[group]]

    def index(self, group: int) -> CentroidIndex | None:
        """The index of a group of many centroids, built when it is first needed; None if their lengths are extreme."""
        if group not in self._indexes:
            vectors = self.of(group)
            squares = np.vecdot(vectors, vectors)
            usual = np.isfinite(squares).all() and squares.max() <= _USUAL and squares.mean() >= 1 / _USUAL
            self._indexes[group] = CentroidIndex(vectors, self.metric) if usual else None
        return self._indexes[group]


def nearest_centroids(
    rows: npt.NDArray[np.floating], groups: Integers, centroids: Centroids
) -> tuple[Integers, Float32]:
    """The nearest centroid of each row and its distance.

    Euclidean distances are the roots of sums of squared differences, cosine ones 1 - x.c / |x|; both are added up in
    float64 in the fixed order of NumPy's pairwise sum and rounded once to float32. The lowest decides in float64, of
    equal ones the first. So the answer depends on the row and its group's centroids alone.

    Args:
        rows: (n, d) float16 or float32.
        groups: (n,) group of each row, -1 for none.

    Returns:
        (n,) int64, the index of the centroid within its group, -1 for a row without a group, and for one that is not
        finite or all zeros; and (n,) float32, NaN there.
    """
    found = np.full(len(rows), -1, np.int64)
    distances = np.full(len(rows), np.nan, np.float32)
    most = int(centroids.counts.max(initial=0))
    if not most:
        return found, distances
    if most > _FEW:
        return _by_group(rows, groups, centroids)
    order = np.argsort(groups, kind="stable")
    size = max(1, _FLOATS_AT_ONCE // max(rows.shape[1], most))
    for start in range(0, len(rows), size):
        tile = order[start : start + size]
        block = rows[tile].astype(np.float32)
        usable = has_direction(block)
        usable &= (groups[tile] >= 0) & (centroids.counts[groups[tile]] > 0)
        if usable.any():
            picked = tile[usable]
            block = block if usable.all() else block[usable]
            found[picked], distances[picked] = _nearest(block, groups[picked], centroids, most)
    return found, distances


def _by_group(rows: npt.NDArray[np.floating], groups: Integers, centroids: Centroids) -> tuple[Integers, Float32]:
    """`nearest_centroids` one group after the other, by an index where one has many centroids."""
    found = np.full(len(rows), -1, np.int64)
    distances = np.full(len(rows), np.nan, np.float32)
    for group in np.unique(groups[groups >= 0]):
        mine = np.flatnonzero(groups == group)
        alone = Centroids(centroids.of(group), np.zeros(1, np.int64), centroids.counts[[group]], centroids.metric)
        if len(alone.vectors) <= _FEW:
            found[mine], distances[mine] = nearest_centroids(rows[mine], np.zeros_like(mine), alone)
            continue
        for start in range(0, len(mine), _ROWS_AT_ONCE):
            picked = mine[start : start + _ROWS_AT_ONCE]
            block = rows[picked].astype(np.float32)
            usable = has_direction(block)
            with np.errstate(over="ignore", invalid="ignore"):
                squares = np.vecdot(block, block)
            usual = usable & (squares <= _USUAL) & (squares >= 1 / _USUAL)
            index = centroids.index(group) if usual.any() else None
            if index is None:
                usual[:] = False
            for kind, there in ((index, usual), (None, usable & ~usual)):
                if there.any():
                    at = picked[there]
                    found[at], distances[at] = _nearest_of_many(block[there], alone, kind)
    return found, distances


def _nearest_of_many(rows: Float32, centroids: Centroids, index: CentroidIndex | None) -> tuple[Integers, Float32]:
    """`_nearest` for one group of many centroids, without an index a few rows at a time."""
    if index is not None:
        return _decided(rows, *index.candidates(rows), centroids)
    size = max(1, _FLOATS_AT_ONCE // len(centroids.vectors))
    tiles = [rows[start : start + size] for start in range(0, len(rows), size)]
    parts = [_nearest(tile, np.zeros(len(tile), np.int64), centroids, len(centroids.vectors)) for tile in tiles]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _nearest(rows: Float32, groups: Integers, centroids: Centroids, most: int) -> tuple[Integers, Float32]:
    """Score all centroids of each usable row's group, and compare those within the error of the best exactly.

    Args:
        groups: (n,) in ascending order.
    """
    first, counts = centroids.first[groups], centroids.counts[groups]
    with np.errstate(over="ignore", invalid="ignore"):
        scores, slack = _screened(rows, groups, centroids, most)
        scores[np.arange(most) >= counts[:, None]] = np.inf
        # A NaN score, from a row with a length beyond float32, must not exclude a centroid.
        best = np.fmin.reduce(scores, axis=1)
        close = ~(scores > (best + slack)[:, None]) & (np.arange(most) < counts[:, None])
    i, k = np.nonzero(close)
    return _decided(rows, i, k, centroids, first)


def _decided(
    rows: Float32, i: Integers, k: Integers, centroids: Centroids, first: Integers | None = None
) -> tuple[Integers, Float32]:
    """The nearest of the candidates k of rows i, which are in order, and its distance."""
    costs = _exact(rows, centroids, i, k if first is None else first[i] + k)
    if len(i) > len(rows):
        order = np.lexsort((k, costs, i))
        chosen = order[np.searchsorted(i[order], np.arange(len(rows)))]
        k, costs = k[chosen], costs[chosen]
    return k, _distances(rows, costs, centroids.metric)


def _screened(rows: Float32, groups: Integers, centroids: Centroids, most: int) -> tuple[Float32, Float32]:
    """Return scores (n, most) in float32, and the largest error of the difference of two of a row, (n,)."""
    products, lengths = np.zeros((2, len(rows), most), np.float32)
    for start, end in pairwise(np.flatnonzero(np.diff(groups, prepend=-1, append=-1))):
        own = centroids.of(groups[start])
        np.matmul(rows[start:end], own.T, out=products[start:end, : len(own)])
        lengths[start:end, : len(own)] = np.vecdot(own, own)
    length, longest = np.sqrt(np.vecdot(rows, rows)), np.sqrt(lengths.max(axis=1))
    error = np.float32(float32_error(rows.shape[1]))
    if centroids.metric == "cosine":
        return -products, np.asarray(2.1 * error * length * longest, np.float32)
    slack = 2.1 * error * longest * (2 * length + longest)
    return lengths - 2 * products, np.asarray(slack, np.float32)


def _exact(rows: Float32, centroids: Centroids, i: Integers, columns: Integers) -> Float64:
    """Squared distance, or less the inner product, of each pair: float64 (p,)."""
    out = np.empty(len(i), np.float64)
    for start in range(0, len(i), _PAIRS_AT_ONCE):
        pairs = slice(start, start + _PAIRS_AT_ONCE)
        left = rows[i[pairs]].astype(np.float64)
        right = centroids.vectors[columns[pairs]]
        if centroids.metric == "cosine":
            np.multiply(left, right, out=left)
            out[pairs] = -left.sum(axis=1)
        else:
            np.subtract(left, right, out=left)
            np.multiply(left, left, out=left)
            out[pairs] = left.sum(axis=1)
    return out


def _distances(rows: Float32, costs: Float64, metric: Metric) -> Float32:
    if metric == "euclidean":
        return np.sqrt(costs).astype(np.float32)
    lengths = np.empty(len(rows), np.float64)
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        block = rows[start : start + _PAIRS_AT_ONCE].astype(np.float64)
        np.multiply(block, block, out=block)
        lengths[start : start + _PAIRS_AT_ONCE] = np.sqrt(block.sum(axis=1))
    return np.maximum(1 + costs / lengths, 0).astype(np.float32)
