"""K-means inside groups, against scikit-learn and plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from poolwright.kernels.clusters.hartigan import improve
from poolwright.kernels.clusters.kmeans import Clusters, KMeansOptions, kmeans, kmeans_groups
from poolwright.kernels.clusters.kmeans_plus_plus import mixed, uniform
from poolwright.kernels.clusters.lloyd import Block, assign, lloyd, moments_of
from poolwright.kernels.clusters.silhouette import silhouettes


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """scikit-learn's threads wait for each other busily, which takes long beside other tests."""
    with threadpool_limits(1):
        yield


Matrix = npt.NDArray[np.float32]


def blobs(seed: int, n: int, d: int, spread: float = 0.6, count: int = 6) -> Matrix:
    """Uneven clusters, with an offset and features of unequal variance."""
    draw = np.random.default_rng(seed)
    scale = np.arange(1, d + 1) ** -0.3
    centres = draw.normal(size=(count, d)) * scale * spread
    shares = 0.6 ** np.arange(count)
    rows = centres[draw.choice(count, n, p=shares / shares.sum())] + draw.normal(size=(n, d)) * scale + 3 * scale
    return rows.astype(np.float32)


def noise(seed: int, n: int, d: int) -> Matrix:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def inertia_of(rows: Matrix, labels: npt.NDArray[Any]) -> float:
    """Sum of squared distances from the means of the clusters, in float64."""
    rows = rows.astype(np.float64)
    clusters = [rows[labels == label] for label in np.unique(labels)]
    return float(sum(((of - of.mean(axis=0)) ** 2).sum() for of in clusters))


SHAPES = [
    ("blobs", 400, 16, 6),
    ("blobs", 300, 300, 6),
    ("blobs", 700, 128, 3),
    ("blobs", 50, 600, 4),
    ("noise", 200, 40, 8),
    ("noise", 60, 256, 6),
    ("noise", 1000, 2, 20),
]


@pytest.mark.parametrize(("kind", "n", "d", "k"), SHAPES)
def test_inertia_is_not_worse_than_scikit_learns(kind: str, n: int, d: int, k: int) -> None:
    mine, theirs = [], []
    for seed in range(4):
        rows = blobs(seed, n, d) if kind == "blobs" else noise(seed, n, d)
        clusters = kmeans(rows, KMeansOptions(k), key=seed)
        assert len(clusters.rows) == k
        mine.append(inertia_of(rows, clusters.labels))
        assert clusters.inertia("euclidean") == pytest.approx(mine[-1], rel=1e-5)
        theirs.append(inertia_of(rows, KMeans(k, n_init=10, random_state=seed).fit(rows).labels_))
    assert sum(mine) <= sum(theirs) * (1 + 1e-6)


def check(rows: Matrix, clusters: Clusters) -> None:
    """Every row is with its nearest centroid, centroids are means, and the largest cluster is the first."""
    squares = ((rows[:, None].astype(np.float64) - clusters.centroids) ** 2).sum(axis=2)
    np.testing.assert_array_equal(clusters.labels, squares.argmin(axis=1))
    np.testing.assert_allclose(clusters.distances, np.sqrt(squares.min(axis=1)), rtol=1e-6)
    np.testing.assert_array_equal(clusters.rows, np.bincount(clusters.labels))
    assert (np.diff(clusters.rows) <= 0).all()
    for label, centroid in enumerate(clusters.centroids):
        np.testing.assert_allclose(centroid, rows[clusters.labels == label].mean(axis=0), atol=2e-4)


@pytest.mark.parametrize(("n", "d"), [(1, 3), (5, 3), (90, 200), (800, 20)])
def test_labels_centroids_and_sizes_agree(n: int, d: int) -> None:
    rows = blobs(3, n, d)
    clusters = kmeans(rows, KMeansOptions(5, restarts=3), key=7)
    assert len(clusters.rows) == min(n, 5)
    check(rows, clusters)


@pytest.mark.parametrize("d", [3, 200])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_as_many_clusters_as_distinct_rows_where_those_are_few(d: int, metric: Any) -> None:
    distinct = noise(1, 3, d)
    rows = distinct[np.array([0] * 40 + [1] * 5 + [2] * 20)]
    clusters = kmeans(rows, KMeansOptions(6, metric=metric, restarts=2), key=1)
    np.testing.assert_array_equal(clusters.rows, [40, 20, 5])
    assert clusters.inertia(metric) == pytest.approx(0, abs=1e-5)
    constant = kmeans(np.repeat(distinct[:1], 30, axis=0), KMeansOptions(6, metric=metric, restarts=2), key=1)
    np.testing.assert_array_equal(constant.rows, [30])


def test_clusters_of_equal_size_are_ordered_by_their_first_row() -> None:
    rows = np.array([[9], [9], [1], [5], [5], [1]], np.float32)
    clusters = kmeans(rows, KMeansOptions(3), key=5)
    np.testing.assert_array_equal(clusters.centroids[:, 0], [9, 1, 5])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_group_is_clustered_as_if_it_were_alone(metric: Any) -> None:
    sizes = [30, 600, 31, 29, 1, 520, 32, 700, 30]
    groups = [blobs(seed, size, 130) for seed, size in enumerate(sizes)]
    options = KMeansOptions(4, metric=metric, restarts=3)
    for threads in (1, 3):
        together = kmeans_groups(lambda group: groups[group], sizes, 130, range(9), options, threads)
        for key, (rows, clusters) in enumerate(zip(groups, together, strict=True)):
            alone = kmeans(rows, options, key)
            np.testing.assert_array_equal(alone.centroids, clusters.centroids)
            np.testing.assert_array_equal(alone.labels, clusters.labels)


def test_other_keys_draw_other_seeds() -> None:
    rows = noise(0, 300, 50)
    found = {kmeans(rows, KMeansOptions(6, restarts=1), key).inertia("euclidean") for key in range(5)}
    assert len(found) > 1


def spherical(rows: Matrix, k: int, seed: int) -> float:
    """Plain spherical K-means from random rows: sum of cosine distances."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    centres = unit[np.random.default_rng(seed).choice(len(rows), k, replace=False)]
    for _ in range(100):
        labels = (unit @ centres.T).argmax(axis=1)
        sums = np.stack([unit[labels == label].sum(axis=0) for label in range(k)])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return float((1 - (unit @ centres.T).max(axis=1)).sum())


@pytest.mark.parametrize("d", [8, 150])
def test_cosine_clusters_directions(d: int) -> None:
    rows = blobs(5, 400, d) - 2
    clusters = kmeans(rows, KMeansOptions(5, metric="cosine"), key=2)
    assert clusters.inertia("cosine") <= min(spherical(rows, 5, seed) for seed in range(10)) * (1 + 1e-6)
    np.testing.assert_allclose(np.linalg.norm(clusters.centroids, axis=1), 1, rtol=1e-6)
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    cosine = unit @ clusters.centroids.T
    np.testing.assert_array_equal(clusters.labels, cosine.argmax(axis=1))
    np.testing.assert_allclose(clusters.distances, 1 - cosine.max(axis=1), atol=1e-6)
    longer = kmeans(
        rows * 2.0 ** np.arange(400)[:, None].clip(0, 9).astype(np.float32), KMeansOptions(5, metric="cosine"), 2
    )
    np.testing.assert_array_equal(longer.labels, clusters.labels)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_silhouettes_are_scikit_learns(metric: Any) -> None:
    rows = blobs(1, 150, 20)
    draw = np.random.default_rng(0)
    labelled = [draw.integers(0, k, 150) for k in (2, 3, 7)] + [np.where(np.arange(150) == 4, 1, 0)]
    wanted = [silhouette_score(rows, labels, metric=metric) for labels in labelled]
    np.testing.assert_allclose(silhouettes(rows, labelled, metric), wanted, atol=2e-5)
    assert silhouettes(rows, [np.zeros(150, np.int64), np.arange(150)], metric) == [0, 0]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_number_of_clusters_is_chosen(count: int) -> None:
    rows = blobs(count, 300, 100, spread=6, count=count)
    clusters = kmeans(rows, KMeansOptions(2, highest=6, restarts=4, silhouette_rows=200), key=1)
    assert len(clusters.rows) == count
    assert clusters.silhouette == pytest.approx(silhouette_score(rows[:200], clusters.labels[:200]), abs=1e-4)
    one = kmeans(rows[:1], KMeansOptions(2, highest=4), key=1)
    assert len(one.rows) == 1


def test_an_empty_cluster_gets_the_farthest_row() -> None:
    rows = np.concatenate([noise(0, 50, 4), [[40, 0, 0, 0]]]).astype(np.float32)
    made = np.concatenate([rows, np.ones((51, 1), np.float32)], axis=1)[None]
    block = Block.of(made, np.array([51]), "euclidean")
    start = np.zeros((1, 1, 51), np.int16)  # all rows in the first of three clusters
    found = lloyd(block, moments_of(block, start, 3), "euclidean", 0, 50)
    assert set(found.labels[0, 0]) == {0, 1, 2}
    assert (found.labels[0, 0] == found.labels[0, 0, 50]).sum() == 1


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_moves_only_improve_and_leave_rows_with_their_nearest_centroid(metric: Any) -> None:
    draw = np.random.default_rng(2)
    rows = draw.normal(size=(1, 80, 31)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    block = Block.of(np.concatenate([rows, np.ones((1, 80, 1), np.float32)], axis=2), np.array([80]), metric)
    start = lloyd(block, moments_of(block, draw.integers(0, 5, (1, 1, 80)).astype(np.int16), 5), metric, 0, 99)
    labels = improve(block, start.labels, 5, metric)
    again = lloyd(block, moments_of(block, labels, 5), metric, 0, 99)
    assert again.inertia[0, 0] < start.inertia[0, 0]
    assert set(labels[0, 0]) == set(range(5))


def test_draws_are_those_of_splitmix64() -> None:
    """The first outputs for the seed 1234567, as published with several implementations."""
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert mixed(np.array([1234567], np.uint64), 4)[0].tolist() == wanted
    drawn = uniform(np.arange(4, dtype=np.uint64), 100, 50)
    assert drawn.shape == (4, 100, 50)
    assert 0 <= drawn.min() < 0.001
    assert 0.999 < drawn.max() < 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.real
def test_inertia_on_real_embeddings(real_data: Path) -> None:
    """CLIP vectors of Caltech-101, class by class and as a whole, and of ImageNet: not worse than scikit-learn."""
    folder = real_data / "clip_vitb32"
    caltech, imagenet = np.load(folder / "caltech101.npz"), np.load(folder / "imagenet.npz")
    labels = caltech["test_label"]
    large = [label for label in np.unique(labels) if (labels == label).sum() >= 40]
    groups = [caltech["test_emb"][labels == label] for label in large]
    groups += [caltech["test_emb"], imagenet["train1shot_emb"]]
    mine = kmeans_groups(lambda group: groups[group], [len(rows) for rows in groups], 512, range(99), KMeansOptions(6))
    theirs = [KMeans(6, n_init=10, random_state=0).fit(rows.astype(np.float32)).inertia_ for rows in groups]
    ratio = np.array([clusters.inertia("euclidean") for clusters in mine]) / theirs
    print(f"{len(large)} classes, Caltech-101, ImageNet: inertia over scikit-learn's", ratio.round(5))
    assert ratio[:-2] @ theirs[:-2] <= sum(theirs[:-2])
    assert ratio[-2:].max() <= 1 + 1e-4


@pytest.mark.parametrize("k", [1, 2, 128, 129, 300])
def test_a_row_goes_to_the_first_of_equal_clusters(k: int) -> None:
    draw = np.random.default_rng(k)
    rows = draw.integers(-1, 2, (2, 50, 4)).astype(np.float32)  # small integers: scores are exact, and many are equal
    rows[..., -1] = 1
    vectors = draw.integers(-2, 3, (2, k, 3, 4)).astype(np.float32)
    vectors[0, k // 2 :] = vectors[0, k // 2, 0]
    rows[1, 7] = np.nan
    labels, scores = assign(Block.of(rows, np.full(2, 50), "euclidean"), vectors)
    expected = np.einsum("gkrd,gnd->grnk", vectors, rows)
    numbers = ~np.isnan(expected[..., 0])
    np.testing.assert_array_equal(labels[numbers], expected.argmin(axis=3)[numbers])
    np.testing.assert_array_equal(scores, expected.min(axis=3))
    assert labels.dtype == np.int16
    assert not labels[~numbers].any()
