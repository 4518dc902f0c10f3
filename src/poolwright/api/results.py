"""Defines the results that runs, plans and `apply` return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.api.table import Table
from poolwright.core.results.changes import Changes
from poolwright.core.results.measured import Measured
from poolwright.core.table import TableRecord
from poolwright.inspect.why import Story

if TYPE_CHECKING:
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
