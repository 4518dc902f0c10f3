"""Defines the results that runs, plans, `apply`, `search` and `try_folder` return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from poolwright.api.table import Table
from poolwright.core.columns import UID
from poolwright.core.results.changes import Changes
from poolwright.core.results.measured import Measured
from poolwright.core.results.search_result import SearchResult as _SearchResult
from poolwright.core.table import TableRecord
from poolwright.inspect.why import Story

if TYPE_CHECKING:
    from poolwright.api.explorer import Explorer
    from poolwright.release.folder import Written


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        folder: the run folder.
        tables: finished tables by name.
        releases: the releases written, in the order of the recipe.
        figures: the figures measured, in the order of the recipe.
        differences: between tables and those that `extend='refit'` made next to them, a table each.
        accepted: whether those took the place of the finished ones; if not, there is nothing else in the result.
    """

    folder: Path
    tables: Mapping[str, Table]
    releases: tuple[Written, ...]
    figures: tuple[Measured, ...]
    differences: tuple[Changes, ...] = ()
    accepted: bool = False

    def explore(self, table: str | None = None, height: int = 800) -> Explorer:
        """Open the studio on the run: as the last value of a cell, a notebook shows it in a frame.

        Args:
            table: the table to show first; default the page of the run.
            height: of the frame, in pixels.

        Returns:
            The one that is open already, if there is one.

        Raises:
            PoolwrightError: the studio cannot be started, such as because another process serves the run.
        """
        from poolwright.api.explorer import Explorer

        return Explorer.of(self.folder, table, height)

    def __repr__(self) -> str:
        kept = ", ".join(f"{name}: {table.record.rows_kept:,} rows" for name, table in self.tables.items())
        return f"<run in {self.folder}: {kept}; releases: {len(self.releases)}, figures: {len(self.figures)}>"

    def _repr_html_(self) -> str:
        from poolwright.api.display import run_html

        return run_html(self)


@dataclass(frozen=True)
class Applied:
    """The result of applying the steps of a release to other rows.

    Attributes:
        record: the record of the table that was made.
        folder: the run folder; None if nothing was saved.
        stories: what happened to each row, if there are few.
        left_out: steps that could not be applied, and the columns that the rows lack for them.
    """

    record: TableRecord
    folder: Path | None
    stories: tuple[Story, ...]
    left_out: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class TableOutlook:
    """The state of one table: what is done and what is left.

    Attributes:
        name, source: the table, and the pool or table that its rows come from.
        state: 'done', 'begun', 'new', 'asks' while people are asked, or 'waits' for the table it comes from; 'changed'
            if it would be made from something else now, 'stale' if a table that it comes from has to be made anew or
            was since. The next run stops at such tables unless it makes them anew.
        rows: rows it will read, if that is known.
        units, units_done: units of work, and how many of them are done.
        seconds_left: estimated from the pace of the units that are done; None if there are none.
        steps: verbs of its steps.
        differences: what differs from what a changed table was made from; the tables that made one stale.
        fresh: the tables to make anew, with those that come from them, for this one to be up to date.
    """

    name: str
    source: str
    state: str
    rows: int | None
    units: int
    units_done: int
    seconds_left: float | None
    steps: tuple[str, ...]
    differences: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True)
class FirstLook:
    """What a first look at a folder of pictures found.

    Attributes:
        recipe: the recipe that was written and run.
        folder: the run folder, which the studio opens.
        report: the HTML file to open.
        pictures: files in the folder that are named as images.
        read: how many of them could be read.
        duplicates: pictures that have a near-duplicate.
        duplicate_groups: groups of near-duplicates.
        clusters: clusters that have pictures.
        labels: number of pictures by the word that they are nearest to, the most frequent first.
    """

    recipe: Path
    folder: Path
    report: Path
    pictures: int
    read: int
    duplicates: int
    duplicate_groups: int
    clusters: int
    labels: dict[str, int]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SearchResult(_SearchResult):
    """The rows of a table with their cosines to what was searched for; see the fields of its base.

    In a notebook it shows the nearest pictures.
    """

    rows_of: Table = field(repr=False)

    @classmethod
    def of(cls, found: _SearchResult, table: Table) -> Self:
        """Add the table to what was found in it."""
        return cls(**{one.name: getattr(found, one.name) for one in fields(found)}, rows_of=table)

    def uids(self) -> dict[int, str]:
        """Return the uids of all rows that the result names, by number of the row."""
        numbers = self.named
        column = self.rows_of.select([UID]).take(numbers).column(UID).to_pylist()
        return dict(zip(numbers, column, strict=True))

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the nearest rows, in order, with `rank` and `score` first."""
        nearest = self.nearest
        rows = (self.rows_of if columns is None else self.rows_of.select(columns)).take(nearest.positions)
        ranks = pa.array(range(nearest.first, nearest.first + len(nearest.positions)), pa.int64())
        named = {"rank": ranks, "score": pa.array(nearest.scores, pa.float32())}
        for place, (name, values) in enumerate(named.items()):
            rows = rows.drop_columns([name] if name in rows.column_names else []).add_column(place, name, values)
        return rows

    def __repr__(self) -> str:
        scores = self.nearest.scores
        best = f", cosines {scores[0]:.4f} to {scores[-1]:.4f}" if scores else ""
        return f"<search for '{self.words}' in table '{self.table}': {len(scores):,} of {self.rows:,} rows{best}>"

    def _repr_html_(self) -> str:
        from poolwright.api.display import search_html

        return search_html(self)
