"""balance_matches: fewer rows of entries that many rows match, all rows of those that few match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from poolwright.core.columns import UID
from poolwright.core.errors import InputError, StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.lookup.key_index import mixed

ENTRIES = "entries"
_MOST = 1 << 27
"""Entries at most: each is counted by its number."""
_ENTRY, _STEP = np.int64(32), np.uint64(0x9E3779B97F4A7C15)

Integers = npt.NDArray[np.int64]


class BalanceMatches(Step):
    """Balance rows over the entries that they match, as MetaCLIP balances captions over its metadata.

    Each entry keeps each of its rows with probability n / rows, all of them if they are no more than n, and a row stays
    if one of its entries keeps it (H. Xu et al., Demystifying CLIP Data, arXiv 2309.16671, algorithm 1; n is its t,
    20,000 for 400 million rows of 1.6 billion). Draws are hashes of (seed, table, step, uid, entry): neither the order
    of the rows nor other entries change them, and a larger n keeps all rows of a smaller one. Rows that match nothing
    are dropped.

    State: the entries that rows have, with their `rows`.
    """

    verb: ClassVar[str] = "balance_matches"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "balance_matches: {n: 20_000}"
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_match", "it matches no entry"),
        Reason("not_drawn", "none of its entries drew it"),
    )

    of: Column = Field(default="matches", description="column with lists of numbers of entries, such as `match` gives")
    n: int = Field(ge=1, description="rows that each entry keeps on average, with fewer all of them")

    def needs(self) -> tuple[str, ...]:
        return (self.of, UID)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        dtype = given.field(self.of).type
        if not (pa.types.is_list(dtype) or pa.types.is_large_list(dtype)) or not pa.types.is_integer(dtype.value_type):
            raise StepError(f"balance_matches: '{self.of}' is of {dtype}, not lists of integers; `match` gives some")
        return []

    def fit(self, frame: Frame, context: Context) -> State:
        counts = frame.fold((self.of,), _no_counts, _Count(self.of), _sum)
        there = np.flatnonzero(counts)
        entries = pa.table({"entry": pa.array(there.astype(np.int32)), "rows": pa.array(counts[there])})
        return State({"key": str(context.key)}, {ENTRIES: entries})

    def apply(self, rows: Rows, state: State) -> Outcome:
        found, entries = _pairs(rows, self.of)
        counts = once("counts", state.tables[ENTRIES], _counts_of)
        # A new row may have an entry that no row had.
        of_entry = counts[np.minimum(entries, len(counts) - 1)]
        kept = of_entry <= self.n
        drawn = np.flatnonzero(~kept)
        hashes = hash64(rows.column(UID), int(state.values["key"]))[found[drawn]]
        draws = mixed(hashes ^ mixed((entries[drawn].astype(np.uint64) + np.uint64(1)) * _STEP))
        kept[drawn] = draws < _least_dropped(of_entry[drawn], self.n)
        drop = np.ones(len(rows), np.uint8)
        drop[found] = 2
        drop[found[kept]] = 0
        return Outcome(drop=drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        counts = once("counts", state.tables[ENTRIES], _counts_of)
        entries = [entry for entry in row.get(self.of) or () if entry is not None]
        if not entries:
            return "it matches no entry"
        rows, rarest = min((int(counts[min(entry, len(counts) - 1)]), entry) for entry in entries)
        chance = min(self.n / max(rows, 1), 1)
        return f"the rarest of its entries is {rarest}, of {in_rows(rows)}, which keeps each with {chance:.4g}"

    def learned(self, state: State) -> str:
        rows = state.tables[ENTRIES].column("rows").to_numpy()
        whole = rows <= self.n
        share = rows[whole].sum() / max(rows.sum(), 1)
        return (
            f"{len(rows):,} entries with {rows.sum():,} matches; the {int(whole.sum()):,} of up to {in_rows(self.n)}, "
            f"with {share:.1%} of the matches, keep all"
        )


def _no_counts() -> Integers:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class _Count:
    """Adds the rows of each entry in a batch."""

    of: str

    def __call__(self, counts: Integers, rows: Rows) -> Integers:
        return _sum(counts, np.bincount(_pairs(rows, self.of)[1]))


def _sum(one: Integers, other: Integers) -> Integers:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    longer = longer.copy()
    longer[: len(shorter)] += shorter
    return longer


def _pairs(rows: Rows, of: str) -> tuple[Integers, Integers]:
    """Return the row and the entry of each match, each pair once.

    Raises:
        InputError: a number that no entry has.
    """
    lists = rows.column(of)
    lists = lists.cast(pa.list_(pa.int64()))
    entries = lists.flatten()
    found = pc.list_parent_indices(lists).cast(pa.int64()).to_numpy()
    if entries.null_count:
        found, entries = found[pc.is_valid(entries).to_numpy(zero_copy_only=False)], entries.drop_null()
    numbers = entries.to_numpy()
    wrong = numbers[(numbers < 0) | (numbers >= _MOST)]
    if len(wrong):
        raise InputError(f"balance_matches: '{of}' has {wrong[0]}; numbers of entries are from 0 to {_MOST - 1:,}")
    pairs = np.unique((found << _ENTRY) | numbers)
    return pairs >> _ENTRY, pairs & np.int64(0xFFFFFFFF)


def _counts_of(table: pa.Table) -> Integers:
    """Rows by entry; at the end none, for the entries that no row had."""
    entries = table.column("entry").to_numpy()
    counts = np.zeros(int(entries.max(initial=-1)) + 2, np.int64)
    counts[entries] = table.column("rows").to_numpy()
    return counts


def _least_dropped(counts: Integers, n: int) -> npt.NDArray[np.uint64]:
    """Return floor(2^64 n / count), of which draws are below with probability n / count; count > n."""
    different, places = np.unique(counts, return_inverse=True)
    return np.array([(n << 64) // count for count in different.tolist()], np.uint64)[places]
