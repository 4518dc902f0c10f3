"""Decides what a command prints, and where: for people or as JSON, quietly or with every event, and the log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from poolwright import __version__

if TYPE_CHECKING:
    from poolwright.core.runtime.event_log import EventLog
    from poolwright.core.runtime.progress import Listener


@dataclass
class Output:
    """What the options `--json`, `--quiet`, `--verbose` and `--log` ask for, before or after the command's name.

    Attributes:
        json: print one JSON object to standard output, and nothing else there.
        quiet: print no progress, and of results only what was asked for.
        verbose: print every event, and the traceback of an error.
        log: file that events are appended to.
        command: name of the command that runs; empty before it is known.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    log: Path | None = None
    command: str = ""
    _standard: TextIO | None = None
    _events: EventLog | None = None

    def start(self, json: bool) -> None:
        """Forget the options of an earlier call in this process; `json` is known before the call is parsed."""
        self.json, self.quiet, self.verbose, self.log, self.command = json, False, False, None, ""
        self._standard = self._events = None

    def choose(self, json: bool = False, quiet: bool = False, verbose: bool = False, log: Path | None = None) -> None:
        """Add the options that are given at one place."""
        self.json, self.quiet, self.verbose = self.json or json, self.quiet or quiet, self.verbose or verbose
        self.log = log or self.log

    @contextmanager
    def of_command(self, command: str) -> Iterator[None]:
        """Run a command with its log; with `--json`, whatever else it prints goes to standard error."""
        self.command = command
        with ExitStack() as stack:
            if self.json:
                self._standard = sys.stdout
                stack.enter_context(redirect_stdout(sys.stderr))
            if self.log is not None:
                from poolwright.core.runtime.event_log import EventLog
                from poolwright.core.runtime.progress import Silent

                self._events = EventLog(Silent(), self.log, complain=_complain)
                stack.enter_context(self._events.during("command", command=command, poolwright=__version__))
            yield

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Make the listener of a command: what shows progress, if it is to be shown, and the log."""
        from poolwright.api.progress import PlainLines, console_listener
        from poolwright.core.runtime.progress import Silent

        with ExitStack() as stack:
            listener: Listener = Silent()
            if self.verbose:
                listener = PlainLines(0)
            elif not self.quiet:
                listener = stack.enter_context(console_listener())
            if self._events is not None:
                self._events.inner, listener = listener, self._events
            yield listener

    def show(self, render: Callable[..., None], *results: Any, asked: bool = True) -> None:
        """Print the results of a command.

        Args:
            render: prints them for people.
            results: what `render`, and the command's JSON document, are made from.
            asked: whether the command exists to print them; `--quiet` leaves out others.
        """
        if self.json:
            from poolwright.cli.documents import document_of

            self.write(document_of(self.command).of(*results))
        elif asked or not self.quiet:
            render(*results)

    def write(self, document: Any) -> None:
        """Print a document, or an error, as JSON."""
        from poolwright.cli.rendering.json_output import json_text

        stream = self._standard or sys.stdout
        self.write_text(json_text(self.command, document, stream.encoding or "utf-8") + "\n")

    def write_text(self, text: str) -> None:
        """Print a text that is what was asked for, as it is."""
        print(text, end="", file=self._standard, flush=True)


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


OUTPUT = Output()
"""The output of this process."""
