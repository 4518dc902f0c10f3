"""Continue with the answers of people, or wait: writes sheets for the rows that lack verdicts and reports them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poolwright.annotation.answers import SEPARATOR
from poolwright.annotation.deciding.judging import RowState
from poolwright.annotation.exchange.candidate_file import write_candidates
from poolwright.annotation.exchange.instructions import PAGE
from poolwright.annotation.exchange.worklist import INSTRUCTIONS, SHEETS, VERDICTS, AskedRows, read_asked
from poolwright.annotation.exchange.write_sheets import ask, restore, write_people
from poolwright.annotation.round import Round, RoundResult, look
from poolwright.core.errors import WaitingForPeople
from poolwright.core.wording import counted, some
from poolwright.core.wording import rows as in_rows

_CLASSES = 10  # number of classes that a message names
_FILES = 5


def go_on(one: Round) -> RoundResult:
    """Return the answers once there are enough.

    Raises:
        WaitingForPeople: there are not; sheets were written for the rows that lack verdicts.
        InputError: answers cannot be read, or are about rows that nobody was asked about.
    """
    asked = read_asked(one.worklist) if one.worklist else AskedRows()
    found = look(one, asked)
    if one.worklist and found.votes.people:
        write_people(one.worklist, found.votes.people, found.people)
    if found.lacking.any():
        raise _wait(one, asked, found)
    if one.worklist and asked.pairs:
        write_candidates(one.worklist, one.candidates, one.terms, one.understanding)
    return found


def _wait(one: Round, asked: AskedRows, found: RoundResult) -> WaitingForPeople:
    """Write sheets for the rows that lack verdicts; returns the error that reports what the run waits for."""
    lacking = found.lacking
    if one.worklist is None:
        return WaitingForPeople(f"{in_rows(int(lacking.sum()))} have no verdict, and outside a run nobody can be asked")
    # Sheets in another format are from before the recipe changed: their rows are asked about again.
    sheets = asked.rows["sheet"].to_pylist()
    current = {name for name, files in asked.sheets.items() if one.form.file(name) in files}
    known = {pair for pair, sheet in zip(asked.pairs, sheets, strict=True) if sheet in current}
    out = np.array([pair in known for pair in one.candidates.pairs], bool) & lacking
    new = _next(one, lacking, out)
    if len(new):
        asked = ask(one.worklist, one.candidates, new.tolist(), asked, one.form)
        out[new] = True
    waiting = Waiting.of(one, asked, np.flatnonzero(out))
    restore(one.worklist, asked, waiting.sheets, one.form)
    write_candidates(one.worklist, one.candidates, one.terms, one.understanding)
    return WaitingForPeople(_message(one, asked, found, waiting))


def _next(one: Round, lacking: npt.NDArray[np.bool_], out: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the rows to ask about now; with `at_once`, only of groups without open questions."""
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
    """Rows that people are asked about and have not answered: indices of candidates, and their number by sheet."""

    rows: npt.NDArray[np.int64]
    sheets: Mapping[str, int]

    @classmethod
    def of(cls, one: Round, asked: AskedRows, rows: npt.NDArray[np.int64]) -> Waiting:
        """Count rows by sheet."""
        sheet_of = dict(zip(asked.pairs, asked.rows["sheet"].to_pylist(), strict=True))
        return cls(rows, Counter(sheet_of[one.candidates.pairs[row]] for row in rows))


def _message(one: Round, asked: AskedRows, found: RoundResult, waiting: Waiting) -> str:
    worklist, form, rows = one.worklist or Path(), one.form, waiting.rows
    lacks = np.maximum(one.terms.annotators - found.given[rows], 0)
    counts: Counter[str] = Counter()
    for row, count in zip(rows, lacks, strict=True):
        counts[one.candidates.classes[row]] += int(count)
    verdicts = counted(int(lacks.sum()), "verdict")
    lines = [f"{worklist.name}: waiting for {verdicts} on {in_rows(len(rows))}"]
    if counts.keys() != {""}:
        of_class = [f"{name} {count:,}" for name, count in sorted(counts.items())]
        lines.append(f"  of the classes: {some(of_class, _CLASSES)}")
    if found.votes.people:
        people = len(found.votes.people)
        lines.append(f"  so far: {counted(len(found.votes.row), 'verdict')} by {counted(people, 'person', 'people')}")
    lines += [f"  read: {some(found.read, _FILES)}"] if found.read else []
    gone = len(set(asked.pairs) - set(one.candidates.pairs))
    if gone:
        lost = counted(found.left_out, "answer is", "answers are")
        lines.append(
            f"  changed since they were asked about: {in_rows(gone)}, no longer candidates or now of another class; "
            f"{lost} left out"
        )
    lines.append(f"  sheets: {_sheets(worklist, asked, waiting.sheets)}")
    if one.terms.annotators > 1:
        lines.append(f"  each row needs {one.terms.annotators} people: give every sheet to that many")
    if form.instructions:
        lines.append(f"  show people: {_shown(worklist / INSTRUCTIONS / PAGE)}")
    differing = int((found.lacking & (found.votes.counts().sum(axis=1) > found.given)).sum())
    if differing:
        lines.append(f"  people differ on {in_rows(differing)}, and a reviewer decides: {some(one.terms.reviewers, 5)}")
    skipped = int((found.states == RowState.SKIPPED).sum())
    if skipped:
        lines.append(f"  skipped: {in_rows(skipped)}; ask others, and write unsure if nobody can tell")
    lines.append(f"  answers: {', '.join(form.choices[:12])}{', ...' if len(form.choices) > 12 else ''}")
    if form.several:
        lines.append(f"  several classes: {f' {SEPARATOR} '.join(form.choices[:2])}")
    missing = [str(path) for path in one.files if not path.exists()]
    lines.append(
        f"  put filled-in copies, exports or results into {_shown(worklist / VERDICTS)}{os.sep}"
        + (f", or write {', '.join(missing)}" if missing else "")
    )
    lines.append(f"  or let them answer in a browser: poolwright studio {_shown(worklist.parent.parent)}")
    return "\n".join([*lines, "  then run again to continue:"])


def _sheets(worklist: Path, asked: AskedRows, rows: Mapping[str, int]) -> str:
    """List the sheets that hold these rows, with their number."""
    names = [f"{next(iter(asked.sheets[name]))} ({in_rows(count)})" for name, count in rows.items()]
    return f"{_shown(worklist / SHEETS)}{os.sep}: {some(names)}"


def _shown(path: Path) -> str:
    """Return a path as people type it: relative to the current folder if it is below that."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)
