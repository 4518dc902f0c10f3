"""poolwright turns image pools into curated, benchmark-ready datasets, by a recipe.

    import poolwright

    recipe = poolwright.Recipe.load("recipe.yaml")
    result = recipe.run()
    print(result.tables["photos"].record.rows_kept)

What the commands do is in `poolwright.api`: check, plan, run, show, why, report, verify, convert. (`poolwright.run` and
`poolwright.report` are rooms of the house, so these names are not taken here.) Nothing heavy is imported before
it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from poolwright import api
    from poolwright.core.errors import PoolwrightError, RecipeError
    from poolwright.core.frame import Context, MemoryFrame
    from poolwright.core.rows import Rows
    from poolwright.core.step import Outcome, Reason, Step
    from poolwright.core.table import Table
    from poolwright.recipe.recipe import Recipe

_PLACES = {
    **dict.fromkeys(("check", "convert", "plan", "report", "run", "show", "steps", "verify", "why"), "poolwright.api"),
    "PoolwrightError": "poolwright.core.errors",
    "RecipeError": "poolwright.core.errors",
    "Context": "poolwright.core.frame",
    "MemoryFrame": "poolwright.core.frame",
    "Rows": "poolwright.core.rows",
    "Outcome": "poolwright.core.step",
    "Reason": "poolwright.core.step",
    "Step": "poolwright.core.step",
    "Table": "poolwright.core.table",
    "Recipe": "poolwright.recipe.recipe",
}

__all__ = [
    "Context",
    "MemoryFrame",
    "Outcome",
    "PoolwrightError",
    "Reason",
    "Recipe",
    "RecipeError",
    "Rows",
    "Step",
    "Table",
    "api",
]


def __getattr__(name: str) -> Any:
    if name == "api":
        return import_module("poolwright.api")
    if name not in _PLACES:
        raise AttributeError(f"module 'poolwright' has no attribute '{name}'")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, "api"})
