"""Decide about each row by combining the verdicts of several people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
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
Flags = npt.NDArray[np.bool_]

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
        chosen: (v,) the classes that each vote names, if people were asked for all that they see.
        skips: int64 (rows,) how often each row was skipped by people who have no vote on it.
        reviewers: those of `people` whose votes decide about rows on which people differ.
        changed: number of answers that were replaced by a later one of the same person.
    """

    row: Integers
    person: Integers
    meaning: Integers
    people: tuple[str, ...]
    rows: int
    skips: Integers
    chosen: tuple[tuple[str, ...], ...] = ()
    reviewers: frozenset[str] = frozenset()
    changed: int = 0

    @classmethod
    def of(cls, verdicts: Iterable[Verdict], uids: Sequence[str], reviewers: Collection[str] = ()) -> Votes:
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
            tuple(verdict.chosen for verdict in last),
            frozenset(people).intersection(reviewers),
            sum(verdict.verdict in MEANINGS for verdict in given) - len(last),
        )

    def counts(self) -> Integers:
        """Count the votes of each row by meaning: int64 (rows, 3)."""
        return self._counted(np.ones(len(self.row), np.bool_))

    def reviews(self) -> Integers:
        """Count the votes of reviewers on each row by meaning: int64 (rows, 3)."""
        return self._counted(self._by_reviewer)

    def _counted(self, some: Flags) -> Integers:
        cells = self.row[some] * 3 + self.meaning[some]
        return np.bincount(cells, minlength=self.rows * 3).reshape(self.rows, 3)

    @property
    def _by_reviewer(self) -> Flags:
        return np.array([name in self.reviewers for name in self.people], np.bool_)[self.person]

    def ratings(self, independent: bool = False) -> Ratings:
        """Return positive and negative votes as ratings; unsure votes are no ratings.

        Args:
            independent: leave out those of reviewers, who see the verdicts of the others.
        """
        rated = self.meaning < MEANINGS.index(UNSURE)
        if independent:
            rated &= ~self._by_reviewer
        return Ratings(self.row[rated], self.person[rated], self.meaning[rated])


def decide(votes: Votes, rule: Rule, probability: float) -> tuple[Integers, Floats]:
    """Return the decision about each row, and the probability that it is of its class (NaN if the rule gives none).

    `agree`: all verdicts are the same. `majority`: the meaning with the most votes; ties are unclear. `dawid_skene`:
    positive and negative votes, weighted by the estimated reliability of each person; a row is verified if the
    probability is at least `probability`, rejected if that of the contrary is, else unclear. Where people differ, the
    votes of reviewers replace those of the others, by any rule.
    """
    counts, reviews = votes.counts(), votes.reviews()
    if rule != "dawid_skene":
        return count_votes(counts, reviews, rule), np.full(votes.rows, np.nan)
    found = dawid_skene(votes.ratings(), votes.rows)
    sure = max(probability, 0.5)
    code = np.where(found >= sure, VERIFIED, np.where(1 - found >= sure, REJECTED, UNCLEAR))
    code[(found == 0.5) | np.isnan(found)] = UNCLEAR
    code[counts.sum(axis=1) == 0] = NONE
    by_review = reviewed(counts, reviews)
    found[by_review] = np.nan
    return np.where(by_review, count_votes(counts, reviews, "agree"), code).astype(np.int64), found


def differ(counts: Integers) -> Flags:
    """Return the mask of rows on which people differ: bool (n,)."""
    return np.asarray((counts > 0).sum(axis=1) > 1)


def reviewed(counts: Integers, reviews: Integers) -> Flags:
    """Return the mask of rows that reviewers decide about: bool (n,)."""
    return differ(counts) & reviews.any(axis=1)


def count_votes(counts: Integers, reviews: Integers, rule: Rule) -> Integers:
    """Decide about rows by `agree` or `majority`, which look at each row by itself: int64 (n,).

    Args:
        counts: (n, 3) votes by meaning.
        reviews: (n, 3) votes of reviewers among them.
    """
    counts = np.where(reviewed(counts, reviews)[:, None], reviews, counts)
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
