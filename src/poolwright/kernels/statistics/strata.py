"""Stratify a pool by the decision value of a filter, to estimate the filter's accuracy on the whole pool.

At low prevalence a plain random sample shows next to none of the rows that decide: those just above and just below the
threshold, and the few positives among the millions rejected. The histogram of the decision value over all rows, kept
and rejected, gives the number of rows in every range of it. So the pool is cut into strata, each is sampled by
itself, and the strata are weighed by their exact sizes (Cochran, Sampling Techniques, 3rd ed. 1977, chapter 5).

Rows are kept if their decision value is at least the threshold. For a filter that keeps values strictly above it,
give `np.nextafter(threshold, np.inf)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.kernels.statistics.allocation import allocate

KEPT_SHARE = 0.4
"""Share of a sample that goes to the kept rows. Precision depends on them alone, recall mostly on the others."""

LEAST = 10
"""Least rows sampled from every stratum, so that a wrong guess about it becomes visible."""

_KEPT_RATES = (0.6, 0.95)  # positive rate guessed near the threshold and far above it
_MISSED_SHARE = 0.12  # positives guessed among the rejected rows, as a share of those among the kept rows
_HIGHEST_MISSED_RATE = 0.3
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads hashes that are all small

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stratum:
    """The rows with low <= decision value < high.

    Attributes:
        low, high: bounds of the decision value; the outermost may be infinite.
        kept: whether the filter keeps these rows.
        rows: exact number of rows of the pool in it (N_h).
        sample: number of them that are to get a verdict (n_h <= N_h).
        guess: positive rate expected beforehand, 0 to 1. It steers allocations and never enters an estimate.
    """

    low: float
    high: float
    kept: bool
    rows: int
    sample: int
    guess: float


def design(
    edges: npt.ArrayLike,
    counts: npt.ArrayLike,
    threshold: float,
    n: int,
    *,
    probabilities: npt.ArrayLike | None = None,
    kept_strata: int = 3,
    rejected_strata: int = 4,
    kept_share: float = KEPT_SHARE,
    least: int = LEAST,
) -> tuple[Stratum, ...]:
    """Cut a pool into strata and share out `n` verdicts over them.

    Kept rows: the quarter nearest to the threshold, the next quarter, the far half. Rejected rows: the nearest half as
    many as there are kept rows, the next strata four times as many each, and the tail. `kept_share` of the verdicts
    goes to the kept rows. Within either side they are shared out to make the variance of the estimated positives
    least (Neyman 1934), with what an unseen positive could weigh added to the variance: n_h minimises
    sum of N_h^2 (p_h (1 - p_h) / n_h + 1 / n_h^2). So the large tail gets many although hardly any are expected there.

    Args:
        edges: (b + 1,) ascending bounds of the bins of the decision value; the outermost may be infinite.
        counts: (b,) rows of the pool in each bin, low <= value < high.
        threshold: rows with this decision value or a higher one are kept. Must be one of the edges.
        n: verdicts wanted. If the pool has fewer rows, all are taken.
        probabilities: (b,) calibrated probability of being positive in each bin, if known.
        kept_strata, rejected_strata: maximum numbers; bins are not cut, so coarse histograms give fewer.
        kept_share: share of the verdicts for kept rows, 0 to 1.
        least: minimum verdicts per stratum, or fewer if `n` or the stratum is too small.

    Returns:
        Strata that are not empty, in ascending order of the decision value.

    Raises:
        InputError: the histogram is malformed, the threshold is not one of its edges, or `n` is below the number of
            strata.
    """
    bounds, rows = _checked(edges, counts, threshold)
    middle = int(np.searchsorted(bounds, threshold))
    kept = rows[middle:]
    rejected = rows[:middle][::-1]
    above = middle + _cuts(kept, _kept_targets(int(kept.sum()), kept_strata))
    below = middle - _cuts(rejected, _rejected_targets(int(kept.sum()), int(rejected.sum()), rejected_strata))
    cuts = np.unique(np.concatenate([below, above]))
    sizes = np.add.reduceat(np.append(rows, 0), cuts[:-1]) if len(cuts) > 1 else np.empty(0, np.int64)
    is_kept = cuts[:-1] >= middle
    guesses = _guesses(sizes, is_kept) if probabilities is None else _means(probabilities, rows, cuts)
    samples = _samples(sizes, is_kept, guesses, n, kept_share, least)
    return tuple(
        Stratum(float(bounds[low]), float(bounds[high]), bool(keeps), int(size), int(sample), float(guess))
        for low, high, keeps, size, sample, guess in zip(
            cuts[:-1], cuts[1:], is_kept, sizes, samples, guesses, strict=True
        )
        if size
    )


def strata_of(strata: Sequence[Stratum], decisions: npt.ArrayLike) -> Ints:
    """Return the stratum of every row by its decision value (n,): int64 (n,), -1 if it is in none, as for NaN."""
    values = np.asarray(decisions, np.float64)
    found = np.searchsorted([stratum.low for stratum in strata], values, side="right") - 1
    highs = np.array([stratum.high for stratum in strata])
    # Values of the last bin may be infinite themselves: its bound is then part of it.
    inside = (found >= 0) & ((values < highs[found]) | (np.isposinf(values) & np.isposinf(highs[found])))
    return np.where(inside, found, -1)


def draw(ids: npt.ArrayLike, hashes: npt.NDArray[np.uint64], sizes: npt.ArrayLike) -> Ints:
    """Draw a simple random sample without replacement from every stratum: the rows with the smallest hashes.

    The sample of a union is the sample of the samples. So a stream is drawn from batch by batch, by strata or by
    finer bins, and the final sample does not depend on the order or size of the batches. A smaller sample is
    part of a larger one.

    Args:
        ids: (n,) stratum of each row; rows with a negative one are never drawn.
        hashes: (n,) uint64 hash of the uid, see `hashing.hash64`.
        sizes: (k,) rows to draw from each stratum.

    Returns:
        int64 indices of the drawn rows, by stratum and then by hash.
    """
    groups, most = np.asarray(ids, np.int64), np.asarray(sizes, np.int64)
    order = np.lexsort((hashes, groups))
    order = order[groups[order] >= 0]
    ranks = _ranks(groups[order])
    return np.asarray(order[ranks < most[groups[order]]], np.int64)


def sheet_order(ids: npt.ArrayLike, hashes: npt.NDArray[np.uint64]) -> Ints:
    """Order sampled rows for a labelling sheet: strata mixed in proportion, each in the order of its hashes.

    Whoever stops after any row has labelled a random sample of every stratum, in about the designed shares.

    Args:
        ids: (n,) stratum of each sampled row.
        hashes: (n,) uint64, those the sample was drawn by.

    Returns:
        int64 (n,) indices of the rows in the order of the sheet.
    """
    groups = np.asarray(ids, np.int64)
    order = np.lexsort((hashes, groups))
    sizes = np.bincount(groups, minlength=1)[groups[order]]
    within = (hashes[order] * _ODD).astype(np.float64) / 2.0**64
    positions = (_ranks(groups[order]) + within) / np.maximum(sizes, 1)
    return np.asarray(order[np.lexsort((hashes[order], positions))], np.int64)


def _checked(edges: npt.ArrayLike, counts: npt.ArrayLike, threshold: float) -> tuple[Floats, Ints]:
    bounds, rows = np.asarray(edges, np.float64), np.asarray(counts, np.int64)
    if bounds.ndim != 1 or rows.shape != (len(bounds) - 1,):
        raise InputError(f"a histogram of {rows.size} counts needs {rows.size + 1} edges, not {bounds.size}")
    if np.isnan(bounds).any() or (np.diff(bounds) <= 0).any() or (rows < 0).any():
        raise InputError("a histogram needs ascending edges and counts of at least 0")
    if not rows.sum():
        raise InputError("the histogram of the decision value is empty: there is no pool to sample from")
    if threshold not in bounds:
        near = bounds[np.argmin(np.abs(bounds - threshold))]
        raise InputError(
            f"the threshold {threshold} is inside a bin of the histogram (nearest edge {near}); "
            "count with the threshold as one of the edges, so that no bin has both kept and rejected rows"
        )
    return bounds, rows


def _kept_targets(kept: int, strata: int) -> list[float]:
    return [kept * 2.0 ** (number + 1 - strata) for number in range(strata - 1)]


def _rejected_targets(kept: int, rejected: int, strata: int) -> list[float]:
    widest = rejected / 4.0 ** (strata - 1)
    first = min(kept / 2, widest) if kept else widest
    return [first * 4.0**number for number in range(strata - 1)]


def _cuts(rows: Ints, targets: Sequence[float]) -> Ints:
    """Return cuts between bins, outwards from the threshold, at which about `targets` rows are behind."""
    totals = np.concatenate([[0], np.cumsum(rows)])
    nearest = [int(np.abs(totals - target).argmin()) for target in targets]
    # A bin with more rows than a target stays whole, but does not cross the threshold.
    return np.unique([0, *(max(cut, min(1, len(rows))) for cut in nearest), len(rows)])


def _means(probabilities: npt.ArrayLike, rows: Ints, cuts: Ints) -> Floats:
    rates = np.asarray(probabilities, np.float64)
    if rates.shape != rows.shape or not ((rates >= 0) & (rates <= 1) | (rows == 0)).all():
        raise InputError(f"probabilities need one number of 0 to 1 for each of the {len(rows)} bins")
    expected = np.add.reduceat(np.append(np.where(rows > 0, rates * rows, 0.0), 0.0), cuts[:-1])
    sizes = np.add.reduceat(np.append(rows, 0), cuts[:-1])
    return np.asarray(expected / np.maximum(sizes, 1))


def _guesses(sizes: Ints, kept: npt.NDArray[np.bool_]) -> Floats:
    """Positive rates of a filter that works well: most kept rows are positives, few rejected ones."""
    guesses = np.zeros(len(sizes))
    guesses[kept] = np.linspace(*_KEPT_RATES, int(kept.sum()))
    found = max(float((guesses * sizes).sum()), 1.0)
    outwards = np.flatnonzero(~kept)[::-1]
    missed = found * _MISSED_SHARE * 0.5 ** np.arange(1, len(outwards) + 1)
    guesses[outwards] = np.minimum(missed / np.maximum(sizes[outwards], 1), _HIGHEST_MISSED_RATE)
    return guesses


def _samples(sizes: Ints, kept: npt.NDArray[np.bool_], guesses: Floats, n: int, kept_share: float, least: int) -> Ints:
    strata = int((sizes > 0).sum())
    if n < strata:
        raise InputError(f"{n} verdicts are too few for {strata} strata; ask for at least {strata}")
    floor = np.minimum(sizes, min(least, n // strata))
    wanted = min(n, int(sizes.sum()))
    for_kept = min(max(round(wanted * kept_share), int(floor[kept].sum())), int(sizes[kept].sum()))
    for_rejected = min(max(wanted - for_kept, int(floor[~kept].sum())), int(sizes[~kept].sum()))
    for_kept = wanted - for_rejected
    weights = sizes.astype(np.float64) ** 2
    samples = np.zeros(len(sizes), np.int64)
    for side, total in ((kept, for_kept), (~kept, for_rejected)):
        spread = weights[side] * guesses[side] * (1.0 - guesses[side])
        samples[side] = allocate(total, floor[side], sizes[side], spread, weights[side])
    return samples


def _ranks(groups: Ints) -> Ints:
    """Rank within the group of rows that are sorted by group."""
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))[: len(groups)]
    lengths = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups)) - np.repeat(starts, lengths)
