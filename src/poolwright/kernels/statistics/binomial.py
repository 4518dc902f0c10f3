"""Bound a share by the interval of Clopper and Pearson (1934), also where what is counted comes in clumps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def clumped_interval(
    found: npt.NDArray[np.integer], seen: npt.NDArray[np.integer], confidence: float = 0.95
) -> tuple[float, float]:
    """Return the limits of the share of things found, where clumps of things are sampled at random.

    Clopper and Pearson's limits of as many independent things as the clumps are worth at least, (sum m)^2 / sum m^2 of
    clumps of m things (Kish 1965, Survey Sampling, with full correlation within a clump).

    Args:
        found: (n,) things found in each clump.
        seen: (n,) all things of each clump.
        confidence: probability that the limits hold the share.

    Returns:
        (0, 1) if there are no things.
    """
    from scipy.special import betaincinv

    total = float(seen.sum())
    if not total:
        return 0.0, 1.0
    worth = total**2 / float(np.square(seen, dtype=np.float64).sum())
    hits, tail = float(found.sum()) / total * worth, (1 - confidence) / 2
    misses = max(worth - hits, 0.0)
    low = float(betaincinv(hits, misses + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - tail)) if misses > 0 else 1.0
    return low, high
