"""Cluster centroids into levels: hierarchical K-means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poolwright.kernels.clusters.centroids import Centroids, nearest_centroids
from poolwright.kernels.clusters.kmeans_plus_plus import mixed
from poolwright.kernels.clusters.large import train_centroids
from poolwright.kernels.clusters.lloyd import Float32, Metric
from poolwright.kernels.similarity.cosine import Integers


def levels_of(centroids: Float32, numbers: Sequence[int], metric: Metric, key: int) -> list[Integers]:
    """Cluster centroids, and the centroids of these clusters, level by level, as Vo et al. 2024 (arXiv 2405.15613) do.

    Args:
        centroids: (k, d) of the first level.
        numbers: clusters of each level above.

    Returns:
        For each level above, the cluster (k,) that every one of `centroids` is in.
    """
    found: list[Integers] = []
    for number, level_key in zip(numbers, mixed(np.array([key], np.uint64), len(numbers))[0], strict=True):
        above = train_centroids(centroids, number, metric, int(level_key)).centroids
        held = Centroids(above, np.zeros(1, np.int64), np.array([len(above)]), metric)
        own, _ = nearest_centroids(centroids, np.zeros(len(centroids), np.int64), held)
        found.append(own[found[-1]] if found else own)
        centroids = above
    return found
