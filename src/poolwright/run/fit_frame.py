"""Provides the frame of a run: the live rows before one step, as its fit sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.errors import PoolwrightError
from poolwright.core.rows import Rows
from poolwright.run.batches import Flow
from poolwright.run.phase import Phase


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
        for batch in self.flow.batches(unit, self.upto, self.columns):
            if len(batch.rows):
                summary = self.add(summary, batch.rows)
        return summary


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
        return self.flow.plan.steps[self.upto].before

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
        plan = self.flow.plan.steps[self.upto]
        unknown = set(columns) - {UID, *plan.reads}
        if unknown:
            raise PoolwrightError(f"step {plan.name} folds over {sorted(unknown)}, which it does not need")
        if not self.flow.units:
            return start()
        return self.phase.reduce(Fold(self.flow, self.upto, tuple(columns), start, add), merge)
