"""Compute how many more verdicts an interval of a wanted width needs, and in which strata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError, did_you_mean
from poolwright.core.params import parse_share, several
from poolwright.kernels.statistics.accuracy import MEASURES, Estimates
from poolwright.kernels.statistics.allocation import allocate
from poolwright.kernels.statistics.melded_intervals import meld

_DRAWS = 3_000
_CLOSE = 1.02  # ratio of the totals between which the search ends

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MoreVerdicts:
    """A plan of further verdicts.

    Attributes:
        strata: further verdicts in each stratum.
        half_widths: expected half-widths of all three measures afterwards.
    """

    strata: tuple[int, ...]
    half_widths: Mapping[str, float]

    @property
    def total(self) -> int:
        """Further verdicts in all strata together."""
        return sum(self.strata)


def parse_wanted(pairs: Iterable[str]) -> dict[str, float]:
    """Parse half-widths by measure, from `recall=5%` or `recall=0.05`.

    Raises:
        InputError: an entry is not such a pair.
    """
    wanted = {}
    for pair in several(pairs):
        measure, _, share = pair.partition("=")
        try:
            wanted[measure] = parse_share(share)
        except ValueError:
            raise InputError(f"'{pair}' is not a half-width; write MEASURE=SHARE, such as recall=5%") from None
    return wanted


def how_many_more(estimates: Estimates, wanted: Mapping[str, float]) -> MoreVerdicts:
    """Plan the further verdicts in each stratum that give the intervals the wanted half-widths.

    The intervals are computed as `estimate` does, with answers as they are expected to come: at the rates seen so far,
    with one verdict's worth of the rate guessed before. They are shared out over strata by what each adds to the
    variances, relative to the half-widths wanted (`allocate`), and the total is searched for to 2 %. Unsure answers
    come at the rate so far, and are allowed for. The outcome is random: after the new verdicts, estimate and plan
    again.

    Args:
        estimates: of the answers so far, perhaps none. Their confidence is used.
        wanted: half-width of the interval by measure: {"recall": 0.05, "precision": 0.03}.

    Raises:
        InputError: a measure is not known, or a half-width is not between 0 and 1.
    """
    _check(wanted)
    plan = _Plan(estimates, wanted)
    low = high = int(plan.answered.sum())
    if not plan.reaches(high):
        high = max(high, 1)
        while high < plan.rows.sum() and not plan.reaches(high):
            low, high = high, min(2 * high, int(plan.rows.sum()))
        while high > low + 1 and high > low * _CLOSE:
            middle = (low + high) // 2
            low, high = (low, middle) if plan.reaches(middle) else (middle, high)
    more = plan.sizes(high) - plan.answered
    asked = np.minimum(np.ceil(more / plan.sure_share), plan.rows - plan.answered - plan.unsure)
    widths = plan.half_widths(high)
    return MoreVerdicts(tuple(int(number) for number in np.maximum(asked, 0)), widths)


def _check(wanted: Mapping[str, float]) -> None:
    if not wanted:
        raise InputError(f"no half-width is wanted; give one for any of {', '.join(MEASURES)}")
    for name, width in wanted.items():
        if name not in MEASURES:
            raise InputError(f"'{name}' is not estimated; {did_you_mean(name, MEASURES)}")
        if not 0 < width < 1:
            raise InputError(f"the wanted half-width of {name} is {width}; give one between 0 and 1, such as 0.05")


class _Plan:
    """The strata with their answers, and the expected effect of more answers."""

    def __init__(self, estimates: Estimates, wanted: Mapping[str, float]) -> None:
        self.wanted, self.confidence = wanted, estimates.confidence
        strata = [part.stratum for part in estimates.strata]
        self.rows = np.array([stratum.rows for stratum in strata], np.int64)
        self.kept = np.array([stratum.kept for stratum in strata], bool)
        self.positive = np.array([part.answers.positive for part in estimates.strata], np.int64)
        self.unsure = np.array([part.answers.unsure for part in estimates.strata], np.int64)
        self.answered = self.positive + np.array([part.answers.negative for part in estimates.strata], np.int64)
        self.rates = (self.positive + [stratum.guess for stratum in strata]) / (self.answered + 1)
        self.sure_share = (self.answered.sum() + 1) / (self.answered.sum() + self.unsure.sum() + 1)
        self.matters = self._matters()

    def _matters(self) -> Floats:
        """Return each stratum's weight: what its variance adds to those of the measures, in wanted half-widths."""
        expected = self.rows * self.rates
        found, missed = float(expected[self.kept].sum()), float(expected[~self.kept].sum())
        passed, both = max(int(self.rows[self.kept].sum()), 1), max(found + missed, 1.0)
        slopes = {
            "precision": np.where(self.kept, 1.0 / passed, 0.0),
            "recall": np.where(self.kept, missed, found) / both**2,
            "prevalence": np.full(len(self.rows), 1.0 / self.rows.sum()),
        }
        squares = [(slopes[name] / width) ** 2 for name, width in self.wanted.items()]
        return np.asarray(np.sum(squares, axis=0))

    def sizes(self, total: int) -> Ints:
        """Return the answers in each stratum, including those so far, when there are `total`."""
        weights = self.matters * self.rows.astype(np.float64) ** 2
        most = np.maximum(self.rows - self.unsure, self.answered)
        return allocate(total, self.answered, most, weights * self.rates * (1.0 - self.rates), weights)

    def half_widths(self, total: int) -> dict[str, float]:
        more = self.sizes(total) - self.answered
        positive = self.positive + more * self.rates
        negative = self.answered + more - positive
        melded = meld(self.rows, self.kept, positive, negative, self.confidence, _DRAWS)
        limits = {name: getattr(melded, name) for name in MEASURES}
        return {name: float(high[0] - low[0]) / 2 for name, (low, high) in limits.items()}

    def reaches(self, total: int) -> bool:
        widths = self.half_widths(total)
        return all(widths[name] <= width for name, width in self.wanted.items())
