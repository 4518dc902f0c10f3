"""Admits the rows of a pool: finds rows without a uid, rows that repeat one, and unreadable rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import iadd

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ROW_ERROR, UID
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.table import LEDGER_SCHEMA
from poolwright.kernels.selection.hashing import hash64
from poolwright.run.batches import Flow
from poolwright.run.phase import Phase

_HASH_KEY = 0x706F6F6C  # any fixed key: these hashes only find candidates
_HASHES_AT_ONCE = 200_000_000
"""Hashes compared at a time: eight bytes each, in the memory of the driving process."""


def admit(flow: Flow, phase: Phase) -> State:
    """Find the rows of a pool that are refused: no uid (code 1), the uid of an earlier row (code 2), or a row
    that the pool could not read (code 3).

    Hashes of all uids are compared, in slices of the hash range if there are many; rows whose
    hash repeats are then compared by the uid itself, so that two uids with the same hash stay two.
    """
    rows = sum(part.rows or 0 for part in flow.plan.source.parts)
    slices = max(1, -(-rows // _HASHES_AT_ONCE))
    refused: list[tuple[int, int, int]] = []
    repeated: list[np.ndarray] = []
    for index in range(slices if flow.units else 0):
        found = phase.reduce(UidHashes(flow, index, slices), Admitted.merge)
        hashes = np.concatenate([np.empty(0, np.uint64), *found.hashes])
        found.hashes.clear()
        hashes.sort()
        repeated.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
        if index == 0:
            refused = found.refused
    again = np.concatenate([np.empty(0, np.uint64), *repeated])
    duplicates = _duplicates(flow, phase, again) if len(again) else []
    return _state(refused + [(part, row, 2) for part, row in duplicates])


def _state(refused: list[tuple[int, int, int]]) -> State:
    codes = [code for *_, code in refused]
    values = {"missing": codes.count(1), "duplicate": codes.count(2), "unreadable": codes.count(3)}
    if not refused:
        return State(values)
    columns = zip(*sorted(refused), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, LEDGER_SCHEMA, strict=True)]
    return State(values, {"refused": pa.table(arrays, schema=LEDGER_SCHEMA)})


def _duplicates(flow: Flow, phase: Phase, again: np.ndarray) -> list[tuple[int, int]]:
    """Return (part, row) of every row whose uid an earlier row has."""
    repeats = phase.reduce(UidsOfHashes(flow, again), iadd)
    seen: set[str] = set()
    found = []
    for part, row, uid in sorted(repeats):
        if uid in seen:
            found.append((part, row))
        seen.add(uid)
    return found


@dataclass
class Admitted:
    """The findings of the units of a pass.

    Attributes:
        hashes: of the uids within one slice of the range, batch by batch.
        refused: (part, row, code) of the rows that have no uid or could not be read.
    """

    hashes: list[np.ndarray] = field(default_factory=list)
    refused: list[tuple[int, int, int]] = field(default_factory=list)

    def merge(self, other: Admitted) -> Admitted:
        """Add the findings of later units."""
        self.hashes += other.hashes
        self.refused += other.refused
        return self


@dataclass(frozen=True)
class UidHashes:
    """The function that a unit runs: hashes of its uids, and its refused rows."""

    flow: Flow
    slice: int
    slices: int

    def __call__(self, unit: int) -> Admitted:
        admitted = Admitted()
        for batch in self.flow.batches(unit, 0, _columns(self.flow)):
            codes = _codes(batch.rows)
            admitted.refused += [(batch.part, batch.start + int(row), int(codes[row])) for row in np.flatnonzero(codes)]
            found = hash64(batch.rows.column(UID), _HASH_KEY)[codes == 0]
            if self.slices > 1:
                found = found[found % np.uint64(self.slices) == self.slice]
            admitted.hashes.append(found)
        return admitted


@dataclass(frozen=True)
class UidsOfHashes:
    """The function that a unit runs: (part, row, uid) of rows whose uid has one of some hashes."""

    flow: Flow
    hashes: np.ndarray

    def __call__(self, unit: int) -> list[tuple[int, int, str]]:
        found = []
        for batch in self.flow.batches(unit, 0, _columns(self.flow)):
            uids = batch.rows.column(UID)
            rows = np.flatnonzero(np.isin(hash64(uids, _HASH_KEY), self.hashes) & (_codes(batch.rows) == 0))
            found += [(batch.part, batch.start + int(row), uids[int(row)].as_py()) for row in rows]
        return found


def _columns(flow: Flow) -> list[str]:
    return [UID, ROW_ERROR] if ROW_ERROR in flow.plan.source.schema.names else [UID]


def _codes(rows: Rows) -> np.ndarray:
    """Return uint8 (n,): 3 for rows that could not be read, 1 for rows without uid, 0 for others."""
    codes = _empty(rows.column(UID)).astype(np.uint8)
    if ROW_ERROR in rows.schema.names:
        codes[pc.is_valid(rows.column(ROW_ERROR)).to_numpy(zero_copy_only=False)] = 3
    return codes


def _empty(uids: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.equal(pc.binary_length(uids), 0), True).to_numpy(zero_copy_only=False))
