"""Admits the rows of a pool: finds rows without a uid, rows that repeat one, and unreadable rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import iadd

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ROW_ERROR, UID
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Integers, Spread
from poolwright.core.state import State
from poolwright.core.table import LEDGER_SCHEMA
from poolwright.kernels.selection.hashing import hash64
from poolwright.run.batches import Batch, Flow
from poolwright.run.fit_frame import deal_out
from poolwright.run.phase import Phase

Hashes = npt.NDArray[np.uint64]

_HASH_KEY = 0x706F6F6C  # any fixed key: these hashes only find candidates
_HASHES_AT_ONCE = 1 << 25
"""Rows whose hashes are held in memory; those of more rows are dealt out to files."""
_AT_ONCE = 4_000_000
"""Rows whose uids are compared at a time, in memory; up to this many are not dealt out to files."""
_SOUGHT = 1 << 20
"""Repeated hashes that rows are picked by; if there are more, all rows are compared."""
_FEWEST, _UNITS = 16, 4
"""Partitions at least, and units for each: so there are enough of them if the pool cannot count its rows."""
_ROW_BITS = 40
"""Bits of a place for the row within its part; the part is in those above."""
_MISSING, _DUPLICATE, _UNREADABLE = 1, 2, 3

_HASHED = pa.schema([("hash", pa.uint64())])
"""Hashes of uids; null for a row without uid, or one that cannot be read."""
_REPEATED = pa.schema([("hash", pa.uint64()), ("rows", pa.int64())])
_DEALT = pa.schema([("place", pa.int64()), ("hash", pa.uint64()), ("uid", pa.large_string())])
"""Rows to compare: the place of each, and its uid with the hash of it; without uid, the code that refuses the row."""
_REFUSED = pa.schema([("place", pa.int64()), ("code", pa.uint16())])


def admit(flow: Flow, phase: Phase) -> State:
    """Find the rows of a pool that are refused: no uid (code 1), the uid of an earlier row (code 2), or a row
    that the pool could not read (code 3).

    The hashes of all uids are compared first. Only if some repeat, or rows have none, uids are read again: those of
    these rows, which are compared themselves, so that two uids with the same hash stay two.
    """
    if not flow.units:
        return _state([])
    suspects = _suspects(flow, phase)
    if not suspects.rows:
        return _state([])
    if suspects.rows <= _AT_ONCE and suspects.hashes is not None:
        return _state([refused_of(pa.concat_tables(phase.reduce(UnitUids(flow, suspects), iadd)))])
    partitions = _partitions(flow, sum(part.rows or 0 for part in flow.plan.source.parts))
    rows, deal = UidRows(flow, suspects), ByHash(partitions)
    with deal_out(flow, phase, rows, _DEALT, deal, partitions, "admit") as spread:
        return _state(table for _, table in spread.map("refused", refused_in))


def _partitions(flow: Flow, rows: int) -> int:
    return max(_FEWEST, -(-rows // _AT_ONCE), len(flow.units) // _UNITS)


@dataclass(frozen=True)
class Suspects:
    """Rows that may be refused: they have no uid, cannot be read, or the hash of their uid repeats.

    Attributes:
        rows: their number.
        hashes: the hashes that repeat, sorted; None if they are too many to pick rows by.
        units: the units that have such rows; None if any may.
    """

    rows: int
    hashes: Hashes | None
    units: Collection[int] | None = None

    def among(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Return which hashes are of such rows: bool (n,)."""
        if self.hashes is None:
            return np.ones(len(hashes), bool)
        if not len(self.hashes):
            return np.zeros(len(hashes), bool)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.asarray(self.hashes[at] == hashes)


def _suspects(flow: Flow, phase: Phase) -> Suspects:
    counts = [part.rows for part in flow.plan.source.parts]
    rows = sum(count or 0 for count in counts)
    if rows <= _HASHES_AT_ONCE and None not in counts:
        found = phase.reduce(UnitHashes(flow), iadd)
        ranges = _FEWEST if rows > _AT_ONCE else 1
        repeated = replace(phase, units=ranges).map(RepeatedInRange(tuple(hashes for hashes, _ in found), ranges))
        suspects = _joined((table for _, table in repeated), sum(others for _, others in found))
        units = {at for at, (hashes, others) in enumerate(found) if others or suspects.among(hashes).any()}
        return replace(suspects, units=units)
    partitions = _partitions(flow, rows)
    hashed, deal = HashRows(flow), ByHash(partitions)
    with deal_out(flow, phase, hashed, _HASHED, deal, partitions + 1, "admit-hashes") as spread:
        return _joined((table for _, table in spread.map("repeated", repeated_in)), int(spread.rows[-1]))


def _joined(tables: Iterable[pa.Table], others: int) -> Suspects:
    """Return the suspects for tables of repeated hashes, and the number of rows without a hash."""
    found = pa.concat_tables([_REPEATED.empty_table(), *tables])
    hashes = np.sort(found.column("hash").to_numpy()) if len(found) <= _SOUGHT else None
    return Suspects(others + int(found.column("rows").to_numpy().sum()), hashes)


def _state(found: Iterable[pa.Table]) -> State:
    """Return the state for rows refused, with place and code."""
    refused = pa.concat_tables([_REFUSED.empty_table(), *found])
    refused = refused.take(pc.sort_indices(refused, [("place", "ascending")]))
    places, codes = (refused.column(name).to_numpy() for name in _REFUSED.names)
    counts = np.bincount(codes, minlength=4).tolist()
    values = {"missing": counts[_MISSING], "duplicate": counts[_DUPLICATE], "unreadable": counts[_UNREADABLE]}
    if not len(refused):
        return State(values)
    columns = (places >> _ROW_BITS, places & ((1 << _ROW_BITS) - 1), codes)
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, LEDGER_SCHEMA, strict=True)]
    return State(values, {"refused": pa.table(arrays, schema=LEDGER_SCHEMA)})


def _batches(flow: Flow, unit: int) -> Iterator[tuple[Batch, Hashes, npt.NDArray[np.uint16]]]:
    """Yield the rows of a unit in batches, with the hashes of their uids and the codes that refuse rows, 0 for none."""
    names = [UID, ROW_ERROR] if ROW_ERROR in flow.plan.source.schema.names else [UID]
    for batch in flow.batches(unit, 0, names):
        uids = batch.rows.column(UID)
        empty = pc.fill_null(pc.equal(pc.binary_length(uids), 0), True).to_numpy(zero_copy_only=False)
        codes = np.where(empty, np.uint16(_MISSING), np.uint16(0))
        if ROW_ERROR in batch.rows.schema.names:
            codes[pc.is_valid(batch.rows.column(ROW_ERROR)).to_numpy(zero_copy_only=False)] = _UNREADABLE
        yield batch, hash64(uids, _HASH_KEY), codes


@dataclass(frozen=True)
class HashRows:
    """Gives the hashes of the uids of a unit, in batches, as `_HASHED`."""

    flow: Flow

    def __call__(self, unit: int) -> Iterator[Rows]:
        for _, hashes, codes in _batches(self.flow, unit):
            yield Rows(pa.table([pa.array(hashes, mask=codes > 0)], schema=_HASHED))


@dataclass(frozen=True)
class UnitHashes:
    """The function that a unit runs if hashes are held in memory: those of its uids, sorted, and its other rows."""

    flow: Flow

    def __call__(self, unit: int) -> list[tuple[Hashes, int]]:
        found, others = [np.empty(0, np.uint64)], 0
        for _, hashes, codes in _batches(self.flow, unit):
            refused = int(np.count_nonzero(codes))
            found.append(hashes[codes == 0] if refused else hashes)
            others += refused
        return [(np.sort(np.concatenate(found)), others)]


@dataclass(frozen=True)
class RepeatedInRange:
    """Finds the hashes that repeat in one of some ranges of all hashes.

    Attributes:
        found: the hashes of each unit, sorted.
        ranges: number of ranges, a power of two.
    """

    found: tuple[Hashes, ...]
    ranges: int

    def __call__(self, number: int) -> pa.Table:
        step = 2**64 // self.ranges
        first, last = np.uint64(number * step), np.uint64((number + 1) * step - 1)
        edges = [(np.searchsorted(one, first), np.searchsorted(one, last, "right")) for one in self.found]
        return _repeated(np.concatenate([one[start:end] for one, (start, end) in zip(self.found, edges, strict=True)]))


def repeated_in(partition: int, spread: Spread) -> pa.Table:
    """Return the hashes of one partition that repeat, each with its number of rows."""
    return _repeated(spread.read(partition).column("hash").drop_null().to_numpy())


def _repeated(hashes: Hashes) -> pa.Table:
    ordered = np.sort(hashes)
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    repeated, times = np.unique(ordered[again], return_counts=True)
    return pa.table([repeated, times + 1], schema=_REPEATED)


@dataclass(frozen=True)
class UidRows:
    """Gives the rows of a unit that may be refused, as they are compared, in batches."""

    flow: Flow
    suspects: Suspects

    def __call__(self, unit: int) -> Iterator[Rows]:
        if self.suspects.units is None or unit in self.suspects.units:
            for batch, hashes, codes in _batches(self.flow, unit):
                rows = np.flatnonzero((codes > 0) | self.suspects.among(hashes))
                yield Rows(_compared(batch, hashes, codes, rows))


@dataclass(frozen=True)
class UnitUids:
    """The function that a unit runs if few rows may be refused: all of them as they are compared."""

    flow: Flow
    suspects: Suspects

    def __call__(self, unit: int) -> list[pa.Table]:
        return [_DEALT.empty_table(), *(rows.table for rows in UidRows(self.flow, self.suspects)(unit))]


@dataclass(frozen=True)
class ByHash:
    """Deals rows out by the hash of their uid; those without a hash to one partition more."""

    partitions: int

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        hashes = rows.column("hash")
        found = (hashes.fill_null(0).to_numpy() % np.uint64(self.partitions)).astype(np.uint16)
        found[hashes.is_null().to_numpy(zero_copy_only=False)] = self.partitions
        return rows.table, found


def _compared(batch: Batch, hashes: Hashes, codes: npt.NDArray[np.uint16], rows: Integers) -> pa.Table:
    """Return the rows of a batch of these indices as `_DEALT`."""
    uids, hashes, codes = batch.rows.column(UID).take(pa.array(rows)), hashes[rows], codes[rows]
    texts = uids.cast(pa.string()).cast(pa.large_string())
    if codes.any():
        hashes, texts = np.where(codes, codes, hashes), pc.if_else(pa.array(codes == 0), texts, None)
    places = (np.int64(batch.part) << _ROW_BITS) + batch.start + rows
    return pa.table([pa.array(places), pa.array(hashes), texts], schema=_DEALT)


def refused_in(partition: int, spread: Spread) -> pa.Table:
    """Return the rows refused of one partition, with place and code."""
    return refused_of(spread.read(partition))


def refused_of(rows: pa.Table) -> pa.Table:
    """Return the rows that are refused of some that are compared, with place and code.

    Args:
        rows: as `_DEALT`; all rows with the uid of one of them are among them.
    """
    none = pc.is_null(rows.column("uid"))
    without = rows.filter(none)
    hashes = rows.column("hash").to_numpy()
    ordered = np.sort(hashes)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    again = np.flatnonzero(np.isin(hashes, repeated) & ~none.to_numpy(zero_copy_only=False))
    later = _later(rows, again)
    places = np.append(without.column("place").to_numpy(), later)
    codes = np.append(without.column("hash").to_numpy(), np.full(len(later), _DUPLICATE, np.uint64))
    return pa.table([places, codes.astype(np.uint16)], schema=_REFUSED)


def _later(rows: pa.Table, again: Integers) -> Integers:
    """Return the places of those rows of indices `again` whose uid one at an earlier place has."""
    first, later = rows.slice(0, 0), [np.empty(0, np.int64)]
    for start in range(0, len(again), _AT_ONCE):
        seen = pa.concat_tables([first, rows.take(pa.array(again[start : start + _AT_ONCE]))])
        seen = seen.take(pc.sort_indices(seen, [("place", "ascending")]))
        codes = seen.column("uid").combine_chunks().dictionary_encode().indices.to_numpy()
        # Codes count upwards as new uids appear, so a code that is none above all before it is of an earlier row.
        repeats = np.append(False, codes[1:] <= np.maximum.accumulate(codes)[:-1])
        later.append(seen.column("place").to_numpy()[repeats])
        first = seen.filter(pa.array(~repeats))
    return np.concatenate(later)
