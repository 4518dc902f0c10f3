"""Allocate a sample to strata so that the estimate from it has the least variance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_STEPS = 80  # halvings of the multiplier's logarithm, to the precision of float64
_NEWTON = 60
_SETTLED = 1e-12

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def allocate(total: int, least: Ints, most: Ints, spread: Floats, unseen: Floats) -> Ints:
    """Whole numbers n_h with sum `total` and `least` <= n_h <= `most` that minimise sum(spread / n + unseen / n^2).

    With `unseen` 0 this is Neyman's allocation, n_h in proportion to the root of `spread` (Neyman 1934, On the two
    different aspects of the representative method; Cochran 1977, section 5.5), with bounds. The second term is what
    one more positive than was seen would weigh: it keeps strata in which nothing is expected from being left out.

    Args:
        total: sample size to allocate; clipped to the sums of `least` and `most`.
        least, most: (k,) bounds.
        spread: (k,) at least 0: N_h^2 p_h (1 - p_h), times the stratum's importance.
        unseen: (k,) at least 0: N_h^2, times the stratum's importance.

    Returns:
        int64 (k,). Strata where both terms are 0 stay at `least`; the part of the total that fits in no other stratum
        is dropped.
    """
    matters = (spread > 0) | (unseen > 0)
    most = np.where(matters, most, least)
    total = int(np.clip(total, least.sum(), most.sum()))
    if not matters.any() or total == least.sum():
        return least.astype(np.int64)
    scale = max(float(spread.max()), float(unseen.max()))
    spread, unseen = spread / scale, unseen / scale
    low, high = -120.0, 120.0  # natural logarithms of the multiplier: the larger, the fewer
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if np.clip(_sizes(np.exp(middle), spread, unseen), least, most).sum() > total:
            low = middle
        else:
            high = middle
    return _rounded(np.clip(_sizes(np.exp(high), spread, unseen), least, most), total, most)


def _sizes(multiplier: float, spread: Floats, unseen: Floats) -> Floats:
    """The positive n at which -d/dn (spread / n + unseen / n^2) is the multiplier, a root of a cubic."""
    sizes = np.sqrt(spread / multiplier) + np.cbrt(2 * unseen / multiplier) + 1e-30
    for _ in range(_NEWTON):  # from above, where the cubic is convex: never past the root
        value = multiplier * sizes**3 - spread * sizes - 2 * unseen
        slope = 3 * multiplier * sizes**2 - spread
        step = np.divide(value, slope, out=np.zeros_like(sizes), where=slope > 0)
        sizes = np.maximum(sizes - step, 0.0)
        if (step <= _SETTLED * sizes).all():
            break
    return np.asarray(sizes)


def _rounded(sizes: Floats, total: int, most: Ints) -> Ints:
    """Round down, then add one each to the largest remainders, the first of equal ones, until the total is met."""
    whole = np.floor(sizes + 1e-9).astype(np.int64)
    while (left := total - int(whole.sum())) > 0:
        open_ = np.flatnonzero(whole < most)
        order = open_[np.argsort(-(sizes - whole)[open_], kind="stable")]
        whole[order[:left]] += 1
    return whole
