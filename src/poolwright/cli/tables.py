"""Rendering for the terminal: checks, plans, funnels, stories, steps, verifications."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from poolwright.cli.progress import duration
from poolwright.core.measured import Matrix, Measured
from poolwright.core.table import TableRecord

if TYPE_CHECKING:
    from poolwright.api import Applied, RunResult, TableOutlook
    from poolwright.core.search_result import SearchResult
    from poolwright.demo.demo import DemoOutcome
    from poolwright.inspect.why import Story
    from poolwright.jobs.convert import Converted
    from poolwright.jobs.dry_run import Prediction
    from poolwright.jobs.train import TrainedEncoder
    from poolwright.kernels.statistics.accuracy import Estimates
    from poolwright.kernels.statistics.sample_size import MoreVerdicts
    from poolwright.recipe.shipped import Shipped
    from poolwright.release.checks.check import Verification
    from poolwright.run.plan import TablePlan
    from poolwright.studio.serve import Link


class _PlainLines:
    """Standard output for pipes and files: without the spaces that rich fills lines with."""

    def write(self, text: str) -> int:
        return sys.stdout.write(_TRAILING.sub("", text))

    def flush(self) -> None:
        sys.stdout.flush()


_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_NO_EDGE = 10_000


def _console() -> Console:
    if sys.stdout.isatty():
        return Console()
    # A pipe gets lines as long as they are, as plain text: nothing is cut where no one sees the edge.
    return Console(file=cast(TextIO, _PlainLines()), width=_NO_EDGE, color_system=None, force_terminal=False)


def _grid(*columns: str, numbers: Sequence[str] = ()) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return grid


def print_check(recipe: Path, plans: Mapping[str, TablePlan]) -> None:
    """That a recipe is right, and what its tables will hold."""
    console = _console()
    for name, plan in plans.items():
        console.print(Text(f"{name}  from {plan.source.name}", style="bold"))
        console.print(Text(f"  steps    {', '.join(step.step.verb for step in plan.steps) or 'none'}"))
        console.print(Text(f"  columns  {', '.join(plan.schema.names)}"))
    console.print(Text(f"{recipe}: nothing wrong; run it with: poolwright run {recipe}"))


def print_plan(outlooks: Sequence[TableOutlook]) -> None:
    """What is done and what is left."""
    grid = _grid("table", "from", "state", "rows in", "units", "left", "steps", numbers=("rows in", "units", "left"))
    for entry in outlooks:
        rows = f"{entry.rows:,}" if entry.rows is not None else "?"
        left = duration(entry.seconds_left) if entry.seconds_left is not None else "?"
        units = f"{entry.units_done}/{entry.units}" if entry.units else "?"
        grid.add_row(entry.name, entry.source, entry.state, rows, units, left, ", ".join(entry.steps))
    _console().print(grid)


def print_more(more: MoreVerdicts, estimates: Estimates) -> None:
    """How many more verdicts the wanted intervals need, and where."""
    console = _console()
    expected = ", ".join(f"{name} ± {width:.1%}" for name, width in more.half_widths.items())
    console.print(Text(f"{more.total:,} more verdicts; then about {expected}", style="bold"))
    grid = _grid("decisions from", "to", "rows", "verdicts", "more", numbers=("rows", "verdicts", "more"))
    for found, count in zip(estimates.strata, more.strata, strict=True):
        one = found.stratum
        grid.add_row(f"{one.low:.3g}", f"{one.high:.3g}", f"{one.rows:,}", f"{found.answers.total:,}", f"{count:,}")
    console.print(grid)


def print_predictions(predictions: Sequence[Prediction]) -> None:
    """What a dry run says of the whole."""
    from poolwright.core.files import human_bytes

    console = _console()
    numbers = ("parts", "rows in", "kept", "size", "time")
    grid = _grid("table", "parts", "rows in", "kept", "95% interval", "size", "time", numbers=numbers)
    for one in predictions:
        rows = f"{one.rows:,}" if one.rows is not None else "?"
        interval = f"{one.low:,.0f} to {one.high:,.0f}" if not one.whole else "?"
        kept = f"{one.kept:,.0f}" if not one.whole else "?"
        size = human_bytes(one.bytes) if not one.whole else "?"
        grid.add_row(one.table, f"{one.sampled}/{one.parts}", rows, kept, interval, size, duration(one.seconds))
    console.print(grid)
    for one in predictions:
        if one.whole:
            steps = ", ".join(dict.fromkeys(one.whole))
            console.print(Text(f"{one.table}: {steps} look at all rows; a sample does not tell what they keep"))


def print_funnel(record: TableRecord) -> None:
    """Rows in, kept and dropped by reason, step by step, and what every step learned."""
    console = _console()
    share = f"{record.rows_kept / record.rows_in:.1%}" if record.rows_in else "none"
    console.print(Text(f"{record.name}: {record.rows_kept:,} of {record.rows_in:,} rows kept ({share})", style="bold"))
    words = {(reason.step, reason.name): reason.words for reason in record.reasons}
    learned = {step.index: step.learned for step in record.steps}
    grid = _grid("step", "rows in", "dropped", "kept", "because", "learned", numbers=("rows in", "dropped", "kept"))
    for row in record.funnel:
        because = "\n".join(f"{count:,} {words[(row.step, name)]}" for name, count in row.dropped.items())
        dropped = f"{row.rows_in - row.kept:,}"
        grid.add_row(row.verb, f"{row.rows_in:,}", dropped, f"{row.kept:,}", because, learned.get(row.step, ""))
    console.print(grid)
    for part in record.quarantined:
        console.print(Text(f"quarantined: {part.name}: {part.quarantined}", style="red"))


def print_run(result: RunResult) -> None:
    """The funnels, what was released, what comes next, and the figures last."""
    console = _console()
    for table in result.tables.values():
        print_funnel(table.record)
    for written in result.releases:
        console.print(Text(f"released {written.folder} ({written.words})"))
    console.print(Text(f"look at it with: poolwright report {result.folder}"))
    for found in result.figures:
        if isinstance(found.value, Matrix):
            _print_matrix(console, found, found.value)
        else:
            console.print(Text(f"{found.name} {found.number}"))


def _print_matrix(console: Console, figure: Measured, matrix: Matrix) -> None:
    """A figure for each pair of groups, with the rows behind it."""
    told = ", ".join(f"{name} {value:.3f}" for name, value in matrix.summary.items())
    console.print(Text(f"{figure.name} of {figure.table}: {told}", style="bold"))
    head = f"{matrix.down}, {matrix.across}"
    grid = _grid(head, *matrix.columns, matrix.counted, numbers=(*matrix.columns, matrix.counted))
    for name, values, rows in zip(matrix.rows, matrix.values, matrix.row_counts, strict=True):
        cells = [
            Text(f"{value:.3f}", style="bold" if name == other else "")
            for value, other in zip(values, matrix.columns, strict=True)
        ]
        grid.add_row(Text(name), *cells, f"{rows:,}")
    if matrix.column_counts:
        grid.add_row("rows", *(f"{rows:,}" for rows in matrix.column_counts), "")
    console.print(grid)


def print_converted(to: Path, converted: Converted) -> None:
    """What a conversion wrote, and what it could not."""
    from poolwright.core.files import human_bytes

    console = _console()
    files = f"{len(converted.files):,} files, " if len(converted.files) > 1 else ""
    console.print(Text(f"{to}: {converted.rows:,} rows, {files}{human_bytes(converted.bytes)}"))
    if converted.rejected:
        where = converted.rejected_file
        console.print(
            Text(f"rejected {converted.rejected:,}: rows that cannot be read, each with its error in {where}")
        )


def print_trained(trained: TrainedEncoder) -> None:
    """How a training ended, and how a recipe names the encoder."""
    console, record = _console(), trained.record
    done = "trained" if trained.fresh else "already trained"
    console.print(Text(f"{trained.folder}: {done} on {record.images:,} images, {record.settings['epochs']:,} epochs"))
    for reason, rows in record.left_out.items():
        console.print(Text(f"left out {rows:,}: {reason}"))
    for name, ends in record.ends().items():
        console.print(
            Text(f"{name} {ends['first epoch']:.4g} in the first epoch, {ends['last epoch']:.4g} in the last")
        )
    console.print(Text(f"report {trained.folder / 'report.html'}"))
    console.print(Text(f"in a recipe: model: {trained.model}"))


def print_story(story: Story) -> None:
    """One row's way through one table."""
    console = _console()
    console.print(Text(f"{story.table}: {story.uid} was {'kept' if story.kept else 'dropped'}", style="bold"))
    console.print(Text(f"  from {story.place}"))
    for chapter in story.chapters:
        values = ", ".join(f"{name}={_brief(value)}" for name, value in chapter.values.items() if name != "uid")
        outcome = f"dropped: {chapter.dropped}" if chapter.dropped else "went on"
        console.print(Text(f"  {chapter.verb}: {outcome}"))
        for line in (chapter.explanation, values, f"learned: {chapter.learned}" if chapter.learned else ""):
            if line:
                console.print(Text(f"      {line}"))


def print_found(found: SearchResult, written: Sequence[Path]) -> None:
    """What a search found, in numbers, and the files to open."""
    console = _console()
    where = f"{found.table}, {found.within}" if found.within else found.table
    nearest = found.nearest
    what = f"'{found.prompt}'" if found.prompt else f"like {found.like}"
    text = f"{what}: the nearest {len(nearest.scores):,} of {found.rows:,} rows in {where}"
    console.print(Text(text, style="bold"))
    grid = _grid("rank", "cosine", numbers=("rank", "cosine"))
    ranks = {1: nearest.scores[0], len(nearest.scores): nearest.scores[-1]}
    for rank, score in {**ranks, **{one.first: one.scores[0] for one in found.deeper}}.items():
        grid.add_row(f"{rank:,}", f"{score:.4f}")
    console.print(grid)
    if found.contest:
        contest = found.contest
        console.print(Text(f"against '{contest.other}': {contest.both:,} are near to both; it wins {contest.won[1]:,}"))
    for path in written:
        console.print(Text(f"wrote {path}"))


def print_applied(applied: Applied) -> None:
    """What the steps of a release said: of each row where there are few, and in all."""
    console = _console()
    for story in applied.stories:
        last = story.chapters[-1] if story.chapters else None
        outcome = "kept" if last is None or story.kept else f"dropped by {last.verb}: {last.dropped}"
        console.print(Text(f"{story.uid}: {outcome}", style="bold"))
        for chapter in story.chapters:
            if chapter.explanation:
                console.print(Text(f"  {chapter.verb}: {chapter.explanation}"))
    print_funnel(applied.record)
    for verb, columns in applied.left_out.items():
        console.print(Text(f"left out: {verb}; the rows have no {' or '.join(columns)}"))
    if applied.folder:
        console.print(Text(f"look at it with: poolwright report {applied.folder}"))


def _brief(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def print_accuracy(estimates: Estimates) -> None:
    """Precision, recall and prevalence with their intervals, the strata behind them, and what to mind."""
    console = _console()
    grid = _grid("on the pool", "estimate", "interval", "whatever 'unsure' means", numbers=("estimate",))
    for name in ("precision", "recall", "prevalence"):
        one = getattr(estimates, name)
        value = f"{one.value:.2%}" if one.value is not None else "?"
        unsure = f"{one.lowest:.2%} to {one.highest:.2%}"
        grid.add_row(name, value, f"{one.low:.2%} to {one.high:.2%}", unsure)
    console.print(grid)
    console.print(Text(f"intervals of {estimates.confidence:.0%} confidence"))
    for note in estimates.notes:
        console.print(Text(note))


def print_links(links: Sequence[Link]) -> None:
    """Where people enter the studio."""
    if not links[0].name:
        print(f"open {links[0].url}   (Ctrl-C stops)", flush=True)
        return
    for link in links:
        print(f"{link.name}: {link.url}", flush=True)
    print("each link is the key of one person; what passes is not encrypted, so use a tunnel or a proxy with TLS")
    print("Ctrl-C stops", flush=True)


def print_recipes(recipes: Sequence[Shipped]) -> None:
    """The shipped recipes."""
    grid = _grid("recipe", "what it makes")
    for recipe in recipes:
        grid.add_row(recipe.name, recipe.summary)
    console = _console()
    console.print(grid)
    console.print(Text("start one with: poolwright new RECIPE"))


def print_steps() -> None:
    """Every step with the first line of its documentation."""
    from poolwright.api import steps

    grid = _grid("step", "kind", "what it does")
    for verb, step in steps().items():
        grid.add_row(verb, step.kind, (step.__doc__ or "").strip().splitlines()[0])
    console = _console()
    console.print(grid)
    console.print(Text("one step's parameters: poolwright steps VERB"))


def print_step(verb: str) -> None:
    """One step: documentation, parameters, reasons."""
    import inspect

    from poolwright.registry import step_class

    step, console = step_class(verb), _console()
    console.print(Text(f"{verb} ({step.kind})", style="bold"))
    console.print(Text(inspect.cleandoc(step.__doc__ or "")))
    grid = _grid("parameter", "default", "meaning")
    for name, field in step.model_fields.items():
        default = "required" if field.is_required() else str(field.get_default(call_default_factory=True))
        grid.add_row(field.alias or name, default, field.description or "")
    console.print(grid)
    for reason in step.reasons:
        console.print(Text(f"drops: {reason.name}: {reason.words}{' (a bad row)' if reason.bad else ''}"))


_CHECK_WORDS = {True: "ok", False: "BROKEN", None: "skipped"}


def print_verification(verification: Verification) -> None:
    """Every check of a release, and the outcome last."""
    console = _console()
    for item in verification.checks:
        console.print(Text(f"{_CHECK_WORDS[item.ok]:8}{item.name}: {item.words}"))
    console.print(Text("the release verifies" if verification.ok else "the release does not verify", style="bold"))


def print_demo(outcome: DemoOutcome) -> None:
    """What the demo made, against the truth; the report to open last."""
    print_run(outcome.result)
    console = _console()
    grid = _grid("against the truth", "value", "what it means", numbers=("value",))
    for name, value, meaning in outcome.figures:
        grid.add_row(name, value, meaning)
    console.print(grid)
    console.print(Text(f"release  {outcome.release}"))
    console.print(Text(f"look around, search and verify: poolwright studio {outcome.result.folder}"))
    console.print(Text(f"open {outcome.report}"))
