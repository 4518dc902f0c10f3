"""The `poolwright` command: parse, call the API, render. Exit status 0 done, 1 failed, 2 wrong call, 3 waiting."""

from __future__ import annotations

import sys
import warnings

# Each adds its commands, in the order of the help.
# isort: off
from poolwright.cli import running, inspecting, annotating, data, listing  # noqa: F401
from poolwright.cli.app import app

# isort: on
_INTERRUPTED = 130  # what typer exits with after Ctrl-C


def main() -> None:
    """Entry point: errors made for people are printed without a traceback."""
    from poolwright.core.errors import PoolwrightError, WaitingForPeople
    from poolwright.core.runtime.quiet import silence

    silence()
    # Pillow warns of broken EXIF in pictures that it reads all the same.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        app()
    except WaitingForPeople as waiting:
        print(f"{waiting}\n  {_again(sys.argv[1:])}", file=sys.stderr)
        sys.exit(waiting.exit_code)
    except PoolwrightError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("stopped; the same command continues", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.exit(1)


def _again(arguments: list[str]) -> str:
    """The command that goes on: the same, but for tables that were started over."""
    import shlex

    kept = []
    for argument, before in zip(arguments, [None, *arguments], strict=False):
        if argument != "--fresh" and before != "--fresh" and not argument.startswith("--fresh="):
            kept.append(argument)
    return shlex.join(["poolwright", *kept])


if __name__ == "__main__":
    main()
