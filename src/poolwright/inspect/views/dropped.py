"""Reads dropped rows of a finished table from its source, with the columns that cheap steps gave them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR, is_vector
from poolwright.core.errors import PoolwrightError
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.run.batches import Flow, apply_step
from poolwright.run.plan import StepPlan, TablePlan
from poolwright.run.sources.source import Piece

BATCH_ROWS = 65_536
MOST_WITH_VECTORS = 200_000
"""If more rows were dropped, steps that read vectors are not replayed: a label costs a tenth of a millisecond."""


@dataclass(frozen=True)
class Fallen:
    """Dropped rows of one part of the source: row within the part, ascending, and ledger code."""

    part: int
    rows: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]


def fallen(table: Table) -> Iterator[Fallen]:
    """Read the ledger by part of the source, in order; one part is in memory at a time."""
    part = -1
    rows: list[npt.NDArray[np.int64]] = []
    codes: list[npt.NDArray[np.int64]] = []
    for record in table.record.parts:
        if not record.dropped:
            continue
        ledger = table.read_file(record.ledger)
        parts = ledger.column("part").to_numpy()
        for at in np.unique(parts):
            if at != part and rows:
                yield Fallen(part, np.concatenate(rows), np.concatenate(codes))
                rows, codes = [], []
            part = int(at)
            here = parts == at
            rows.append(ledger.column("row").to_numpy()[here].astype(np.int64))
            codes.append(ledger.column("code").to_numpy()[here].astype(np.int64))
    if rows:
        yield Fallen(part, np.concatenate(rows), np.concatenate(codes))


@dataclass(frozen=True)
class Replay:
    """Reads dropped rows of a source and applies the cheap steps they went through before they were dropped.

    Steps that need images or give vectors are never repeated; those that read vectors only if `with_vectors`.
    Columns of other steps are null for dropped rows.

    Attributes:
        plan: the table's steps over its source.
        table: the finished table.
        steps: the steps that are applied.
        reads: columns of the source that are read.
    """

    plan: TablePlan
    table: Table
    steps: tuple[StepPlan, ...]
    reads: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """Columns of the rows: those of the source, and those that the steps give."""
        fields = {field.name: field for field in self.plan.source.schema if field.name in self.reads}
        for step in self.steps:
            fields |= step.gives
        return pa.schema(list(fields.values()))

    def read(self, gone: Fallen) -> Iterator[pa.Table]:
        """Yield the rows of one part, in batches, with the columns of `schema`; null if dropped before the step."""
        reasons = {reason.code: reason.step for reason in self.table.record.reasons}
        fell_at = np.array([reasons[int(code)] for code in gone.codes], np.int64)
        for first, rows in pick_rows(self.plan, gone, self.reads):
            yield self._replayed(rows, fell_at[first : first + rows.num_rows])

    def _replayed(self, rows: pa.Table, fell_at: npt.NDArray[np.int64]) -> pa.Table:
        for step in self.steps:
            live = np.flatnonzero(fell_at >= step.index)
            given = self._given(step, rows.take(pa.array(live))) if len(live) else {}
            for name, field in step.gives.items():
                rows = _put(rows, field, given.get(name), live)
        return rows.select(self.schema.names)

    def _given(self, step: StepPlan, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
        state = Flow(self.plan, self.table.folder, ()).state(step.name)
        after, _, _ = apply_step(step, state, Rows(rows))
        return {name: after.table.column(name) for name in step.gives}


def replay_of(plan: TablePlan, table: Table, with_vectors: bool) -> Replay:
    """Make the replay of those steps that can be applied to the source's columns."""
    available = {field.name for field in plan.source.schema if with_vectors or not is_vector(field.type)}
    available -= {IMAGE, IMAGE_ERROR}
    reads = {field.name for field in plan.source.schema if field.name in available and not is_vector(field.type)}
    given: set[str] = set()
    steps = []
    for step in plan.steps:
        if (step.step.kind == "choose" and step.step.labelled_by) or not step.gives:
            continue
        encodes = any(is_vector(field.type) for field in step.gives.values())
        if set(step.reads) <= available and not encodes:
            steps.append(step)
            reads |= set(step.reads) - given
            given |= set(step.gives)
            available |= set(step.gives)
        else:
            available -= set(step.gives)
    ordered = [name for name in plan.source.schema.names if name in reads]
    return Replay(plan, table, tuple(steps), tuple(ordered))


def pick_rows(plan: TablePlan, gone: Fallen, columns: tuple[str, ...]) -> Iterator[tuple[int, pa.Table]]:
    """Yield (index of the first among the part's dropped rows, rows of the source) in batches."""
    source, at, start = plan.source, 0, 0
    last = int(gone.rows[-1]) + 1
    for batch in source.read_piece(Piece(gone.part, 0, last), list(columns), BATCH_ROWS):
        stop = int(np.searchsorted(gone.rows, start + batch.num_rows))
        if stop > at:
            yield at, batch.take(pa.array(gone.rows[at:stop] - start))
        at, start = stop, start + batch.num_rows
    if at < len(gone.rows):
        name = source.parts[gone.part].name
        raise PoolwrightError(f"{name} has no row {int(gone.rows[at])} any more; it changed since the run")


def _put(rows: pa.Table, field: pa.Field, values: pa.ChunkedArray | None, live: npt.NDArray[np.int64]) -> pa.Table:
    """Return the rows with a column set for those that were live; the others keep their earlier values."""
    index = rows.schema.get_field_index(field.name)
    before = rows.column(index).cast(field.type, safe=False) if index >= 0 else pa.nulls(rows.num_rows, field.type)
    if values is not None:
        values = values.cast(field.type) if values.type != field.type else values
        choice = np.arange(rows.num_rows)
        choice[live] = rows.num_rows + np.arange(len(live))
        both = pa.concat_arrays([_plain(before), _plain(values)])
        before = both.take(pa.array(choice))
    field = pa.field(field.name, before.type)
    return rows.append_column(field, before) if index < 0 else rows.set_column(index, field, before)


def _plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    values = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
