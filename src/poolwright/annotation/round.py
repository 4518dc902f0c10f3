"""Judge one round: reads the worklist once and judges the candidates by the answers so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poolwright.annotation.candidates import Candidates, group_name
from poolwright.annotation.deciding.class_by_class import DecidedClass, decide_classes
from poolwright.annotation.deciding.judging import JudgedGroup, Terms, judge_groups, votes_given
from poolwright.annotation.deciding.rules import Votes, decide, reviewed
from poolwright.annotation.exchange.candidate_file import Understanding
from poolwright.annotation.exchange.worklist import AskedRows, answers, digests
from poolwright.annotation.exchange.write_sheets import Form
from poolwright.annotation.interpreting import understood
from poolwright.kernels.statistics.agreement import Agreement, People, agreement, without_outliers

CARELESS = 0.4
"""Kappa below which a person is reported; above it J. R. Landis, G. G. Koch, Biometrics 33 (1977), say 'moderate'."""

COMPARED = 20
"""Number of rows that must be compared before a person is reported."""


@dataclass(frozen=True)
class Round:
    """The candidates of a round and how people are asked about them; see the parameters of `Verify`."""

    candidates: Candidates
    worklist: Path | None
    understanding: Understanding
    form: Form
    at_once: int | None
    ignore_unknown: bool

    @property
    def terms(self) -> Terms:
        """Terms by which the candidates are judged."""
        return self.form.terms

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of answers that the recipe names."""
        return tuple(Path(path) for path in self.understanding.files)

    @cached_property
    def class_of(self) -> dict[str, str]:
        """Class of each candidate by uid."""
        return dict(zip(self.candidates.uids, self.candidates.classes, strict=True))


@dataclass(frozen=True)
class RoundResult:
    """Verdicts of a round and the judgement that follows from them.

    Attributes:
        votes: on the candidates.
        probability: float64 (n,) probability of being of its class; NaN if the rule gives none.
        given: int64 (n,) number of verdicts on each candidate, see `judging.votes_given`.
        reviewed: bool (n,) candidates that a reviewer decided about.
        groups: judged groups, in the order of the candidates.
        agreement, people: how far people agree.
        decided: decisions on each class, if people named all classes that they see.
        left_out: number of answers on rows that are no longer candidates, or had another class then.
        digests: of the files of answers.
        read: what was found in each of them, see `AnswerFile.found`.
    """

    votes: Votes
    probability: npt.NDArray[np.float64]
    given: npt.NDArray[np.int64]
    reviewed: npt.NDArray[np.bool_]
    groups: Sequence[JudgedGroup]
    agreement: Agreement
    people: People
    left_out: int
    digests: tuple[str, ...]
    read: tuple[str, ...] = ()
    decided: tuple[DecidedClass, ...] = ()

    @cached_property
    def states(self) -> npt.NDArray[np.uint8]:
        """`RowState` of each candidate: uint8 (n,)."""
        return np.concatenate([np.empty(0, np.uint8), *(group.states for group in self.groups)])

    @cached_property
    def lacking(self) -> npt.NDArray[np.bool_]:
        """Mask of the candidates that lack verdicts: bool (n,)."""
        return np.concatenate([np.empty(0, np.bool_), *(group.lacking for group in self.groups)])


def look(one: Round, asked: AskedRows) -> RoundResult:
    """Judge the candidates by the answers so far.

    Raises:
        InputError: answers cannot be read, or are about rows that nobody was asked about.
    """
    # Before reading: a file that changes while it is read counts as changed since.
    seen = digests(one.worklist, one.files, asked)
    read = answers(one.worklist, one.files, asked, one.understanding.field)
    given = [answer for file in read for answer in file.answers]
    meanings = one.understanding.meanings(one.candidates.classes)
    verdicts = understood(given, one.class_of, asked.pairs, meanings, ignore_unknown=one.ignore_unknown)
    votes = Votes.of(verdicts, one.candidates.uids, one.terms.reviewers)
    code, probability = decide(votes, one.terms.rule, one.terms.probability)
    counts, reviews = votes.counts(), votes.reviews()
    given_each = votes_given(one.terms, code, counts, reviews)
    ratings, starts = votes.ratings(independent=True), one.candidates.starts
    names = [group_name(one.candidates.classes[first], one.candidates.buckets[first]) for first in starts[:-1]]
    return RoundResult(
        votes=votes,
        probability=probability,
        given=given_each,
        reviewed=reviewed(counts, reviews),
        groups=judge_groups(one.terms, starts, names, code, given_each, votes.skips),
        agreement=agreement(ratings),
        people=without_outliers(ratings, len(votes.people), CARELESS, COMPARED),
        left_out=len(given) - len(verdicts),
        digests=tuple(sorted(seen.values())),
        read=tuple(file.found for file in read),
        decided=decide_classes(votes, one.terms) if one.form.several else (),
    )
