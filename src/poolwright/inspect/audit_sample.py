"""Draws a stratified sample of all rows that a classifier decided on, kept or dropped, for people to judge: an audit.

Strata come from the histogram of decisions that the table counted, so their sizes are exact. The rows of a stratum
are drawn by the hash of their uid, so that a larger sample contains the smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.annotation.exchange.sheets import SheetRow
from poolwright.annotation.sample import AuditSample
from poolwright.core.columns import IMAGE_PATH, TEXT, UID, URL
from poolwright.core.errors import CountError, InputError, RecipeError
from poolwright.core.files import digest_file
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.table import DECISIONS, RECORD, Table
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.kernels.statistics.strata import Stratum, design, draw, sheet_order, strata_of
from poolwright.run.batches import Flow
from poolwright.run.plan import StepPlan
from poolwright.run.run import Run
from poolwright.run.sources.source import units_of

_SHOWN = (URL, IMAGE_PATH, TEXT)


@dataclass
class _Drawn:
    """The rows with the smallest hashes of every stratum so far, and the number of rows of each."""

    rows: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    strata: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    shown: list[pa.Table] = field(default_factory=list)


@dataclass(frozen=True)
class _DrawUnit:
    """The function that a unit runs: decides on its rows again, and draws from them."""

    flow: Flow
    index: int
    strata: tuple[Stratum, ...]
    key: int

    def __call__(self, unit: int) -> _Drawn:
        plan = self.flow.plan.steps[self.index]
        state = self.flow.state(plan.name)
        shown = [UID, *(name for name in _SHOWN if name in plan.before.names)]
        drawn = _Drawn(np.zeros(len(self.strata), np.int64))
        for batch in self.flow.batches(unit, self.index, list(dict.fromkeys([*shown, *plan.reads]))):
            self._see(drawn, batch.rows.table, plan, state, shown)
        return drawn

    def _see(self, drawn: _Drawn, table: pa.Table, plan: StepPlan, state: State, shown: Sequence[str]) -> None:
        given = plan.step.apply(Rows(table.select(plan.reads)), state).columns["decision"]
        decisions = np.asarray(given.to_numpy(zero_copy_only=False), np.float64)
        strata = np.where(np.isnan(decisions), -1, strata_of(self.strata, np.nan_to_num(decisions)))
        drawn.rows += np.bincount(strata[strata >= 0], minlength=len(self.strata))
        uids = table.column(UID)
        _add(drawn, strata, hash64(uids, self.key), table.select(shown), [one.sample for one in self.strata])


def _add(
    drawn: _Drawn, strata: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64], shown: pa.Table, sizes: Sequence[int]
) -> None:
    """Draw again from the rows drawn so far and these rows."""
    all_strata, all_hashes = np.append(drawn.strata, strata), np.append(drawn.hashes, hashes)
    chosen = draw(all_strata, all_hashes, sizes)
    drawn.shown = [pa.concat_tables([*drawn.shown, shown]).take(pa.array(chosen))]
    drawn.strata, drawn.hashes = all_strata[chosen], all_hashes[chosen]


@dataclass(frozen=True)
class _Merge:
    """Draws from the rows that two units drew."""

    sizes: tuple[int, ...]

    def __call__(self, one: _Drawn, other: _Drawn) -> _Drawn:
        one.rows += other.rows
        for shown in other.shown:
            _add(one, other.strata, other.hashes, shown, self.sizes)
        return one


def draw_sample(run: Run, name: str, n: int) -> tuple[AuditSample, list[SheetRow]]:
    """Draw `n` rows of all those that the classifier of a finished table decided on.

    The table's source is read once more.

    Raises:
        RecipeError: the table has no classifier of two classes.
        CountError: the source has changed since the table was made.
    """
    table = run.table(name)
    source, plan = run.source(name), run.plan(name)
    step = _classifier(table)
    strata = strata_of_table(table, step, n)
    skipped = frozenset(index for index, part in enumerate(table.record.inputs) if part.quarantined)
    units = units_of(source, reads_images=False)
    flow = Flow(plan, table.folder, units, skipped, run.batch_rows)
    function = _DrawUnit(flow, step, strata, hash_key(run.recipe.seed, name, "audit"))
    total = _Drawn(np.zeros(len(strata), np.int64))
    if units:
        merge = _Merge(tuple(one.sample for one in strata))
        total = run.engine.reduce(function, range(len(units)), merge, resources=plan.resources)
    _check(total, strata, name)
    sample, sheet = _sheet(total, strata)
    return replace(sample, record=digest_file(table.folder / RECORD)), sheet


def _classifier(table: Table) -> int:
    for step in reversed(table.record.steps):
        if f"{step.state_name}.{DECISIONS}" in table.record.tallies:
            return step.index
    raise RecipeError(
        f"table '{table.name}' has no step that decides between two classes; `classify` with 'positive' is one"
    )


def strata_of_table(table: Table, step: int, n: int) -> tuple[Stratum, ...]:
    """Make strata of the decisions that step number `step` of a table counted, and allocate `n` verdicts to them."""
    if n < 1:
        raise InputError(f"{n} rows are not a sample; 400 is a good start")
    record = table.record.steps[step]
    counts = table.record.tallies[f"{record.state_name}.{DECISIONS}"]
    values = table.state(step).values
    # Bins hold what is above their lower edge, strata what is at or above it: the next float32 is equivalent.
    above = np.nextafter(np.asarray(values["edges"], np.float32), np.float32(np.inf)).astype(np.float64)
    threshold = above[np.flatnonzero(np.asarray(values["edges"]) <= values["threshold"])[-1]]
    return design([-np.inf, *above, np.inf], counts, float(threshold), n)


def _check(drawn: _Drawn, strata: Sequence[Stratum], name: str) -> None:
    counted = [one.rows for one in strata]
    if drawn.rows.tolist() != counted:
        raise CountError(
            f"table '{name}' counted {sum(counted):,} decisions, but its source now gives {int(drawn.rows.sum()):,}, "
            f"or other ones: the source has changed. Make the table again: --fresh {name}"
        )


def _sheet(drawn: _Drawn, strata: Sequence[Stratum]) -> tuple[AuditSample, list[SheetRow]]:
    order = sheet_order(drawn.strata, drawn.hashes)
    rows: list[dict[str, Any]] = drawn.shown[0].take(pa.array(order)).to_pylist() if drawn.shown else []
    uids = tuple(str(row[UID]) for row in rows)
    sheet = [
        SheetRow(uid, str(row.get(URL) or row.get(IMAGE_PATH) or ""), str(row.get(TEXT) or ""))
        for uid, row in zip(uids, rows, strict=True)
    ]
    return AuditSample(tuple(strata), uids, tuple(int(stratum) for stratum in drawn.strata[order])), sheet
