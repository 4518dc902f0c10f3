"""Admits the rows of a pool: finds rows without a uid, rows that repeat one, and unreadable rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import iadd

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ROW_ERROR, UID
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.table import LEDGER_SCHEMA
from poolwright.kernels.selection.hashing import hash64
from poolwright.run.batches import Flow
from poolwright.run.phase import Phase

Integers = npt.NDArray[np.int64]

_HASH_KEY = 0x706F6F6C  # any fixed key: these hashes only find candidates
_HASHES_AT_ONCE = 200_000_000
"""Hashes compared at a time: eight bytes each, in the memory of the driving process."""

_SPARSE, _MOST_SIEVE = 16, 1 << 28
"""Entries of the sieve for each hash, and entries at most."""


def admit(flow: Flow, phase: Phase) -> State:
    """Find the rows of a pool that are refused: no uid (code 1), the uid of an earlier row (code 2), or a row
    that the pool could not read (code 3).

    Hashes of all uids are compared, in slices of the hash range if there are many; rows whose
    hash repeats are then compared by the uid itself, so that two uids with the same hash stay two.
    """
    rows = sum(part.rows or 0 for part in flow.plan.source.parts)
    slices = max(1, -(-rows // _HASHES_AT_ONCE))
    refused: list[Integers] = []
    repeated: list[np.ndarray] = []
    for index in range(slices if flow.units else 0):
        found = phase.reduce(UidHashes(flow, index, slices), Admitted.merge)
        hashes = np.concatenate([np.empty(0, np.uint64), *found.hashes])
        found.hashes.clear()
        hashes.sort()
        same = hashes[1:] == hashes[:-1]
        same[1:] &= ~same[:-1]  # the first of each run of equal hashes
        repeated.append(hashes[1:][same])
        if index == 0:
            refused = found.refused
    again = np.sort(np.concatenate([np.empty(0, np.uint64), *repeated]))
    if len(again):
        refused = [*refused, _duplicates(flow, phase, again)]
    return _state(np.concatenate([np.empty((3, 0), np.int64), *refused], axis=1))


def _state(refused: Integers) -> State:
    """Return the state for rows refused: (part, row, code) of each, (3, n)."""
    codes = np.bincount(refused[2], minlength=4).tolist()
    values = {"missing": codes[1], "duplicate": codes[2], "unreadable": codes[3]}
    if not refused.size:
        return State(values)
    columns = refused[:, np.lexsort((refused[1], refused[0]))]
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, LEDGER_SCHEMA, strict=True)]
    return State(values, {"refused": pa.table(arrays, schema=LEDGER_SCHEMA)})


def _duplicates(flow: Flow, phase: Phase, again: np.ndarray) -> Integers:
    """Return (part, row, 2) of every row whose uid an earlier row has: (3, n)."""
    repeats = phase.reduce(UidsOfHashes(flow, again), iadd)
    places = np.concatenate([np.empty((2, 0), np.int64), *(where for where, _ in repeats)], axis=1)
    uids = pa.chunked_array([uids for _, uids in repeats], pa.large_string())
    repeats.clear()
    part, row = places
    if not ((part[1:] > part[:-1]) | ((part[1:] == part[:-1]) & (row[1:] > row[:-1]))).all():
        order = np.lexsort((row, part))
        places, uids = places[:, order], uids.take(pa.array(order))
    codes = uids.combine_chunks().dictionary_encode().indices.to_numpy()
    # Codes count upwards as new uids appear, so a code that is none above all before it is of an earlier row.
    later = np.zeros(len(codes), bool)
    later[1:] = codes[1:] <= np.maximum.accumulate(codes)[:-1]
    found = places[:, later]
    return np.vstack([found, np.full(found.shape[1], 2)])


@dataclass
class Admitted:
    """The findings of the units of a pass.

    Attributes:
        hashes: of the uids within one slice of the range, batch by batch.
        refused: (part, row, code) of the rows that have no uid or could not be read, (3, n) batch by batch.
    """

    hashes: list[np.ndarray] = field(default_factory=list)
    refused: list[Integers] = field(default_factory=list)

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
            rows = np.flatnonzero(codes)
            if len(rows):
                admitted.refused.append(np.vstack([np.full(len(rows), batch.part), batch.start + rows, codes[rows]]))
            found = hash64(batch.rows.column(UID), _HASH_KEY)[codes == 0]
            if self.slices > 1:
                found = found[found % np.uint64(self.slices) == self.slice]
            admitted.hashes.append(found)
        return admitted


@dataclass(frozen=True)
class UidsOfHashes:
    """The function that a unit runs: (part, row), (2, n), and uids of rows whose uid has one of some hashes, sorted.

    A few others are among them, whose hashes begin with the same bits.
    """

    flow: Flow
    hashes: np.ndarray

    def __call__(self, unit: int) -> list[tuple[Integers, pa.Array]]:
        found = []
        sieve = once("sieve", self.hashes, _sieve)
        for batch in self.flow.batches(unit, 0, _columns(self.flow)):
            uids = batch.rows.column(UID)
            hashes = hash64(uids, _HASH_KEY)
            rows = np.flatnonzero(sieve[_first_bits(hashes, len(sieve))] & (_codes(batch.rows) == 0))
            if len(self.hashes) * _SPARSE > len(sieve):
                nearest = np.minimum(np.searchsorted(self.hashes, hashes[rows]), len(self.hashes) - 1)
                rows = rows[self.hashes[nearest] == hashes[rows]]
            if len(rows):
                picked = uids.take(pa.array(rows)).cast(pa.string()).cast(pa.large_string())
                found.append((np.vstack([np.full(len(rows), batch.part), batch.start + rows]), picked))
        return found


def _sieve(hashes: np.ndarray) -> np.ndarray:
    """Return whether any of some hashes begins with these bits, bool (2^bits,): far quicker than a binary search."""
    sieve = np.zeros(min(1 << (len(hashes) * _SPARSE).bit_length(), _MOST_SIEVE), bool)
    sieve[_first_bits(hashes, len(sieve))] = True
    return sieve


def _first_bits(hashes: np.ndarray, size: int) -> np.ndarray:
    return hashes >> np.uint64(64 - (size.bit_length() - 1))


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
