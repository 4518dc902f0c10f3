"""Flow: takes the rows of one unit through the steps, batch by batch, as workers do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.errors import InputError
from poolwright.core.rows import Rows, one_array
from poolwright.core.state import State
from poolwright.core.step import Outcome
from poolwright.run.plan import StepPlan, TablePlan, wrong_step
from poolwright.run.sources.earlier import EarlierRows, HeldColumns
from poolwright.run.sources.reached import LastPasses, Reached
from poolwright.run.sources.source import Unit
from poolwright.run.timing import READ, Spent

ADMIT = "00-admit"
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Batch:
    """Some consecutive rows of one part, after some steps.

    Attributes:
        part: index of the part.
        start: number of the first row within the part.
        codes: uint16 (n,): 0 for live rows, else the ledger code they were dropped with.
        rows: the live rows, with the columns that were asked for.
        tallies: counts of steps over the rows that reached them, by '<step name>.<tally>'.
    """

    part: int
    start: int
    codes: np.ndarray
    rows: Rows
    tallies: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    """A table's plan with its folder: everything that a worker needs, small enough to be sent to it.

    Attributes:
        plan: the steps over the source.
        folder: the table's folder; states and stages are read from it.
        units: the pieces of each unit.
        quarantined: parts that are left out.
        batch_rows: rows per batch.
        earlier: rows of an earlier table, whose costly columns are reused.
        passes: what the last passes over the units found; None if every pass applies all steps.
    """

    plan: TablePlan
    folder: Path
    units: tuple[Unit, ...]
    quarantined: frozenset[int] = frozenset()
    batch_rows: int = BATCH_ROWS
    earlier: EarlierRows | None = None
    passes: LastPasses | None = field(default=None, compare=False)

    def batches(self, unit: int, upto: int, columns: Sequence[str], spent: Spent | None = None) -> Iterator[Batch]:
        """Yield the rows of a unit after the steps before `upto`, with `columns` of the live rows.

        Args:
            spent: receives the time that reading and each step took.

        Raises:
            BadPart: a part of the unit cannot be read.
        """
        stage = self.stage_before(upto)
        reached = self._reached(unit, upto, columns, stage)
        pending = self.plan.steps[reached.steps if reached else stage or 0 : upto]
        states = [self.state(plan.name) for plan in pending]
        reused = self._reused(upto)
        batches = self._read_rows(unit, upto, columns, stage, reached)
        spent = spent or Spent()
        later = self.passes if pending and upto < len(self.plan.steps) else None
        codes, tallies = [np.zeros(0, np.uint8)], dict[str, np.ndarray]()
        for read in spent.drawn(READ, batches):
            batch = _advance(read, pending, states, columns, spent, reused)
            if later:
                codes.append(batch.codes.astype(np.min_scalar_type(batch.codes.max(initial=0))))
                add_tallies(tallies, batch.tallies)
            yield batch
        if later:
            later.keep(unit, Reached(upto, np.concatenate(codes), tallies))

    def _reached(self, unit: int, upto: int, columns: Sequence[str], stage: int | None) -> Reached | None:
        """Return what the last pass found, if it was after the stage and no step before gave what is needed now."""
        reached = self.passes.of(unit) if self.passes is not None else None
        if reached is None or not (stage or 0) < reached.steps <= upto:
            return None
        wanted = columns_to_read(self.plan.steps[reached.steps : upto], columns)
        return None if set(wanted) & set(self.plan.derived(reached.steps)) else reached

    def _read_rows(
        self, unit: int, upto: int, columns: Sequence[str], stage: int | None, reached: Reached | None
    ) -> Iterator[Batch]:
        wanted = columns_to_read(self.plan.steps[stage or 0 : upto], columns)
        if reached is None:
            return self._from_source(unit, wanted) if stage is None else self._from_stage(unit, stage, wanted)
        if upto < len(self.plan.steps):
            wanted = columns_to_read(self.plan.steps[reached.steps : upto], columns)
        elif stage is not None:  # the last pass reads all that steps did, for what the pool has to note of it
            wanted = [name for name in wanted if name not in self.plan.derived(stage)]
        return self._from_codes(unit, wanted or [UID], reached.codes, reached.tallies)

    def stage_before(self, upto: int) -> int | None:
        """Return the last step at or before `upto` before whose fit the run saved the columns given so far."""
        saved = [stage for stage in self.plan.stages if stage <= upto and (self.folder / stage_folder(stage)).exists()]
        return saved[-1] if saved else None

    def _reused(self, upto: int) -> Mapping[int, HeldColumns]:
        """Return what is held of earlier rows by the steps before `upto` whose columns are taken from there."""
        if self.earlier is None:
            return {}
        states = self.folder / "states"
        digests = {plan.index: State.digest(states, plan.name) for plan in self.plan.steps[:upto]}
        return self.earlier.reused(self.plan, upto, digests)

    def state(self, name: str) -> State:
        """Return a fitted state, read once per process."""
        return load_state(self.folder / "states", name)

    def _from_source(self, unit: int, columns: Sequence[str]) -> Iterator[Batch]:
        refused = self._refused()
        for part, start, table in self._read(unit, columns):
            codes = _refused_codes(refused.get(part), start, table.num_rows)
            rows = Rows(table) if not codes.any() else Rows(table).filter(codes == 0)
            yield Batch(part, start, codes, rows)

    def _read(self, unit: int, columns: Sequence[str]) -> Iterator[tuple[int, int, pa.Table]]:
        """Yield (part, number of the first row within it, rows) of a unit, batch by batch."""
        for piece in self.units[unit]:
            if piece.part in self.quarantined:
                continue
            start = piece.start
            for table in self.plan.source.read_piece(piece, columns, self.batch_rows):
                yield piece.part, start, table
                start += table.num_rows

    def _refused(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        if not (self.folder / "states" / f"{ADMIT}.json").exists():
            return {}
        state = self.state(ADMIT)
        return refused_rows(state.tables["refused"]) if "refused" in state.tables else {}

    def _from_stage(self, unit: int, stage: int, columns: Sequence[str]) -> Iterator[Batch]:
        given, codes, tallies = self._read_stage(self.folder / stage_folder(stage), unit)
        derived = [name for name in self.plan.derived(stage) if name in columns]
        stored = [name for name in columns if name not in derived] or [UID]
        taken = 0
        for batch in self._from_codes(unit, stored, codes, tallies):
            live, count = batch.rows.table, len(batch.rows)
            for name in derived:
                live = live.append_column(given.field(name), given.column(name).slice(taken, count))
            yield replace(batch, rows=Rows(live))
            taken += count

    def _from_codes(
        self, unit: int, columns: Sequence[str], codes: np.ndarray, tallies: Mapping[str, np.ndarray]
    ) -> Iterator[Batch]:
        """Yield the rows of a unit whose codes are known; the first batch has the tallies."""
        at = 0
        for part, start, table in self._read(unit, columns):
            here = codes[at : at + table.num_rows].astype(np.uint16)
            rows = Rows(table).filter(here == 0) if here.any() else Rows(table)
            yield Batch(part, start, here, rows, tallies)
            at, tallies = at + table.num_rows, {}

    def _read_stage(self, folder: Path, unit: int) -> tuple[pa.Table, np.ndarray, dict[str, np.ndarray]]:
        """Return the saved columns of a unit, the codes of its rows and its tallies.

        Raises:
            InputError: a file is missing or damaged.
        """
        try:
            codes, tallies = np.load(folder / f"unit-{unit:05d}.codes.npy"), read_tallies(folder, unit)
            with pa.memory_map(str(folder / f"unit-{unit:05d}.arrow")) as file:
                given = pa.ipc.open_file(file).read_all()
            if len(given) != np.count_nonzero(codes == 0):
                raise ValueError("its files differ in their number of rows")
        except (FileNotFoundError, EOFError, ValueError, AttributeError, TypeError, pa.ArrowException) as error:
            raise InputError(
                f"{folder}: the saved columns of unit {unit} are damaged: {error}; start the table over: "
                f"--fresh {self.folder.name}"
            ) from None
        return given, codes, tallies


def stage_folder(stage: int) -> str:
    """Return the folder, within the table's, of the columns given before step `stage`."""
    return f"work/stage-{stage:02d}"


def tallies_file(folder: Path, unit: int) -> Path:
    """Return the file in which a stage keeps the tallies of its steps over a unit."""
    return folder / f"unit-{unit:05d}.tallies.json"


def read_tallies(folder: Path, unit: int) -> dict[str, np.ndarray]:
    """Read what `tallies_file` names."""
    found = json.loads(tallies_file(folder, unit).read_text(encoding="utf-8"))
    return {name: np.array(counts, np.int64) for name, counts in found.items()}


def add_tallies(total: dict[str, np.ndarray], more: Mapping[str, np.ndarray]) -> None:
    """Add counts to `total`, in place."""
    for name, counts in more.items():
        total[name] = total[name] + counts if name in total else np.asarray(counts, np.int64)


def columns_to_read(pending: Sequence[StepPlan], columns: Sequence[str]) -> list[str]:
    """Return the columns that must be read so that `columns` exist after the pending steps."""
    wanted = set(columns)
    order: list[str] = list(columns)
    for plan in reversed(pending):
        wanted = (wanted - set(plan.gives)) | set(plan.reads)
        order += plan.reads
    return [name for name in dict.fromkeys(order) if name in wanted]


def _advance(
    batch: Batch,
    pending: Sequence[StepPlan],
    states: Sequence[State],
    columns: Sequence[str],
    spent: Spent,
    reused: Mapping[int, HeldColumns],
) -> Batch:
    rows, codes, tallies = batch.rows, batch.codes, dict(batch.tallies)
    for index, (plan, state) in enumerate(zip(pending, states, strict=True)):
        with spent.on(plan.name):
            outcome = None
            if plan.index in reused:
                places = batch.start + np.flatnonzero(codes == 0)
                known, values = reused[plan.index].find(batch.part, places, list(plan.gives))
                outcome = _partly_known(plan, state, rows, known, values) if values is not None else None
            rows, drop, counted = apply_step(plan, state, rows, outcome)
        add_tallies(tallies, {f"{plan.name}.{name}": counts for name, counts in counted.items()})
        needed = columns_to_read(pending[index + 1 :], columns)
        rows = rows.select(needed) if set(needed) <= set(rows.schema.names) else rows
        if drop is not None and drop.any():
            live = np.flatnonzero(codes == 0)
            codes[live[drop > 0]] = plan.first_code - 1 + drop[drop > 0].astype(np.uint16)
            rows = rows.filter(drop == 0)
    return Batch(batch.part, batch.start, codes, rows.select(columns), tallies)


def _partly_known(plan: StepPlan, state: State, rows: Rows, known: np.ndarray, values: pa.Table) -> Outcome | None:
    """Apply a step to the rows whose values are not known; None if it has to see all of them, since it counts them.

    Args:
        known: bool (n,): the rows whose values are known; the step kept them.
        values: its columns for those rows, in order.
    """
    rest = plan.step.apply(rows.filter(~known).select(plan.reads), state)
    if rest.tallies or set(rest.columns) != set(plan.gives):
        return None
    place = np.empty(len(known), np.int64)
    place[known] = np.arange(len(values))
    place[~known] = len(values) + np.arange(len(known) - len(values))
    columns = {}
    for name, given in plan.gives.items():
        arrays = [one_array(values.column(name)), rest.columns[name]]
        columns[name] = pa.concat_arrays([array.cast(given.type) for array in arrays]).take(pa.array(place))
    drop = None
    if rest.drop is not None:
        drop = np.zeros(len(known), rest.drop.dtype)
        drop[~known] = rest.drop
    return Outcome(columns, drop)


def apply_step(
    plan: StepPlan, state: State, rows: Rows, outcome: Outcome | None = None
) -> tuple[Rows, np.ndarray | None, Mapping[str, np.ndarray]]:
    """Apply one step to some rows: return the rows with its columns, its drop codes, and its tallies.

    Args:
        outcome: what the step said of the rows, if that is known.

    Raises:
        StepError: the step broke its contract.
    """
    outcome = outcome or plan.step.apply(rows.select(plan.reads), state)
    if outcome.drop is not None and len(outcome.drop) != len(rows):
        raise wrong_step(plan, f"{len(outcome.drop)} decisions for {len(rows)} rows")
    if set(outcome.columns) != set(plan.gives):
        raise wrong_step(plan, f"gives {sorted(outcome.columns)}, promised {sorted(plan.gives)}")
    for name, values in outcome.columns.items():
        if len(values) != len(rows):
            raise wrong_step(plan, f"{len(values)} values of '{name}' for {len(rows)} rows")
    gone = [name for name in plan.takes if name not in plan.gives]
    return rows.give(outcome.columns, plan.gives).without(gone), outcome.drop, outcome.tallies


def refused_rows(refused: pa.Table) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the row numbers and codes of the rows that admission refused, by part."""
    parts, rows, codes = (refused.column(name).to_numpy() for name in ("part", "row", "code"))
    return {int(part): (rows[parts == part], codes[parts == part]) for part in np.unique(parts)}


def _refused_codes(refused: tuple[np.ndarray, np.ndarray] | None, start: int, count: int) -> np.ndarray:
    codes = np.zeros(count, np.uint16)
    if refused is not None:
        here = (refused[0] >= start) & (refused[0] < start + count)
        codes[refused[0][here] - start] = refused[1][here]
    return codes


_STATES = threading.Lock()


def load_state(folder: Path, name: str) -> State:
    """Load a state as one object per process, so that it is read once, and steps derive from it once what they need."""
    digest = State.digest(folder, name)
    with _STATES:
        return _cached_state(folder, name, digest)


@lru_cache(maxsize=64)
def _cached_state(folder: Path, name: str, digest: str) -> State:
    return _fitted.pop((folder, name, digest), None) or State.load(folder, name)


_fitted: dict[tuple[Path, str, str], State] = {}


def keep_fitted(folder: Path, name: str, digest: str, state: State) -> None:
    """Remember a state that this process fitted and saved with that digest, so that it need not be read back."""
    _fitted[folder, name, digest] = state
