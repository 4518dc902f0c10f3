"""Draw k-means++ seeds for many groups and restarts at once, by numbers that are hashed from a key."""

from __future__ import annotations

from math import log

import numpy as np
import numpy.typing as npt

from poolwright.kernels.clusters.lloyd import Block, Metric, score_vectors

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(keys: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.uint64]:
    """`count` hashed numbers of each key: the outputs of SplitMix64 (Steele et al. 2014) seeded with it.

    Args:
        keys: (g,).

    Returns:
        (g, count) uint64.
    """
    state = keys[:, None] + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))


def uniform(keys: npt.NDArray[np.uint64], *shape: int) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1), of 53 bits, for each key: (g, *shape)."""
    numbers = mixed(keys, int(np.prod(shape))) >> np.uint64(11)
    return np.asarray(numbers * 2.0**-53, np.float64).reshape(len(keys), *shape)


def signs(rows: int, columns: int) -> npt.NDArray[np.float32]:
    """A fixed matrix (rows, columns) of -1 and 1, to sketch with."""
    bits = mixed(np.arange(rows, dtype=np.uint64), columns) >> np.uint64(63)
    return np.asarray(1 - 2 * bits.astype(np.float32))


def seeds(block: Block, metric: Metric, k: int, restarts: int, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float32]:
    """Draw seeds by greedy k-means++ (Arthur and Vassilvitskii 2007): the best of several candidates each.

    A row is drawn with a probability proportional to its squared distance from the nearest seed so far; as in
    scikit-learn 2 + log k of them are tried for every seed.

    Args:
        keys: (g,) keys that the draws of each group are hashed from.

    Returns:
        (g, k, restarts, w): the rows drawn.
    """
    tries = 2 + int(log(k))
    groups = np.arange(len(keys))[:, None]
    drawn = uniform(keys, k, restarts, tries)
    drawn_rows = (drawn[:, 0, :, 0] * block.counts[:, None]).astype(np.int64)
    found = [block.rows[groups, drawn_rows]]
    near = _distances(block, found[0], metric)
    for step in range(1, k):
        total = np.cumsum(near, axis=2, dtype=np.float64)
        target = drawn[:, step] * total[:, :, -1:]
        drawn_rows = (total[:, :, None, :] <= target[..., None]).sum(axis=3)
        drawn_rows = np.minimum(drawn_rows, block.counts[:, None, None] - 1).reshape(len(keys), -1)
        tried = _distances(block, block.rows[groups, drawn_rows], metric).reshape(len(keys), restarts, tries, -1)
        np.minimum(tried, near[:, :, None], out=tried)
        best = tried.sum(axis=3).argmin(axis=2)[:, :, None]
        near = np.take_along_axis(tried, best[..., None], axis=2)[:, :, 0]
        picked = np.take_along_axis(drawn_rows.reshape(len(keys), restarts, tries), best, axis=2)[:, :, 0]
        found.append(block.rows[groups, picked])
    return np.stack(found, axis=1)


def _distances(block: Block, picked: npt.NDArray[np.float32], metric: Metric) -> npt.NDArray[np.float32]:
    """Squared distances (g, m, n) of all rows from the rows `picked` (g, m, w), 0 where there is no row."""
    products = score_vectors(picked, metric) @ block.rows.swapaxes(1, 2)
    products += block.base[:, None]
    return np.asarray(np.maximum(products, 0, out=products))
