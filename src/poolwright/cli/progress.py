"""Shows the progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.core.table import TableRecord

_PLAIN_SECONDS = 5.0


@contextmanager
def console_listener() -> Iterator[Listener]:
    """Make the listener for standard error: live on a terminal, plain lines otherwise."""
    if not sys.stderr.isatty():
        yield PlainLines()
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield LiveView(live)


class PlainLines:
    """A listener that prints a line when something begins or ends, and every few seconds in between."""

    def __init__(self) -> None:
        self.last = monotonic()

    def table_started(self, name: str, phase: str, units: int) -> None:
        if units:
            print(f"{name}: {phase}, {units} units", file=sys.stderr, flush=True)

    def progress(self, progress: TableProgress) -> None:
        if monotonic() - self.last < _PLAIN_SECONDS:
            return
        self.last = monotonic()
        print(describe(progress), file=sys.stderr, flush=True)

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        state = "done" if fresh else "already done"
        self.note(f"{record.name}: {state}, {record.rows_kept:,} of {record.rows_in:,} rows kept")

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class LiveView:
    """A listener with a line that changes in place; finished tables scroll up."""

    def __init__(self, live: object) -> None:
        self.live = live

    def table_started(self, name: str, phase: str, units: int) -> None:
        self._update(f"{name}: {phase}, {units} units")

    def progress(self, progress: TableProgress) -> None:
        self._update(describe(progress))

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        state = "done" if fresh else "already done"
        self.note(f"{record.name}: {state}, {record.rows_kept:,} of {record.rows_in:,} rows kept")

    def note(self, text: str) -> None:
        from rich.text import Text

        self.live.console.print(Text(text))  # type: ignore[attr-defined]

    def _update(self, text: str) -> None:
        from rich.text import Text

        self.live.update(Text(text))  # type: ignore[attr-defined]


def describe(progress: TableProgress) -> str:
    """Format one line: table, phase, share of units, rows, rows/s, kept, dropped by reason, time left."""
    text = f"{progress.name}: {progress.phase} {progress.units_done}/{progress.units} units"
    if progress.rows:
        dropped = ", ".join(f"{count:,} {words}" for words, count in list(progress.dropped.items())[:4])
        text += f", {progress.rows:,} rows, {progress.rows_per_second:,.0f} rows/s, {progress.kept:,} kept"
        text += f", dropped {dropped}" if dropped else ""
    if progress.seconds_left is not None and progress.units_done < progress.units:
        text += f", {duration(progress.seconds_left)} left"
    return text


def duration(seconds: float) -> str:
    """Format a number of seconds: '45 s', '12 min', '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
