"""Mean silhouettes (Rousseeuw 1987): how much nearer rows are to their own cluster than to the nearest other one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from poolwright.kernels.clusters.lloyd import Float32, Metric
from poolwright.kernels.similarity.unit_length import unit_rows


def silhouettes(
    rows: npt.NDArray[np.floating], labelled: Sequence[npt.NDArray[np.int64]], metric: Metric
) -> list[float]:
    """The mean silhouette of some rows under each of several labellings, as scikit-learn defines it.

    A row alone in its cluster counts as 0; with a single cluster, or as many clusters as rows, so do all rows.

    Args:
        rows: (n, d). Takes 8 n^2 bytes.
        labelled: (n,) each, labels from 0.
    """
    distances = _distances(rows.astype(np.float32), metric)
    return [_mean(distances, np.unique(labels, return_inverse=True)[1]) for labels in labelled]


def _distances(rows: Float32, metric: Metric) -> Float32:
    """(n, n) Euclidean or cosine distances."""
    if metric == "cosine":
        rows = unit_rows(rows)
        distances = 1 - rows @ rows.T
    else:
        rows = rows - rows.mean(axis=0)
        squares = np.vecdot(rows, rows)
        distances = squares[:, None] + squares - 2 * (rows @ rows.T)
        distances = np.sqrt(np.maximum(distances, 0, out=distances))
    np.fill_diagonal(distances, 0)
    return distances


def _mean(distances: Float32, labels: npt.NDArray[np.int64]) -> float:
    n = len(labels)
    members = np.eye(int(labels.max(initial=0)) + 1, dtype=np.float32)[labels]  # (n, k)
    counts = members.sum(axis=0)
    if not 1 < len(counts) < n:
        return 0.0
    sums = distances @ members
    own = counts[labels]
    within = sums[np.arange(n), labels] / np.maximum(own - 1, 1)
    others = sums / counts
    others[np.arange(n), labels] = np.inf
    next_one = others.min(axis=1)
    widths = (next_one - within) / np.maximum(np.maximum(within, next_one), np.float32(1e-30))
    return float(np.where(own > 1, widths, 0).mean(dtype=np.float64))
