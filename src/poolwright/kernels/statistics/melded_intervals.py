"""Confidence intervals of precision, recall and prevalence from a stratified sample, valid at low counts.

One stratum: for x positives among n sampled of N rows, the limits of Clopper and Pearson (1934), in their form for
finite populations, are the quantiles of x + Binomial(N - n, p) with p from Beta(x + 1, n - x) for the upper and from
Beta(x, n - x + 1) for the lower limit: a sampled row is a mark among the others, and p the stratum of the next mark.

Several strata: sums of such draws with their weights. To shift every stratum by a whole positive would be
far too cautious. Fay and Feuer (1997, Confidence intervals for directly standardized rates) found that one shift, in
the stratum whose sampled rows weigh most, is enough for a sum of rare counts; so it is done here, for the kept and
for the rejected rows each. The other strata are at the mid-point Beta(x + 1/2, n - x + 1/2) (Jeffreys; Brown, Cai,
DasGupta 2001, Interval estimation for a binomial proportion), with the limits 0 at x = 0 and 1 at x = n as they
advise; except for the lower limit of the rejected ones, where positives are rare and a half in each stratum would be
large compared with the sample, at Beta(x, n - x + 1).

Recall joins kept and rejected rows as melded intervals do (Fay, Proschan, Brittain 2015, Combining one-sample
confidence procedures for inference in the two-sample case): its lower limit is the quantile of TP / (TP + FN) with TP
from the lower and FN from the upper draws, its upper limit the reverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.kernels.selection.hashing import hash_key

DRAWS = 20_000
"""Draws per limit. At 95 % a limit is then within 0.1 % of probability of its quantile."""

Floats = npt.NDArray[np.float64]
Limits = tuple[Floats, Floats]


@dataclass(frozen=True)
class Melded:
    """Lower and upper limits of every repetition, float64 (r,) each; those of `missed` are rows."""

    precision: Limits
    recall: Limits
    prevalence: Limits
    missed: Limits


def meld(
    rows: npt.ArrayLike,
    kept: npt.ArrayLike,
    positive: npt.ArrayLike,
    negative: npt.ArrayLike,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Melded:
    """Compute limits of r independent repetitions at once, with one stream of draws per stratum and side.

    The streams are `np.random.default_rng(hash_key(0, "poolwright.kernels.meld", side, str(stratum)))`, side "low" or
    "high", stratum its index: the same counts give the same limits.

    Args:
        rows: (k,) N_h.
        kept: bool (k,).
        positive, negative: (r, k) answers; fractions are allowed. A stratum without answers may have any rate.
        confidence: of each two-sided interval.
        draws: Monte Carlo draws per limit.
    """
    sizes, keeps = np.asarray(rows, np.int64), np.asarray(kept, bool)
    seen, others = np.atleast_2d(np.asarray(positive, np.float64)), np.atleast_2d(np.asarray(negative, np.float64))
    tail = (1.0 - confidence) / 2
    low = _draw("low", sizes, keeps, seen, others, draws)
    high = _draw("high", sizes, keeps, seen, others, draws)
    found, missed = (_sums(low, keeps), _sums(high, keeps)), (_sums(low, ~keeps), _sums(high, ~keeps))
    recall = _share(found[0], missed[1], 0.0), _share(found[1], missed[0], 1.0)
    everything = found[0] + missed[0], found[1] + missed[1]
    return Melded(
        precision=_limits((found[0], found[1]), tail, int(sizes[keeps].sum())),
        recall=_limits(recall, tail, 1),
        prevalence=_limits(everything, tail, int(sizes.sum())),
        missed=_limits((missed[0], missed[1]), tail, 1),
    )


def strata_limits(
    rows: npt.ArrayLike,
    positive: npt.ArrayLike,
    negative: npt.ArrayLike,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Limits:
    """Return Clopper and Pearson's limits of the positive rate of each stratum by itself, (r, k) each."""
    sizes = np.asarray(rows, np.int64)
    seen, others = np.atleast_2d(np.asarray(positive, np.float64)), np.atleast_2d(np.asarray(negative, np.float64))
    tail, most = (1.0 - confidence) / 2, np.maximum(sizes, 1)
    low = _from_beta("low", sizes, seen, others, seen, others + 1.0, draws)
    high = _from_beta("high", sizes, seen, others, seen + 1.0, others, draws)
    return _quantile(low, tail) / most, _quantile(high, 1.0 - tail) / most


def _draw(
    side: str, rows: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_], seen: Floats, others: Floats, draws: int
) -> Floats:
    """Positives in every stratum: float64 (draws, r, k)."""
    first, second = _shapes(side, rows, kept, seen, others)
    return _from_beta(side, rows, seen, others, first, second, draws)


def _from_beta(
    side: str, rows: npt.NDArray[np.int64], seen: Floats, others: Floats, first: Floats, second: Floats, draws: int
) -> Floats:
    drawn = np.empty((draws, *seen.shape))
    for stratum, size in enumerate(rows):
        stream = np.random.default_rng(hash_key(0, "poolwright.kernels.meld", side, str(stratum)))
        a, b = first[:, stratum], second[:, stratum]
        shape = (draws, len(a))
        rates = stream.beta(np.where(a > 0, a, 1.0), np.where(b > 0, b, 1.0), shape)
        rates = np.where(a <= 0, 0.0, np.where(b <= 0, 1.0, rates))
        unseen = np.maximum(np.rint(size - seen[:, stratum] - others[:, stratum]), 0).astype(np.int64)
        drawn[:, :, stratum] = seen[:, stratum] + stream.binomial(np.broadcast_to(unseen, shape), rates)
    return drawn


def _shapes(
    side: str, rows: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_], seen: Floats, others: Floats
) -> Limits:
    """Return the parameters of the Beta distributions, see the module's docstring: (r, k) each."""
    first, second = seen + 0.5, others + 0.5
    if side == "low":
        first = np.where(seen == 0, 0.0, np.where(kept, first, seen))
        second = np.where(kept, second, others + 1.0)
    else:
        second = np.where(others == 0, 0.0, second)
    answers = seen + others
    shifted = answers == 0
    for part in (kept, ~kept):
        shifted |= _heaviest(rows, part, answers)
    exact = (seen, others + 1.0) if side == "low" else (seen + 1.0, others)
    return np.where(shifted, exact[0], first), np.where(shifted, exact[1], second)


def _heaviest(rows: npt.NDArray[np.int64], part: npt.NDArray[np.bool_], answers: Floats) -> npt.NDArray[np.bool_]:
    """Mark, in a part of the strata, that whose sampled rows weigh most: bool (r, k), at most one per repetition."""
    weights = np.where(part & (answers > 0), rows / np.maximum(answers, 1e-300), 0.0)
    weights = np.where(rows > answers, weights, np.minimum(weights, 0.0))  # a census weighs nothing
    best = np.zeros(answers.shape, bool)
    if answers.shape[1]:
        np.put_along_axis(best, weights.argmax(axis=1)[:, None], True, axis=1)
    return best & (weights > 0)


def _sums(drawn: Floats, part: npt.NDArray[np.bool_]) -> Floats:
    return np.asarray(drawn[:, :, part].sum(axis=2))


def _share(found: Floats, missed: Floats, empty: float) -> Floats:
    both = found + missed
    return np.divide(found, both, out=np.full_like(found, empty), where=both > 0)


def _limits(draws: tuple[Floats, Floats], tail: float, size: int) -> Limits:
    return _quantile(draws[0], tail) / max(size, 1), _quantile(draws[1], 1.0 - tail) / max(size, 1)


def _quantile(draws: Floats, share: float) -> Floats:
    """Return a quantile that is one of the draws, rounded outwards, so that counts stay integers."""
    if share < 0.5:
        return np.asarray(np.quantile(draws, share, axis=0, method="lower"))
    return np.asarray(np.quantile(draws, share, axis=0, method="higher"))
