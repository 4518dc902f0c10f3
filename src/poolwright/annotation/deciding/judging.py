"""Judge groups of rows: decides whether a class is verified, which verdicts are missing, and the state of every row.

This is the only module that decides so. The step `verify`, the studio and the certificates call it with the same
arguments: the terms, the votes on each row, and how often each row was skipped.

A row is *answered* when the required number of people gave a verdict. A skip is no verdict: the row stays open to
others, and to the same person at the end. Until somebody answers it, the row counts as follows.

- Acceptance sampling (`precision`) assumes the worst: the group is accepted only if it would be accepted with the row
  counted as wrong. As the stops ascend, the group is then accepted whatever the row is, so the conclusion holds without
  an answer. Replacing the row by the next one would not be valid, since rows are not skipped at random.
- Otherwise the row is open: the group waits for it.

If reviewers are named, a row on which people differ so that the rule cannot decide waits for the verdict of one of
them.

A row that was skipped more often than the required number of people is *given up*: it is not kept, as if all were
unsure, and nothing waits for it. With `keep` the next rows replace it. A verdict that arrives later still counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from poolwright.annotation.deciding.rules import NONE, REJECTED, UNCLEAR, VERIFIED, Rule, differ
from poolwright.kernels.statistics.acceptance_sampling import Judgement, judge, plan, single_bound

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Terms:
    """When a row is verified, and when a group of rows is.

    Attributes:
        rule: how several verdicts on a row are combined.
        probability: for the rule dawid_skene: minimum probability of a verified row.
        annotators: number of people who must have given a verdict on a row.
        keep: number of right rows of a group that is enough.
        precision: share of right rows of a group to be shown; with neither this nor `keep`, all rows are verified.
        confidence: confidence level at which the precision is to be shown.
        partial: wait for nothing: rows count with the verdicts given so far.
        reviewers: people whose verdict replaces that of the others on a row on which they differ.
    """

    rule: Rule = "agree"
    probability: float = 0.5
    annotators: int = 1
    keep: int | None = None
    precision: float | None = None
    confidence: float = 0.95
    partial: bool = False
    reviewers: tuple[str, ...] = ()


class RowState(IntEnum):
    """The state of a row."""

    OPEN = 0
    """Its group waits for verdicts on it."""
    SKIPPED = 1
    """The same, and somebody skipped it."""
    RIGHT = 2
    """Verified, and kept."""
    WRONG = 3
    """People say that it is not of its class."""
    UNSURE = 4
    """People cannot tell, or do not agree."""
    GIVEN_UP = 5
    """Skipped so often that nothing waits for it any more."""
    UNSEEN = 6
    """Kept without enough verdicts, as its group was shown to be good."""
    NOT_NEEDED = 7
    """Enough rows of its group were verified before it."""
    NO_VERDICT = 8
    """Nobody gave a verdict on it, and nothing waits for one."""


_OF_CODE = np.array([RowState.RIGHT, RowState.WRONG, RowState.UNSURE, RowState.NO_VERDICT], np.uint8)
"""State by code of `rules`."""


@dataclass(frozen=True, eq=False)
class JudgedGroup:
    """The judgement of a group.

    Attributes:
        name: of the group.
        states: uint8 (n,) `RowState` of each of its rows, in the order in which people are asked about them.
        right, wrong, unsure: numbers of answered rows by combined verdict.
        skipped: number of rows without enough verdicts that somebody skipped.
        judgement: the conclusion; `verified` counts the rows that it rests on and `errors` those of them that people
            found wrong or were unsure of.
        passed_over: number of skipped rows among those that the conclusion rests on, counted as wrong.
    """

    name: str
    states: npt.NDArray[np.uint8]
    right: int
    wrong: int
    unsure: int
    skipped: int
    judgement: Judgement
    passed_over: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.states)

    @property
    def verified(self) -> int:
        """Number of answered rows."""
        return self.right + self.wrong + self.unsure

    @property
    def lacking(self) -> Flags:
        """Mask of the rows that the group waits for: bool (n,)."""
        return np.asarray(self.states <= RowState.SKIPPED)

    @property
    def done(self) -> bool:
        """Whether the group waits for nothing."""
        return not self.lacking.any()


def votes_given(terms: Terms, code: Integers, counts: Integers, reviews: Integers) -> Integers:
    """Count the verdicts on each row, for `judge_group`: a row that waits for a reviewer lacks one: int64 (n,).

    Args:
        terms: the terms.
        code: (n,) decision about each row.
        counts, reviews: (n, 3) votes by meaning, of all people and of reviewers.
    """
    given = counts.sum(axis=1)
    if not terms.reviewers:
        return np.asarray(given)
    waits = (code == UNCLEAR) & differ(counts) & ~reviews.any(axis=1)
    return np.asarray(np.where(waits, np.minimum(given, terms.annotators - 1), given))


def judge_groups(
    terms: Terms, starts: Integers, names: Sequence[str], code: Integers, given: Integers, skips: Integers
) -> list[JudgedGroup]:
    """Judge rows that are in order of their groups; see `judge_group`.

    Args:
        starts: (g + 1,) row offsets of the groups, followed by the number of rows.
        names: of the groups.
    """
    return [
        judge_group(terms, name, code[first:last], given[first:last], skips[first:last])
        for name, (first, last) in zip(names, pairwise(starts.tolist()), strict=True)
    ]


def judge_group(terms: Terms, name: str, code: Integers, given: Integers, skips: Integers) -> JudgedGroup:
    """Judge one group.

    Args:
        name: of the group.
        code: (n,) decision about each row, see `rules.decide`. Rows are in the order in which people are asked about
            them; with `precision` that order must be random.
        given: (n,) number of verdicts on each row.
        skips: (n,) how often each row was skipped by people who gave no verdict on it.
    """
    answered = code != NONE if terms.partial else given >= terms.annotators
    rows = _Rows(code, answered, ~answered & (skips > 0), ~answered & (skips > terms.annotators))
    if terms.precision is not None:
        states, judgement = _sample(terms, terms.precision, rows)
    elif terms.keep is not None:
        states, judgement = _first(terms, terms.keep, rows)
    else:
        states, judgement = rows.states(terms.partial), _in_full(terms, rows)
    in_order = terms.precision is not None or judgement.conclusion == "enough"
    after = judgement.verified if in_order else len(code)
    return JudgedGroup(
        name=name,
        states=states,
        right=int((answered & (code == VERIFIED)).sum()),
        wrong=int((answered & (code == REJECTED)).sum()),
        unsure=int((answered & (code == UNCLEAR)).sum()),
        skipped=int(rows.skipped.sum()),
        judgement=judgement,
        passed_over=int(rows.skipped[:after].sum()),
    )


@dataclass(frozen=True)
class _Rows:
    """The rows of a group: arrays (n,)."""

    code: Integers
    answered: Flags
    skipped: Flags
    given_up: Flags

    @property
    def right(self) -> Flags:
        return np.asarray(self.answered & (self.code == VERIFIED))

    @property
    def closed(self) -> Flags:
        """Rows that nothing waits for, whatever their group concludes."""
        return np.asarray(self.answered | self.given_up)

    def errors(self, end: int) -> int:
        """Number of answered rows that are not right among the first `end`."""
        return int((self.answered & ~self.right)[:end].sum())

    def states(self, partial: bool) -> npt.NDArray[np.uint8]:
        """States of the rows as long as the group has no conclusion."""
        lacking = np.where(self.skipped, RowState.SKIPPED, RowState.OPEN).astype(np.uint8)
        if partial:
            lacking[:] = RowState.NO_VERDICT
        lacking[self.given_up] = RowState.GIVEN_UP
        return np.where(self.answered, _OF_CODE[self.code], lacking)


def _sample(terms: Terms, precision: float, rows: _Rows) -> tuple[npt.NDArray[np.uint8], Judgement]:
    """Acceptance sampling over the rows in order, as far as each was answered or skipped."""
    count, states = len(rows.code), rows.states(terms.partial)
    unknown = np.flatnonzero(~rows.answered & ~rows.skipped)
    in_order = int(unknown[0]) if len(unknown) else count
    judged = judge(plan(count, precision, terms.confidence), ~rows.right[:in_order])
    errors, left = rows.errors(judged.verified), judged.left
    conclusion = judged.conclusion
    if conclusion == "complete" and not rows.closed.all():
        conclusion, left = "open", int((~rows.closed).sum())
    if conclusion == "met":
        # Its other rows need no look: they are kept, unless somebody gave a verdict against them.
        rest = ~rows.closed
        unseen = np.where(rows.code == NONE, RowState.UNSEEN, _OF_CODE[rows.code])
        states[rest] = np.where(rows.code == VERIFIED, RowState.UNSEEN, unseen)[rest]
    return states, Judgement(conclusion, judged.verified, errors, judged.bound, left)


def _first(terms: Terms, keep: int, rows: _Rows) -> tuple[npt.NDArray[np.uint8], Judgement]:
    """Keep the first `keep` right rows; a row counts as one of them once all rows before it are closed."""
    states = rows.states(terms.partial)
    ahead = np.cumsum(np.append(0, rows.right))
    open_before = np.cumsum(np.append(0, ~rows.closed))
    enough = ahead[:-1] >= keep
    reached = np.flatnonzero((ahead >= keep) & (open_before == 0))
    # Rows after the first `keep` right ones are not needed; once all before them are closed, nothing can change that.
    settled = np.arange(len(rows.code)) >= (reached[0] if len(reached) else len(rows.code))
    states[enough & (rows.right | rows.given_up)] = RowState.NOT_NEEDED
    states[~rows.answered & (settled | (enough & terms.partial))] = RowState.NOT_NEEDED
    if not len(reached):
        return states, _in_full(terms, rows)
    needed = int(reached[0])
    return states, Judgement("enough", needed, rows.errors(needed), keep / needed, 0)


def _in_full(terms: Terms, rows: _Rows) -> Judgement:
    """Return the conclusion if all rows are to be verified."""
    count, right, errors = len(rows.code), int(rows.right.sum()), rows.errors(len(rows.code))
    if rows.closed.all():
        return Judgement("complete", count, errors, right / max(count, 1), 0)
    bound = single_bound(count, right + errors, errors, terms.confidence)
    return Judgement("open", right + errors, errors, bound, int((~rows.closed).sum()))
