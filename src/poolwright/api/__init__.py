"""The Python API: the commands as functions, whose results the command line and the studio render.

A name is imported when it is first used, since checking a recipe needs little of what others need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poolwright.api.annotating import accuracy, audit, combine_boxes, more_verdicts
    from poolwright.api.checking import Recipe, check
    from poolwright.api.comparing import diff, leaks, write_diff, write_leaks
    from poolwright.api.data import build_encoder, convert, fetch, fetch_options, import_clear, rebuild, train_encoder
    from poolwright.api.explorer import Explorer
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
    from poolwright.api.listing import (
        Entry,
        Parameter,
        encoders,
        figures,
        layouts,
        new_recipe,
        pools,
        recipe_schema,
        recipes,
        steps,
    )
    from poolwright.api.publishing import export_classifier, pull, push
    from poolwright.api.results import Applied, FirstLook, RunResult, SearchResult, TableOutlook
    from poolwright.api.running import apply, dry_run, plan, plan_cluster, run
    from poolwright.api.table import Table
    from poolwright.api.trying import try_folder
    from poolwright.core.results.changes import Changes
    from poolwright.core.results.combined_boxes import CombinedBoxes
    from poolwright.core.results.leaks import LeakReport
    from poolwright.core.results.measured import Matrix, Measured
    from poolwright.core.runtime.plugins import Package
    from poolwright.core.runtime.progress import Listener, TableProgress
    from poolwright.core.table import TableRecord
    from poolwright.fetch.fetch import Fetched
    from poolwright.fetch.options import FetchOptions
    from poolwright.fetch.outcome import CLASSES as FETCH_ERRORS
    from poolwright.fetch.recovery import Recovery
    from poolwright.hub.results import Pulled, Pushed
    from poolwright.inspect.ledger import DroppedCount, DroppedRows, LedgerSummary
    from poolwright.inspect.views.view import View
    from poolwright.inspect.why import StepStory, Story
    from poolwright.jobs.cluster_plan import ClusterPlan
    from poolwright.jobs.convert import Converted
    from poolwright.jobs.dry_run import Prediction
    from poolwright.jobs.train import TrainedEncoder
    from poolwright.kernels.statistics.accuracy import Estimates
    from poolwright.kernels.statistics.sample_size import MoreVerdicts
    from poolwright.models.encoders.conse.build import BuiltEncoder
    from poolwright.recipe.shipped import Shipped
    from poolwright.release.checks.result import Check, Verification
    from poolwright.release.folder import Written
    from poolwright.run.plan import TablePlan

__all__ = [
    "FETCH_ERRORS",
    "Applied",
    "BuiltEncoder",
    "Changes",
    "Check",
    "ClusterPlan",
    "CombinedBoxes",
    "Converted",
    "DroppedCount",
    "DroppedRows",
    "Entry",
    "Estimates",
    "Explorer",
    "FetchOptions",
    "Fetched",
    "FirstLook",
    "LeakReport",
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

_HOMES = {
    "api.annotating": "accuracy audit combine_boxes more_verdicts",
    "api.comparing": "diff leaks write_diff write_leaks",
    "api.data": "build_encoder convert fetch fetch_options import_clear rebuild train_encoder",
    "api.explorer": "Explorer",
    "api.inspecting": "cluster_figures explore ledger report search show verify why write_search",
    "api.listing": "Entry Parameter encoders figures layouts new_recipe pools recipe_schema recipes steps",
    "api.publishing": "export_classifier pull push",
    "api.results": "Applied RunResult SearchResult TableOutlook FirstLook",
    "api.checking": "Recipe check",
    "api.running": "apply dry_run plan plan_cluster run",
    "api.table": "Table",
    "api.trying": "try_folder",
    "core.results.changes": "Changes",
    "core.results.combined_boxes": "CombinedBoxes",
    "core.results.leaks": "LeakReport",
    "core.results.measured": "Matrix Measured",
    "core.runtime.plugins": "Package",
    "core.runtime.progress": "Listener TableProgress",
    "core.table": "TableRecord",
    "fetch.fetch": "Fetched",
    "fetch.options": "FetchOptions",
    "fetch.recovery": "Recovery",
    "hub.results": "Pulled Pushed",
    "inspect.ledger": "DroppedCount DroppedRows LedgerSummary",
    "inspect.views.view": "View",
    "inspect.why": "StepStory Story",
    "jobs.convert": "Converted",
    "jobs.cluster_plan": "ClusterPlan",
    "jobs.dry_run": "Prediction",
    "jobs.train": "TrainedEncoder",
    "models.encoders.conse.build": "BuiltEncoder",
    "kernels.statistics.accuracy": "Estimates",
    "kernels.statistics.sample_size": "MoreVerdicts",
    "recipe.shipped": "Shipped",
    "release.checks.result": "Check Verification",
    "release.folder": "Written",
    "run.plan": "TablePlan",
}
"""Modules of `poolwright`, with the public names that they define."""

_MODULES = {name: f"poolwright.{module}" for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "FETCH_ERRORS":
        from poolwright.fetch.outcome import CLASSES

        return CLASSES
    if name not in _MODULES:
        raise AttributeError(f"module 'poolwright.api' has no attribute '{name}'")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
