"""Defines the Typer application and the arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright import __version__

app = typer.Typer(
    name="poolwright",
    help="Turn image pools into curated, benchmark-ready datasets, by a recipe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
RunFolder = Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")]
Sets = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads this annotation at run time
    typer.Option("--set", help="Override a key: pools.photos.path=/data; may be repeated.", metavar="KEY=VALUE"),
]
Folder = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--run", help="The run folder; default runs/<name> next to the recipe.", metavar="DIR"),
]
FetchSets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="Any other option, such as max_wait=10; may be repeated.", metavar="KEY=VALUE"),
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"poolwright {__version__}")
        raise typer.Exit
