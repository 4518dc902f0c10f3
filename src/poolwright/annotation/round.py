"""One look at the desk: what people said so far, whether it is enough, and else what to ask and what to tell."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poolwright.annotation.answers import Answer, ClassName, YesNo
from poolwright.annotation.candidates import Candidates
from poolwright.annotation.exchange.instructions import PAGE
from poolwright.annotation.exchange.read_answers import told
from poolwright.annotation.exchange.worklist import INSTRUCTIONS, SHEETS, VERDICTS, Asked, answers, digests, read_asked
from poolwright.annotation.exchange.write_sheets import Form, ask, restore, write_people
from poolwright.annotation.rules import NONE, Progress, Rule, Votes, accept, decide, walk
from poolwright.annotation.verdicts import Verdict, check_uids
from poolwright.core.errors import InputError, WaitingForPeople
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.statistics.acceptance_sampling import Judgement
from poolwright.kernels.statistics.agreement import Agreement, People, agreement, without_outliers

CARELESS = 0.4
"""Kappa below which a person is named; from there on J. R. Landis, G. G. Koch, Biometrics 33 (1977), say 'moderate'."""

COMPARED = 20
"""Rows that must be compared before a person is named."""

_CLASSES = 10  # classes that a message names


@dataclass(frozen=True)
class Round:
    """What is to be known, and how to ask for it; see the parameters of `Verify`."""

    candidates: Candidates
    desk: Path | None
    files: Sequence[Path]
    meanings: YesNo | ClassName
    form: Form
    rule: Rule
    probability: float
    keep: int | None
    at_once: int | None
    partial: bool
    ignore_unknown: bool
    precision: float | None = None
    confidence: float = 0.95

    @cached_property
    def class_of(self) -> dict[str, str]:
        return dict(zip(self.candidates.uids, self.candidates.classes, strict=True))


@dataclass(frozen=True)
class Found:
    """What people said, and what follows.

    Attributes:
        votes: on the candidates.
        code: int64 (n,) of the rule, see `rules`.
        probability: float64 (n,) of being of its class, NaN where the rule gives none.
        answered: bool (n,) whether as many people answered as are wanted.
        progress: of the groups.
        judgements: what acceptance sampling says of each group; none without it.
        agreement, people: how far people agree.
        left_out: answers on rows that are no candidates any more, or were of another class then.
        digests: of the files of answers.
    """

    votes: Votes
    code: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    answered: npt.NDArray[np.bool_]
    progress: Progress
    judgements: Sequence[Judgement]
    agreement: Agreement
    people: People
    left_out: int
    digests: tuple[str, ...]


def go_on(one: Round) -> Found:
    """What people say, once it is enough.

    Raises:
        WaitingForPeople: it is not; sheets were written for what is lacking.
        InputError: answers cannot be read, or are about rows that nobody was asked about.
    """
    asked = read_asked(one.desk) if one.desk else Asked()
    found = _look(one, asked)
    if one.desk and found.votes.people:
        write_people(one.desk, found.votes.people, found.people)
    lacking = ~found.answered & ~found.progress.settled
    if lacking.any() and not one.partial:
        _wait(one, asked, found, lacking)
    return found


def _look(one: Round, asked: Asked) -> Found:
    # Before reading: a file that changes while it is read counts as changed since.
    seen = digests(one.desk, one.files)
    verdicts, left_out = understood(one, asked, answers(one.desk, one.files))
    votes = Votes.of(verdicts, one.candidates.uids)
    code, probability = decide(votes, one.rule, one.probability)
    answered = votes.counts().sum(axis=1) >= one.form.annotators
    if one.partial:
        answered = code != NONE
    ratings = votes.ratings()
    starts, judgements = one.candidates.starts, list[Judgement]()
    if one.precision is None:
        progress = walk(starts, code, answered, one.keep)
    else:
        progress, judgements = accept(starts, code, answered, one.precision, one.confidence)
    return Found(
        votes=votes,
        code=code,
        probability=probability,
        answered=answered,
        progress=progress,
        judgements=judgements,
        agreement=agreement(ratings),
        people=without_outliers(ratings, len(votes.people), CARELESS, COMPARED),
        left_out=left_out,
        digests=tuple(sorted(seen.values())),
    )


def understood(one: Round, asked: Asked, given: Sequence[Answer]) -> tuple[list[Verdict], int]:
    """What the answers say of the candidates as they are now, and how many are about what is so no more.

    Raises:
        InputError: rows that nobody was asked about, classes likewise, words that are not known.
    """
    before: dict[str, dict[str, None]] = {}
    for uid, name in asked.pairs:
        before.setdefault(uid, {})[name] = None
    if not one.ignore_unknown:
        where = "among the rows that people were asked about"
        check_uids([answer.uid for answer in given], one.class_of.keys() | before.keys(), where)
    verdicts: list[Verdict] = []
    bad: list[str] = []
    for answer in given:
        try:
            if _counts(answer, one, tuple(before.get(answer.uid, ()))):
                meaning = one.meanings.meaning(answer.word, one.class_of[answer.uid])
                verdicts.append(Verdict(answer.uid, meaning, answer.annotator, answer.time, answer.comment))
        except ValueError as error:
            bad.append(f"{answer.where}: {error}")
    if bad:
        raise InputError(told(bad))
    return verdicts, len(given) - len(verdicts)


def _counts(answer: Answer, one: Round, before: tuple[str, ...]) -> bool:
    """Whether an answer is about a candidate, and about the class that it has now.

    Raises:
        ValueError: nobody can tell what it is about.
    """
    now = one.class_of.get(answer.uid)
    if now is None:
        return False
    if isinstance(one.meanings, ClassName):
        return True  # who names what they see does so whatever was proposed
    if not answer.about and len(before) > 1:
        raise ValueError(f"people were asked whether it is {' and whether it is '.join(before)}; name one: class")
    about = _plain(answer.about or (before[0] if before else now))
    if about not in {_plain(name) for name in (now, *before)}:
        raise ValueError(f"about the class '{answer.about}', which nobody was asked about; it is '{now}'")
    return about == _plain(now)


def _plain(name: str) -> str:
    return name.strip().casefold()


def _wait(one: Round, asked: Asked, found: Found, lacking: npt.NDArray[np.bool_]) -> None:
    if one.desk is None:
        raise WaitingForPeople(
            f"verify: {in_rows(int(lacking.sum()))} have no verdict, and outside a run nobody is asked"
        )
    # Sheets of another form are from before the recipe changed: their rows are asked about anew.
    sheets = asked.rows["sheet"].to_pylist()
    current = {name for name, files in asked.sheets.items() if one.form.file(name) in files}
    known = {pair for pair, sheet in zip(asked.pairs, sheets, strict=True) if sheet in current}
    out = np.array([pair in known for pair in one.candidates.pairs], bool) & lacking
    new = _next(one, lacking, out)
    if len(new):
        asked = ask(one.desk, one.candidates, new.tolist(), asked, one.form)
        out[new] = True
    waiting = Waiting.of(one, asked, np.flatnonzero(out))
    restore(one.desk, asked, waiting.sheets, one.form)
    raise WaitingForPeople(_words(one, asked, found, waiting))


def _next(one: Round, lacking: npt.NDArray[np.bool_], out: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rows to ask about now: with `at_once`, of groups that nobody is being asked about."""
    starts = one.candidates.starts
    if one.at_once is None:
        return np.flatnonzero(lacking & ~out)
    rows = []
    for first, last in pairwise(starts):
        if not out[first:last].any():
            rows.append(first + np.flatnonzero(lacking[first:last])[: one.at_once])
    return np.concatenate([np.empty(0, np.int64), *rows])


@dataclass(frozen=True)
class Waiting:
    """Rows that people are asked about and have not answered: places of candidates, and how many by sheet."""

    rows: npt.NDArray[np.int64]
    sheets: Mapping[str, int]

    @classmethod
    def of(cls, one: Round, asked: Asked, rows: npt.NDArray[np.int64]) -> Waiting:
        sheet_of = dict(zip(asked.pairs, asked.rows["sheet"].to_pylist(), strict=True))
        return cls(rows, Counter(sheet_of[one.candidates.pairs[row]] for row in rows))


def _words(one: Round, asked: Asked, found: Found, waiting: Waiting) -> str:
    desk, form, rows = one.desk or Path(), one.form, waiting.rows
    given = found.votes.counts().sum(axis=1)
    lacks = np.maximum(form.annotators - given[rows], 0)
    counts: Counter[str] = Counter()
    for row, count in zip(rows, lacks, strict=True):
        counts[one.candidates.classes[row]] += int(count)
    verdicts = "1 verdict" if lacks.sum() == 1 else f"{int(lacks.sum()):,} verdicts"
    lines = [f"{desk.name}: waiting for {verdicts} on {in_rows(len(rows))}"]
    if counts.keys() != {""}:
        of_class = [f"{name} {count:,}" for name, count in sorted(counts.items())]
        lines.append(f"  of the classes: {some(of_class, _CLASSES)}")
    if len(given) and given.sum():
        people = len(found.votes.people)
        lines.append(f"  so far: {int(given.sum()):,} verdicts by {people:,} {'person' if people == 1 else 'people'}")
    gone = len(set(asked.pairs) - set(one.candidates.pairs))
    if gone:
        lost = "1 answer is" if found.left_out == 1 else f"{found.left_out:,} answers are"
        lines.append(
            f"  changed since they were asked about: {in_rows(gone)}, no candidates any more or of another class now; "
            f"{lost} left out"
        )
    lines.append(f"  sheets: {_sheets(desk, asked, waiting.sheets)}")
    if form.annotators > 1:
        lines.append(f"  each row needs {form.annotators} people: give every sheet to as many")
    if form.instructions:
        lines.append(f"  show people: {_shown(desk / INSTRUCTIONS / PAGE)}")
    lines.append(f"  answers: {', '.join(form.choices[:12])}{', ...' if len(form.choices) > 12 else ''}")
    missing = [str(path) for path in one.files if not path.exists()]
    lines.append(
        f"  put filled-in copies, exports or results into {_shown(desk / VERDICTS)}{os.sep}"
        + (f", or write {', '.join(missing)}" if missing else "")
    )
    lines.append(f"  or let them answer in a browser: poolwright studio {_shown(desk.parent.parent)}")
    return "\n".join([*lines, "  then run again, and it goes on:"])


def _sheets(desk: Path, asked: Asked, rows: Mapping[str, int]) -> str:
    """The sheets that hold these rows, with how many."""
    names = [f"{next(iter(asked.sheets[name]))} ({in_rows(count)})" for name, count in rows.items()]
    return f"{_shown(desk / SHEETS)}{os.sep}: {some(names)}"


def _shown(path: Path) -> str:
    """A path as people type it: from the current folder, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)
