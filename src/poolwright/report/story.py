"""Describe the record of a table in text and figures: headline, funnel, steps, inputs, models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolwright.core.table import FunnelRow, StepRecord, Table, TableRecord
from poolwright.core.wording import counted
from poolwright.core.wording import rows as in_rows
from poolwright.report.charts.charts import BarSegment, Markup, bar
from poolwright.report.charts.words import cut, duration, percent, written

_SHORT = 12
_MOST_LEARNED = 1200
_SHADES = 4


@dataclass(frozen=True)
class Fact:
    """One figure of the headline."""

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True)
class Loss:
    """Rows dropped for one reason. `style` is the class of its part of the bar."""

    words: str
    rows: str
    share: str
    bad: bool
    style: str


@dataclass(frozen=True)
class FunnelLine:
    """One step of the funnel."""

    number: str
    verb: str
    brief: str
    rows_in: str
    kept: str
    dropped: str
    share: str
    losses: tuple[Loss, ...]
    svg: Markup


@dataclass(frozen=True)
class StepWords:
    """One step: its parameters, and what it learned."""

    number: int
    verb: str
    kind: str
    parameters: tuple[tuple[str, str], ...]
    learned: str
    gives: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Reconciliation:
    """Whether the counts reconcile, and a sentence about it."""

    good: bool
    words: str


@dataclass(frozen=True)
class Origin:
    """One table in the overview of a run."""

    name: str
    anchor: str
    source: str
    depth: int
    kept: str
    rows_in: str
    share: str
    svg: Markup


def lede(records: Sequence[TableRecord]) -> str:
    """Summarize a run in two sentences."""
    entered = _entered(records)
    sources = {name for record in records for name in record.rows_by_source}
    ends = [record for record in records if f"tables.{record.name}" not in sources]
    first = "; ".join(f"{in_rows(rows)} of {name} entered" for name, rows in list(entered.items())[:6])
    made = "; ".join(f"{record.name} has {in_rows(record.rows_kept)}" for record in ends[-6:])
    tables = "One table was made" if len(records) == 1 else f"{len(records):,} tables were made"
    return f"{cut(first, 400)}. {tables}; {cut(made, 400)}." if first else f"{tables}; {cut(made, 400)}."


def _entered(records: Sequence[TableRecord]) -> dict[str, int]:
    """Return the rows read of each pool."""
    read = {name: rows for record in records for name, rows in record.rows_by_source.items()}
    return {name: rows for name, rows in read.items() if not name.startswith("tables.")}


def run_facts(tables: Sequence[tuple[TableRecord, Mapping[str, Any]]]) -> list[Fact]:
    """Return the figures of all tables together."""
    records = [record for record, _ in tables]
    read = [item for record in records for item in record.rows_by_source.items()]
    entered = sum(rows for name, rows in read if not name.startswith("tables."))
    bad = sum(_bad_rows(record) for record in records)
    lost = sum(len(record.quarantined) for record in records)
    facts = [
        Fact("rows in", f"{entered:,}"),
        Fact("tables", f"{len(records):,}"),
        Fact("steps", f"{sum(len(record.steps) for record in records):,}"),
        Fact("bad rows", f"{bad:,}", "could not be used" if bad else ""),
    ]
    if lost:
        facts.append(Fact("quarantined", counted(lost, "part"), "could not be read"))
    seconds = [timings.get("seconds") for _, timings in tables]
    known = [value for value in seconds if isinstance(value, int | float)]
    if known:
        facts.append(Fact("took", duration(sum(known))))
    return facts


def _bad_rows(record: TableRecord) -> int:
    bad = {(reason.step, reason.name) for reason in record.reasons if reason.bad}
    return sum(rows for row in record.funnel for name, rows in row.dropped.items() if (row.step, name) in bad)


def headline(record: TableRecord, timings: Mapping[str, Any], classes: int | None) -> list[Fact]:
    """Return the most important figures. Times are left out if they are not known."""
    kept = f"{percent(record.rows_kept, record.rows_in)} of rows in"
    facts = [
        Fact("rows in", f"{record.rows_in:,}", f"from {record.source}"),
        Fact("kept", f"{record.rows_kept:,}", kept),
        Fact("dropped", f"{record.rows_dropped:,}", percent(record.rows_dropped, record.rows_in)),
    ]
    if classes:
        facts.append(Fact("classes", f"{classes:,}"))
    seconds, pace = timings.get("seconds"), timings.get("rows_per_second")
    if isinstance(seconds, int | float):
        facts.append(Fact("took", duration(seconds), f"{pace:,.0f} rows/s" if isinstance(pace, int | float) else ""))
    return facts


def circumstances(record: TableRecord, timings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return recipe, source, times and machine, as (name, value)."""
    machine = timings.get("machine")
    pairs = [
        ("recipe", record.recipe),
        ("source", record.source),
        ("seed", str(record.seed)),
        ("digest", short_digest(record.plan)),
    ]
    for name in ("started", "finished"):
        if timings.get(name):
            pairs.append((name, str(timings[name]).replace("T", " ")))
    if timings.get("spent"):
        pairs.append(("time spent on", shares_of_time(timings["spent"])))
    if isinstance(machine, Mapping):
        pairs += [(str(name), str(value)) for name, value in machine.items() if value not in (None, "")]
    return [(name, cut(value, 200)) for name, value in pairs]


def shares_of_time(spent: Mapping[str, float]) -> str:
    """Return how the time of the units was spent, the most first: '01-embed 76%, write 17%, read 7%'."""
    whole = sum(spent.values()) or 1.0
    parts = sorted(spent.items(), key=lambda part: (-part[1], part[0]))
    return ", ".join(f"{name} {share / whole:.0%}" for name, share in parts)


def reconcile(record: TableRecord) -> Reconciliation:
    """Check that rows in = kept + dropped, for the table, step by step and in its files."""
    live, good = record.rows_in, True
    for row in record.funnel:
        good = good and row.rows_in == live and row.kept == live - sum(row.dropped.values())
        live = row.kept
    good = good and live == record.rows_kept == sum(part.rows for part in record.parts)
    good = good and record.rows_dropped == sum(part.dropped for part in record.parts)
    sum_up = f"{record.rows_in:,} in = {record.rows_kept:,} kept + {record.rows_dropped:,} dropped"
    if good:
        return Reconciliation(True, f"{sum_up}: the counts reconcile, step by step and in the ledger")
    return Reconciliation(False, f"{sum_up}: the counts of the steps or of the files differ from this")


def funnel(record: TableRecord) -> list[FunnelLine]:
    """Return the rows kept and dropped by each step, for each reason."""
    steps = {step.index: step for step in record.steps}
    read = [
        FunnelLine("", "read", name, f"{rows:,}", f"{rows:,}", "", percent(rows, record.rows_in), (), svg)
        for name, rows in record.sources.items()
        for svg in (bar([BarSegment(rows, "kept", f"read: {in_rows(rows)}")], record.rows_in),)
    ]
    shown = [row for row in record.funnel if row.step >= 0 or row.dropped]
    return read + [_funnel_line(record, row, steps.get(row.step)) for row in shown]


def _funnel_line(record: TableRecord, row: FunnelRow, step: StepRecord | None) -> FunnelLine:
    words = {reason.name: reason for reason in record.reasons if reason.step == row.step}
    losses, segments = [], [BarSegment(row.kept, "kept", f"kept: {in_rows(row.kept)}")]
    ranked = sorted(row.dropped.items(), key=lambda item: (-item[1], item[0]))
    for rank, (name, rows) in enumerate((name, rows) for name, rows in ranked if rows):
        reason = words.get(name)
        text, bad = (reason.words, reason.bad) if reason else (name, False)
        style = "bad" if bad else f"lost{min(rank, _SHADES - 1)}"
        losses.append(Loss(cut(text, 120), f"{rows:,}", percent(rows, row.rows_in), bad, style))
        segments.append(BarSegment(rows, style, f"{cut(text, 120)}: {in_rows(rows)}"))
    gone = sum(row.dropped.values())
    return FunnelLine(
        number=str(row.step + 1) if row.step >= 0 else "",
        verb=row.verb,
        brief=_brief(step) if step else "bad rows, before the first step",
        rows_in=f"{row.rows_in:,}",
        kept=f"{row.kept:,}",
        dropped=f"{gone:,}" if gone else "",
        share=percent(row.kept, record.rows_in),
        losses=tuple(losses),
        svg=bar(segments, record.rows_in),
    )


def _brief(step: StepRecord) -> str:
    if len(step.parameters) == 1 and isinstance(next(iter(step.parameters.values())), str):
        return cut(next(iter(step.parameters.values())), 70)
    return cut(", ".join(f"{name}: {written(value)}" for name, value in step.parameters.items()), 70)


def steps_in_words(record: TableRecord) -> list[StepWords]:
    """Return every step with its parameters as in the recipe, and what it learned."""
    return [
        StepWords(
            number=step.index + 1,
            verb=step.verb,
            kind=step.kind,
            parameters=tuple((name, cut(written(value), 600)) for name, value in step.parameters.items()),
            learned=cut(step.learned, _MOST_LEARNED),
            gives=step.gives,
            digest=step.state,
        )
        for step in record.steps
    ]


def origins(tables: list[tuple[Table, str]]) -> list[Origin]:
    """Return the tables of a run, each with its source; bars are drawn to the scale of the largest."""
    most = max((table.record.rows_in for table, _ in tables), default=0)
    depths: dict[str, int] = {}
    found = []
    for table, anchor in tables:
        record = table.record
        depth = max((depths.get(parent, -1) + 1 for parent in record.parents), default=0)
        depths[record.name] = depth
        segments = [
            BarSegment(record.rows_kept, "kept", f"kept: {in_rows(record.rows_kept)}"),
            BarSegment(record.rows_dropped, "lost0", f"dropped: {in_rows(record.rows_dropped)}"),
        ]
        found.append(
            Origin(
                name=record.name,
                anchor=anchor,
                source=record.source,
                depth=min(depth, 4),
                kept=f"{record.rows_kept:,}",
                rows_in=f"{record.rows_in:,}",
                share=percent(record.rows_kept, record.rows_in),
                svg=bar(segments, most),
            )
        )
    return found


def short_digest(digest: str) -> str:
    """Return the beginning of a digest, enough to distinguish two by eye."""
    return digest[:_SHORT]
