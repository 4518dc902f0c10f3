"""Prints the results of running recipes: plans, funnels, results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from poolwright.api.progress import duration
from poolwright.cli.rendering.console import console, grid
from poolwright.core.files import human_bytes
from poolwright.core.results.measured import Matrix, Measured
from poolwright.core.table import TableRecord

if TYPE_CHECKING:
    from poolwright.api import (
        Applied,
        ClusterPlan,
        FirstLook,
        Prediction,
        RunResult,
        Shipped,
        Table,
        TableOutlook,
    )
    from poolwright.demo.demo import DemoOutcome

_LABELS = 8
"""Words that a first look names."""


def print_recipes(recipes: Sequence[Shipped]) -> None:
    """The shipped recipes."""
    table = grid("recipe", "what it makes")
    for recipe in recipes:
        table.add_row(recipe.name, recipe.summary)
    out = console()
    out.print(table)
    out.print(Text("start one with: poolwright new RECIPE"))


def print_new(written: Path) -> None:
    """A recipe that was written, and what to do with it."""
    print(f"wrote {written}; edit its paths, then: poolwright check {written}")


def print_first_look(look: FirstLook) -> None:
    """Print what a first look found, and where to look next."""
    out = console()
    unread = look.pictures - look.read
    left = f"; {unread:,} cannot be read: poolwright ledger {look.folder} vectors" if unread else ""
    out.print(Text(f"{look.read:,} of {look.pictures:,} pictures{left}", style="bold"))
    out.print(Text(f"near-duplicates: {look.duplicates:,} pictures; groups: {look.duplicate_groups:,}"))
    most = ", ".join(f"{name} {count:,}" for name, count in list(look.labels.items())[:_LABELS])
    others = len(look.labels) - _LABELS
    out.print(Text(f"{look.clusters:,} clusters; words: {most}" + (f", {others:,} more" if others > 0 else "")))
    out.print(Text(f"recipe  {look.recipe}"))
    out.print(Text(f"report  {look.report}"))
    out.print(Text(f"explore poolwright studio {look.folder}"))


def print_plan(outlooks: Sequence[TableOutlook]) -> None:
    """Print what is done and what is left."""
    table = grid("table", "from", "state", "rows in", "units", "left", "steps", numbers=("rows in", "units", "left"))
    for entry in outlooks:
        rows = f"{entry.rows:,}" if entry.rows is not None else "?"
        left = duration(entry.seconds_left) if entry.seconds_left is not None else "?"
        units = f"{entry.units_done}/{entry.units}" if entry.units else "?"
        table.add_row(entry.name, entry.source, entry.state, rows, units, left, ", ".join(entry.steps))
    out = console()
    out.print(table)
    for entry in outlooks:
        for line in entry.differences[:_MOST_DIFFERENCES]:
            out.print(Text(f"{entry.name}: {line if entry.state == 'changed' else f'comes from {line!r}'}"))
    if fresh := dict.fromkeys(name for entry in outlooks for name in entry.fresh):
        words = " ".join(f"--fresh {name}" for name in fresh)
        out.print(Text(f"the next run stops there: undo the changes, or make these tables anew with: {words}"))


_MOST_DIFFERENCES = 12


def print_predictions(predictions: Sequence[Prediction]) -> None:
    """Print the predictions of a dry run."""
    out = console()
    numbers = ("parts", "rows in", "kept", "size", "time")
    table = grid("table", "parts", "rows in", "kept", "95% interval", "size", "time", numbers=numbers)
    for one in predictions:
        rows = f"{one.rows:,}" if one.rows is not None else "?"
        interval = f"{one.low:,.0f} to {one.high:,.0f}" if not one.whole else "?"
        kept = f"{one.kept:,.0f}" if not one.whole else "?"
        size = human_bytes(one.bytes) if not one.whole else "?"
        table.add_row(one.table, f"{one.sampled}/{one.parts}", rows, kept, interval, size, duration(one.seconds))
    out.print(table)
    for one in predictions:
        if one.whole:
            steps = ", ".join(dict.fromkeys(one.whole))
            out.print(Text(f"{one.table}: {steps} look at all rows; a sample does not show what they keep"))


def print_cluster(plan: ClusterPlan) -> None:
    """Print the work of each table, and what it takes on the nodes of a cluster."""
    out, nodes = console(), plan.nodes
    table = grid("table", "work", "rows", "rows/s/core", "core-hours", numbers=("rows", "rows/s/core", "core-hours"))
    for one in plan.tables:
        for work in one.work:
            pace = f"{work.pace:,.0f}" if work.pace is not None else ""
            table.add_row(one.table, work.name, f"{work.rows:,.0f}", pace, f"{work.core_hours:,.2f}")
    out.print(table)
    for one in plan.tables:
        time = f"{duration(one.hours * 3600)}, bound by the {one.bound}"
        out.print(Text(f"{one.table}: {time}; reads {human_bytes(one.read)}, writes {human_bytes(one.written)}"))
    cost = "" if plan.cost is None else f", costs {plan.cost:,.2f}"
    out.print(Text(f"{nodes.count} nodes of {nodes.cores} cores: {duration(plan.hours * 3600)}{cost}", style="bold"))
    out.print(Text(f"  cores    {plan.core_hours:,.1f} core-hours, {plan.workers} workers on each node"))
    out.print(Text(f"  memory   {human_bytes(plan.memory)} of {nodes.memory:g} GB on each node"))
    out.print(Text(f"  network  {human_bytes(plan.read)} read and {human_bytes(plan.written)} written, at most"))
    out.print(Text(f"  disk     {human_bytes(plan.disk)} of shared storage, besides the pools"))
    for note in plan.notes:
        out.print(Text(f"  note     {note}"))


def print_funnels(tables: Iterable[Table]) -> None:
    """The funnels of tables."""
    for table in tables:
        print_funnel(table.record)
        if stale := table.stale:
            console().print(Text(stale.words, style="red"))


def print_funnel(record: TableRecord) -> None:
    """Rows in, kept and dropped by reason, step by step, and what every step learned."""
    out = console()
    share = f"{record.rows_kept / record.rows_in:.1%}" if record.rows_in else "none"
    out.print(Text(f"{record.name}: {record.rows_kept:,} of {record.rows_in:,} rows kept ({share})", style="bold"))
    words = {(reason.step, reason.name): reason.words for reason in record.reasons}
    learned = {-1: "\n".join(record.remarks), **{step.index: step.learned for step in record.steps}}
    table = grid("step", "rows in", "dropped", "kept", "because", "learned", numbers=("rows in", "dropped", "kept"))
    for name, rows in record.sources.items():
        table.add_row(name, f"{rows:,}", "0", f"{rows:,}", "", "")
    for row in record.funnel:
        because = "\n".join(f"{count:,} {words[(row.step, name)]}" for name, count in row.dropped.items())
        dropped = f"{row.rows_in - row.kept:,}"
        table.add_row(row.verb, f"{row.rows_in:,}", dropped, f"{row.kept:,}", because, learned.get(row.step, ""))
    out.print(table)
    for number, one in enumerate(record.generations, 1):
        out.print(Text(f"generation {number}: {one.rows_kept:,} of {one.rows_in:,} rows kept, {one.parts:,} parts"))
    for part in record.quarantined:
        out.print(Text(f"quarantined: {part.name}: {part.quarantined}", style="red"))


def print_run(result: RunResult) -> None:
    """The funnels, what was released, what comes next, and the figures last."""
    out = console()
    if result.differences and not result.accepted:
        folder = result.folder / "refitting"
        out.print(
            Text(f"nothing was replaced; the same command with --yes takes the new tables, which are in {folder}")
        )
        return
    print_funnels(result.tables.values())
    for written in result.releases:
        out.print(Text(f"released {written.folder} ({written.words})"))
        if written.url:
            out.print(Text(f"  pushed to {written.url}"))
        for note in written.notes:
            out.print(Text(f"  {note}"))
    out.print(Text(f"look at it with: poolwright report {result.folder}"))
    for found in result.figures:
        if isinstance(found.value, Matrix):
            _print_matrix(out, found, found.value)
        else:
            why = f": {found.words}" if found.value is None else ""
            out.print(Text(f"{found.name} {found.number}{found.remark}{why}"))


def _print_matrix(out: Console, figure: Measured, matrix: Matrix) -> None:
    """A figure for each pair of groups, with the rows behind it."""
    summary = ", ".join(f"{name} {value:.3f}" for name, value in matrix.summary.items())
    out.print(Text(f"{figure.name} of {figure.table}: {summary}{figure.remark}", style="bold"))
    head = f"{matrix.down}, {matrix.across}"
    table = grid(head, *matrix.columns, matrix.counted, numbers=(*matrix.columns, matrix.counted))
    for name, values, rows in zip(matrix.rows, matrix.values, matrix.row_counts, strict=True):
        cells = [
            Text(f"{value:.3f}", style="bold" if name == other else "")
            for value, other in zip(values, matrix.columns, strict=True)
        ]
        table.add_row(Text(name), *cells, f"{rows:,}")
    if matrix.column_counts:
        table.add_row("rows", *(f"{rows:,}" for rows in matrix.column_counts), "")
    out.print(table)


def print_applied(applied: Applied) -> None:
    """Print the results of applying a release: in total, and for each row if there are few."""
    out = console()
    for story in applied.stories:
        last = story.chapters[-1] if story.chapters else None
        outcome = "kept" if last is None or story.kept else f"dropped by {last.verb}: {last.dropped}"
        out.print(Text(f"{story.uid}: {outcome}", style="bold"))
        for chapter in story.chapters:
            if chapter.explanation:
                out.print(Text(f"  {chapter.verb}: {chapter.explanation}"))
    print_funnel(applied.record)
    for verb, columns in applied.left_out.items():
        out.print(Text(f"left out: {verb}; the rows have no {' or '.join(columns)}"))
    if applied.folder:
        out.print(Text(f"look at it with: poolwright report {applied.folder}"))


def print_demo(outcome: DemoOutcome) -> None:
    """Print the results of the demo and the truth; the report to open comes last."""
    print_run(outcome.result)
    out = console()
    table = grid("against the truth", "value", "what it means", numbers=("value",))
    for name, value, meaning in outcome.figures:
        table.add_row(name, value, meaning)
    out.print(table)
    out.print(Text(f"release  {outcome.release}"))
    out.print(Text(f"what a split at random leaks: {outcome.leaks}"))
    out.print(Text(f"look around, search and verify: poolwright studio {outcome.result.folder}"))
    out.print(Text(f"open {outcome.report}"))
