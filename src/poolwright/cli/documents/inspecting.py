"""Defines the documents of commands that inspect a run or a release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from poolwright.api import Changes, Check, DroppedCount, DroppedRows, LeakReport, LedgerSummary
from poolwright.cli.documents.running import RowStory
from poolwright.core.errors import RecipeError
from poolwright.core.results.conformance import Conformance
from poolwright.core.results.leaks import Leak, LeakSet
from poolwright.studio.serve import Link

if TYPE_CHECKING:
    from poolwright.api import SearchResult, Story, Verification
    from poolwright.core.results.search_result import Ranked


@dataclass(frozen=True)
class WhyDocument:
    """What happened to one row.

    Attributes:
        stories: its story in every finished table that it entered.
    """

    stories: tuple[RowStory, ...]

    @classmethod
    def of(cls, stories: Iterable[Story]) -> Self:
        """Make it from stories."""
        return cls(tuple(map(RowStory.of, stories)))


@dataclass(frozen=True)
class LedgerDocument:
    """The rows that a table dropped: how many, and with an option which.

    Attributes:
        table: its name.
        rows_in: rows that entered it.
        rows_kept: rows that it has.
        dropped: rows by step and reason.
        rows: the rows that were asked for, with their values by column; null without an option, and with `--to`.
        notes: what is left out of the rows.
        files: the file that the rows were written to.
    """

    table: str
    rows_in: int
    rows_kept: int
    dropped: tuple[DroppedCount, ...]
    rows: tuple[dict[str, Any], ...] | None
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, found: DroppedRows | LedgerSummary, to: Path | None = None, kind: str | None = None) -> Self:
        """Make it from a summary, or from rows, which are written to a file if one is named.

        Raises:
            RecipeError: there are too many rows for one JSON object.
        """
        if isinstance(found, LedgerSummary):
            return cls(found.table, found.rows_in, found.rows_kept, found.dropped, None, (), ())
        files = () if to is None else (found.write(to, kind),)
        rows = None if files else tuple(_rows(found))
        return replace(cls.of(found.summary), rows=rows, notes=found.notes, files=files)


_MOST_ROWS = 100_000


def _rows(found: DroppedRows) -> Iterator[dict[str, Any]]:
    count = 0
    for batch in found:
        count += batch.num_rows
        if count > _MOST_ROWS:
            raise RecipeError(
                f"more than {_MOST_ROWS:,} rows are too many for one JSON object; write JSON Lines to a file with: "
                "--to FILE.jsonl"
            )
        yield from batch.to_pylist()


@dataclass(frozen=True)
class FoundRow:
    """A row that was found.

    Attributes:
        rank: from 1, the nearest.
        row: number of the row in the table, from 0.
        uid: of the row.
        score: its cosine to what was searched for.
    """

    rank: int
    row: int
    uid: str
    score: float


@dataclass(frozen=True)
class SearchDocument:
    """The rows of a table that are nearest to a prompt or an image.

    Attributes:
        table: name of the table.
        column: of the vectors.
        prompt: the text that was searched for; empty if only an image was.
        like: uid of the row whose neighbours were looked for; empty if none were.
        against: the second prompt; null without one.
        won: of the rows among the nearest of both prompts, those that go to the first and to the second.
        within: the rows that were searched, if not all: 'bucket 3'.
        rows: number of rows that have a score.
        nearest: the nearest rows.
        deeper: rows at ever lower ranks.
        neighbours: the rows nearest to the row `like`.
        files: the page and the contact sheet.
    """

    table: str
    column: str
    prompt: str
    like: str
    against: str | None
    won: tuple[int, int] | None
    within: str
    rows: int
    nearest: tuple[FoundRow, ...]
    deeper: tuple[FoundRow, ...]
    neighbours: tuple[FoundRow, ...]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, found: SearchResult, files: Sequence[Path], uids: Mapping[int, str]) -> Self:
        """Make it from a search, the files that were written, and the uids of the rows that it names."""

        def named(*ranked: Ranked) -> tuple[FoundRow, ...]:
            return tuple(
                FoundRow(one.first + place, row, uids[row], score)
                for one in ranked
                for place, (row, score) in enumerate(zip(one.positions, one.scores, strict=True))
            )

        contest = found.contest
        return cls(
            found.table, found.column, found.prompt, found.like, contest.other if contest else None,
            contest.won if contest else None, found.within, found.rows, named(found.nearest), named(*found.deeper),
            named(found.neighbours), tuple(files),
        )  # fmt: skip


@dataclass(frozen=True)
class DiffDocument:
    """The differences between two versions of a dataset.

    Attributes:
        changes: counts of rows by what happened to them, why, and by split, class and source.
        files: the files that were written.
    """

    changes: Changes
    files: tuple[Path, ...]

    @classmethod
    def of(cls, changes: Changes, files: Iterable[Path] = ()) -> Self:
        """Make it from changes."""
        return cls(changes, tuple(files))


@dataclass(frozen=True)
class LeaksDocument:
    """What datasets have in common.

    Attributes:
        sets: the datasets, in the order in which they were given.
        compared: what was compared: 'sha256', 'phash' and a column of vectors.
        left_out: what was not compared, and why.
        above: least cosine of near vectors; null if no vectors were compared.
        found: the counts, one for each kind of comparison.
        files: the files that were written.
    """

    sets: tuple[LeakSet, ...]
    compared: tuple[str, ...]
    left_out: dict[str, str]
    above: float | None
    found: tuple[Leak, ...]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, report: LeakReport, files: Iterable[Path] = ()) -> Self:
        """Make it from a comparison."""
        return cls(report.sets, report.compared, report.left_out, report.above, report.found, tuple(files))


@dataclass(frozen=True)
class StudioDocument:
    """The addresses of the studio, printed before it serves.

    Attributes:
        links: the link by which each person enters; its name is empty if no token is needed.
    """

    links: tuple[Link, ...]

    @classmethod
    def of(cls, links: Iterable[Link]) -> Self:
        """Make it from links."""
        return cls(tuple(links))


@dataclass(frozen=True)
class VerifyDocument:
    """The checks of a release. The exit status is 1 if it does not verify.

    Attributes:
        folder: of the release, or its address if that was given.
        ok: whether it verifies.
        checks: the checks, in the order in which they were made.
    """

    folder: str
    ok: bool
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, verification: Verification) -> Self:
        """Make it from a verification."""
        return cls(str(verification.url or verification.folder), verification.ok, verification.checks)


@dataclass(frozen=True)
class ConformanceDocument:
    """A shipped recipe at its published size. The exit status is 1 if a number differs that the rules fix.

    Attributes:
        ok: whether every number that the rules fix is the published one.
        conformance: the numbers, and where they are from.
    """

    ok: bool
    conformance: Conformance

    @classmethod
    def of(cls, found: Conformance) -> Self:
        """Make it from what `conformance` returns."""
        return cls(found.ok, found)
