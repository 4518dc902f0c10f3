"""Tries steps that look up keys on the first rows of their source, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from poolwright.core.errors import PoolwrightError
from poolwright.core.roles import KeyedStep
from poolwright.core.rows import Rows
from poolwright.core.wording import rows as in_rows
from poolwright.run.plan import StepPlan, TablePlan
from poolwright.run.sources.source import Piece, local

_ROWS = 1_000


def foreseen(plan: TablePlan) -> Iterator[str]:
    """Yield what a check can say of the keys that the steps of a table look up, without reading much."""
    for placed in plan.steps:
        if isinstance(placed.step, KeyedStep):
            yield f"step {placed.index + 1} ({placed.step.verb}): {_words(plan, placed, placed.step)}"


def _words(plan: TablePlan, placed: StepPlan, step: KeyedStep) -> str:
    unknown = "how many keys are found is not known before the run"
    made = set(step.needs()) & set(plan.derived(placed.index)) or set(step.needs()) - set(plan.source.schema.names)
    if made:
        return f"{unknown}: '{min(made)}' is made by a step before"
    try:
        rows = _first_rows(plan, list(step.needs()))
        if rows is None:
            return f"{unknown}: {plan.source.name} is not read for a check"
        found = step.foresee(rows, next(iter(plan.others.get(placed.index, ())), None))
    except PoolwrightError as error:
        return f"{unknown}: {error}"
    if found is None:
        return f"{unknown}: what they are looked up in is large, remote or not made yet, and not read for a check"
    return f"of the first {in_rows(len(rows))} of {plan.source.name}, {found}"


def _first_rows(plan: TablePlan, columns: list[str]) -> Rows | None:
    """Read the first rows of a source; None if it is remote, or a table that is not made yet."""
    part = next((part for part in plan.source.parts if part.rows != 0), None)
    if part is None or not all(local(file) for file in part.files):
        return None
    tables = plan.source.read_piece(Piece(part.index, 0, None), columns, _ROWS)
    return next((Rows(table.slice(0, _ROWS)) for table in tables if table.num_rows), None)
