"""Thousands of centroids: trained well, whatever the cores; and the nearest one found exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poolwright.kernels.clusters import centroid_index, centroids, large
from poolwright.kernels.clusters.centroids import Centroids, nearest_centroids
from poolwright.kernels.clusters.large import train_centroids
from poolwright.kernels.clusters.lloyd import Metric

Floating = npt.NDArray[np.floating[Any]]


def embeddings(rows: int, width: int, seed: int = 0) -> npt.NDArray[np.float16]:
    """Unit vectors around 40 topics, whose features vary by 1 / rank as those of image embeddings do."""
    draw = np.random.default_rng(seed)
    spread = np.arange(1, width + 1) ** -0.5
    vectors = draw.normal(size=width) + draw.normal(size=(40, width))[draw.integers(0, 40, rows)]
    vectors = (vectors + 0.6 * draw.normal(size=(rows, width))) * spread
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def one_group(vectors: npt.NDArray[np.float32], metric: Metric) -> Centroids:
    return Centroids(vectors, np.zeros(1, np.int64), np.array([len(vectors)]), metric)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("width", [24, 256])
def test_the_nearest_of_many_is_that_of_all_products(
    metric: Metric, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same ids and bits of distances, with equal centroids, rows of any length and rows without a direction."""
    vectors = embeddings(3_000, width)
    held = vectors[:1_200].astype(np.float32)
    held[50:60] = held[40:50]
    if metric == "cosine":
        held /= np.linalg.norm(held, axis=1, keepdims=True)
    rows = vectors[1_000:].copy()
    rows[5], rows[7], rows[9, 3], rows[10] = 0, rows[7] * 50, np.nan, rows[10] * np.float16(0.001)
    groups = np.zeros(len(rows), np.int64)
    groups[11] = -1
    found = nearest_centroids(rows, groups, one_group(held, metric))
    monkeypatch.setattr(centroids, "_FEW", 10**6)
    wanted = nearest_centroids(rows, groups, one_group(held, metric))
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])
    assert (found[0][[5, 9, 11]] == -1).all()


def test_bounds_leave_out_most_centroids_and_none_that_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = embeddings(4_000, 256).astype(np.float32)
    index = centroid_index.CentroidIndex(vectors[:2_000], "euclidean")
    rows, near = index.candidates(vectors[2_000:])
    products = vectors[2_000:] @ vectors[:2_000].T - np.vecdot(vectors[:2_000], vectors[:2_000]) / 2
    wanted = products.argmax(axis=1)
    assert set(zip(range(2_000), wanted.tolist(), strict=True)) <= set(zip(rows.tolist(), near.tolist(), strict=True))
    assert len(rows) < 1.1 * 2_000
    # Where bounds leave too many, all products decide.
    monkeypatch.setattr(centroid_index, "_CANDIDATES", 0)
    again = index.candidates(vectors[2_000:])
    assert set(zip(range(2_000), wanted.tolist(), strict=True)) <= set(
        zip(*(one.tolist() for one in again), strict=True)
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_many_centroids_are_as_good_as_those_of_plain_lloyd(metric: Metric) -> None:
    """No more than 0.5% above 25 of Lloyd's iterations over all rows and centroids, from rows drawn at random."""
    rows = embeddings(4_000, 48)
    trained = train_centroids(rows, 200, metric, 7)
    plain = rows[np.random.default_rng(0).choice(len(rows), 200, replace=False)].astype(np.float32)
    for _ in range(25):
        labels, _ = nearest_centroids(rows, np.zeros(len(rows), np.int64), one_group(plain, metric))
        there = np.unique(labels)
        plain[there] = [rows[labels == label].mean(axis=0, dtype=np.float32) for label in there]
        if metric == "cosine":
            plain /= np.linalg.norm(plain, axis=1, keepdims=True)

    def inertia(held: npt.NDArray[np.float32]) -> float:
        _, distances = nearest_centroids(rows, np.zeros(len(rows), np.int64), one_group(held, metric))
        return float((distances if metric == "cosine" else distances.astype(np.float64) ** 2).sum())

    assert len(trained.centroids) == 200
    assert inertia(trained.centroids) <= 1.005 * inertia(plain)
    assert trained.inertia == pytest.approx(inertia(trained.centroids), rel=0.03)
    assert trained.rows.sum() == len(rows)
    assert (np.diff(trained.rows) <= 0).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_rows_are_not_kept_from_centroids_that_are_not_near_to_theirs(
    metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without sweeps over all centroids, which are few here, the inertia is over 1 % above that of the nearest."""
    monkeypatch.setattr(large, "_NEARBY", 8)
    rows = np.random.default_rng(3).standard_normal((6_000, 32)).astype(np.float32)
    trained = train_centroids(rows, 300, metric, 3)
    _, distances = nearest_centroids(rows, np.zeros(len(rows), np.int64), one_group(trained.centroids, metric))
    nearest = (distances.astype(np.float64) ** (2 if metric == "euclidean" else 1)).sum()
    assert nearest <= trained.inertia < 1.003 * nearest


def test_the_number_of_cores_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = embeddings(3_000, 40)
    found = []
    for count in (1, 5):
        monkeypatch.setattr(large, "cores", lambda count=count: count)
        found.append(train_centroids(rows, 200, "euclidean", 3))
    np.testing.assert_array_equal(found[0].centroids, found[1].centroids)
    np.testing.assert_array_equal(found[0].rows, found[1].rows)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_as_many_centroids_as_distinct_rows(metric: Metric) -> None:
    """Equal rows in any number neither make empty clusters nor keep other rows from having one."""
    distinct = embeddings(150, 16)
    rows = np.concatenate([np.repeat(distinct[:1], 5_000, axis=0), distinct, distinct])
    trained = train_centroids(rows, 400, metric, 1)
    assert len(trained.centroids) == 150
    assert trained.inertia < 1e-3
    assert trained.rows.max() == 5_002


def test_equal_rows_make_one_cluster_at_once() -> None:
    rows = np.repeat(embeddings(1, 16), 20_000, axis=0)
    assert train_centroids(rows, 5_000, "euclidean", 1).rows.tolist() == [20_000]


def test_one_row_and_one_centroid() -> None:
    assert len(train_centroids(embeddings(1, 8), 1_000, "euclidean", 0).centroids) == 1
    assert train_centroids(embeddings(9, 8), 1, "cosine", 0).rows.tolist() == [9]
