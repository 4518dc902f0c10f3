"""Defines the documents of commands that run recipes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from poolwright.api import Changes, ClusterPlan, Measured, Prediction, StepStory, Written
from poolwright.api.results import FirstLook, TableOutlook
from poolwright.core.table import TableRecord

if TYPE_CHECKING:
    from poolwright.api import Applied, RunResult, Story, Table, TablePlan
    from poolwright.demo.demo import DemoOutcome


@dataclass(frozen=True)
class FilesDocument:
    """The files that a command wrote.

    Attributes:
        files: their paths.
    """

    files: tuple[Path, ...]

    @classmethod
    def of(cls, *files: Path | Iterable[Path]) -> Self:
        """Make it from paths, or from lists of paths."""
        return cls(tuple(path for one in files for path in ((one,) if isinstance(one, Path) else one)))


@dataclass(frozen=True)
class TryDocument:
    """A first look at a folder of pictures.

    Attributes:
        look: what was found, and where it is.
    """

    look: FirstLook

    @classmethod
    def of(cls, look: FirstLook) -> Self:
        """Make it from what was found."""
        return cls(look)


@dataclass(frozen=True)
class DroppedFor:
    """Rows that a step dropped for one reason.

    Attributes:
        reason: name of the reason.
        because: the reason as people read it.
        rows: number of rows.
    """

    reason: str
    because: str
    rows: int


@dataclass(frozen=True)
class FunnelStep:
    """Rows before and after one step.

    Attributes:
        step: number of the step, from 1; 0 for the checks before the first.
        verb: the step.
        rows_in: rows that reached it.
        kept: rows that it kept.
        dropped: rows that it dropped, by reason.
        learned: what it learned from all rows.
    """

    step: int
    verb: str
    rows_in: int
    kept: int
    dropped: tuple[DroppedFor, ...]
    learned: str


@dataclass(frozen=True)
class UnreadPart:
    """A part of a source that could not be read.

    Attributes:
        part: its name.
        reason: what is wrong with it.
    """

    part: str
    reason: str


@dataclass(frozen=True)
class Funnel:
    """A finished table in numbers.

    Attributes:
        name: of the table.
        source: pool or table that its rows come from.
        sources: rows that were read, by pool or table.
        rows_in: rows that entered it.
        rows_kept: rows that it has.
        steps: rows before and after every step.
        remarks: what could not be read of the source, or was left out.
        quarantined: parts of the source that could not be read.
        stale: why it is not up to date with the tables that it was made from, and what to do; null if it is.
    """

    name: str
    source: str
    sources: dict[str, int]
    rows_in: int
    rows_kept: int
    steps: tuple[FunnelStep, ...]
    remarks: tuple[str, ...]
    quarantined: tuple[UnreadPart, ...]
    stale: str | None = None

    @classmethod
    def of_table(cls, table: Table) -> Self:
        """Make it from a table."""
        return replace(cls.of(table.record), stale=table.stale.words if table.stale else None)

    @classmethod
    def of(cls, record: TableRecord) -> Self:
        """Make it from the record of a table that was just made."""
        words = {(reason.step, reason.name): reason.words for reason in record.reasons}
        learned = {step.index: step.learned for step in record.steps}
        steps = tuple(
            FunnelStep(
                row.step + 1, row.verb, row.rows_in, row.kept,
                tuple(DroppedFor(name, words[row.step, name], rows) for name, rows in row.dropped.items()),
                learned.get(row.step, ""),
            )
            for row in record.funnel
        )  # fmt: skip
        unread = tuple(UnreadPart(part.name, part.quarantined or "") for part in record.quarantined)
        sources = record.rows_by_source
        return cls(record.name, record.source, sources, record.rows_in, record.rows_kept, steps, record.remarks, unread)


@dataclass(frozen=True)
class CheckedTable:
    """One table of a recipe that is right.

    Attributes:
        name: of the table.
        source: pool or table that its rows come from.
        steps: verbs of its steps.
        columns: type of every column of the finished table, by name.
        remarks: what is worth knowing about it.
    """

    name: str
    source: str
    steps: tuple[str, ...]
    columns: dict[str, str]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class CheckDocument:
    """A recipe in which nothing is wrong. Mistakes are an `error`.

    Attributes:
        recipe: its path.
        tables: its tables, in the order in which they are made.
    """

    recipe: Path
    tables: tuple[CheckedTable, ...]

    @classmethod
    def of(cls, recipe: Path, plans: Mapping[str, TablePlan]) -> Self:
        """Make it from the plans of the tables."""
        tables = (
            CheckedTable(
                name,
                plan.source.name,
                tuple(one.step.verb for one in plan.steps),
                {field.name: str(field.type) for field in plan.schema},
                tuple(plan.remarks()),
            )
            for name, plan in plans.items()
        )
        return cls(recipe, tuple(tables))


@dataclass(frozen=True)
class PlanDocument:
    """What a run would do, or what a dry run predicts, for this machine or for a cluster.

    Attributes:
        tables: what is done and what is left, by table; empty with `--sample` and `--nodes`.
        predictions: rows, size and time by table, with `--sample`; else empty.
        cluster: hours, memory, network, disk and cost, with `--nodes`; else null.
    """

    tables: tuple[TableOutlook, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    cluster: ClusterPlan | None = None

    @classmethod
    def of(cls, found: Sequence[TableOutlook] | Sequence[Prediction] | ClusterPlan) -> Self:
        """Make it from outlooks, predictions or the plan of a cluster."""
        if isinstance(found, ClusterPlan):
            return cls(cluster=found)
        outlooks = tuple(one for one in found if isinstance(one, TableOutlook))
        return cls(outlooks, tuple(one for one in found if isinstance(one, Prediction)))


@dataclass(frozen=True)
class ShowDocument:
    """The finished tables of a run.

    Attributes:
        tables: the tables, in the order in which they were made.
    """

    tables: tuple[Funnel, ...]

    @classmethod
    def of(cls, tables: Iterable[Table]) -> Self:
        """Make it from tables."""
        return cls(tuple(map(Funnel.of_table, tables)))


@dataclass(frozen=True)
class RunDocument:
    """A run. The exit status is 3 if there are differences that were not accepted.

    Attributes:
        folder: the run folder.
        tables: the finished tables.
        releases: the releases, in the order of the recipe.
        figures: the figures, in the order of the recipe.
        differences: between tables and those that `--extend refit` made next to them, a table each.
        accepted: whether those took the place of the finished ones.
    """

    folder: Path
    tables: tuple[Funnel, ...]
    releases: tuple[Written, ...]
    figures: tuple[Measured, ...]
    differences: tuple[Changes, ...]
    accepted: bool

    @classmethod
    def of(cls, result: RunResult) -> Self:
        """Make it from the result of a run."""
        tables = tuple(map(Funnel.of_table, result.tables.values()))
        return cls(result.folder, tables, result.releases, result.figures, result.differences, result.accepted)


@dataclass(frozen=True)
class Truth:
    """A figure of the demo, measured against the truth of its drawn world.

    Attributes:
        name: of the figure.
        value: as text.
        meaning: what it says.
    """

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class DemoDocument:
    """The demo.

    Attributes:
        run: the run of its recipe.
        truth: how right the dataset is.
        release: folder of the release.
        report: the page to open.
        leaks: the page with the copies that a split at random puts on both sides.
    """

    run: RunDocument
    truth: tuple[Truth, ...]
    release: Path
    report: Path
    leaks: Path

    @classmethod
    def of(cls, outcome: DemoOutcome) -> Self:
        """Make it from the outcome of the demo."""
        truth = tuple(Truth(*figure) for figure in outcome.figures)
        return cls(RunDocument.of(outcome.result), truth, outcome.release, outcome.report, outcome.leaks)


@dataclass(frozen=True)
class RowStory:
    """What happened to a row in one table.

    Attributes:
        table: name of the table.
        uid: of the row.
        kept: whether the table has the row.
        origin: part of the source, and row in it.
        steps: what every step did with it.
        changed: what differs from what the table was made from; if anything does, the steps were not applied again.
    """

    table: str
    uid: str
    kept: bool
    origin: str
    steps: tuple[StepStory, ...]
    changed: tuple[str, ...]

    @classmethod
    def of(cls, story: Story) -> Self:
        """Make it from the story of a row."""
        return cls(story.table, story.uid, story.kept, story.origin, story.chapters, story.changed)


@dataclass(frozen=True)
class ApplyDocument:
    """A release's steps, applied to other rows.

    Attributes:
        table: the table that was made.
        rows: what happened to each row, if there are few.
        left_out: steps that could not be applied, and the columns that the rows lack for them.
        folder: the run folder; null if nothing was saved.
    """

    table: Funnel
    rows: tuple[RowStory, ...]
    left_out: dict[str, Any]
    folder: Path | None

    @classmethod
    def of(cls, applied: Applied) -> Self:
        """Make it from what `apply` returns."""
        rows = tuple(RowStory.of(story) for story in applied.stories)
        return cls(Funnel.of(applied.record), rows, dict(applied.left_out), applied.folder)
