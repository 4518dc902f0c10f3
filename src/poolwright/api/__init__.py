"""The Python API: what the commands do, as functions. The command line and the studio render what these return."""

from poolwright.api.annotating import accuracy, audit
from poolwright.api.data import convert, fetch, import_clear, rebuild, train_encoder
from poolwright.api.inspecting import explore, figures, report, search, show, verify, why, write_search
from poolwright.api.running import Applied, Recipe, RunResult, TableOutlook, apply, check, dry_run, plan, run, steps

__all__ = [
    "Applied",
    "Recipe",
    "RunResult",
    "TableOutlook",
    "accuracy",
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
