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
    """Why a row is dropped.

    Attributes:
        name: short name in the ledger, such as 'below_threshold'.
        words: how it is told to people: "similarity below the threshold".
        bad: the row is broken (unreadable image, NaN vector), not unwanted; counts towards `max_bad`.
    """

    name: str
    words: str
    bad: bool = False


@dataclass(frozen=True)
class Outcome:
    """What `apply` says of some rows.

    Attributes:
        columns: new columns, one value a row. Values of dropped rows are ignored.
        drop: uint8 (n,): 0 keeps the row, i drops it for `step.reasons[i - 1]`; None keeps all.
        tallies: int64 (k,) counts over these rows by name, such as a histogram; summed over all rows of a table.
    """

    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    drop: np.ndarray | None = None
    tallies: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """What a unit of work occupies on a node of a cluster while it runs.

    Attributes:
        cpus: cores; a unit works on one thread, apart from what libraries do beyond it.
        gpus: GPUs; a fraction lets several units share one.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def __or__(self, other: Resources) -> Resources:
        """Enough for both, one after the other."""
        return Resources(max(self.cpus, other.cpus), max(self.gpus, other.gpus))


class Step(BaseModel):
    """One verb of a recipe, with its parameters as fields.

    Subclasses set the class variables and implement `needs`, `apply`, and where they give columns or
    learn something, `gives` and `fit`. `apply` is row-wise and pure: what it says of a row depends on
    that row and the state alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: ClassVar[str]
    kind: ClassVar[Kind]
    example: ClassVar[str]
    """How a recipe writes the step, in YAML: 'top: {by: similarity, n: 1000}'. The reference shows it, tests run it."""
    reasons: ClassVar[tuple[Reason, ...]] = ()
    shorthand: ClassVar[str | None] = None
    """Field that a bare value in the recipe sets: `- where: "width > 100"`."""
    fits_rows: ClassVar[bool] = False
    """Whether `fit` looks at the rows."""
    shapes_columns: ClassVar[bool] = False
    """Whether it only shapes columns and decides nothing about rows: `apply` on other rows can do without it."""
    state_kind: ClassVar[str] = ""
    """Name of the form of its state, for reports and cards that draw it, such as 'clusters'; empty if none does."""
    labelled_by: ClassVar[Literal["", "model", "people"]] = ""
    """Who gives or confirms the class of a row in this step, for the limits that a card states."""
    costly: ClassVar[bool] = False
    """Whether `apply` is dear, so that a run saves what it gives before a later step fits on it."""

    def needs(self) -> tuple[str, ...]:
        """Columns that `fit` and `apply` read."""
        raise NotImplementedError

    def optional(self) -> tuple[str, ...]:
        """Columns that `apply` reads where they are there."""
        return ()

    def files(self) -> tuple[str, ...]:
        """Files beside the pool whose content decides what this step does: vocabularies, ready vectors, lists."""
        return ()

    def check_files(self, given: pa.Schema) -> None:
        """Check the files that `fit` will read, against the live columns; raises PoolwrightError."""

    def tables(self) -> tuple[str, ...]:
        """Other tables of the recipe that `fit` learns from, such as labelled examples."""
        return ()

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Check that those tables have the columns that `fit` will read; raises StepError."""

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        """Columns that `apply` adds or replaces.

        Args:
            given: the live columns before this step, with those of `needs` among them.

        Raises:
            StepError: a needed column has a type this step cannot work on.
        """
        return []

    def takes(self, given: pa.Schema) -> tuple[str, ...]:
        """Columns of `given` that are gone after this step."""
        return ()

    def resources(self) -> Resources:
        """What a unit occupies on a node of a cluster while this step works on its rows."""
        return Resources()

    def warm_up(self) -> None:
        """Begin to load what `apply` will need; called in a thread of its own when a run begins."""

    def fit(self, frame: Frame, context: Context) -> State:
        """Learn the state. Reads only columns of `needs` and 'uid'."""
        return State()

    def apply(self, rows: Rows, state: State) -> Outcome:
        """Decide and describe, row by row."""
        raise NotImplementedError

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        """One row's value beside what it was held against, for `poolwright why`; may be empty.

        Args:
            row: the needed and given columns of one row.
        """
        return ""

    def limits(self, state: State) -> list[Limit]:
        """The values that it compares numeric columns with, to be drawn into their histograms."""
        return []

    def learned(self, state: State) -> str:
        """The state in words, for reports and cards: "similarity >= 0.2731 (1,000,000 of 1,146,768 rows)"."""
        return ""
