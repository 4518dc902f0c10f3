"""What runs and plans return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.measured import Measured
from poolwright.core.table import Table, TableRecord
from poolwright.inspect.why import Story

if TYPE_CHECKING:
    from poolwright.release.folder import Written


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes:
        folder: the run folder.
        tables: finished tables by name.
        releases: what was written, in order of the recipe.
        figures: what was measured, in order of the recipe.
    """

    folder: Path
    tables: Mapping[str, Table]
    releases: tuple[Written, ...]
    figures: tuple[Measured, ...]


@dataclass(frozen=True)
class Applied:
    """What the steps of a release said of other rows.

    Attributes:
        record: of the table that was made.
        folder: the run folder; None where nothing was kept.
        stories: what happened to each row, where there are few.
        left_out: steps that the rows could not go through, and the columns they lack for it.
    """

    record: TableRecord
    folder: Path | None
    stories: tuple[Story, ...]
    left_out: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class TableOutlook:
    """What is done and left of one table.

    Attributes:
        name, source: of the table, and what its rows come from.
        state: 'done', 'begun', 'new', 'asks' while people are asked, or 'waits' for the table it comes from.
        rows: rows it will read, where that is known.
        units, units_done: units of work.
        seconds_left: from the pace of the units that are done; None where there are none.
        steps: verbs of its steps.
    """

    name: str
    source: str
    state: str
    rows: int | None
    units: int
    units_done: int
    seconds_left: float | None
    steps: tuple[str, ...]
