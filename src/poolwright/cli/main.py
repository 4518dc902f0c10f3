"""The `poolwright` command: parse, call the API, render.

Exit status 0: done, 1: failed, 2: wrong call, 3: waiting for people, 130: stopped by Ctrl-C.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import NoReturn

# Each adds its commands, in the order of the help.
# isort: off
from poolwright.cli import running, inspecting, comparing, annotating, data, listing  # noqa: F401
from poolwright.cli.app import app

# isort: on
_OF_THE_DISK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
_INTERRUPTED = 130  # what typer exits with after Ctrl-C


def main() -> None:
    """Run the command; expected errors are printed without a traceback."""
    from poolwright.core.errors import Mistakes, PoolwrightError, WaitingForPeople
    from poolwright.core.runtime.quiet import silence

    silence()
    with suppress(ValueError):  # outside the main thread
        signal.signal(signal.SIGINT, _interrupt)
    # The work is done by then: Ctrl-C while the interpreter exits must change nothing.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    # Pillow warns about broken EXIF in pictures that it reads nevertheless.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        app()
    except WaitingForPeople as waiting:
        print(f"{waiting}\n  {_again(sys.argv[1:])}", file=sys.stderr)
        sys.exit(waiting.exit_code)
    except PoolwrightError as error:
        for one in error.errors if isinstance(error, Mistakes) else (error,):
            print(f"error: {_in_one_line(str(one))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _stop()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            _stop()
        raise
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.errno not in _OF_THE_DISK or not error.filename:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _interrupt(*_: object) -> NoReturn:
    """Raise the first Ctrl-C. Another one waits for nothing, and raises nothing into the handling of the first."""
    signal.signal(signal.SIGINT, lambda *_: _stop())
    raise KeyboardInterrupt


def _stop() -> NoReturn:
    """End at once after Ctrl-C; another one changes nothing.

    Units may still run in other threads. The interpreter would shut down around them, which ends in an abort if one of
    them is inside a library; files that they write appear under their names only once they are complete.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError, ValueError, RuntimeError):  # the second one may come while something is printed
        print("stopped; the same command continues", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError):  # the reader is gone, or the stream is closed
            stream.flush()
    os._exit(_INTERRUPTED)


def _in_one_line(message: str) -> str:
    """Return a message in one line if it goes to a pipe or a file, where programs read line by line."""
    if sys.stderr.isatty():
        return message
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(line for line in lines if line and line != "^")


def _again(arguments: list[str]) -> str:
    """Return the command that continues: the same, without the options that start tables over."""
    import shlex

    kept = []
    for argument, before in zip(arguments, [None, *arguments], strict=False):
        if argument != "--fresh" and before != "--fresh" and not argument.startswith("--fresh="):
            kept.append(argument)
    return shlex.join(["poolwright", *kept])


if __name__ == "__main__":
    main()
