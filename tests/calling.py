"""Calling `poolwright` as a user does, in this process: starting another costs a second."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poolwright.cli.main import main


@dataclass(frozen=True)
class Called:
    """What a command did: exit status, standard output, standard error."""

    code: int
    out: str
    err: str


def call(*arguments: str | Path, folder: Path | None = None) -> Called:
    """Run `poolwright ARGUMENTS` in a folder, with both outputs piped."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    before = signal.getsignal(signal.SIGINT)
    with contextlib.chdir(folder or Path.cwd()), _arguments(arguments):
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = end.code
    logging.disable(logging.NOTSET)  # `verify` silences a library, for a process that ends
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, before)
    return Called(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _arguments(arguments: tuple[str | Path, ...]) -> Iterator[None]:
    before = sys.argv
    sys.argv = ["poolwright", *map(str, arguments)]
    try:
        yield
    finally:
        sys.argv = before
