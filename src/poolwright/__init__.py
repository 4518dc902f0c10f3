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
        FETCH_ERRORS,
        Applied,
        BuiltEncoder,
        Changes,
        Check,
        ClusterPlan,
        CombinedBoxes,
        Converted,
        DroppedCount,
        DroppedRows,
        Entry,
        Estimates,
        Explorer,
        Fetched,
        FetchOptions,
        FirstLook,
        LeakReport,
        LedgerSummary,
        Listener,
        Matrix,
        Measured,
        MoreVerdicts,
        Package,
        Parameter,
        Prediction,
        Pulled,
        Pushed,
        Recipe,
        Recovery,
        RunResult,
        SearchResult,
        Shipped,
        StepStory,
        Story,
        Table,
        TableOutlook,
        TablePlan,
        TableProgress,
        TableRecord,
        TrainedEncoder,
        Verification,
        View,
        Written,
        accuracy,
        apply,
        audit,
        build_encoder,
        check,
        cluster_figures,
        combine_boxes,
        convert,
        diff,
        dry_run,
        encoders,
        explore,
        export_classifier,
        fetch,
        fetch_options,
        figures,
        import_clear,
        layouts,
        leaks,
        ledger,
        more_verdicts,
        new_recipe,
        plan,
        plan_cluster,
        pools,
        pull,
        push,
        rebuild,
        recipe_schema,
        recipes,
        report,
        run,
        search,
        show,
        steps,
        train_encoder,
        try_folder,
        verify,
        why,
        write_diff,
        write_leaks,
        write_search,
    )
    from poolwright.core.encoder import EncoderSpec
    from poolwright.core.errors import BadPart, InputError, PoolwrightError, RecipeError, StepError
    from poolwright.core.frame import Context, MemoryFrame
    from poolwright.core.pool import Part, Pool
    from poolwright.core.rows import Rows
    from poolwright.core.state import State
    from poolwright.core.step import Outcome, Reason, Step
    from poolwright.models.encoders.kind import EncoderKind
    from poolwright.models.encoders.vectors import Peek
    from poolwright.release.layouts.layout import Layout

__all__ = [
    "FETCH_ERRORS",
    "Applied",
    "BadPart",
    "BuiltEncoder",
    "Changes",
    "Check",
    "ClusterPlan",
    "CombinedBoxes",
    "Context",
    "Converted",
    "DroppedCount",
    "DroppedRows",
    "EncoderKind",
    "EncoderSpec",
    "Entry",
    "Estimates",
    "Explorer",
    "FetchOptions",
    "Fetched",
    "FirstLook",
    "InputError",
    "Layout",
    "LeakReport",
    "LedgerSummary",
    "Listener",
    "Matrix",
    "Measured",
    "MemoryFrame",
    "MoreVerdicts",
    "Outcome",
    "Package",
    "Parameter",
    "Part",
    "Peek",
    "Pool",
    "PoolwrightError",
    "Prediction",
    "Pulled",
    "Pushed",
    "Reason",
    "Recipe",
    "RecipeError",
    "Recovery",
    "Rows",
    "RunResult",
    "SearchResult",
    "Shipped",
    "State",
    "Step",
    "StepError",
    "StepStory",
    "Story",
    "Table",
    "TableOutlook",
    "TablePlan",
    "TableProgress",
    "TableRecord",
    "TrainedEncoder",
    "Verification",
    "View",
    "Written",
    "accuracy",
    "api",
    "apply",
    "audit",
    "build_encoder",
    "check",
    "cluster_figures",
    "combine_boxes",
    "convert",
    "diff",
    "dry_run",
    "encoders",
    "explore",
    "export_classifier",
    "fetch",
    "fetch_options",
    "figures",
    "import_clear",
    "layouts",
    "leaks",
    "ledger",
    "more_verdicts",
    "new_recipe",
    "plan",
    "plan_cluster",
    "pools",
    "pull",
    "push",
    "rebuild",
    "recipe_schema",
    "recipes",
    "report",
    "run",
    "search",
    "show",
    "steps",
    "train_encoder",
    "try_folder",
    "verify",
    "why",
    "write_diff",
    "write_leaks",
    "write_search",
]

_CONTRACTS = {
    "BadPart": "poolwright.core.errors",
    "InputError": "poolwright.core.errors",
    "PoolwrightError": "poolwright.core.errors",
    "RecipeError": "poolwright.core.errors",
    "StepError": "poolwright.core.errors",
    "Context": "poolwright.core.frame",
    "MemoryFrame": "poolwright.core.frame",
    "Rows": "poolwright.core.rows",
    "State": "poolwright.core.state",
    "Outcome": "poolwright.core.step",
    "Reason": "poolwright.core.step",
    "Step": "poolwright.core.step",
    "Part": "poolwright.core.pool",
    "Pool": "poolwright.core.pool",
    "EncoderSpec": "poolwright.core.encoder",
    "EncoderKind": "poolwright.models.encoders.kind",
    "Peek": "poolwright.models.encoders.vectors",
    "Layout": "poolwright.release.layouts.layout",
}
"""Public names that do not come from `poolwright.api`, with their modules: the base classes and types with which other
packages make steps, pools, layouts and encoders."""


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
    value = getattr(import_module(_CONTRACTS.get(name, "poolwright.api")), name)
    globals()[name] = value
    return value


silence()
sys.modules[__name__].__class__ = _Package
