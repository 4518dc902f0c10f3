"""Writes the events of a run, or of another command, as JSON Lines: one object per line, appended as things happen.

    {"time": "2026-03-01T09:30:00.125Z", "level": "info", "event": "unit_done", "table": "best", "phase": "write", ...}

A log has no effect on results. What cannot be written is said once, and the work goes on.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from poolwright.core.errors import WaitingForPeople
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.core.table import TableRecord

LOGS = "logs"
"""Folder of the logs in a run folder."""

KEPT = 20
"""Logs that a run folder keeps; older ones are removed."""

MOST_BYTES = 8_000_000
"""Size from which a log in a run folder gets no more events of single units."""

_SECRETS = (
    (re.compile(r"(://)[^/@\s:]*:[^/@\s]+(@)"), r"\1***\2"),
    (
        re.compile(r"([?&][\w-]*(?:sig|token|key|secret|password|credential)[\w-]*=)[^&\s'\"]+", re.I),
        r"\1***",
    ),
    (re.compile(r"\b(hf_)[A-Za-z0-9]{16,}"), r"\1***"),
    (re.compile(r"\b(Bearer )\S+", re.I), r"\1***"),
)
"""Passwords in URLs, signatures and keys in their queries, tokens of the Hugging Face Hub, and of headers."""


def without_secrets(text: str) -> str:
    """Return a text without passwords, signatures and tokens of known forms."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


class EventLog:
    """A listener that writes every event to a file, and passes it on.

    Args:
        inner: the listener that events are passed on to.
        path: the file, which is appended to; None until `keep_in` names it. Events until then are kept back.
        hide: takes secrets out of a text; see `RecipeSource.hide`.
        complain: called with the reason if the log cannot be written; default: a note to `inner`.
    """

    def __init__(
        self,
        inner: Listener,
        path: Path | None = None,
        hide: Callable[[Any], Any] = lambda value: value,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        self.inner, self.path = inner, path
        self._hide, self._complain = hide, complain
        self._file: TextIO | None = None
        self._waiting: list[str] = []
        self._bounded = self._broken = False
        self._bytes = 0

    def keep_in(self, folder: Path) -> None:
        """Write to a new file in a run folder, unless a file was named; the oldest logs there are removed."""
        if self.path is not None:
            return
        logs = folder / LOGS
        self.path, self._bounded = logs / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z.jsonl", True
        with suppress(OSError):  # what is wrong is said when the log is opened
            logs.mkdir(exist_ok=True)
            for old in sorted(logs.glob("*.jsonl"))[: -KEPT + 1]:
                old.unlink()
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            self._append(line)

    @contextmanager
    def during(self, what: str, **fields: Any) -> Iterator[EventLog]:
        """Log the start of something, and its end or its error, with the seconds it took."""
        begun = time.monotonic()
        self.write(f"{what}_started", **fields)
        try:
            yield self
        except BaseException as error:
            seconds = round(time.monotonic() - begun, 3)
            level = "warning" if isinstance(error, WaitingForPeople) else "error"
            self.write(f"{what}_ended", level, error=type(error).__name__, message=str(error), seconds=seconds)
            raise
        else:
            self.write(f"{what}_ended", seconds=round(time.monotonic() - begun, 3))
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None

    def write(self, event: str, level: str = "info", **fields: Any) -> None:
        """Write one event, with fields that are not None."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        given = {name: value for name, value in fields.items() if value is not None}
        whole = self._hide({"time": now, "level": level, "event": event, **given})
        line = without_secrets(json.dumps(whole, ensure_ascii=False, default=str))
        if self.path is None:
            self._waiting.append(line)
        elif not self._bounded or self._bytes < MOST_BYTES or event != "unit_done":
            self._append(line)

    def _append(self, line: str) -> None:
        if self._broken or self.path is None:
            return
        try:
            if self._file is None:
                self._file = self.path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
            self._file.write(line + "\n")
            self._bytes += len(line) + 1
        except (OSError, ValueError) as error:
            self._broken = True
            why = error.strerror if isinstance(error, OSError) else error
            (self._complain or self.inner.note)(f"{self.path}: the log cannot be written: {why}; all else goes on")

    def table_started(self, name: str, phase: str, units: int) -> None:
        """Log that a pass over a table begins."""
        self.write("pass_started", table=name, phase=phase, step=_step(phase), units=units)
        self.inner.table_started(name, phase, units)

    def progress(self, progress: TableProgress) -> None:
        """Log that a unit is done."""
        self.write(
            "unit_done",
            table=progress.name,
            phase=progress.phase,
            step=_step(progress.phase),
            units_done=progress.units_done,
            units=progress.units,
            rows=progress.rows or None,
            kept=progress.kept if progress.rows else None,
            dropped=progress.dropped or None,
            seconds=round(progress.seconds, 3),
        )
        self.inner.progress(progress)

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        """Log that a table is finished."""
        self.write("table_done", table=record.name, rows_in=record.rows_in, rows_kept=record.rows_kept, fresh=fresh)
        self.inner.table_done(record, fresh)

    def note(self, text: str) -> None:
        """Log a note."""
        text = str(self._hide(text))
        self.write("note", message=text)
        self.inner.note(text)


def _step(phase: str) -> str | None:
    """Return the step that a pass fits: '02-top' of 'fit 02-top'."""
    return phase.removeprefix("fit ") if phase.startswith("fit ") else None
