"""Move rows by Hartigan's criterion: if it lowers the inertia, even though their own centroid is the nearest.

A row draws the centroid of its own cluster towards itself, which Lloyd's iterations do not see. Clusters that no move
improves are stable for Lloyd's too (Telgarsky and Vattani 2010), so every row is still nearest to its own centroid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poolwright.kernels.clusters.lloyd import Block, Float32, Labels, Metric, moments_of

_TURNS = 50
_GAIN = 1e-7
"""A relative decrease smaller than this is rounding."""


def improve(block: Block, labels: Labels, k: int, metric: Metric) -> Labels:
    """Move all rows that gain, again and again, as long as the inertia falls.

    Args:
        labels: (g, 1, n).
    """
    labels = labels.copy()
    live = np.arange(len(labels))
    moments = moments_of(block, labels, k)[:, :, 0]
    inertia = _inertia(block, moments, metric)
    for _ in range(_TURNS):
        moved = _moved(block, labels[live], moments, metric)
        further = moments_of(block, moved, k)[:, :, 0]
        lower = _inertia(block, further, metric)
        gained = lower < inertia - _GAIN * np.abs(inertia)
        live = live[gained]
        if not len(live):
            break
        labels[live] = moved[gained]
        block, moments, inertia = block.take(gained), further[gained], lower[gained]
    return labels


def _inertia(block: Block, moments: Float32, metric: Metric) -> npt.NDArray[np.float64]:
    """Return the inertia (g,) of clusters from moments (g, k, d + 1): that of the rows less the explained part."""
    squares = (moments[..., :-1].astype(np.float64) ** 2).sum(axis=2)
    explained = np.sqrt(squares) if metric == "cosine" else squares / np.maximum(moments[..., -1], 1)
    return np.asarray(block.base.sum(axis=1, dtype=np.float64) - explained.sum(axis=1))


def _moved(block: Block, labels: Labels, moments: Float32, metric: Metric) -> Labels:
    """The cluster of each row that it costs least to be in, (g, 1, n)."""
    sums, counts = moments[..., :-1], moments[..., -1:]
    products = sums @ block.rows[..., :-1].swapaxes(1, 2)  # (g, k, n)
    squares = np.vecdot(sums, sums)[..., None]
    own = np.arange(sums.shape[1])[:, None] == labels
    if metric == "cosine":
        lengths = np.sqrt(squares)
        toward = np.where(own, -1, 1).astype(np.float32)
        changed = np.sqrt(np.maximum(squares + 2 * toward * products + 1, 0))
        cost = 1 - toward * (changed - lengths)
    else:
        some = np.maximum(counts, 1)
        cost = block.base[:, None] - 2 * products / some + squares / some**2
        cost *= np.where(own, counts / np.maximum(counts - 1, 1), counts / (counts + 1))
    cost[np.broadcast_to(counts == 0, cost.shape)] = np.inf
    alone = own & (counts <= 1)
    cost[alone] = -np.inf  # the last row of a cluster stays
    return np.asarray(cost.argmin(axis=1)[:, None], np.int16)
