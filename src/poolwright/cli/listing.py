"""Commands that list what recipes can use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from poolwright.cli.app import app
from poolwright.cli.completers import names_of
from poolwright.cli.output import OUTPUT

if TYPE_CHECKING:
    from poolwright.api import Entry


def _argument(kind: str, metavar: str = "NAME") -> Any:
    help = "Only this one, with its parameters."
    return typer.Argument(help=help, metavar=metavar, autocompletion=names_of(kind))


Verb = Annotated[Optional[str], _argument("steps", "VERB")]  # noqa: UP045
PoolName = Annotated[Optional[str], _argument("pools")]  # noqa: UP045
LayoutName = Annotated[Optional[str], _argument("layouts")]  # noqa: UP045
FigureName = Annotated[Optional[str], _argument("figures")]  # noqa: UP045
EncoderName = Annotated[Optional[str], _argument("encoders")]  # noqa: UP045


@app.command()
def steps(
    name: Verb = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the recipe language.")] = False,
) -> None:
    """List the steps, or one step's parameters."""
    from poolwright import api

    if schema:
        OUTPUT.write_text(api.recipe_schema())
    else:
        _show("step", api.steps(), name)


@app.command()
def pools(name: PoolName = None) -> None:
    """List the kinds of pools, or the parameters of one."""
    from poolwright import api

    _show("pool", api.pools(), name)


@app.command()
def layouts(name: LayoutName = None) -> None:
    """List the release layouts, or the parameters of one."""
    from poolwright import api

    _show("layout", api.layouts(), name)


@app.command()
def figures(name: FigureName = None) -> None:
    """List the figures a recipe can measure, or one's fields."""
    from poolwright import api

    _show("figure", api.figures(), name)


@app.command()
def encoders(name: EncoderName = None) -> None:
    """List the kinds of encoders, or the options of one."""
    from poolwright import api

    _show("encoder", api.encoders(), name)


def _show(noun: str, entries: Mapping[str, Entry], name: str | None) -> None:
    from poolwright.cli.rendering.listing import print_entries, print_entry
    from poolwright.core.errors import RecipeError, did_you_mean

    if name is None:
        OUTPUT.show(print_entries, noun, entries)
        return
    if name not in entries:
        raise RecipeError(f"unknown {noun} '{name}'; {did_you_mean(name, entries)}")
    if entries[name].problem:
        raise RecipeError(entries[name].problem)
    OUTPUT.show(print_entry, noun, entries, name)
