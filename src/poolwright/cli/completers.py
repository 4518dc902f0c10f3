"""Lists what values of arguments and options may be, for the completion of commands in shells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import typer


def finished_tables(ctx: typer.Context) -> Iterable[str]:
    """Names of the finished tables in the run folder that the command names."""
    folder = _first_argument(ctx, "run_folder")
    return sorted(path.parent.name for path in Path(folder).glob("tables/*/table.json")) if folder else ()


def tables_of_recipe(ctx: typer.Context) -> Iterable[str]:
    """Names of the tables of the recipe that the command names."""
    import yaml

    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return list(yaml.safe_load(Path(_first_argument(ctx, "recipe")).read_text(encoding="utf-8"))["tables"])
    return ()


def _first_argument(ctx: typer.Context, name: str) -> str:
    """Return the first argument; it is not parsed while the option at the end lacks its value."""
    found = ctx.params.get(name) or next((word for word in ctx.args if not word.startswith("-")), "")
    return str(found)


def names_of(kind: str) -> Callable[[], list[str]]:
    """Return the function that lists steps, pools, layouts, figures, encoders or recipes, as `poolwright KIND` does."""

    def complete() -> list[str]:
        from poolwright.api.listing import names

        return names(kind)

    return complete


def one_of(*names: str) -> Callable[[], tuple[str, ...]]:
    """Return the function that lists these names."""
    return lambda: names


def names_of_reproductions() -> list[str]:
    """Names of the recipes that `poolwright conformance` compares with published numbers."""
    from poolwright.conformance import REPRODUCTIONS

    return list(REPRODUCTIONS)
