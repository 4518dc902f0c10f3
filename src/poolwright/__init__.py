"""poolwright turns image pools into curated, benchmark-ready datasets, by a recipe.

    import poolwright

    recipe = poolwright.Recipe.load("recipe.yaml")
    result = recipe.run()
    print(result.tables["photos"].record.rows_kept)

Every command of the command line is a function here and in `poolwright.api`. Nothing heavy is imported before it is
used. Importing poolwright switches off the usage reporting of libraries that it uses, by environment variables.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from poolwright.core.runtime.quiet import silence

__version__ = "0.1.0"

if TYPE_CHECKING:
    from poolwright import api
    from poolwright.api import (
        Recipe,
        accuracy,
        apply,
        audit,
        check,
        convert,
        dry_run,
        explore,
        fetch,
        figures,
        import_clear,
        plan,
        rebuild,
        report,
        run,
        search,
        show,
        steps,
        train_encoder,
        verify,
        why,
        write_search,
    )
    from poolwright.core.errors import PoolwrightError, RecipeError
    from poolwright.core.frame import Context, MemoryFrame
    from poolwright.core.rows import Rows
    from poolwright.core.step import Outcome, Reason, Step
    from poolwright.core.table import Table

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
    "accuracy",
    "api",
    "apply",
    "audit",
    "check",
    "convert",
    "dry_run",
    "explore",
    "fetch",
    "figures",
    "import_clear",
    "plan",
    "rebuild",
    "report",
    "run",
    "search",
    "show",
    "steps",
    "train_encoder",
    "verify",
    "why",
    "write_search",
]

_CORE = {
    "PoolwrightError": "poolwright.core.errors",
    "RecipeError": "poolwright.core.errors",
    "Context": "poolwright.core.frame",
    "MemoryFrame": "poolwright.core.frame",
    "Rows": "poolwright.core.rows",
    "Outcome": "poolwright.core.step",
    "Reason": "poolwright.core.step",
    "Step": "poolwright.core.step",
    "Table": "poolwright.core.table",
}
"""Public names that do not come from `poolwright.api`, with their modules."""


class _Package(ModuleType):
    """This package. Importing the subpackage `poolwright.run` would bind it over the function of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in __all__ and name != "api"):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "api":
        return import_module("poolwright.api")
    if name not in __all__:
        raise AttributeError(f"module 'poolwright' has no attribute '{name}'")
    value = getattr(import_module(_CORE.get(name, "poolwright.api")), name)
    globals()[name] = value
    return value


silence()
sys.modules[__name__].__class__ = _Package
