"""Shows progress: a live line on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import Any

from poolwright.core.runtime.progress import Listener, Silent, TableProgress
from poolwright.core.table import TableRecord
from poolwright.core.wording import counted
from poolwright.core.wording import rows as in_rows

_PLAIN_SECONDS = 5.0
_NOTEBOOK_SECONDS = 0.2
_NOTEBOOK_LINES = 30


@contextmanager
def shown(listener: Listener | None, progress: bool) -> Iterator[Listener]:
    """Make the listener of a function of the API: the one that was given, what shows progress, both or neither."""
    if not progress:
        yield listener or Silent()
        return
    with console_listener() as console:
        yield Both(listener, console) if listener else console


@contextmanager
def console_listener() -> Iterator[Listener]:
    """Make the listener that shows progress: live on a terminal or in a notebook, plain lines on standard error."""
    if handle := _notebook():
        yield NotebookView(handle)
        return
    if not sys.stderr.isatty():
        yield PlainLines()
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield LiveView(live)


def _notebook() -> Any:
    """Return a place in the output of a notebook's cell that can be written anew; None outside of one."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return ipython.display.display({"text/plain": ""}, raw=True, display_id=True)


class Both:
    """Two listeners as one."""

    def __init__(self, first: Listener, second: Listener) -> None:
        self.listeners = first, second

    def table_started(self, name: str, phase: str, units: int) -> None:
        for listener in self.listeners:
            listener.table_started(name, phase, units)

    def progress(self, progress: TableProgress) -> None:
        for listener in self.listeners:
            listener.progress(progress)

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        for listener in self.listeners:
            listener.table_done(record, fresh)

    def note(self, text: str) -> None:
        for listener in self.listeners:
            listener.note(text)


class PlainLines:
    """A listener that prints a line when something begins or ends, and every few seconds in between.

    A phase of several passes over the same units is said once.

    Args:
        seconds: least time between two lines about units; with 0 each is reported, and lines have their time.
    """

    def __init__(self, seconds: float = _PLAIN_SECONDS) -> None:
        self.seconds, self.last, self.begun = seconds, monotonic(), ""

    def table_started(self, name: str, phase: str, units: int) -> None:
        begins = f"{name}: {phase}, {counted(units, 'unit')}"
        if units and (begins != self.begun or not self.seconds):
            self.note(begins)
        self.begun = begins

    def progress(self, progress: TableProgress) -> None:
        if monotonic() - self.last < self.seconds:
            return
        self.last = monotonic()
        self.note(describe(progress))

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        state = "done" if fresh else "already done"
        self.note(f"{record.name}: {state}, {record.rows_kept:,} of {in_rows(record.rows_in)} kept")

    def note(self, text: str) -> None:
        time = "" if self.seconds else f"{datetime.now():%H:%M:%S} "
        print(time + text, file=sys.stderr, flush=True)


class NotebookView(PlainLines):
    """A listener whose last line changes in place, in the output of a notebook's cell.

    Args:
        handle: where it is shown, as IPython's `display` returns it.
    """

    def __init__(self, handle: Any) -> None:
        super().__init__(_NOTEBOOK_SECONDS)
        self.handle, self.lines = handle, [""]

    def table_started(self, name: str, phase: str, units: int) -> None:
        self._show(f"{name}: {phase}, {counted(units, 'unit')}")

    def progress(self, progress: TableProgress) -> None:
        if monotonic() - self.last >= self.seconds:
            self.last = monotonic()
            self._show(describe(progress))

    def note(self, text: str) -> None:
        self.lines = [*self.lines[-_NOTEBOOK_LINES:-1], text, ""]
        self._show("")

    def _show(self, last: str) -> None:
        self.lines[-1] = last
        self.handle.update({"text/plain": "\n".join(filter(None, self.lines))}, raw=True)


class LiveView:
    """A listener with a line that changes in place; finished tables scroll up."""

    def __init__(self, live: object) -> None:
        self.live = live

    def table_started(self, name: str, phase: str, units: int) -> None:
        self._update(f"{name}: {phase}, {counted(units, 'unit')}")

    def progress(self, progress: TableProgress) -> None:
        self._update(describe(progress))

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        state = "done" if fresh else "already done"
        self.note(f"{record.name}: {state}, {record.rows_kept:,} of {in_rows(record.rows_in)} kept")

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
        text += f", {in_rows(progress.rows)}, {progress.rows_per_second:,.0f} rows/s, {progress.kept:,} kept"
        text += f", dropped {dropped}" if dropped else ""
    if progress.seconds_left is not None and progress.units_done < progress.units:
        text += f", {duration(progress.seconds_left)} left"
    return text


def duration(seconds: float) -> str:
    """Format a number of seconds: '45 s', '12 min', '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
