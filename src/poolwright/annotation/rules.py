"""Decide about each row by combining the verdicts of several people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from poolwright.annotation.verdicts import MEANINGS, POSITIVE, UNSURE, Verdict, standing_of_each
from poolwright.kernels.statistics.agreement import Ratings
from poolwright.kernels.statistics.dawid_skene import dawid_skene as fit_dawid_skene

Rule = Literal["agree", "majority", "dawid_skene"]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

VERIFIED, REJECTED, UNCLEAR, NONE = range(4)
"""Decisions: of its class, not of its class, unclear, no verdicts."""

_CERTAIN = 6  # significant digits of a probability: the last bits differ between processors


@dataclass(frozen=True)
class Votes:
    """The votes that count: one per person and row, the last.

    Attributes:
        row: int64 (v,) index of the row among the candidates; ascending.
        person: int64 (v,) index into `people`.
        meaning: int64 (v,) index into MEANINGS.
        people: names, sorted.
        rows: number of candidates.
        skips: int64 (rows,) how often each row was skipped by people who have no vote on it.
        changed: number of answers that were replaced by a later one of the same person.
    """

    row: Integers
    person: Integers
    meaning: Integers
    people: tuple[str, ...]
    rows: int
    skips: Integers
    changed: int = 0

    @classmethod
    def of(cls, verdicts: Iterable[Verdict], uids: Sequence[str]) -> Votes:
        """Build votes from verdicts about these rows."""
        index_of = {uid: at for at, uid in enumerate(uids)}
        given = list(verdicts)
        standing = standing_of_each(given)
        answers = [one.answer for one in standing.values() if one.answer]
        last = sorted(answers, key=lambda verdict: (index_of[verdict.uid], verdict.annotator))
        skips = np.zeros(len(uids), np.int64)
        for (uid, _), one in standing.items():
            skips[index_of[uid]] += one.skips
        people = tuple(sorted({verdict.annotator for verdict in last}))
        number = {name: at for at, name in enumerate(people)}
        return cls(
            np.array([index_of[verdict.uid] for verdict in last], np.int64),
            np.array([number[verdict.annotator] for verdict in last], np.int64),
            np.array([MEANINGS.index(verdict.verdict) for verdict in last], np.int64),
            people,
            len(uids),
            skips,
            sum(verdict.verdict in MEANINGS for verdict in given) - len(last),
        )

    def counts(self) -> Integers:
        """Count the votes of each row by meaning: int64 (rows, 3)."""
        return np.bincount(self.row * 3 + self.meaning, minlength=self.rows * 3).reshape(self.rows, 3)

    def ratings(self) -> Ratings:
        """Return positive and negative votes as ratings; unsure votes are no ratings."""
        rated = self.meaning < MEANINGS.index(UNSURE)
        return Ratings(self.row[rated], self.person[rated], self.meaning[rated])


def decide(votes: Votes, rule: Rule, probability: float) -> tuple[Integers, Floats]:
    """Return the decision about each row, and the probability that it is of its class (NaN if the rule gives none).

    `agree`: all verdicts are the same. `majority`: the meaning with the most votes; ties are unclear. `dawid_skene`:
    positive and negative votes, weighted by the estimated reliability of each person; a row is verified if the
    probability is at least `probability`, rejected if that of the contrary is, else unclear.
    """
    if rule != "dawid_skene":
        return count_votes(votes.counts(), rule), np.full(votes.rows, np.nan)
    found = dawid_skene(votes.ratings(), votes.rows)
    sure = max(probability, 0.5)
    code = np.where(found >= sure, VERIFIED, np.where(1 - found >= sure, REJECTED, UNCLEAR))
    code[(found == 0.5) | np.isnan(found)] = UNCLEAR
    code[votes.counts().sum(axis=1) == 0] = NONE
    return code.astype(np.int64), found


def count_votes(counts: Integers, rule: Rule) -> Integers:
    """Decide about rows by `agree` or `majority`, which look at each row by itself: int64 (n,).

    Args:
        counts: (n, 3) votes by meaning.
    """
    most, given = counts.max(axis=1, initial=0), counts.sum(axis=1)
    won = most == given if rule == "agree" else (counts == most[:, None]).sum(axis=1) == 1
    code = np.where(won, counts.argmax(axis=1), UNCLEAR)
    code[given == 0] = NONE
    return np.asarray(code, np.int64)


def dawid_skene(ratings: Ratings, rows: int) -> Floats:
    """Estimate the probability that positive is the true answer: float64 (rows,), NaN for rows without ratings.

    By the model of Dawid and Skene, see `kernels.statistics.dawid_skene`.
    """
    people = int(ratings.person.max(initial=-1)) + 1
    model = fit_dawid_skene(ratings, rows, people, categories=MEANINGS.index(UNSURE))
    return model.probability[:, MEANINGS.index(POSITIVE)].round(_CERTAIN)
