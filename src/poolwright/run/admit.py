"""Admits the rows of a pool: finds rows without a uid, rows that repeat one, and unreadable rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import iadd

import numpy as np
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

_HASH_KEY = 0x706F6F6C  # any fixed key: these hashes only find candidates
_AT_ONCE = 4_000_000
"""Rows whose uids are compared at a time, in memory; up to this many are not dealt out to files."""
_FEWEST, _UNITS = 16, 4
"""Partitions at least, and units for each: so there are enough of them if the pool cannot count its rows."""
_ROW_BITS = 40
"""Bits of a place for the row within its part; the part is in those above."""
_MISSING, _DUPLICATE, _UNREADABLE = 1, 2, 3

_DEALT = pa.schema([("place", pa.int64()), ("hash", pa.uint64()), ("uid", pa.large_string())])
"""Rows to compare: the place of each, and its uid with the hash of it; without uid, the code that refuses the row."""
_REFUSED = pa.schema([("place", pa.int64()), ("code", pa.uint16())])


def admit(flow: Flow, phase: Phase) -> State:
    """Find the rows of a pool that are refused: no uid (code 1), the uid of an earlier row (code 2), or a row
    that the pool could not read (code 3).

    The uids are read once. Rows are dealt out by the hash of their uid to partitions, which workers compare one by
    one; rows whose hash repeats are compared by the uid itself, so that two uids with the same hash stay two.
    """
    counts = [part.rows for part in flow.plan.source.parts]
    rows = sum(count or 0 for count in counts)
    if not flow.units:
        return _state([])
    if rows <= _AT_ONCE and None not in counts:
        return _state([refused_of(pa.concat_tables(phase.reduce(UnitUids(flow), iadd)))])
    partitions = max(_FEWEST, -(-rows // _AT_ONCE), len(flow.units) // _UNITS)
    deal = ByHash(partitions)
    with deal_out(flow, phase, UidRows(flow), _DEALT, deal, partitions, "admit") as spread:
        return _state(table for _, table in spread.map("refused", refused_in))


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


@dataclass(frozen=True)
class UidRows:
    """Gives the rows of a unit as they are compared, in batches."""

    flow: Flow

    def __call__(self, unit: int) -> Iterator[Rows]:
        names = [UID, ROW_ERROR] if ROW_ERROR in self.flow.plan.source.schema.names else [UID]
        return (Rows(_compared(batch)) for batch in self.flow.batches(unit, 0, names))


@dataclass(frozen=True)
class UnitUids:
    """The function that a unit runs if there are few rows: all of them as they are compared."""

    flow: Flow

    def __call__(self, unit: int) -> list[pa.Table]:
        return [_DEALT.empty_table(), *(rows.table for rows in UidRows(self.flow)(unit))]


@dataclass(frozen=True)
class ByHash:
    """Deals rows out by the hash of their uid."""

    partitions: int

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        return rows.table, (rows.column("hash").to_numpy() % np.uint64(self.partitions)).astype(np.uint16)


def _compared(batch: Batch) -> pa.Table:
    """Return the rows of a batch as `_DEALT`."""
    uids = batch.rows.column(UID)
    empty = pc.fill_null(pc.equal(pc.binary_length(uids), 0), True).to_numpy(zero_copy_only=False)
    codes = np.where(empty, np.uint64(_MISSING), np.uint64(0))
    if ROW_ERROR in batch.rows.schema.names:
        codes[pc.is_valid(batch.rows.column(ROW_ERROR)).to_numpy(zero_copy_only=False)] = _UNREADABLE
    hashes, texts = hash64(uids, _HASH_KEY), uids.cast(pa.string()).cast(pa.large_string())
    if codes.any():
        hashes, texts = np.where(codes, codes, hashes), pc.if_else(pa.array(codes == 0), texts, None)
    places = (np.int64(batch.part) << _ROW_BITS) + np.arange(batch.start, batch.start + len(uids))
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
