"""People: how much each annotator said, how often they are right where the answer is known, how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from poolwright.kernels.agreement import Ratings, without_outliers
from poolwright.verify.tally import Tally
from poolwright.verify.verdicts import MEANINGS

_GOLD_WANTED, _AGREEMENT_WANTED = 0.9, 0.8
_UNLIKELY = 0.05


@dataclass(frozen=True)
class Person:
    """One annotator.

    Attributes:
        name: theirs.
        verdicts: those that count.
        gold_right, gold_answered: rows whose answer is known.
        compared, agreement, kappa: against the majority of the others, see `kernels.agreement`.
        seconds: median time for a row; None where it is not known.
        aside: whether some of their verdicts are set aside.
        careless: why they may be; '' where nothing speaks for it.
    """

    name: str
    verdicts: int
    gold_right: int
    gold_answered: int
    compared: int
    agreement: float | None
    kappa: float | None
    seconds: float | None
    aside: bool
    careless: str


def people_of(tally: Tally, aside: Mapping[str, int]) -> list[Person]:
    """Everybody who said something, by name."""
    said = tally.counted()
    names = sorted({one.annotator for one in said} | set(aside))
    place = {name: at for at, name in enumerate(names)}
    uids = {uid: at for at, uid in enumerate(sorted({one.uid for one in said}))}
    ratings = Ratings(
        np.array([uids[one.uid] for one in said], np.int64),
        np.array([place[one.annotator] for one in said], np.int64),
        np.array([MEANINGS.index(one.verdict) for one in said], np.int64),
    )
    others, golds = without_outliers(ratings, len(names), CARELESS, COMPARED), tally.on_gold()
    found = []
    for at, name in enumerate(names):
        right, answered = golds.get(name, (0, 0))
        compared, agreement = int(others.compared[at]), _number(others.agreement[at])
        seconds = [one.seconds for one in said if one.annotator == name and one.seconds]
        found.append(
            Person(
                name=name,
                verdicts=int(others.rated[at]),
                gold_right=right,
                gold_answered=answered,
                compared=compared,
                agreement=agreement,
                kappa=_number(others.kappa[at]),
                seconds=median(seconds) if seconds else None,
                aside=name in aside,
                careless=_careless(right, answered, compared, agreement),
            )
        )
    return found


def _careless(right: int, answered: int, compared: int, agreement: float | None) -> str:
    if _unlikely(right, answered, _GOLD_WANTED):
        return f"{answered - right} of {answered} gold questions wrong"
    if agreement is not None and _unlikely(round(agreement * compared), compared, _AGREEMENT_WANTED):
        return f"agrees with the others on {agreement:.0%} of {compared} rows only"
    return ""


def _unlikely(right: int, of: int, wanted: float) -> bool:
    """Whether somebody who is right at the wanted rate would hardly be right so seldom."""
    from scipy.stats import binom

    return bool(of and binom.cdf(right, of, wanted) < _UNLIKELY)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
