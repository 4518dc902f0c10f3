"""Defines the documents of commands that inspect a run or a release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from poolwright.api.types import Check
from poolwright.cli.documents.running import RowStory
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
        folder: of the release.
        ok: whether it verifies.
        checks: the checks, in the order in which they were made.
    """

    folder: Path
    ok: bool
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, verification: Verification) -> Self:
        """Make it from a verification."""
        return cls(verification.folder, verification.ok, verification.checks)
