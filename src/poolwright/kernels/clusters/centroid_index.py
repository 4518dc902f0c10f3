"""Find the nearest of very many centroids exactly, from products in the few directions that they vary most in.

Let y and z be a row and a centroid less the mean of the centroids, a and q their coordinates in p orthonormal
directions, and r and s the lengths of what these leave. By Cauchy-Schwarz y.z <= a.q + r s. So one product of p + 2
numbers bounds the score of each pair from above, and centroids that cannot be nearest need no product of all numbers:
of embeddings, 96 of 512 directions leave about one centroid in a hundred. If they leave too many, the product of all
numbers is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwright.kernels.clusters.lloyd import Metric
from poolwright.kernels.similarity.cosine import Float32, Float64, Integers, float32_error, float32_pairs
from poolwright.kernels.similarity.tiles import GROUP, Space

_SHARE = 0.65
"""Part of the variance of the centroids that is in the directions of the first product, about; measured."""

_STEP = 32
"""Directions are taken by this many, as products are quick in whole vectors of numbers."""

_PRODUCTS, _CHUNK = 22_500_000, 1 << 13
"""Products of a tile of rows, and centroids multiplied at once."""

_CANDIDATES = 2_000
"""Above this many candidates a row, on the mean of a tile, the product of all numbers is cheaper."""

_PICKS = 4
"""Centroids whose scores are computed to find how near the nearest is at least."""

_FEW = 1 << 10
"""Fewer centroids are multiplied with all numbers."""

_SAMPLE = 1 << 15
"""Centroids that the directions are found from."""


@dataclass(frozen=True)
class _Screen:
    """Upper bounds of scores: products of vectors of w numbers, plus an error.

    Attributes:
        basis: (d, p) directions, or None for all.
        vectors: (m, w) of the centroids.
        error: of a product, as a part of the lengths multiplied.
    """

    basis: Float32 | None
    vectors: Float32
    error: float

    def of_rows(self, rows: Float32) -> Float32:
        """The vectors (n, w) of some rows less the mean."""
        parts = [rows] if self.basis is None else _projected(rows, self.basis, self.error)
        return np.concatenate([*parts, np.ones((len(rows), 1), np.float32)], axis=1)


def _projected(vectors: Float32, basis: Float32, error: float) -> list[Float32]:
    """Coordinates (n, p), and upper bounds (n, 1) of the lengths of what they leave."""
    inside = vectors @ basis
    squares = np.vecdot(vectors, vectors)
    left = np.maximum(squares - np.vecdot(inside, inside), 0) + np.float32(4 * error) * squares
    return [inside, np.sqrt(left)[:, None]]


class CentroidIndex:
    """Centroids prepared for `candidates`. Can be shared by any number of threads.

    The score of a pair is x.c - |c|^2 / 2, with metric 'cosine' x.c. With y = x - mean and z = c - mean it differs from
    y.z + offset, where offset is -|z|^2 / 2 or mean.z, by a number that depends on the row alone.

    Args:
        centroids: (m, d) float32, finite, of lengths not far from 1.
    """

    def __init__(self, centroids: Float32, metric: Metric) -> None:
        self._mean = centroids.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = centroids - self._mean
        squares = np.vecdot(centred, centred)
        offset = centred @ self._mean if metric == "cosine" else squares / -2
        self._longest = float(np.sqrt(squares.max()))
        self._level = float(np.abs(offset).max()) + self._longest * float(np.linalg.norm(self._mean))
        self._fine = _Screen(None, np.column_stack([centred, offset]), 2 * float32_error(len(self._mean)))
        self._screens = [*self._coarse(centred, offset), self._fine]

    @staticmethod
    def _coarse(centred: Float32, offset: Float32) -> list[_Screen]:
        """The screen of few directions, unless centroids vary in too many.

        Its error: the directions, rounded to float32, are off orthonormal ones by at most |V'V - 1|, and coordinates
        by the error of a sum of d products each.
        """
        d = centred.shape[1]
        if len(centred) < _FEW:
            return []
        some = centred[:: -(-len(centred) // _SAMPLE)]
        values, directions = np.linalg.eigh((some.T @ some).astype(np.float64))
        share = np.cumsum(values[::-1]) / max(float(values.sum()), 1e-30)
        p = _STEP * (int(np.searchsorted(share, _SHARE)) // _STEP + 1)
        if 2 * p > d:
            return []
        basis = np.ascontiguousarray(directions[:, : -p - 1 : -1], np.float32)
        bent = float(np.linalg.norm(basis.astype(np.float64).T @ basis - np.eye(p)))
        error = 1.01 * (bent + float32_error(d) * p**0.5)
        return [_Screen(basis, np.column_stack([*_projected(centred, basis, error), offset]), error)]

    def candidates(self, rows: Float32, least: Float32 | None = None) -> tuple[Integers, Integers]:
        """Return pairs of rows and centroids, among them every nearest centroid of each row, in the order of rows.

        Args:
            rows: (n, d), finite, of lengths not far from 1.
            least: (n,) scores; if given, all centroids of at least this score are among the pairs instead.

        Returns:
            (p,) rows and (p,) centroids.
        """
        size = max(16, _PRODUCTS // len(self._fine.vectors))
        space = Space(min(size, len(rows)), len(self._fine.vectors), GROUP)
        found = []
        for start in range(0, len(rows), size):
            tile = rows[start : start + size]
            floor = None if least is None else (least[start : start + size] - tile @ self._mean).astype(np.float64)
            i, j = self._search(tile - self._mean, space, floor, 0)
            found.append((start + i, j))
        return np.concatenate([i for i, _ in found]), np.concatenate([j for _, j in found])

    def _search(self, rows: Float32, space: Space, least: Float64 | None, level: int) -> tuple[Integers, Integers]:
        """The candidates of some rows less the mean.

        The nearest centroid scores at least as much as any that is picked, less the error of float32; centroids whose
        bound is below that are left out, and of the others those whose score is.
        """
        screen, fine = self._screens[level], self._fine
        tile = space.tile(len(rows), np.float32, _CHUNK)
        whole, vectors = fine.of_rows(rows), screen.of_rows(rows)
        for chunk, products in enumerate(tile.chunks):
            start = tile.groups.bounds[chunk]
            some = screen.vectors[start : start + products.shape[1]]
            np.matmul(vectors, some.T, out=products[:, : len(some)])
            tile.reduce(chunk)
        scale = 4 * (np.sqrt(np.vecdot(rows, rows)).astype(np.float64) * self._longest + self._level)
        floor = least
        if floor is None:
            picked = tile.best_texts(_PICKS)
            at = np.repeat(np.arange(len(rows)), _PICKS)
            floor = float32_pairs(whole, fine.vectors, at, picked.ravel()).reshape(picked.shape).max(axis=1)
        floor = floor - fine.error * scale
        last = level + 1 == len(self._screens)
        pairs = tile.candidates(floor - screen.error * scale, None if last else _CANDIDATES * len(rows))
        if pairs is None:
            return self._search(rows, space, least, level + 1)
        scores = float32_pairs(whole, fine.vectors, pairs.i, pairs.j)
        if least is None:
            best = np.maximum.reduceat(scores, np.searchsorted(pairs.i, np.arange(len(rows))))
            floor = best - 2 * fine.error * scale
        close = scores >= floor[pairs.i]
        return pairs.i[close], pairs.j[close]
