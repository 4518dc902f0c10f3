"""The `poolwright` command: parse, call the API, render.

Exit status 0: done, 1: failed, 2: wrong call, 3: waiting for people, 130: stopped by Ctrl-C.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

import typer

from poolwright.cli import running
from poolwright.cli.app import app
from poolwright.cli.output import OUTPUT

_OF_THE_DISK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
_INTERRUPTED = 130  # what typer exits with after Ctrl-C
_WrongCall: Any = typer.BadParameter.__mro__[2]
"""Base of the errors that typer raises about a call; it has one of its own, or that of click."""


def main() -> None:
    """Run the command; expected errors are printed without a traceback."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")  # they are looked for in all installed packages
    gc.disable()  # until a command works on rows: what starting makes is needed until the end
    try:
        _main()
    finally:
        gc.enable()


def _main() -> None:
    from poolwright.core.errors import Mistakes, PoolwrightError, WaitingForPeople
    from poolwright.core.runtime.quiet import silence

    silence()
    with suppress(ValueError):  # outside the main thread
        signal.signal(signal.SIGINT, _interrupt)
    # The work is done by then: Ctrl-C while the interpreter exits must change nothing.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    atexit.register(gc.freeze)  # nothing has to be found that could be freed
    # Pillow warns about broken EXIF in pictures that it reads nevertheless.
    warnings.filterwarnings("ignore", module="PIL")
    OUTPUT.start(json="--json" in sys.argv[1:])
    try:
        status = _call()
    except WaitingForPeople as waiting:
        again = _again(sys.argv[1:])
        print(f"{waiting}\n  {again}", file=sys.stderr)
        _end(waiting, waiting.exit_code, {"continue": again})
    except PoolwrightError as error:
        for one in error.errors if isinstance(error, Mistakes) else (error,):
            print(f"error: {_in_one_line(str(one))}", file=sys.stderr)
        _end(error, error.exit_code)
    except _WrongCall as error:
        OUTPUT.command = error.ctx.info_name if error.ctx is not None and error.ctx.parent is not None else ""
        error.show()
        _end(error, error.exit_code)
    except KeyboardInterrupt:
        _stop()
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.errno not in _OF_THE_DISK or not error.filename:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        _end(error, 1)
    except Exception as error:
        if OUTPUT.json:
            OUTPUT.write({"error": {"kind": type(error).__name__, "message": str(error)}})
        raise
    if status == _INTERRUPTED:
        _stop()
    sys.exit(status or 0)


def _call() -> Any:
    """Call the command that the arguments name. Other modules' commands are added unless it is one of `running`."""
    if sys.argv[1:2] and sys.argv[1] in running.COMMANDS:
        return app(standalone_mode=False)
    from poolwright.cli.commands import completion

    completion.prepare()
    return app(standalone_mode=False, complete_var=completion.VARIABLE)


def _end(error: BaseException, status: int, more: Mapping[str, object] | None = None) -> NoReturn:
    """End with an exit status; with `--json`, the error is the object on standard output."""
    if OUTPUT.verbose:
        traceback.print_exception(error)
    if OUTPUT.json:
        from poolwright.cli.rendering.json_output import error_fields

        OUTPUT.write({"error": {**error_fields(error), **(more or {})}})
    sys.exit(status)


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
