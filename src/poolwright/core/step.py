"""Step: one verb of a recipe. It fits something small on all rows, then applies it row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from poolwright.core.frame import Context, Frame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.table import Limit

Kind = Literal["describe", "choose", "split"]


@dataclass(frozen=True)
class Reason:
    """A reason why rows are dropped.

    Attributes:
        name: short name in the ledger, such as 'below_threshold'.
        words: the reason as people read it: "similarity below the threshold".
        bad: the row is broken (unreadable image, NaN vector), not unwanted; counts towards `max_bad`.
    """

    name: str
    words: str
    bad: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of `apply` for some rows.

    Attributes:
        columns: new columns, one value per row. Values of dropped rows are ignored.
        drop: uint8 (n,): 0 keeps the row, i drops it for `step.reasons[i - 1]`; None keeps all.
        tallies: int64 (k,) counts over these rows by name, such as a histogram; summed over all rows of a table.
    """

    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    drop: np.ndarray | None = None
    tallies: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """The resources that a unit of work occupies on a node of a cluster while it runs.

    Attributes:
        cpus: cores; a unit works on one thread, apart from what libraries do beyond it.
        gpus: GPUs; a fraction lets several units share one.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def __or__(self, other: Resources) -> Resources:
        """Return resources that suffice for both, one after the other."""
        return Resources(max(self.cpus, other.cpus), max(self.gpus, other.gpus))


class Step(BaseModel):
    """One verb of a recipe, with its parameters as fields.

    Subclasses set the class variables and implement `needs` and `apply`; those that add columns or learn
    something also implement `gives` and `fit`. `apply` is row-wise and pure: its result for a row depends
    on that row and the state alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    verb: ClassVar[str]
    kind: ClassVar[Kind]
    example: ClassVar[str]
    """The step as a recipe writes it, in YAML: 'top: {by: similarity, n: 1000}'. Docs show it and tests run it."""
    reasons: ClassVar[tuple[Reason, ...]] = ()
    shorthand: ClassVar[str | None] = None
    """Field that a bare value in the recipe sets: `- where: "width > 100"`."""
    other_verbs: ClassVar[Mapping[str, str]] = {}
    """Verb of the step that a recipe means by this one with a parameter, by the parameter."""
    fits_rows: ClassVar[bool] = False
    """Whether `fit` looks at the rows."""
    shapes_columns: ClassVar[bool] = False
    """Whether the step only shapes columns and decides nothing about rows: `apply` to other rows can omit it."""
    state_kind: ClassVar[str] = ""
    """Kind of the state, for reports and cards that draw it, such as 'clusters'; empty if none does."""
    labelled_by: ClassVar[Literal["", "model", "people"]] = ""
    """Who gives or confirms the class of a row in this step, for the limits that a card states."""
    costly: ClassVar[bool] = False
    """Whether `apply` is expensive, so that a run saves its columns before a later step fits on them."""

    needs_refit: ClassVar[str] = ""
    """Why what the step learned cannot decide about rows that come later; empty if it can."""

    def needs(self) -> tuple[str, ...]:
        """Return the columns that `fit` and `apply` read."""
        raise NotImplementedError

    def optional(self) -> tuple[str, ...]:
        """Return the columns that `apply` reads if the table has them."""
        return ()

    def files(self) -> tuple[str, ...]:
        """Return files besides the pool whose content decides what this step does: vocabularies, vectors, lists."""
        return ()

    def check_files(self, given: pa.Schema) -> None:
        """Check the files that `fit` will read against the live columns.

        Raises:
            PoolwrightError: a file does not suit them.
        """

    def tables(self) -> tuple[str, ...]:
        """Return other tables of the recipe that `fit` learns from, such as labelled examples."""
        return ()

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Check that the tables of `tables` have the columns that `fit` will read.

        Raises:
            StepError: a column is missing, or has a type this step cannot work on.
        """

    def check_against(self, given: pa.Schema, schemas: Mapping[str, pa.Schema]) -> None:
        """Check the live columns before this step against those of the tables of `tables`.

        Raises:
            StepError: they do not go together, such as vectors of two models.
        """

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        """Return the columns that `apply` adds or replaces.

        Args:
            given: the live columns before this step, with those of `needs` among them.

        Raises:
            StepError: a needed column has a type this step cannot work on.
        """
        return []

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes that this step may give, if they are known before `fit`."""
        return ()

    def takes(self, given: pa.Schema) -> tuple[str, ...]:
        """Return the columns of `given` that this step removes."""
        return ()

    def resources(self) -> Resources:
        """Return what a unit occupies on a node of a cluster while this step works on its rows."""
        return Resources()

    def warm_up(self) -> None:
        """Start to load what `apply` will need; called in a separate thread when a run begins."""

    def fit(self, frame: Frame, context: Context) -> State:
        """Learn the state from all live rows. Reads only 'uid' and the columns of `needs`."""
        return State()

    def apply(self, rows: Rows, state: State) -> Outcome:
        """Decide about each row and describe it, row by row."""
        raise NotImplementedError

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        """Return one row's value and what it was compared with, for `poolwright why`; may be empty.

        Args:
            row: the needed and given columns of one row.
        """
        return ""

    def limits(self, state: State) -> list[Limit]:
        """Return the values that this step compares numeric columns with, to be drawn into their histograms."""
        return []

    def learned(self, state: State) -> str:
        """Describe the state for reports and cards: "similarity >= 0.2731 (1,000,000 of 1,146,768 rows)"."""
        return ""
