"""Lloyd's iterations for many groups and restarts at once: two products and a few passes per iteration.

Groups of a block are padded to the same number of rows. Every row ends in a column of ones, so that one product gives
|c|^2 - 2 x.c for all rows and centroids, and another one sums and counts the rows of all clusters; padding is zero
throughout and weighs nothing. With several restarts the products are large enough for BLAS to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Metric = Literal["euclidean", "cosine"]
Float32 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int16]

_FAR = np.float32(1e30)
_SAME = 1e-6
"""Squared distances below this part of the largest squared length are rounding: the row is at its centroid."""
_SMALL = 128
"""Clusters whose numbers fit into int8."""


@dataclass(frozen=True)
class Block:
    """Rows of some groups.

    Attributes:
        rows: (g, n, d + 1) float32: vectors and a last column of ones; zero where a group has no row.
            With metric 'cosine' of unit length.
        counts: (g,) int64 rows of each group.
        base: (g, n) float32, added to scores to make squared distances (cosine: cosine distances).
    """

    rows: Float32
    counts: npt.NDArray[np.int64]
    base: Float32

    @classmethod
    def of(cls, rows: Float32, counts: npt.NDArray[np.int64], metric: Metric) -> Block:
        if metric == "cosine":
            return cls(rows, counts, np.ascontiguousarray(rows[..., -1]))
        return cls(rows, counts, _squares(rows))

    def take(self, groups: npt.NDArray[np.bool_]) -> Block:
        """Some of the groups."""
        return self if groups.all() else Block(self.rows[groups], self.counts[groups], self.base[groups])

    def variance(self) -> npt.NDArray[np.float64]:
        """Mean variance of the features of each group, (g,)."""
        rows = np.maximum(self.counts, 1)
        squares = _squares(self.rows).sum(axis=1, dtype=np.float64) / rows
        means = self.rows[..., :-1].sum(axis=1) / rows[:, None]
        return np.asarray(np.maximum(squares - (means**2).sum(axis=1), 0) / (self.rows.shape[2] - 1))


def _squares(rows: Float32) -> Float32:
    """Squared lengths of vectors (..., d + 1) without their last column."""
    return np.asarray(np.vecdot(rows[..., :-1], rows[..., :-1]))


def score_vectors(moments: Float32, metric: Metric) -> Float32:
    """Return the vectors that rows are multiplied by to score them against centroids.

    Args:
        moments: (..., d + 1) sums of the rows of each cluster, and their numbers.

    Returns:
        (..., d + 1). Times a row: |c|^2 - 2 x.c, with metric 'cosine' -x.c / |c|. No row is near an empty cluster.
    """
    out = np.empty_like(moments)
    counts = moments[..., -1:]
    if metric == "cosine":
        lengths = np.sqrt(_squares(moments))[..., None]
        np.divide(moments[..., :-1], -np.maximum(lengths, np.float32(1e-30)), out=out[..., :-1])
        out[..., -1] = 0
    else:
        np.divide(moments[..., :-1], np.maximum(counts, 1), out=out[..., :-1])
        out[..., -1] = _squares(out)
        out[..., :-1] *= -2
    out[..., -1][counts[..., 0] == 0] = _FAR
    return out


def moments_of(block: Block, labels: Labels, k: int) -> Float32:
    """Sums of the rows of each cluster, and their numbers: (g, k, r, d + 1) for labels (g, r, n)."""
    groups, restarts, rows = labels.shape
    members = np.empty((groups, k, restarts, rows), np.float32)
    for cluster in range(k):
        members[:, cluster] = labels == cluster
    sums = members.reshape(groups, k * restarts, rows) @ block.rows
    return sums.reshape(groups, k, restarts, -1)


def assign(block: Block, vectors: Float32) -> tuple[Labels, Float32]:
    """The cluster of each row with the lowest score, the first of equal ones, and that score: (g, r, n) each.

    Args:
        vectors: (g, k, r, d + 1) of `score_vectors`.
    """
    groups, k, restarts, width = vectors.shape
    scores = vectors.reshape(groups, k * restarts, width) @ block.rows.swapaxes(1, 2)
    scores = scores.reshape(groups, k, restarts, -1)
    best = scores[:, 0].copy()
    # Clusters are numbered upwards, so that the last one to be nearer is the largest mark of a row: products and maxima
    # of small integers cost a tenth of assignments where a mask is true.
    small: type[np.integer] = np.int8 if k <= _SMALL else np.int16
    labels, mark = np.zeros(best.shape, small), np.empty(best.shape, small)
    for cluster in range(1, k):
        np.less(scores[:, cluster], best, out=mark, casting="unsafe")
        mark *= small(cluster)
        np.maximum(labels, mark, out=labels)
        np.minimum(best, scores[:, cluster], out=best)
    return labels.astype(np.int16, copy=False), best


@dataclass
class LloydResult:
    """Labels (g, r, n), and the inertia (g, r) float64 of each restart."""

    labels: Labels
    inertia: npt.NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[LloydResult]) -> LloydResult:
        """The restarts of all parts."""
        return cls(
            np.concatenate([part.labels for part in parts], axis=1),
            np.concatenate([part.inertia for part in parts], axis=1),
        )

    def best(self) -> LloydResult:
        """The restart of each group with the lowest inertia, the first of equal ones."""
        restart = self.inertia.argmin(axis=1)[:, None]
        labels = np.take_along_axis(self.labels, restart[..., None], axis=1)
        return LloydResult(labels, np.take_along_axis(self.inertia, restart, axis=1))


def lloyd(block: Block, moments: Float32, metric: Metric, tol: float, most: int) -> LloydResult:
    """Iterate until labels stay, or centroids move by no more than `tol` (as in scikit-learn), or `most` times.

    The result of a group depends on its own rows and on the number of rows it is padded to, not on other groups.

    Args:
        moments: (g, k, r, d + 1) where to start; changed.
        tol: bound of the centroids' squared moves, as a part of the mean variance of the features.
    """
    groups, k, restarts, _ = moments.shape
    found = LloydResult(np.zeros((groups, restarts, block.rows.shape[1]), np.int16), np.zeros((groups, restarts)))
    bound = tol * block.variance()
    live = np.arange(groups)
    waiting = np.ones((groups, restarts), bool)
    kept = np.arange(restarts)
    before: Labels | None = None
    vectors = score_vectors(moments, metric)
    for turn in range(most):
        labels, scores = assign(block, vectors)
        inertia = np.add.reduce(scores + block.base[:, None], axis=2, dtype=np.float64)
        moments = moments_of(block, labels, k)
        if (moments[..., -1] == 0).any():
            labels, moments = _refilled(block, labels, scores, moments)
        later = score_vectors(moments, metric)
        settled = _moved(vectors, later, metric) <= bound[live, None]
        if before is not None:
            settled |= (labels == before).all(axis=2)
        over = waiting & (settled | (turn == most - 1))
        at = np.nonzero(over)
        found.labels[live[at[0]], kept[at[1]]] = labels[at]
        found.inertia[live[at[0]], kept[at[1]]] = inertia[at]
        waiting &= ~over
        if not waiting.any():
            break
        some, these = np.asarray(waiting.any(axis=1)), np.ones(len(kept), bool)
        if groups == 1:  # finished restarts would cost as much as the others
            these = waiting[0]
        block, live, kept = block.take(some), live[some], kept[these]
        if not (some.all() and these.all()):
            waiting, labels, later = waiting[some][:, these], labels[some][:, these], later[some][:, :, these]
        before, vectors = labels, np.ascontiguousarray(later)
    return found


def _moved(vectors: Float32, later: Float32, metric: Metric) -> npt.NDArray[np.float64]:
    """Sum of the squared moves of the centroids, (g, r)."""
    change = vectors[..., :-1] - later[..., :-1]
    return np.asarray(np.vecdot(change, change).sum(axis=1, dtype=np.float64) / (1 if metric == "cosine" else 4))


def _refilled(block: Block, labels: Labels, scores: Float32, moments: Float32) -> tuple[Labels, Float32]:
    """Give every empty cluster the row farthest from its own centroid, if any row is not at its centroid."""
    k = moments.shape[1]
    for group, restart, clusters in _empty(moments):
        far = scores[group, restart] + block.base[group]
        largest = float(_squares(block.rows[group]).max(initial=0))
        for cluster, row in zip(clusters, np.argsort(-far, kind="stable"), strict=False):
            if far[row] > _SAME * largest:
                labels[group, restart, row] = cluster
    return labels, moments_of(block, labels, k)


def _empty(moments: Float32) -> Iterator[tuple[int, int, list[int]]]:
    """Yield (group, restart, empty clusters)."""
    empty = moments[..., -1] == 0
    for group, restart in np.argwhere(empty.any(axis=1)):
        yield int(group), int(restart), [int(cluster) for cluster in np.flatnonzero(empty[group, :, restart])]
