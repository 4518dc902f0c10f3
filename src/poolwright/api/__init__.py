"""The Python API: the commands as functions, whose results the command line and the studio render."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolwright.api.annotating import accuracy, audit, more_verdicts
from poolwright.api.comparing import diff, write_diff
from poolwright.api.data import build_encoder, convert, fetch, fetch_options, import_clear, rebuild, train_encoder
from poolwright.api.inspecting import (
    cluster_figures,
    explore,
    ledger,
    report,
    search,
    show,
    verify,
    why,
    write_search,
)
from poolwright.api.listing import Entry, Parameter, encoders, figures, layouts, pools, recipe_schema, steps
from poolwright.api.publishing import pull, push
from poolwright.api.results import Applied, RunResult, TableOutlook
from poolwright.api.running import Recipe, apply, check, dry_run, new_recipe, plan, plan_cluster, recipes, run

if TYPE_CHECKING:
    from poolwright.api.types import (
        FETCH_ERRORS,
        Changes,
        Check,
        ClusterPlan,
        Converted,
        DroppedCount,
        DroppedRows,
        Estimates,
        Fetched,
        FetchOptions,
        LedgerSummary,
        Listener,
        Matrix,
        Measured,
        MoreVerdicts,
        Package,
        Prediction,
        Pulled,
        Pushed,
        Recovery,
        SearchResult,
        Shipped,
        StepStory,
        Story,
        Table,
        TablePlan,
        TableProgress,
        TableRecord,
        TrainedEncoder,
        Verification,
        View,
        Written,
    )

__all__ = [
    "FETCH_ERRORS",
    "Applied",
    "BuiltEncoder",
    "Changes",
    "Check",
    "ClusterPlan",
    "Converted",
    "DroppedCount",
    "DroppedRows",
    "Entry",
    "Estimates",
    "FetchOptions",
    "Fetched",
    "LedgerSummary",
    "Listener",
    "Matrix",
    "Measured",
    "MoreVerdicts",
    "Package",
    "Parameter",
    "Prediction",
    "Pulled",
    "Pushed",
    "Recipe",
    "Recovery",
    "RunResult",
    "SearchResult",
    "Shipped",
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
    "apply",
    "audit",
    "build_encoder",
    "check",
    "cluster_figures",
    "convert",
    "diff",
    "dry_run",
    "encoders",
    "explore",
    "fetch",
    "fetch_options",
    "figures",
    "import_clear",
    "layouts",
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
    "verify",
    "why",
    "write_diff",
    "write_search",
]


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module 'poolwright.api' has no attribute '{name}'")
    from poolwright.api import types

    return getattr(types, name)


def __dir__() -> list[str]:
    return list(__all__)
