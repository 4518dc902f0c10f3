"""Types that functions of the API take and return. They are imported on first use, since some are slow to load."""

from poolwright.api.search import SearchResult
from poolwright.api.table import Table
from poolwright.core.results.changes import Changes
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
    "BuiltEncoder",
    "Changes",
    "Check",
    "ClusterPlan",
    "Converted",
    "DroppedCount",
    "DroppedRows",
    "Estimates",
    "FetchOptions",
    "Fetched",
    "LedgerSummary",
    "Listener",
    "Matrix",
    "Measured",
    "MoreVerdicts",
    "Package",
    "Prediction",
    "Pulled",
    "Pushed",
    "Recovery",
    "SearchResult",
    "Shipped",
    "StepStory",
    "Story",
    "Table",
    "TablePlan",
    "TableProgress",
    "TableRecord",
    "TrainedEncoder",
    "Verification",
    "View",
    "Written",
]
