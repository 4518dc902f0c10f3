"""Provides the frame of a run: the live rows before one step, as its fit sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.errors import PoolwrightError
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Deal, Spread, WriteSpread, dealt_schema
from poolwright.run.batches import Flow
from poolwright.run.phase import Phase
from poolwright.run.plan import StepPlan


@dataclass(frozen=True)
class Fold:
    """The function that a unit runs for one fold of a fit."""

    flow: Flow
    upto: int
    columns: tuple[str, ...]
    start: Callable[[], Any]
    add: Callable[[Any, Rows], Any]

    def __call__(self, unit: int) -> Any:
        summary = self.start()
        for rows in LiveRows(self.flow, self.upto, self.columns)(unit):
            summary = self.add(summary, rows)
        return summary


@dataclass(frozen=True)
class LiveRows:
    """Gives the live rows of a unit before one step, in batches."""

    flow: Flow
    upto: int
    columns: tuple[str, ...]

    def __call__(self, unit: int) -> Iterator[Rows]:
        for batch in self.flow.batches(unit, self.upto, self.columns):
            if len(batch.rows):
                yield batch.rows


class RunFrame:
    """The live rows before one step of a run.

    Args:
        flow: the table's plan and units.
        upto: index of the step.
        phase: runs functions over the units.
    """

    def __init__(self, flow: Flow, upto: int, phase: Phase) -> None:
        self.flow, self.upto, self.phase = flow, upto, phase

    @property
    def schema(self) -> pa.Schema:
        """As `Frame.schema`."""
        return self._step.before

    def fold(
        self,
        columns: Sequence[str],
        start: Callable[[], Any],
        add: Callable[[Any, Rows], Any],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        """As `Frame.fold`.

        Raises:
            PoolwrightError: a column is not among those that the step needs.
        """
        self._check(columns)
        if not self.flow.units:
            return start()
        return self.phase.reduce(Fold(self.flow, self.upto, tuple(columns), start, add), merge)

    def spread(self, columns: Sequence[str], deal: Deal, partitions: int, name: str) -> Spread:
        """As `Frame.spread`, in the work folder of the table.

        Raises:
            PoolwrightError: a column is not among those that the step needs.
        """
        self._check(columns)
        live = LiveRows(self.flow, self.upto, tuple(columns))
        given = pa.schema([self.schema.field(column) for column in columns])
        return deal_out(self.flow, self.phase, live, given, deal, partitions, f"{self._step.name}-{name}")

    @property
    def _step(self) -> StepPlan:
        return self.flow.plan.steps[self.upto]

    def _check(self, columns: Sequence[str]) -> None:
        unknown = set(columns) - {UID, *self._step.reads}
        if unknown:
            raise PoolwrightError(f"step {self._step.name} reads {sorted(unknown)}, which it does not need")


def deal_out(
    flow: Flow,
    phase: Phase,
    batches: Callable[[int], Iterator[Rows]],
    given: pa.Schema,
    deal: Deal,
    partitions: int,
    name: str,
) -> Spread:
    """Deal rows of a table out to partitions, see `Frame.spread`.

    Args:
        flow: the table's plan and units.
        phase: runs functions over the units.
        batches: gives the rows of a unit, picklable.
        given: their columns.
        deal: see `Frame.spread`.
        partitions: number of partitions.
        name: of the folder of the files, unique within the table.
    """
    folder, schema = flow.folder / "work" / "spread" / name, dealt_schema(deal, given)
    rows = np.zeros(partitions, np.int64)
    if flow.units:
        rows = phase.reduce(WriteSpread(folder, partitions, deal, schema, batches), add)

    def run(function: Callable[[int], Any], count: int) -> Iterator[tuple[int, Any]]:
        return replace(phase, units=count).map(function)

    return Spread(folder, len(flow.units), partitions, rows, schema, run)
