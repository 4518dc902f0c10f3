"""The nearest centroid of the own group, against float64 arithmetic over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poolwright.kernels.clusters.centroids import Centroids, nearest_centroids


def made(seed: int, counts: list[int], d: int, metric: Any) -> Centroids:
    vectors = np.random.default_rng(seed).normal(size=(sum(counts), d)).astype(np.float32)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = np.array(counts, np.int64)
    return Centroids(vectors, np.cumsum(numbers) - numbers, numbers, metric)


def plain(row: np.ndarray, group: int, centroids: Centroids) -> tuple[int, float]:
    """The definition, one row at a time."""
    first = centroids.first[group]
    own = centroids.vectors[first : first + centroids.counts[group]].astype(np.float64)
    row = row.astype(np.float64)
    costs = 1 - own @ row / np.linalg.norm(row) if centroids.metric == "cosine" else np.linalg.norm(own - row, axis=1)
    return int(costs.argmin()), float(costs.min())


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("counts", [[5], [3, 0, 6, 1], [1]])
def test_it_is_the_nearest_of_the_own_group(counts: list[int], dtype: Any, metric: Any) -> None:
    centroids = made(1, counts, 40, metric)
    draw = np.random.default_rng(2)
    rows = draw.normal(size=(200, 40)).astype(dtype)
    groups = draw.integers(-1, len(counts), 200)
    place, distance = nearest_centroids(rows, groups, centroids)
    for row, group, at, far in zip(rows, groups, place, distance, strict=True):
        if group < 0 or not counts[group]:
            assert at == -1
            assert np.isnan(far)
            continue
        wanted, cost = plain(row, group, centroids)
        assert at == wanted
        assert far == pytest.approx(cost, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("counts", [[6], [4, 6]])
def test_a_row_is_answered_for_itself(counts: list[int], metric: Any) -> None:
    centroids = made(3, counts, 33, metric)
    draw = np.random.default_rng(4)
    rows, groups = draw.normal(size=(300, 33)).astype(np.float32), draw.integers(0, len(counts), 300)
    place, distance = nearest_centroids(rows, groups, centroids)
    order = draw.permutation(300)[:77]
    again = nearest_centroids(rows[order], groups[order], centroids)
    np.testing.assert_array_equal(again[0], place[order])
    np.testing.assert_array_equal(again[1], distance[order])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_of_equally_near_centroids_the_first_wins(metric: Any) -> None:
    vectors = np.array([[0, 1], [1, 0], [0, 1]], np.float32)
    centroids = Centroids(vectors, np.array([0]), np.array([3]), metric)
    place, _ = nearest_centroids(np.array([[0, 2], [1, 1], [3, 0]], np.float32), np.zeros(3, np.int64), centroids)
    np.testing.assert_array_equal(place, [0, 0, 1])


def test_rows_of_any_length_and_unusable_ones() -> None:
    centroids = Centroids(np.eye(3, dtype=np.float32), np.array([0]), np.array([3]), "cosine")
    rows = np.array([[0, 1e30, 0], [1e-30, 0, 0], [0, 0, 0], [np.nan, 0, 0], [0, np.inf, 0]], np.float32)
    place, distance = nearest_centroids(rows, np.zeros(5, np.int64), centroids)
    np.testing.assert_array_equal(place, [1, 0, -1, -1, -1])
    np.testing.assert_allclose(distance, [0, 0, np.nan, np.nan, np.nan])
    far, distance = nearest_centroids(
        np.array([[0, -1e30, 0]], np.float32),
        np.zeros(1, np.int64),
        Centroids(np.eye(3, dtype=np.float32), np.array([0]), np.array([3]), "euclidean"),
    )
    assert far[0] == 0
    assert distance[0] == pytest.approx(1e30)
    nothing = nearest_centroids(rows, np.zeros(5, np.int64), made(1, [0], 3, "euclidean"))
    assert (nothing[0] == -1).all()
