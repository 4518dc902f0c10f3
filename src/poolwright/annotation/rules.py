"""What is decided about each row, from what people said about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from poolwright.annotation.verdicts import MEANINGS, POSITIVE, UNSURE, Verdict, last_of_each
from poolwright.kernels.statistics.acceptance_sampling import Judgement, judge, plan
from poolwright.kernels.statistics.agreement import Ratings
from poolwright.kernels.statistics.dawid_skene import dawid_skene as fit_dawid_skene

Rule = Literal["agree", "majority", "dawid_skene"]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

VERIFIED, REJECTED, UNCLEAR, NONE = range(4)
"""What is decided: it is of its class, it is not, nobody can tell, nobody said anything."""

_CERTAIN = 6  # digits of a probability that count: the last bits differ between processors


@dataclass(frozen=True)
class Votes:
    """What people say now: one vote a person and row, their last.

    Attributes:
        row: int64 (v,) place of the row among the candidates; ascending.
        person: int64 (v,) place in `people`.
        meaning: int64 (v,) place in MEANINGS.
        people: names, in order.
        rows: number of candidates.
        changed: answers that were replaced by a later one of the same person.
    """

    row: Integers
    person: Integers
    meaning: Integers
    people: tuple[str, ...]
    rows: int
    changed: int = 0

    @classmethod
    def of(cls, verdicts: Iterable[Verdict], uids: Sequence[str]) -> Votes:
        """Votes from verdicts about these rows."""
        place = {uid: at for at, uid in enumerate(uids)}
        given = list(verdicts)
        last = sorted(last_of_each(given), key=lambda verdict: (place[verdict.uid], verdict.annotator))
        people = tuple(sorted({verdict.annotator for verdict in last}))
        number = {name: at for at, name in enumerate(people)}
        return cls(
            np.array([place[verdict.uid] for verdict in last], np.int64),
            np.array([number[verdict.annotator] for verdict in last], np.int64),
            np.array([MEANINGS.index(verdict.verdict) for verdict in last], np.int64),
            people,
            len(uids),
            len(given) - len(last),
        )

    def counts(self) -> Integers:
        """Votes of each row by meaning: int64 (rows, 3)."""
        return np.bincount(self.row * 3 + self.meaning, minlength=self.rows * 3).reshape(self.rows, 3)

    def ratings(self) -> Ratings:
        """Votes for and against, as ratings; who is unsure does not rate."""
        rated = self.meaning < MEANINGS.index(UNSURE)
        return Ratings(self.row[rated], self.person[rated], self.meaning[rated])


def decide(votes: Votes, rule: Rule, probability: float) -> tuple[Integers, Floats]:
    """What is decided about each row, and the probability that it is of its class where the rule gives one (else NaN).

    `agree`: all who said something said the same. `majority`: the meaning with the most votes; ties are unclear.
    `dawid_skene`: votes for and against, each person's weighed by how reliable they are found to be; a row is verified
    where the probability is at least `probability`, rejected where that of the contrary is, else unclear.
    """
    counts = votes.counts()
    found = np.full(votes.rows, np.nan)
    if rule == "dawid_skene":
        found = dawid_skene(votes.ratings(), votes.rows)
        sure = max(probability, 0.5)
        code = np.where(found >= sure, VERIFIED, np.where(1 - found >= sure, REJECTED, UNCLEAR))
        code[(found == 0.5) | np.isnan(found)] = UNCLEAR
    else:
        most = counts.max(axis=1)
        won = (counts == most[:, None]).sum(axis=1) == 1
        if rule == "agree":
            won = most == counts.sum(axis=1)
        code = np.where(won, counts.argmax(axis=1), UNCLEAR)
    code[counts.sum(axis=1) == 0] = NONE
    return code.astype(np.int64), found


def dawid_skene(ratings: Ratings, rows: int) -> Floats:
    """Probability of a positive answer being the true one: float64 (rows,), NaN for rows without ratings.

    By the model of Dawid and Skene, see `kernels.statistics.dawid_skene`.
    """
    people = int(ratings.person.max(initial=-1)) + 1
    model = fit_dawid_skene(ratings, rows, people, categories=MEANINGS.index(UNSURE))
    return model.probability[:, MEANINGS.index(POSITIVE)].round(_CERTAIN)


@dataclass(frozen=True)
class Progress:
    """How far the groups are: bool (n,) each.

    Attributes:
        kept: verified, and among the first so many of its group.
        enough: so many rows of its group that come before it are verified.
        settled: the same, and all rows before these were answered: nothing that people say can change it.
        unseen: kept without enough answers, as acceptance sampling showed that its group is good.
    """

    kept: npt.NDArray[np.bool_]
    enough: npt.NDArray[np.bool_]
    settled: npt.NDArray[np.bool_]
    unseen: npt.NDArray[np.bool_]


def walk(starts: Integers, code: Integers, answered: npt.NDArray[np.bool_], keep: int | None) -> Progress:
    """Go through each group in order, until it has enough verified rows.

    Args:
        starts: (g + 1,) where each group begins, and the end.
        code: (n,) what is decided.
        answered: (n,) whether enough people said something.
        keep: rows of a group that are enough; None keeps all that are verified.
    """
    verified = code == VERIFIED
    if keep is None:
        never = np.zeros(len(code), bool)
        return Progress(verified, never, never, never)
    group = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    ahead = _before(verified, starts[group])
    enough = ahead >= keep
    # The first row of a group that nobody need look at any more settles all that follow.
    settled_at = np.full(len(starts), len(code))
    done = np.flatnonzero(enough & (_before(~answered, starts[group]) == 0))
    np.minimum.at(settled_at, group[done], done)
    settled = np.arange(len(code)) >= settled_at[group]
    return Progress(verified & ~enough, enough, settled, np.zeros(len(code), bool))


def accept(
    starts: Integers, code: Integers, answered: npt.NDArray[np.bool_], precision: float, confidence: float
) -> tuple[Progress, list[Judgement]]:
    """Go through each group in order, until it is shown to be good; see `kernels.acceptance`.

    Args:
        starts, code, answered: as of `walk`. The rows of a group must be in a random order.
        precision: share of rows of a group that are to be of its class.
        confidence: with which that is to be shown.

    Returns:
        How far the groups are, and what is concluded of each. A row that nobody can tell counts as wrong. Rows that
        people speak against are not kept, wherever they are.
    """
    judgements, unseen = [], np.zeros(len(code), bool)
    for first, last in pairwise(starts):
        lacking = np.flatnonzero(~answered[first:last])
        in_order = lacking[0] if len(lacking) else last - first
        judged = judge(plan(int(last - first), precision, confidence), code[first : first + in_order] != VERIFIED)
        judgements.append(judged)
        if judged.conclusion == "met":
            unseen[first:last] = ~answered[first:last] & np.isin(code[first:last], (VERIFIED, NONE))
    done = np.repeat([one.conclusion == "met" for one in judgements], np.diff(starts))
    kept = (code == VERIFIED) & answered
    return Progress(kept | unseen, np.zeros(len(code), bool), done & ~answered, unseen), judgements


def _before(true: npt.NDArray[np.bool_], first: Integers) -> Integers:
    """How many are true between the place `first` and each row."""
    upto = np.cumsum(np.append(0, true))
    return np.asarray(upto[:-1] - upto[first])
