"""Precision, recall and prevalence of a filter on a whole pool, from verdicts on a stratified sample.

Points are those of Horvitz and Thompson (1952): every answered row stands for N_h / n_h rows of its stratum. Precision
is the share of positives among the kept rows, recall that of the kept rows among the positives, prevalence that of the
positives in the pool. Intervals are those of `melded_intervals`. No files and no clock: numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.kernels.statistics.melded_intervals import DRAWS, Limits, Melded, meld, strata_limits
from poolwright.kernels.statistics.strata import Stratum

MEASURES = ("precision", "recall", "prevalence")
MISSED = "missed"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """Numbers of rows of one stratum that people judged.

    Attributes:
        positive, negative: rows judged so.
        unsure: rows that they could not decide.
    """

    positive: int = 0
    negative: int = 0
    unsure: int = 0

    @property
    def total(self) -> int:
        """Number of rows with an answer, unsure ones included."""
        return self.positive + self.negative + self.unsure


@dataclass(frozen=True)
class Estimate:
    """One measure on the pool, 0 to 1, or a number of rows.

    Attributes:
        value: point estimate without the unsure rows; None if there is no evidence about it.
        low, high: interval without the unsure rows, as if these were missing at random.
        lowest, highest: limits with all unsure rows counted against or for the filter: the interval is valid
            whatever they are. Equal to low and high if no row is unsure.
    """

    value: float | None
    low: float
    high: float
    lowest: float
    highest: float

    @property
    def half_width(self) -> float:
        """Half of high - low."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class StratumEstimate:
    """The answers of one stratum, and its positive rate.

    Attributes:
        stratum: the stratum.
        answers: what people answered.
        rate: share of positive rows; None without answers.
        low, high: exact limits of the rate.
    """

    stratum: Stratum
    answers: Answers
    rate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Estimates:
    """Estimates for a pool from a sample.

    Attributes:
        precision, recall, prevalence: the measures.
        missed: number of positive rows that the filter rejects.
        strata: answers and positive rate of every stratum.
        confidence: of each interval by itself, two-sided.
        notes: caveats, in sentences.
    """

    precision: Estimate
    recall: Estimate
    prevalence: Estimate
    missed: Estimate
    strata: tuple[StratumEstimate, ...]
    confidence: float
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> int:
        """Number of rows with an answer."""
        return sum(one.answers.total for one in self.strata)


def estimate(
    strata: Sequence[Stratum], answers: Sequence[Answers], *, confidence: float = 0.95, draws: int = DRAWS
) -> Estimates:
    """Precision, recall and prevalence on the pool.

    The answered rows of a stratum must be a random sample of it, such as those first in the order of the sheet. A
    stratum without answers may have any rate: the intervals allow for it, and the points take the rate of the
    nearest answered stratum on its side of the threshold, which a note says.

    Args:
        strata: as `strata.design` gives them, ascending in the decision value.
        answers: one for each stratum.
        confidence: of each interval by itself, two-sided.
        draws: Monte Carlo draws, see `melded_intervals.DRAWS`.

    Raises:
        InputError: the numbers of strata and answers differ, or a stratum has more answers than rows.
    """
    _check(strata, answers, confidence)
    rows = np.array([stratum.rows for stratum in strata], np.int64)
    kept = np.array([stratum.kept for stratum in strata], bool)
    table = np.array([(answer.positive, answer.negative, answer.unsure) for answer in answers], np.float64)
    positive, negative, unsure = table.T
    values = _points(rows, kept, _rates(kept, positive, negative))
    # One by one: the draws for one case do not depend on whether there are others.
    cases = [meld(rows, kept, *case, confidence, draws) for case in _cases(kept, positive, negative, unsure)]
    measures = {name: _measure(name, values[name], cases) for name in (*MEASURES, MISSED)}
    limits = strata_limits(rows, positive, negative, confidence, draws)
    found = tuple(_stratum(number, *pair, limits) for number, pair in enumerate(zip(strata, answers, strict=True)))
    return Estimates(**measures, strata=found, confidence=confidence, notes=_notes(strata, answers))


def _check(strata: Sequence[Stratum], answers: Sequence[Answers], confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"a confidence must be between 0 and 1, such as 0.95, not {confidence}")
    if not strata or len(strata) != len(answers):
        raise InputError(f"{len(strata)} strata and answers for {len(answers)}; give one for each stratum")
    for number, (stratum, answer) in enumerate(zip(strata, answers, strict=True), start=1):
        if min(answer.positive, answer.negative, answer.unsure) < 0:
            raise InputError(f"stratum {number} has a negative number of answers")
        if answer.total > stratum.rows:
            raise InputError(
                f"stratum {number} has {answer.total} answers but {stratum.rows} rows; count each row once"
            )


def _cases(kept: Bools, positive: Floats, negative: Floats, unsure: Floats) -> list[tuple[Floats, Floats]]:
    """Positives and negatives: without unsure rows; with all of them against the filter, for it, negative, positive."""
    if not unsure.any():
        return [(positive, negative)]
    against, none = np.where(kept, 0.0, unsure), np.zeros_like(unsure)
    taken = (none, none), (against, unsure - against), (unsure - against, against), (none, unsure), (unsure, none)
    return [(positive + more, negative + fewer) for more, fewer in taken]


def _measure(name: str, value: float | None, cases: Sequence[Melded]) -> Estimate:
    limits = [getattr(case, name) for case in cases]
    worst, best = {"prevalence": (3, 4), MISSED: (2, 1)}.get(name, (1, 2)) if len(cases) > 1 else (0, 0)
    point = [] if value is None else [value]
    # A point outside its own limits, as the neighbour of an empty stratum can cause, widens them.
    low, high = min([float(limits[0][0][0]), *point]), max([float(limits[0][1][0]), *point])
    return Estimate(value, low, high, min(low, float(limits[worst][0][0])), max(high, float(limits[best][1][0])))


def _points(rows: npt.NDArray[np.int64], kept: Bools, rates: Floats) -> dict[str, float | None]:
    """Return the points by measure; NaN rates stand for a side without any answers."""
    found, missed = float((rows * rates)[kept].sum()), float((rows * rates)[~kept].sum())
    passed, both = int(rows[kept].sum()), found + missed
    values = {
        "precision": found / passed if passed else np.nan,
        "recall": found / both if both > 0 else np.nan,
        "prevalence": both / max(int(rows.sum()), 1),
        MISSED: missed,
    }
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def _rates(kept: Bools, positive: Floats, negative: Floats) -> Floats:
    """Positive rates, with that of the nearest answered stratum on the same side where there are no answers."""
    answered = positive + negative > 0
    rates = np.divide(positive, positive + negative, out=np.full_like(positive, np.nan), where=answered)
    for empty in np.flatnonzero(~answered):
        near = np.flatnonzero(answered & (kept == kept[empty]))
        if len(near):
            # Of two equally near, the one towards the threshold, whose rate is better known.
            towards = near < empty if kept[empty] else near > empty
            rates[empty] = rates[near[np.lexsort((~towards, np.abs(near - empty)))[0]]]
    return rates


def _stratum(number: int, stratum: Stratum, answers: Answers, limits: Limits) -> StratumEstimate:
    sure = answers.positive + answers.negative
    low, high = (float(limit[0, number]) for limit in limits)
    return StratumEstimate(stratum, answers, answers.positive / sure if sure else None, low, high)


def _notes(strata: Sequence[Stratum], answers: Sequence[Answers]) -> tuple[str, ...]:
    notes = []
    unsure = sum(answer.unsure for answer in answers)
    if unsure:
        rows = "1 unsure row is" if unsure == 1 else f"{unsure} unsure rows are"
        notes.append(f"{rows} left out of the points and intervals; lowest and highest bound their effect.")
    for number, (stratum, answer) in enumerate(zip(strata, answers, strict=True), start=1):
        if stratum.rows and answer.total == answer.unsure:
            notes.append(
                f"Stratum {number} ({stratum.rows:,} {'kept' if stratum.kept else 'rejected'} rows) has no answers: "
                "the intervals allow for any rate there, the points take that of the nearest answered stratum."
            )
    return tuple(notes)
