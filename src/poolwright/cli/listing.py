"""Commands that list what recipes can use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from poolwright.cli.app import app

if TYPE_CHECKING:
    from poolwright.api import Entry

Name = Annotated[Optional[str], typer.Argument(help="Only this one, with its parameters.")]  # noqa: UP045


@app.command()
def steps(
    name: Annotated[Optional[str], typer.Argument(help="Only this one.", metavar="VERB")] = None,  # noqa: UP045
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the recipe language.")] = False,
) -> None:
    """List the steps, or one step's parameters."""
    from poolwright import api

    if schema:
        print(api.recipe_schema(), end="")
    else:
        _show("step", api.steps(), name)


@app.command()
def pools(name: Name = None) -> None:
    """List the kinds of pools, or the parameters of one."""
    from poolwright import api

    _show("pool", api.pools(), name)


@app.command()
def layouts(name: Name = None) -> None:
    """List the release layouts, or the parameters of one."""
    from poolwright import api

    _show("layout", api.layouts(), name)


@app.command()
def figures(name: Name = None) -> None:
    """List the figures a recipe can measure, or one's fields."""
    from poolwright import api

    _show("figure", api.figures(), name)


@app.command()
def encoders(name: Name = None) -> None:
    """List the kinds of encoders, or the options of one."""
    from poolwright import api

    _show("encoder", api.encoders(), name)


def _show(noun: str, entries: Mapping[str, Entry], name: str | None) -> None:
    from poolwright.cli.rendering.listing import print_entries, print_entry

    if name is None:
        print_entries(noun, entries)
    else:
        print_entry(noun, entries, name)
