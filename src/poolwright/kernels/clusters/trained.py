"""Describe trained centroids, however they were trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.kernels.clusters.kmeans import Clusters
from poolwright.kernels.clusters.lloyd import Float32, Metric
from poolwright.kernels.similarity.cosine import Integers


@dataclass(frozen=True)
class Trained:
    """Centroids, the one with the most rows first; of equal ones that of the earliest row.

    Attributes:
        centroids: (k, d) float32 means, with metric 'cosine' of unit length.
        rows: (k,) int64 rows of each that were learned from.
        distances: (k,) float64 their mean distance from it.
        inertia: sum of the squared distances, with metric 'cosine' of the cosine distances.
        silhouette: mean silhouette if the number of centroids was chosen by it, else NaN.
    """

    centroids: Float32
    rows: Integers
    distances: npt.NDArray[np.float64]
    inertia: float
    silhouette: float = float("nan")

    @classmethod
    def of(cls, clusters: Clusters, metric: Metric) -> Trained:
        """The centroids of clusters that `kmeans_groups` found."""
        means = np.bincount(clusters.labels, clusters.distances, len(clusters.rows)) / clusters.rows
        return cls(clusters.centroids, clusters.rows, means, clusters.inertia(metric), clusters.silhouette)
