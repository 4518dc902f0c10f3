"""Measure annotators: the number of their verdicts, their answers to gold questions, their agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from poolwright.annotation.deciding.rules import dawid_skene
from poolwright.annotation.queue.store import Said
from poolwright.annotation.queue.tally import Snapshot
from poolwright.annotation.round import CARELESS, COMPARED
from poolwright.annotation.verdicts import MEANINGS, POSITIVE, UNSURE
from poolwright.kernels.statistics.agreement import Ratings, without_outliers

_GOLD_WANTED = 0.9
_UNLIKELY = 0.05
_TOO_FAST = 0.15
"""Seconds for a picture that are too few to look at it: one fixation of the eye takes 0.2 to 0.3 s on average (K.
Rayner, Eye movements in reading and information processing, Psychol. Bull. 124 (1998) 372-422)."""


@dataclass(frozen=True)
class Person:
    """One annotator.

    Attributes:
        name: of the annotator.
        verdicts: number of verdicts that count.
        skips: number of rows that they skipped and gave no verdict on.
        gold_right, gold_answered: number of gold rows (rows with a known answer) answered correctly, and answered.
        compared, agreement, kappa: compared with the majority of the others, see `kernels.statistics.agreement`.
        seconds: median time per row; None if it is not known.
        aside: whether some of their verdicts are set aside.
        careless: why they may be careless; '' if nothing suggests it.
    """

    name: str
    verdicts: int
    skips: int
    gold_right: int
    gold_answered: int
    compared: int
    agreement: float | None
    kappa: float | None
    seconds: float | None
    aside: bool
    careless: str


def people_of(now: Snapshot, aside: Mapping[str, int]) -> list[Person]:
    """Return everybody who gave a verdict or skipped a row, sorted by name.

    Args:
        aside: by annotator, the line up to which their verdicts are set aside.
    """
    said, given = now.counted, Counter(one.annotator for one in now.said)
    skips = Counter(annotator for _, annotator in {(one.uid, one.annotator) for one in now.skips})
    names = sorted({*given, *skips, *aside})
    others = without_outliers(ratings_of(now.independent, names), len(names), CARELESS, COMPARED)
    people = []
    for at, name in enumerate(names):
        right, answered = now.on_gold.get(name, (0, 0))
        seconds = [one.seconds for one in said if one.annotator == name and one.seconds]
        careless = f"{answered - right} of {answered} gold questions wrong" if _unlikely(right, answered) else ""
        if not careless and len(seconds) >= COMPARED and median(seconds) <= _TOO_FAST:
            careless = f"{median(seconds):.2g} s a picture, over {len(seconds)} pictures"
        if not careless and others.outlier[at]:
            careless = f"hardly agrees with the others on {int(others.compared[at])} rows"
        people.append(
            Person(
                name=name,
                verdicts=given[name],
                skips=skips[name],
                gold_right=right,
                gold_answered=answered,
                compared=int(others.compared[at]),
                agreement=_number(others.agreement[at]),
                kappa=_number(others.kappa[at]),
                seconds=median(seconds) if seconds else None,
                aside=name in aside,
                careless=careless,
            )
        )
    return people


def reliability(said: Sequence[Said]) -> dict[str, float]:
    """Return by annotator the share of their answers that are true, estimated by the model of Dawid and Skene."""
    names = sorted({one.annotator for one in said})
    ratings = ratings_of(said, names)
    rows = int(ratings.item.max(initial=-1)) + 1
    positive = dawid_skene(ratings, rows)[ratings.item]
    true = np.where(ratings.category == MEANINGS.index(POSITIVE), positive, 1.0 - positive)
    rated = np.bincount(ratings.person, minlength=len(names))
    sums = np.bincount(ratings.person, true, minlength=len(names))
    return {name: float(sums[at] / rated[at]) for at, name in enumerate(names) if rated[at]}


def ratings_of(said: Sequence[Said], names: Sequence[str]) -> Ratings:
    """Return positive and negative verdicts as ratings by the people of `names`; unsure verdicts are no ratings."""
    sure = [one for one in said if one.verdict != UNSURE]
    uids = {uid: at for at, uid in enumerate(sorted({one.uid for one in sure}))}
    number = {name: at for at, name in enumerate(names)}
    return Ratings(
        np.array([uids[one.uid] for one in sure], np.int64),
        np.array([number[one.annotator] for one in sure], np.int64),
        np.array([MEANINGS.index(one.verdict) for one in sure], np.int64),
    )


def _unlikely(right: int, answered: int) -> bool:
    """Whether somebody who is right on nine of ten gold questions would be right so seldom only by rare chance."""
    from scipy.stats import binom

    return bool(answered and binom.cdf(right, answered, _GOLD_WANTED) < _UNLIKELY)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
