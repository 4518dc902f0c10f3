"""Train K-means with many thousand centroids: a tree of small K-means, then sweeps over all rows.

K-means splits the rows into cells, and cells into cells, until a cell has few enough centroids for Lloyd's iterations.
The centroids of all cells are then improved by sweeps, as in k^2-means (Agustsson, Timofte and Van Gool 2017): each row
is compared with the centroids nearest to its own, and every centroid becomes the mean of its rows. So the cost of a
sweep does not depend on the number of centroids. Where such sweeps settle, rows may be kept from a nearer centroid that
is not near to theirs: so a few sweeps compare each row with all centroids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.runtime.cores import cores
from poolwright.core.runtime.threads import one_blas_thread
from poolwright.kernels.clusters.centroids import Centroids, nearest_centroids
from poolwright.kernels.clusters.kmeans_plus_plus import mixed, seeds
from poolwright.kernels.clusters.lloyd import Block, Float32, Metric, lloyd, moments_of
from poolwright.kernels.clusters.trained import Trained
from poolwright.kernels.selection.apportion import apportion
from poolwright.kernels.similarity.cosine import Integers
from poolwright.kernels.similarity.float16 import widen
from poolwright.kernels.similarity.unit_length import unit_rows

_LEAF = 40
"""Most centroids of a cell that is not split further."""

_PARTS = 64
"""Most parts that a cell is split into at once."""

_SOME = 64
"""Rows for each centroid that cells are split and learned from."""

_CELL_TURNS, _CELL_TOL = 10, 1e-4
"""Lloyd's iterations in a cell: their most, and the centroids' moves that end them, as `KMeansOptions.tol`."""

_NEARBY = 128
"""Centroids that a row is compared with in a sweep: those nearest to its own."""

_NEAR_CELLS = 64
"""Cells among whose centroids these are looked for."""

_SETTLED = 5e-4
"""Sweeps end when one lowers the inertia by less than this part."""

_WIDE_SWEEPS = 2
"""Sweeps that compare rows with all centroids, each after others have settled."""

_MORE_SWEEPS = 10
"""Sweeps beyond their most, to give rows to centroids that have none."""

_SAME = 1e-5
"""Squared distances below this part of the squared length are rounding: the row is at its centroid."""

_ROWS_AT_ONCE, _CENTROIDS_AT_ONCE = 8192, 512

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


def train_centroids(
    rows: npt.NDArray[np.floating], k: int, metric: Metric, key: int, *, most_sweeps: int = 25
) -> Trained:
    """Train `k` centroids; fewer if fewer rows differ.

    The result depends on the rows, their order and the key alone, not on the number of cores: sort rows by a hash of
    their uid. Takes some 40 bytes a row besides the rows, three times the centroids, and 100 MB a core.

    Args:
        rows: (n, d) float16 or float32, finite and not zero, n at least 1; may be mapped from a file.
        k: number of centroids.
        key: 64-bit key that draws are hashed from.
    """
    # The last bits of a product can depend on how threads of BLAS cut it: one thread each, and cells in parallel.
    with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
        training = _Training(rows, metric, min(k, len(rows)), pool)
        training.begin(training.cells(key))
        wide, wide_left, before = False, _WIDE_SWEEPS if k > _NEARBY else 0, np.inf
        for number in range(1, most_sweeps + _MORE_SWEEPS):
            inertia, refilled = training.sweep(wide)
            settled = inertia > before * (1 - _SETTLED)
            wide = settled and wide_left > 0
            wide_left -= wide
            if not wide and not refilled and (settled or number >= most_sweeps):
                break
            before = inertia
        return training.trained()


@dataclass(frozen=True)
class _Cell:
    """Rows that share centroids: their numbers, ascending; most centroids; and the 64-bit key of the draws."""

    rows: Integers
    k: int
    key: int


class _Training:
    """The rows of one training and the centroids learned so far.

    Args:
        rows: (n, d).
        k: centroids wanted, at most n.
        pool: a thread for each core.
    """

    centroids: Float32
    cell_of: Integers
    labels: npt.NDArray[np.int32]
    costs: Float32

    def __init__(self, rows: npt.NDArray[np.floating], metric: Metric, k: int, pool: ThreadPoolExecutor) -> None:
        self._rows, self._metric, self._k, self._pool = rows, metric, k, pool
        self.labels, self.costs = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.float32)

    def cells(self, key: int) -> list[_Cell]:
        """Split all rows into cells with at most `_LEAF` centroids each, or that cannot be split."""
        done: list[_Cell] = []
        large = [_Cell(np.arange(len(self._rows)), self._k, key)]
        while large:
            alone = len(large) == 1
            found = [self._split(large[0], self._pool.map)] if alone else self._pool.map(self._split, large)
            large = []
            for parts in found:
                for cell in parts:
                    (large if cell.k > _LEAF and len(parts) > 1 else done).append(cell)
        return done

    def _split(self, cell: _Cell, apply: Map = map) -> list[_Cell]:
        """Split a cell by K-means on some of its rows; its centroids are shared out by the rows of the parts."""
        if cell.k <= _LEAF:
            return [cell]
        centres = self._means(cell, min(_PARTS, ceil(cell.k / _LEAF)))
        blocks = [cell.rows[at] for at in _slices(len(cell.rows), _ROWS_AT_ONCE)]
        labels = np.concatenate([best for best, _ in apply(lambda block: self._nearest(block, centres), blocks)])
        order, counts = _by_label(labels, len(centres))
        rows = [part for part in np.split(cell.rows[order], np.cumsum(counts)[:-1]) if len(part)]
        shares = apportion(cell.k - len(rows), [Fraction(len(part)) for part in rows])
        keys = mixed(np.array([cell.key], np.uint64), len(rows))[0]
        return [_Cell(part, 1 + share, int(key)) for part, share, key in zip(rows, shares, keys, strict=True)]

    def _means(self, cell: _Cell, k: int) -> Float32:
        """Return at most k means of the rows of a cell, by Lloyd's iterations on some of them."""
        rows = self._read(cell.rows[: _SOME * k])
        k = min(k, len(rows))
        mean = np.zeros(rows.shape[1], np.float32) if self._metric == "cosine" else rows.mean(axis=0)
        block = Block.of(
            np.pad(rows - mean, ((0, 0), (0, 1)), constant_values=1)[None], np.array([len(rows)]), self._metric
        )
        start = seeds(block, self._metric, k, 1, np.array([cell.key], np.uint64))
        labels = lloyd(block, start, self._metric, _CELL_TOL, _CELL_TURNS).labels
        moments = moments_of(block, labels, k)[0, :, 0]
        moments = moments[moments[:, -1] > 0]
        return self._scaled(moments[:, :-1] / moments[:, -1:] + mean)

    def begin(self, cells: list[_Cell]) -> None:
        """Learn the centroids of every cell, and give each row the nearest of its own cell."""

        def learn(cell: _Cell) -> Float32:
            means = self._means(cell, min(cell.k, _LEAF))  # one that could not be split has hardly any distinct rows
            for at in _slices(len(cell.rows), _ROWS_AT_ONCE):
                mine = cell.rows[at]
                self.labels[mine], self.costs[mine] = self._nearest(mine, means)
            return means

        found = list(self._pool.map(learn, cells))
        counts = [len(means) for means in found]
        for cell, first in zip(cells, np.cumsum(counts) - counts, strict=True):
            self.labels[cell.rows] += np.int32(first)
        self.centroids, self.cell_of = np.concatenate(found), np.repeat(np.arange(len(cells)), counts)

    def sweep(self, wide: bool) -> tuple[float, bool]:
        """Compare every row with some centroids, and move these to the means of their rows.

        Args:
            wide: compare rows with all centroids, rather than with those nearest to their own.

        Returns:
            The inertia before they move; and whether a centroid without rows was put elsewhere.
        """
        if wide:
            self._assign_to_all()
        else:
            self._assign_to_near()
        self._move()
        return float(self.costs.sum(dtype=np.float64)), self._refill()

    def _assign_to_all(self) -> None:
        every = Centroids(self.centroids, np.zeros(1, np.int64), np.array([len(self.centroids)]), self._metric)
        every.index(0)  # built once, before threads need it

        def assign(at: slice) -> None:
            rows = self._rows[at]
            self.labels[at], distances = nearest_centroids(rows, np.zeros(len(rows), np.int64), every)
            self.costs[at] = distances if self._metric == "cosine" else np.square(distances)

        list(self._pool.map(assign, _slices(len(self._rows), _ROWS_AT_ONCE)))

    def _assign_to_near(self) -> None:
        near = self._neighbours()
        order, counts = _by_label(self.labels, len(self.centroids))
        edges = np.append(0, np.cumsum(counts))

        def assign(centroid: int) -> None:
            some = self.centroids[near[centroid]]
            for at in _slices(edges[centroid + 1] - edges[centroid], _ROWS_AT_ONCE):
                mine = order[edges[centroid] : edges[centroid + 1]][at]
                best, self.costs[mine] = self._nearest(mine, some)
                self.labels[mine] = near[centroid][best]

        list(self._pool.map(assign, range(len(counts)), chunksize=32))

    def _neighbours(self) -> Integers:
        """Return the centroids nearest to each, with itself among them: (k, w), ascending."""
        k, cells = len(self.centroids), int(self.cell_of.max()) + 1
        by_cell, counts = _by_label(self.cell_of, cells)
        ends = np.cumsum(counts)
        centres = np.add.reduceat(self.centroids[by_cell], ends - counts, axis=0)
        centres /= counts[:, None].astype(np.float32)
        width = min(k, _NEARBY)
        found = np.empty((k, width), np.int64)

        def of_cell(cell: int) -> None:
            mine = by_cell[ends[cell] - counts[cell] : ends[cell]]
            nearest = np.argsort(_scores(centres[[cell]], centres)[0], kind="stable")[::-1]
            enough = max(_NEAR_CELLS, 1 + int(np.searchsorted(np.cumsum(counts[nearest]), width)))
            some = np.sort(np.concatenate([by_cell[ends[c] - counts[c] : ends[c]] for c in nearest[:enough]]))
            for at in _slices(len(mine), _CENTROIDS_AT_ONCE):
                scores = _scores(self.centroids[mine[at]], self.centroids[some])
                scores[np.arange(len(scores)), np.searchsorted(some, mine[at])] = np.inf
                picked = np.argpartition(scores, -width, axis=1)[:, -width:]
                found[mine[at]] = np.sort(some[picked], axis=1)

        list(self._pool.map(of_cell, range(cells)))
        return found

    def _move(self) -> None:
        """Move every centroid to the mean of its rows."""
        order, counts = _by_label(self.labels, len(self.centroids))

        def sums(at: slice) -> tuple[npt.NDArray[np.int32], Float32]:
            labels = self.labels[order[at]]
            starts = np.flatnonzero(np.diff(labels, prepend=-1))
            return labels[starts], np.asarray(np.add.reduceat(self._read(order[at]), starts, axis=0))

        total = np.zeros_like(self.centroids)
        for labels, some in self._pool.map(sums, _slices(len(order), _ROWS_AT_ONCE)):
            total[labels] += some
        there = counts > 0
        total[there] /= counts[there, None].astype(np.float32)
        self.centroids[there] = self._scaled(total[there])

    def _refill(self) -> bool:
        """Put centroids without rows, and those still missing, where rows are farthest from theirs."""
        empty = np.flatnonzero(np.bincount(self.labels, minlength=len(self.centroids)) == 0)
        missing = self._k - len(self.centroids)
        wanted = len(empty) + missing
        far = np.argsort(-self.costs, kind="stable")[:wanted] if wanted else np.empty(0, np.int64)
        vectors = self._read(far)
        apart = self.costs[far] > _SAME * np.vecdot(vectors, vectors)
        apart[apart] = _first_of_equal(vectors[apart])
        far, vectors = far[apart], vectors[apart]
        self.centroids = np.concatenate([self.centroids, vectors[len(empty) :]])
        self.cell_of = np.concatenate([self.cell_of, self.cell_of[self.labels[far[len(empty) :]]]])
        at = empty[: len(far)]
        self.centroids[at], self.cell_of[at] = vectors[: len(at)], self.cell_of[self.labels[far[: len(at)]]]
        return bool(len(far))

    def trained(self) -> Trained:
        """Return the centroids that have rows, by their number."""
        order, counts = _by_label(self.labels, len(self.centroids))
        distances = self.costs if self._metric == "cosine" else np.sqrt(self.costs)
        means = np.bincount(self.labels, distances, len(counts)) / np.maximum(counts, 1)
        ranked = np.lexsort((np.append(order, 0)[np.cumsum(counts) - counts], -counts))
        ranked = ranked[counts[ranked] > 0]
        inertia = float(self.costs.sum(dtype=np.float64))
        return Trained(self.centroids[ranked], counts[ranked], means[ranked], inertia)

    def _read(self, picked: Integers) -> Float32:
        """Some rows as float32, with metric 'cosine' of unit length."""
        found = widen(self._rows[picked])
        return found / np.sqrt(np.vecdot(found, found))[:, None] if self._metric == "cosine" else found

    def _scaled(self, means: Float32) -> Float32:
        return unit_rows(means) if self._metric == "cosine" else means

    def _nearest(self, picked: Integers, centroids: Float32) -> tuple[Integers, Float32]:
        """The nearest centroid of some rows, the first of equal ones, and its squared (cosine: cosine) distance."""
        rows = self._read(picked)
        scores = _scores(rows, centroids)
        best = scores.argmax(axis=1)
        costs = np.vecdot(rows, rows) - 2 * scores[np.arange(len(rows)), best]
        return best, np.maximum(costs / 2 if self._metric == "cosine" else costs, 0)


def _scores(rows: Float32, centroids: Float32) -> Float32:
    """x.c - |c|^2 / 2 of all pairs, which is highest for the nearest: (n, m)."""
    products = rows @ centroids.T
    products -= np.vecdot(centroids, centroids) / 2
    return products


def _first_of_equal(vectors: Float32) -> npt.NDArray[np.bool_]:
    """Which vectors equal none before them."""
    first = np.zeros(len(vectors), bool)
    first[np.unique(vectors, axis=0, return_index=True)[1]] = True
    return first


def _by_label(labels: npt.NDArray[np.integer], k: int) -> tuple[Integers, Integers]:
    """Return the rows in the order of their labels, and the number of each."""
    return np.argsort(labels, kind="stable"), np.bincount(labels, minlength=k)


def _slices(rows: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, rows, size)]
