"""List the rows that a finished table dropped: step, reason, place in the source, and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import IMAGE, IMAGE_ERROR, UID, is_vector
from poolwright.core.errors import ChangedError, InputError, RecipeError, did_you_mean
from poolwright.core.results.rows_file import kind_of, write_file
from poolwright.core.table import ReasonRecord, Table, TableRecord
from poolwright.inspect.views.dropped import MOST_WITH_VECTORS, Fallen, Replay, fallen, replay_of
from poolwright.kernels.selection.spelling import loosely
from poolwright.run.plan import TablePlan
from poolwright.run.run import Run

QUARANTINED = "quarantined"
_OWN = pa.schema(
    [
        pa.field(UID, pa.string()),
        pa.field("step", pa.int32()),
        pa.field("verb", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("because", pa.string()),
        pa.field("part", pa.string()),
        pa.field("row", pa.int64()),
    ]
)
_NAMED = 5


@dataclass(frozen=True)
class DroppedCount:
    """Rows that a table dropped for one reason.

    Attributes:
        step: number of the step from 1; 0 for what was dropped before the first.
        verb: the step; 'read' before the first.
        reason: short name, as in the ledger.
        because: the reason as people read it.
        bad: whether the rows are broken rather than unwanted.
        rows: how many; None if the number of rows of a quarantined part is unknown.
    """

    step: int
    verb: str
    reason: str
    because: str
    bad: bool
    rows: int | None


@dataclass(frozen=True)
class LedgerSummary:
    """What a table dropped, by step and reason, with its quarantined parts last."""

    table: str
    rows_in: int
    rows_kept: int
    dropped: tuple[DroppedCount, ...]


@dataclass(frozen=True)
class DroppedRows:
    """Dropped rows of a table, which are read from its source when they are iterated over.

    Attributes:
        summary: what the table dropped in all.
    """

    summary: LedgerSummary
    _open: Callable[[], _Reader] = field(repr=False)

    @cached_property
    def _reader(self) -> _Reader:
        return self._open()

    @property
    def schema(self) -> pa.Schema:
        """`uid`, `step`, `verb`, `reason`, `because`, `part`, `row`, and the columns of the rows.

        Raises:
            RecipeError: dropped rows do not have one of the columns that were asked for.
            InputError: the table only counts the rows that it drops.
            ChangedError: the source is not what the table was made from, so that other rows may be at their places.
        """
        return self._reader.schema

    @property
    def notes(self) -> tuple[str, ...]:
        """What is left out of the rows, in sentences."""
        return self._reader.notes

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches, in the order of the source; memory does not grow with their number.

        Raises:
            PoolwrightError: as `schema`.
            InputError: none of the dropped rows has one of the uids that were asked for.
        """
        return self._reader.batches()

    def to_arrow(self) -> pa.Table:
        """Read all rows into memory."""
        return pa.Table.from_batches(self, self.schema)

    def write(self, to: str | Path, kind: str | None = None) -> Path:
        """Write the rows to a file.

        Args:
            to: path of the file.
            kind: 'csv', 'parquet' or 'jsonl'; default as the name of the file ends.
        """
        write_file(self, self.schema, Path(to), kind_of(Path(to), kind))
        return Path(to)


def summary_of(record: TableRecord) -> LedgerSummary:
    """Count what a table dropped, by step and reason."""
    reasons = {(reason.step, reason.name): reason for reason in record.reasons}
    found = [
        _count(reasons[row.step, name], rows) for row in record.funnel for name, rows in row.dropped.items() if rows
    ]
    found += [
        DroppedCount(0, "read", QUARANTINED, f"{part.name}: {part.quarantined}", True, part.rows)
        for part in record.quarantined
    ]
    return LedgerSummary(record.name, record.rows_in, record.rows_kept, tuple(found))


def _count(reason: ReasonRecord, rows: int) -> DroppedCount:
    return DroppedCount(reason.step + 1, reason.verb, reason.name, reason.words, reason.bad, rows)


def ledger_of(
    run: Run,
    name: str,
    reason: str | None = None,
    step: str | int | None = None,
    uids: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> DroppedRows:
    """Find the dropped rows of a finished table; no row is read before they are iterated over.

    Args:
        run: the run of the table.
        name: name of the table.
        reason: only rows that were dropped for this reason.
        step: only rows that this step dropped: its verb, or its number from 1; 0 or 'read' is what comes before.
        uids: only rows with these uids.
        columns: columns of the rows; by default those that are neither vectors nor images.

    Raises:
        RecipeError: there is no such table, reason or step.
        InputError: the table is not finished.
    """
    table = run.table(name)
    codes = _codes(table.record, reason, step)
    quarantined = reason in (None, QUARANTINED) and (step is None or _is_step(step, 0, "read")) and not uids
    wanted = _Wanted(tuple(codes), tuple(uids), quarantined)
    return DroppedRows(summary_of(table.record), lambda: _open(run, table, wanted, columns))


def _open(run: Run, table: Table, wanted: _Wanted, columns: Sequence[str] | None) -> _Reader:
    name = table.name
    if not run.recipe.tables[name].full_ledger:
        raise InputError(
            f"table '{name}' counts the rows that it drops and does not list them, as the recipe says 'ledger: counts'"
        )
    if changed := run.changed(name):
        raise ChangedError(
            f"table '{name}': the rows that it dropped are read from its source, which is not what it was made from: "
            f"{'; '.join(changed[:3])}. Undo the change; `poolwright ledger` without options counts them by reason"
        )
    plan = run.plan(name)
    replay = replay_of(plan, table, columns is not None or table.record.rows_dropped <= MOST_WITH_VECTORS)
    replay = replay if columns is None else _only(replay, plan, columns)
    left_out = _left_out(plan, replay) if columns is None else []
    notes = [f"left out, as a model or vectors give them: {', '.join(left_out)}"] if left_out else []
    return _Reader(table, plan, replay, wanted, _shown(replay, columns), tuple(notes))


def _codes(record: TableRecord, reason: str | None, step: str | int | None) -> list[int]:
    """Return the ledger codes of a reason and a step, after checking that there are such."""
    reasons = {one.name for one in record.reasons} | {QUARANTINED}
    if reason is not None and reason not in reasons:
        raise RecipeError(f"table '{record.name}' has no reason '{reason}'; {did_you_mean(reason, reasons)}")
    verbs = {"read", *(one.verb for one in record.steps)}
    if step is not None and not _is_number(step) and step not in verbs:
        raise RecipeError(f"table '{record.name}' has no step '{step}'; {did_you_mean(str(step), verbs)}")
    if _is_number(step) and not 0 <= int(step or 0) <= len(record.steps):
        raise RecipeError(f"table '{record.name}' has no step {step}; it has {len(record.steps)}")
    return [
        one.code
        for one in record.reasons
        if (reason is None or one.name == reason) and (step is None or _is_step(step, one.step + 1, one.verb))
    ]


def _is_number(step: str | int | None) -> bool:
    return isinstance(step, int) or (isinstance(step, str) and step.isdecimal())


def _is_step(step: str | int, number: int, verb: str) -> bool:
    return int(step) == number if _is_number(step) else step == verb


def _only(replay: Replay, plan: TablePlan, columns: Sequence[str]) -> Replay:
    """Return the part of a replay that gives these columns, and reads what they are made from."""
    source = set(plan.source.schema.names)
    known = {*source, *replay.schema.names}
    wanted, steps = set(columns), []
    for name in columns:
        if name not in known:
            made = next((one.step.verb for one in plan.steps if name in one.gives), None)
            why = f"'{made}' makes it, which is not repeated for dropped rows; see `poolwright why`" if made else ""
            raise RecipeError(
                f"table '{plan.name}': no column '{name}' of dropped rows; {why or did_you_mean(name, known)}"
            )
    for one in reversed(replay.steps):
        if set(one.gives) & wanted:
            steps.append(one)
            wanted = wanted | set(one.reads)
    reads = tuple(name for name in plan.source.schema.names if name in wanted | {UID})
    return replace(replay, steps=tuple(reversed(steps)), reads=reads)


def _shown(replay: Replay, columns: Sequence[str] | None) -> tuple[str, ...]:
    names = columns if columns is not None else replay.schema.names
    vectors = [field.name for field in replay.schema if is_vector(field.type)]
    hidden = {UID} if columns is not None else {UID, IMAGE, IMAGE_ERROR, *vectors}
    return tuple(dict.fromkeys(name for name in names if name not in hidden))


def _left_out(plan: TablePlan, replay: Replay) -> list[str]:
    given = {name: field for step in plan.steps if step.step.kind != "split" for name, field in step.gives.items()}
    known = {*replay.schema.names, *plan.source.schema.names}
    return [name for name, field in given.items() if name not in known and not is_vector(field.type)]


def _named(column: str) -> str:
    """Return a name for a column of the rows that is none of the ledger's own."""
    return f"source.{column}" if column in _OWN.names else column


def _plain(field: pa.Field) -> pa.Field:
    field = field.with_nullable(True)
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


@dataclass(frozen=True)
class _Wanted:
    """The dropped rows to read: ledger codes, uids if not all, and whether quarantined parts are among them."""

    codes: tuple[int, ...]
    uids: tuple[str, ...]
    quarantined: bool


@dataclass(frozen=True)
class _Reader:
    """Reads dropped rows with the columns `shown` from the source."""

    table: Table
    plan: TablePlan
    replay: Replay
    wanted: _Wanted
    shown: tuple[str, ...]
    notes: tuple[str, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        fields = [self.replay.schema.field(name).with_name(_named(name)) for name in self.shown]
        return pa.schema([*_OWN, *(_plain(field) for field in fields)])

    def batches(self) -> Iterator[pa.RecordBatch]:
        looked = _LookedFor(self.wanted.uids) if self.wanted.uids else None
        for gone in fallen(self.table):
            here, at = np.isin(gone.codes, self.wanted.codes), 0
            if not here.any():
                continue
            gone = Fallen(gone.part, gone.rows[here], gone.codes[here])
            for rows in self.replay.read(gone):
                some = slice(at, at + rows.num_rows)
                table = self._described(Fallen(gone.part, gone.rows[some], gone.codes[some]), rows)
                at += rows.num_rows
                yield from (table if looked is None else looked.among(table)).to_batches()
        if self.wanted.quarantined:
            yield from self._quarantined()
        if looked is not None and looked.missing():
            raise looked.error(self.table)

    def _described(self, gone: Fallen, rows: pa.Table) -> pa.Table:
        reasons = {one.code: one for one in self.table.record.reasons}
        found, index = np.unique(gone.codes, return_inverse=True)
        known = [reasons[int(code)] for code in found]
        of_reason = (
            pa.array([one.step + 1 for one in known], pa.int32()),
            *(pa.array([getattr(one, what) for one in known], pa.string()) for what in ("verb", "name", "words")),
        )
        part = self.plan.source.parts[gone.part]
        values = [
            rows.column(UID),
            *(column.take(pa.array(index)) for column in of_reason),
            pa.repeat(pa.scalar(part.name), rows.num_rows),
            pa.array(gone.rows + part.start),
            *(rows.column(name) for name in self.shown),
        ]
        cast = [column.cast(field.type) for column, field in zip(values, self.schema, strict=True)]
        return pa.table(cast, schema=self.schema)

    def _quarantined(self) -> Iterator[pa.RecordBatch]:
        """Yield a row per quarantined part."""
        own = {"step": 0, "verb": "read", "reason": QUARANTINED}
        rows = [{**own, "because": part.quarantined, "part": part.name} for part in self.table.record.quarantined]
        yield from pa.Table.from_pylist(rows, schema=self.schema).to_batches()


class _LookedFor:
    """Uids that are looked for among dropped rows."""

    def __init__(self, uids: Sequence[str]) -> None:
        self.uids = pa.array(list(dict.fromkeys(uids)), pa.string())
        self.found: set[str] = set()
        self.close: dict[str, str] = {}
        self.loose = loosely(self.uids)

    def among(self, rows: pa.Table) -> pa.Table:
        """Return the rows that are looked for; remember those that come close."""
        uids = rows.column(UID)
        kept = rows.filter(pc.is_in(uids, value_set=self.uids))
        self.found.update(kept.column(UID).to_pylist())
        for keys, wanted in zip(loosely(uids), self.loose, strict=True):
            for at in pc.indices_nonzero(pc.is_in(keys, value_set=wanted)).to_pylist():
                meant = self.uids[wanted.index(keys[at]).as_py()].as_py()
                self.close.setdefault(meant, uids[at].as_py())
        return kept

    def missing(self) -> list[str]:
        return [uid for uid in self.uids.to_pylist() if uid not in self.found]

    def error(self, table: Table) -> InputError:
        """Say which uids no dropped row has, and what comes close to them."""
        missing, kept = self.missing(), set[str]()
        for rows in table.batches([UID]):
            uids = rows.column(UID)
            kept.update(uids.filter(pc.is_in(uids, value_set=pa.array(missing, uids.type))).to_pylist())
        words = [f"'{uid}'{self._words(uid, kept)}" for uid in missing[:_NAMED]]
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        return InputError(
            f"table '{table.name}' dropped no row with the uid {', '.join(words)}{more}; "
            "`poolwright why` follows a row through all tables"
        )

    def _words(self, uid: str, kept: set[str]) -> str:
        if uid in kept:
            return " (it was kept)"
        return f" (did you mean '{self.close[uid]}'?)" if uid in self.close else ""
