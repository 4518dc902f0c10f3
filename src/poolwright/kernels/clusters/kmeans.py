"""Run K-means within each of many groups; results do not depend on the order of rows or the number of cores.

Greedy k-means++ and Lloyd's iterations of all restarts run on a sketch of the rows, their product with an orthonormal
basis of the directions they vary most in (Halko et al. 2011); a few of Lloyd's iterations on the rows themselves then
finish every restart. Of the best one, rows are moved by Hartigan's criterion, which escapes some of Lloyd's local
minima. Groups of similar size are processed together, and blocks of groups in parallel on all cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poolwright.core.runtime.cores import cores
from poolwright.core.runtime.threads import one_blas_thread
from poolwright.kernels.clusters.centroids import Centroids, nearest_centroids
from poolwright.kernels.clusters.group_vectors import GroupVectors
from poolwright.kernels.clusters.hartigan import improve
from poolwright.kernels.clusters.kmeans_plus_plus import seeds, signs
from poolwright.kernels.clusters.lloyd import Block, Float32, Labels, LloydResult, Metric, lloyd, moments_of
from poolwright.kernels.clusters.silhouette import silhouettes
from poolwright.kernels.similarity.unit_length import unit_rows

SKETCH = 32
"""Dimensions of a sketch. Rows of fewer than three times as many are used as they are."""

_ALONE = 512
"""A group of more rows is a block of its own."""

_FLOATS = 1 << 20
"""Numbers in the rows of a block of small groups, or in their scores, which bounds the memory of a thread."""

_SCORES = 1 << 25
"""Most scores of a large group at once: restarts take turns if there would be more."""

_ORDERINGS = 4
"""Rows exactly between two centroids go to the first, so that ordering clusters by size can change their sizes."""

Load = Callable[[int], npt.NDArray[np.floating]]


@dataclass(frozen=True)
class KMeansOptions:
    """Options of K-means.

    Attributes:
        k: clusters of a group; with `highest`, the fewest.
        highest: most clusters of a group; the number with the highest mean silhouette is chosen.
        metric: 'euclidean', or 'cosine' (spherical K-means: directions are clustered).
        restarts: runs from different seeds, of which the one with the lowest inertia is used.
        tol: as in scikit-learn, the part of the features' mean variance by which centroids may still move.
        most_turns: of Lloyd's iterations.
        silhouette_rows: rows of a group that silhouettes are computed on at most: the first ones.
    """

    k: int
    highest: int | None = None
    metric: Metric = "euclidean"
    restarts: int = 10
    tol: float = 1e-4
    most_turns: int = 300
    silhouette_rows: int = 1_000


@dataclass(frozen=True)
class Clusters:
    """The clusters of one group, the one with the most rows first; of equal ones that of the earliest row.

    Attributes:
        centroids: (k, d) float32 means, with metric 'cosine' of unit length. Fewer than asked for if the group has
            fewer distinct rows.
        labels: (n,) int64 cluster of each row: that of the nearest centroid.
        distances: (n,) float32 from it.
        rows: (k,) int64 rows of each cluster.
        silhouette: mean silhouette if the number of clusters was chosen by it, else NaN.
    """

    centroids: Float32
    labels: npt.NDArray[np.int64]
    distances: Float32
    rows: npt.NDArray[np.int64]
    silhouette: float = float("nan")

    def inertia(self, metric: Metric) -> float:
        """Sum of squared distances, with metric 'cosine' of cosine distances."""
        costs = self.distances.astype(np.float64)
        return float((costs if metric == "cosine" else costs**2).sum())


def kmeans(rows: npt.NDArray[np.floating], options: KMeansOptions, key: int = 0) -> Clusters:
    """The clusters of one group of rows (n, d), finite, n at least 1."""
    return kmeans_groups(lambda _: rows, [len(rows)], rows.shape[1], [key], options)[0]


def kmeans_groups(
    load: Load,
    sizes: Sequence[int],
    width: int,
    keys: Sequence[int],
    options: KMeansOptions,
    threads: int | None = None,
) -> list[Clusters]:
    """The clusters of every group, in their order.

    The result of a group depends on its rows, their order and its key alone: sort rows by a hash of their uid.
    Each thread takes some 3 times the memory of a large group's rows in float32, or 20 MB for small ones.

    Args:
        load: gives the rows of a group (n, d) float16 or float32, finite; called from threads.
        sizes: rows of each group, at least 1.
        width: d.
        keys: 64-bit keys that the draws of each group are hashed from.
        threads: blocks at once; by default as many as there are cores.
    """

    def solve(groups: list[int]) -> list[Clusters]:
        rows = [load(group) for group in groups]
        return _solve(rows, np.array([keys[group] for group in groups], np.uint64), options)

    blocks = _blocks(sizes, max(width + 1, options.k * options.restarts))
    found: dict[int, Clusters] = {}
    # The last bits of a product can depend on how threads of BLAS cut it: one thread each, and blocks in parallel.
    with one_blas_thread(), ThreadPoolExecutor(threads or cores()) as pool:
        for groups, clusters in zip(blocks, pool.map(solve, blocks), strict=True):
            found.update(zip(groups, clusters, strict=True))
    return [found[group] for group in range(len(sizes))]


def clustered(
    vectors: GroupVectors, keys: npt.NDArray[np.uint64], options: KMeansOptions
) -> Iterator[tuple[int, Clusters]]:
    """Yield (group, its clusters) for all groups that have vectors; `keys` (k,) are those of `kmeans_groups`."""
    counts = vectors.counts
    here = [int(group) for group in np.flatnonzero(counts)]
    sizes, own_keys = [int(counts[group]) for group in here], [int(keys[group]) for group in here]

    def load(group: int) -> npt.NDArray[np.floating]:
        return vectors.of(here[group])

    yield from zip(here, kmeans_groups(load, sizes, vectors.width, own_keys, options), strict=True)


def _blocks(sizes: Sequence[int], numbers: int) -> list[list[int]]:
    """Return groups that are processed together, the largest first; a row has `numbers` numbers."""
    together: dict[int, list[int]] = {}
    for group, size in enumerate(sizes):
        together.setdefault(_padded(size), []).append(group)
    blocks = []
    for padded in sorted(together, reverse=True):
        groups = together[padded]
        each = 1 if padded > _ALONE else max(1, _FLOATS // (padded * numbers))
        blocks += [groups[start : start + each] for start in range(0, len(groups), each)]
    return blocks


def _padded(size: int) -> int:
    """Return the rows that a group of `size` is padded to: a function of it alone, whichever groups share its block."""
    if size > _ALONE:
        return size
    grain = max(8, 1 << max(0, int(size).bit_length() - 3))
    return -(-size // grain) * grain


def _solve(
    rows: list[npt.NDArray[np.floating]], keys: npt.NDArray[np.uint64], options: KMeansOptions
) -> list[Clusters]:
    """The clusters of the groups of one block."""
    block, means = _block(rows, options.metric)
    sketch = _sketch(block, options.metric)
    numbers = range(options.k, (options.highest or options.k) + 1)
    tried = [_cluster(rows, block, sketch, means, k, keys, options) for k in numbers]
    if len(numbers) == 1:
        return tried[0]
    return [_clearest(of, [clusters[group] for clusters in tried], options) for group, of in enumerate(rows)]


def _block(rows: list[npt.NDArray[np.floating]], metric: Metric) -> tuple[Block, Float32]:
    """Return the rows (n, d) of each group, centred or of unit length, as a block; and the means subtracted, (g, d)."""
    counts = np.array([len(of) for of in rows], np.int64)
    width = rows[0].shape[1]
    made = np.zeros((len(rows), _padded(int(counts.max())), width + 1), np.float32)
    means = np.zeros((len(rows), width), np.float32)
    for group, of in enumerate(rows):
        vectors = made[group, : len(of), :-1]
        vectors[:] = unit_rows(of) if metric == "cosine" else of
        if metric != "cosine":
            means[group] = vectors.mean(axis=0)
            vectors -= means[group]
        made[group, : len(of), -1] = 1
    return Block.of(made, counts, metric), means


def _sketch(block: Block, metric: Metric) -> Block:
    """The rows in the directions they vary most in; the rows themselves if they are narrow.

    A randomized range finder with one power iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4).
    """
    vectors = block.rows[..., :-1]
    if vectors.shape[2] < 3 * SKETCH:
        return block
    basis = np.broadcast_to(signs(vectors.shape[2], SKETCH), (len(vectors), vectors.shape[2], SKETCH))
    for _ in range(2):
        basis, _ = np.linalg.qr(vectors.swapaxes(1, 2) @ (vectors @ basis))
    rows = np.concatenate([vectors @ basis, block.rows[..., -1:]], axis=2)
    return Block.of(rows, block.counts, metric)


def _cluster(
    rows: list[npt.NDArray[np.floating]],
    block: Block,
    sketch: Block,
    means: Float32,
    k: int,
    keys: npt.NDArray[np.uint64],
    options: KMeansOptions,
) -> list[Clusters]:
    """K-means of every group of a block."""
    metric = options.metric
    start = seeds(sketch, metric, k, options.restarts, keys)
    each = max(1, _SCORES // (k * sketch.base.size))
    some = [_restarts(block, sketch, start[:, :, at : at + each], options) for at in range(0, options.restarts, each)]
    improved = improve(block, LloydResult.joined(some).best().labels, k, metric)
    final = _finished(block, improved, k, options).labels
    moments = moments_of(block, final, k)[:, :, 0]
    return [_clusters(of, moments[group], means[group], metric) for group, of in enumerate(rows)]


def _restarts(block: Block, sketch: Block, start: Float32, options: KMeansOptions) -> LloydResult:
    """K-means from some seeds (g, k, r, w), the best of them."""
    found = lloyd(sketch, start, options.metric, options.tol, options.most_turns)
    if sketch is not block:
        found = _finished(block, found.labels, start.shape[1], options)
    return found.best()


def _finished(block: Block, labels: Labels, k: int, options: KMeansOptions) -> LloydResult:
    """Lloyd's iterations on the rows themselves until labels stay."""
    return lloyd(block, moments_of(block, labels, k), options.metric, 0, options.most_turns)


def _clusters(rows: npt.NDArray[np.floating], moments: Float32, mean: Float32, metric: Metric) -> Clusters:
    """The clusters of one group, from their moments (k, d + 1): ordered, and with the rows nearest to each."""
    counts = moments[:, -1].astype(np.int64)
    centroids: Float32 = np.asarray(moments[:, :-1] / np.maximum(moments[:, -1:], 1) + mean, np.float32)
    if metric == "cosine":
        centroids = unit_rows(centroids)
    earliest = np.arange(len(counts))
    for _ in range(_ORDERINGS):
        order = np.lexsort((earliest, -counts))
        order = order[counts[order] > 0]
        centroids = centroids[order]
        held = Centroids(centroids, np.zeros(1, np.int64), np.array([len(centroids)]), metric)
        labels, distances = nearest_centroids(rows, np.zeros(len(rows), np.int64), held)
        counts = np.bincount(labels, minlength=len(centroids))
        earliest = np.full(len(centroids), len(rows))
        np.minimum.at(earliest, labels, np.arange(len(rows)))
        if (np.lexsort((earliest, -counts)) == np.arange(len(counts))).all() and counts.all():
            break
    return Clusters(centroids, labels, distances, counts)


def _clearest(rows: npt.NDArray[np.floating], tried: list[Clusters], options: KMeansOptions) -> Clusters:
    """The clusters of highest mean silhouette, the fewest of equal ones."""
    some = rows[: options.silhouette_rows]
    means = silhouettes(some, [clusters.labels[: len(some)] for clusters in tried], options.metric)
    best = int(np.argmax(means))
    return replace(tried[best], silhouette=means[best])
