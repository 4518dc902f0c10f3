"""Writes one unit: kept rows, ledger, done-mark; and the stages between fits."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.files import digest_file, write_atomically, write_text
from poolwright.core.parquet import parquet_options, parquet_writer, row_group_rows
from poolwright.core.rows import Rows, in_row_groups, with_missing_as_null
from poolwright.core.runtime.noting import watching
from poolwright.core.table import LEDGER_SCHEMA
from poolwright.run.batches import Batch, Flow, add_tallies, stage_folder, tallies_file
from poolwright.run.timing import Spent

ROW_GROUP_BYTES = 4 << 20
ROW_GROUP_ROWS = 131_072


@dataclass(frozen=True)
class UnitResult:
    """The result of one unit.

    Attributes:
        part_rows: rows read of every part of the unit, by part index.
        kept: rows kept.
        dropped: rows dropped, by ledger code.
        digest, ledger_digest: digests of the two files.
        seconds: wall time of the unit.
        tallies: counts of steps over its rows, by '<step name>.<tally>'.
        spent: seconds by what they were spent on: 'read', names of steps, 'write'.
        noted: number of rows and an example, by what pools noted of them.
        quarantined: parts that were left out of what the steps were fitted with.
    """

    unit: int
    part_rows: dict[int, int]
    kept: int
    dropped: dict[int, int]
    digest: str
    ledger_digest: str
    seconds: float
    tallies: dict[str, list[int]] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    noted: dict[str, tuple[int, str]] = field(default_factory=dict)
    quarantined: list[int] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> UnitResult:
        data: dict[str, Any] = json.loads(text)
        for name in ("part_rows", "dropped"):
            data[name] = {int(key): value for key, value in data[name].items()}
        return cls(**data)


def part_file(unit: int) -> str:
    """Return the name of the file with the kept rows of a unit."""
    return f"part-{unit:05d}.parquet"


def ledger_file(unit: int) -> str:
    """Return the name of the ledger file of a unit."""
    return f"dropped/part-{unit:05d}.parquet"


def done_mark(folder: Path, unit: int) -> Path:
    """Return the path of the done-mark of a unit."""
    return folder / "work" / "done" / f"unit-{unit:05d}.json"


def read_mark(folder: Path, unit: int) -> UnitResult | None:
    """Return what the done-mark of a unit says; None if there is none, or it is damaged: the unit is made again."""
    try:
        return UnitResult.from_json(done_mark(folder, unit).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def done_units(folder: Path, units: int, quarantined: Collection[int] = ()) -> dict[int, UnitResult]:
    """Return the units that are done: their mark exists, and both files match it.

    Args:
        quarantined: parts that are left out; a unit from before one of them was is made again, whoever wrote it since.
    """
    done = {}
    for unit in range(units):
        if (result := read_mark(folder, unit)) and result.quarantined == sorted(quarantined):
            files = {part_file(unit): result.digest, ledger_file(unit): result.ledger_digest}
            if all(_same(folder / name, digest) for name, digest in files.items()):
                done[unit] = result
    return done


def _same(path: Path, digest: str) -> bool:
    return path.exists() and digest_file(path) == digest


@dataclass(frozen=True)
class WriteUnit:
    """The function that a unit runs last: applies all steps, writes the output part and its ledger part.

    Attributes:
        full_ledger: whether every dropped row is listed; else they are only counted.
    """

    flow: Flow
    full_ledger: bool = True

    def __call__(self, unit: int) -> UnitResult:
        begun = perf_counter()
        flow, folder = self.flow, self.flow.folder
        ledger = Ledger(self.full_ledger)
        schema = flow.plan.schema
        spent = Spent()
        batches = ledger.watch(flow.batches(unit, len(flow.plan.steps), schema.names, spent))
        kept = [0]
        with watching() as noted:
            digest = write_atomically(
                folder / part_file(unit), lambda out: _write_rows((batch.rows for batch in batches), schema, out, kept)
            )
        ledger_digest = write_atomically(folder / ledger_file(unit), lambda out: ledger.write(out))
        tallies = {name: counts.tolist() for name, counts in sorted(ledger.tallies.items())}
        seconds = perf_counter() - begun
        result = UnitResult(
            unit,
            ledger.part_rows,
            kept[0],
            ledger.dropped,
            digest,
            ledger_digest,
            round(seconds, 3),
            tallies,
            spent.closed(seconds),
            noted.found,
            sorted(flow.quarantined),
        )
        write_text(done_mark(folder, unit), result.to_json())
        return result


class Ledger:
    """Collects the rows that a unit dropped, at a few bytes per row; only their number if it is not `full`."""

    def __init__(self, full: bool = True) -> None:
        self.full = full
        self.part_rows: dict[int, int] = {}
        self.dropped: dict[int, int] = {}
        self.tallies: dict[str, np.ndarray] = {}
        self._pieces: list[pa.RecordBatch] = []

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on and record the rows they dropped."""
        for batch in batches:
            self._note(batch)
            yield batch

    def _note(self, batch: Batch) -> None:
        self.part_rows[batch.part] = self.part_rows.get(batch.part, 0) + len(batch.codes)
        add_tallies(self.tallies, batch.tallies)
        gone = np.flatnonzero(batch.codes)
        if not len(gone):
            return
        codes = batch.codes[gone]
        for code, count in enumerate(np.bincount(codes)):
            if count:
                self.dropped[code] = self.dropped.get(code, 0) + int(count)
        if not self.full:
            return
        columns = [np.full(len(gone), batch.part, np.int32), (gone + batch.start).astype(np.uint32), codes]
        self._pieces.append(pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=LEDGER_SCHEMA))

    def write(self, out: Any) -> None:
        """Write the ledger as Parquet: runs of parts, small steps of rows and repeated codes compress well."""
        table = pa.Table.from_batches(self._pieces, schema=LEDGER_SCHEMA)
        packed = {"use_dictionary": ["part", "code"], "column_encoding": {"row": "DELTA_BINARY_PACKED"}}
        pq.write_table(table, out, **{**parquet_options(LEDGER_SCHEMA), **packed, "write_statistics": False})


def _write_rows(batches: Iterator[Rows], schema: pa.Schema, out: Any, kept: list[int]) -> None:
    with parquet_writer(out, schema) as writer:
        for table in regroup(batches, schema):
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
            kept[0] += table.num_rows


def regroup(batches: Iterator[Rows], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield kept rows in row groups of one size, whatever batches they came in."""
    size = row_group_rows(schema, ROW_GROUP_BYTES, 256, ROW_GROUP_ROWS)
    groups = in_row_groups((_plain(batch.table, schema) for batch in batches if len(batch)), size)
    first = next(groups, None)
    yield schema.empty_table() if first is None else first
    yield from groups


def _plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return columns as they are stored: the same values whatever form they came in; missing vectors are null."""
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return with_missing_as_null(pa.table(columns, schema=schema))


@dataclass(frozen=True)
class WriteStage:
    """The function that a unit runs before a fit that follows costly steps: saves the columns they gave.

    It returns the seconds by what they were spent on, as in `UnitResult`; nothing if the unit was done before.
    """

    flow: Flow
    stage: int

    def __call__(self, unit: int) -> dict[str, float]:
        folder = self.flow.folder / f"{stage_folder(self.stage)}.partial"
        if (folder / f"unit-{unit:05d}.arrow").exists():
            return {}
        spent, begun = Spent(), perf_counter()
        derived: Sequence[str] = self.flow.plan.derived(self.stage)
        before = self.flow.plan.steps[self.stage].before
        schema = pa.schema([before.field(name) for name in derived])
        codes: list[np.ndarray] = []
        tallies: dict[str, np.ndarray] = {}

        def write(out: Any) -> None:
            with pa.ipc.new_file(out, schema) as writer:
                for batch in self.flow.batches(unit, self.stage, derived, spent):
                    codes.append(batch.codes)
                    add_tallies(tallies, batch.tallies)
                    writer.write_table(_plain(batch.rows.table, schema))

        write_codes = folder / f"unit-{unit:05d}.codes.npy"
        partial = folder / f"unit-{unit:05d}.arrow"
        write_atomically(partial.with_suffix(".columns"), write)
        whole = np.concatenate(codes) if codes else np.zeros(0, np.uint16)
        write_atomically(write_codes, lambda out: np.save(out, whole))
        write_text(tallies_file(folder, unit), json.dumps({name: counts.tolist() for name, counts in tallies.items()}))
        # The name without suffix is the done-mark: it appears once both files are complete.
        partial.with_suffix(".columns").rename(partial)
        return spent.closed(perf_counter() - begun)
