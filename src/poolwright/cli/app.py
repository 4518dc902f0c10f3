"""Defines the Typer application, the options that every command takes, and arguments that several take."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar, get_type_hints

import typer

from poolwright import __version__
from poolwright.cli.lateness import LateCommand, LateGroup
from poolwright.cli.output import OUTPUT

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object; see docs/json.md.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors, and what was asked for, alone.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print every event; with an error, its traceback.")]
Log = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
    typer.Option("--log", help="Append events to FILE, as JSON Lines.", metavar="FILE"),
]
_BRIEF = ("check", "recipes", "new", "steps", "pools", "layouts", "figures", "encoders", "completion")
"""Commands without collection of garbage, which would take a tenth of their time."""

_COMMON = {"json": (Json, False), "quiet": (Quiet, False), "verbose": (Verbose, False), "log": (Log, None)}


Command = TypeVar("Command", bound=Callable[..., Any])


class _App(typer.Typer):
    """A Typer application whose commands all take the options of `_COMMON`."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Command], Command]:
        """Register a command; its function does not see the common options."""
        register = super().command

        def add(function: Command) -> Command:
            register(name, cls=LateCommand, **options)(_with_common(function, name or function.__name__))
            return function

        return add


def _with_common(function: Callable[..., Any], command: str) -> Callable[..., Any]:
    signature = inspect.signature(function)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
        for name, (hint, default) in _COMMON.items()
    ]

    @wraps(function)
    def called(**arguments: Any) -> None:
        OUTPUT.choose(**{name: arguments.pop(name) for name in _COMMON})
        if command not in _BRIEF:
            gc.enable()
        with OUTPUT.of_command(command):
            function(**arguments)

    hints = get_type_hints(function, include_extras=True)
    plain = [one.replace(annotation=hints[one.name]) for one in signature.parameters.values()]
    called.__annotations__ = {**hints, **{name: hint for name, (hint, _) in _COMMON.items()}}
    called.__signature__ = signature.replace(parameters=[*plain, *more])  # type: ignore[attr-defined]
    return called


app = _App(
    name="poolwright",
    cls=LateGroup,
    help="Turn image pools into curated, benchmark-ready datasets, by a recipe.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
RunFolder = Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")]
Sets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="Override a key: pools.photos.path=/data; may be repeated.", metavar="KEY=VALUE"),
]
Folder = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--run",
        help="The run folder, or its URL, such as s3://bucket/runs/x; default runs/<name> next to the recipe.",
        metavar="DIR",
    ),
]
FetchSets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="Any other option, such as max_wait=10; may be repeated.", metavar="KEY=VALUE"),
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    OUTPUT.choose(json, quiet, verbose, log)
    if version:
        print(f"poolwright {__version__}")
        raise typer.Exit
