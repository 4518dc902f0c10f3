"""near_duplicates: groups of rows that show nearly the same, so that a split keeps them together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from poolwright.core.columns import SHA256, UID, is_groupable, is_text, is_vector
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Columns
from poolwright.core.rows import Rows, as_array, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.group_counts import count_rows
from poolwright.kernels.selection.groups import local_groups
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.kernels.selection.ranks import ALL, Ranking, check_orderable
from poolwright.kernels.similarity.connected_components import Links
from poolwright.kernels.similarity.near_duplicates import link_hashes, link_similar, link_times

MEMBERS = "members"
_FLAT = np.array([0, 1 << 63, (1 << 64) - 1], np.uint64)
"""Perceptual hashes of pictures without structure: no coefficient, or the mean alone, is above the median."""

MOST_BYTES = 2_000_000_000
"""Most bytes of vectors compared with each other, which are held in memory: 2 million rows of 512 float16 values."""

_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_SHORT = {"s": "second", "sec": "second", "min": "minute", "m": "minute", "h": "hour", "d": "day"}
_TIME = pa.timestamp("us", tz="UTC")


def parse_span(value: Any) -> int:
    """Return a span of time in microseconds: '1 minute', '30 s', or a number of seconds.

    Raises:
        ValueError: the value is not a span of time.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
    if isinstance(value, bool) or not found:
        raise ValueError(f"{value!r} is not a span of time; write '1 minute', '30 seconds' or '2 hours'")
    unit = found[2].removesuffix("s") or "second"
    unit = _SHORT.get(unit, unit)
    if unit not in _UNITS:
        raise ValueError(f"'{found[2]}' is not a unit of time; use seconds, minutes, hours or days")
    return round(float(found[1]) * _UNITS[unit] * 1_000_000)


Span = Annotated[
    int,
    BeforeValidator(parse_span),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}),
]


class NearDuplicates(Step):
    """Group rows that show nearly the same, so that `split: {group: duplicate_group}` keeps them on one side.

    Rows are linked if one of these holds, and the connected components of the links are the groups:

    - `same`: equal values in all these columns. With `within`, one of them is a time, and times at most that far apart
      count as equal: {same: [author, taken_at], within: 1 minute}.
    - `vectors`: the cosine is `above` or more. All pairs are compared, exactly, which holds the vectors in memory.
    - `phash`: 64-bit hashes, as `hash` gives them, that differ in at most `distance` bits. A hash of zeros alone (or
      ones, or of which the first bit alone is 1) says nothing, as it is that of any flat picture: such rows, and those
      without a hash, are linked by an equal `sha256` alone, if the table has it.

    A group is named by its smallest uid, and a row without near-duplicates by its own, whatever the order of the rows.
    Rows that lack a value are not linked by it. With `keep`, one row of each group stays: that with the smallest uid
    (first), or the highest value of `by` (best).

    State: the rows of groups of two and more.
    """

    verb: ClassVar[str] = "near_duplicates"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "near_duplicates: {same: [author, taken_at], within: 1 minute, vectors: clip, above: 0.95}"
    fits_rows: ClassVar[bool] = True
    needs_refit: ClassVar[str] = "new rows were not compared with any other"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("near_duplicate", "a near-duplicate of it is kept"),)

    same: Columns | None = Field(default=None, description="columns whose equal values link rows")
    within: Span | None = Field(
        default=None, description="largest difference of times in `same`, such as 1 minute; a number means seconds"
    )
    vectors: Column | None = Field(default=None, description="column of vectors that are compared")
    above: float = Field(default=0.95, gt=0, le=1, description="least cosine that links two rows")
    phash: Column | None = Field(default=None, description="column of 64-bit hashes in 16 hex digits")
    distance: int = Field(default=4, ge=0, le=16, description="most bits in which linked hashes differ")
    keep: Literal["all", "first", "best"] = Field(default="all", description="rows of a group that stay")
    by: Column | None = Field(default=None, description="keep: best: column of numbers or times, the highest is kept")
    into: Column = Field(default="duplicate_group", description="column to give")

    @model_validator(mode="after")
    def _fitting(self) -> NearDuplicates:
        if not (self.same or self.vectors or self.phash):
            raise ValueError("needs same, vectors or phash: give at least one")
        if self.within is not None and not self.same:
            raise ValueError("within is about a time in `same`")
        if (self.keep == "best") != (self.by is not None):
            raise ValueError("keep: best and by: COLUMN go together")
        if self.into == UID:
            raise ValueError("'uid' names the rows; give the groups another column")
        return self

    def needs(self) -> tuple[str, ...]:
        named = (*(self.same or ()), self.vectors, self.phash, self.by, UID)
        return tuple(dict.fromkeys(name for name in named if name))

    def optional(self) -> tuple[str, ...]:
        return (SHA256,) if self.phash else ()

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        for name in self.same or ():
            dtype = given.field(name).type
            if not (is_groupable(dtype) or pa.types.is_temporal(dtype)):
                raise StepError(f"near_duplicates: '{name}' is of {dtype}; use strings, integers, booleans or times")
        if self.within is not None and len(self._times(given)) != 1:
            raise StepError(f"near_duplicates: 'within' needs one column of times among {', '.join(self.same or ())}")
        if self.vectors and not is_vector(given.field(self.vectors).type):
            raise StepError(f"near_duplicates: '{self.vectors}' holds no vectors")
        if self.phash and not is_text(given.field(self.phash).type):
            raise StepError(f"near_duplicates: '{self.phash}' holds no text; `hash` gives hashes of 16 hex digits")
        if self.by:
            check_orderable(self.verb, given, self.by)
        return [pa.field(self.into, pa.string())]

    def _times(self, given: pa.Schema) -> list[str]:
        return [name for name in self.same or () if pa.types.is_timestamp(given.field(name).type)]

    def fit(self, frame: Frame, context: Context) -> State:
        self._check_size(frame)
        names = list(dict.fromkeys([*self.needs(), *(name for name in self.optional() if name in frame.schema.names)]))
        found = frame.fold(names, _Collected, _Add(self), _Collected.merge)
        rows = _joined(found, frame.schema, [name for name in names if name != self.vectors])
        links, unhashed = Links(len(rows.table)), 0
        if self.same:
            self._link_same(links, rows.table)
        if self.vectors and len(rows.table):
            link_similar(links, rows.vectors, self.above)
        if self.phash:
            hashes, valid = _hashes(rows.table.column(self.phash), self.phash)
            link_hashes(links, hashes, valid, self.distance)
            unhashed = int((~valid).sum())
            if SHA256 in names and unhashed:
                digests = pc.if_else(pa.array(valid), None, one_array(rows.table.column(SHA256)))
                links.chain(local_groups([digests])[0])
        return self._state(rows.table, links.first(), unhashed)

    def _check_size(self, frame: Frame) -> None:
        if not self.vectors:
            return
        dtype = frame.schema.field(self.vectors).type
        count = count_rows(frame)
        needed = count * dtype.list_size * dtype.value_type.bit_width // 8
        if needed > MOST_BYTES:
            raise StepError(
                f"near_duplicates: {in_rows(count)} of '{self.vectors}' are {needed / 1e9:.1f} GB, and at most "
                f"{MOST_BYTES / 1e9:.0f} GB are compared with each other; choose rows first, or link them by `same` or "
                "`phash`"
            )

    def _link_same(self, links: Links, table: pa.Table) -> None:
        times = self._times(table.schema) if self.within is not None else []
        columns = [_plain(one_array(table.column(name))) for name in self.same or () if name not in times]
        group = local_groups(columns)[0] if columns else np.zeros(len(table), np.int64)
        if not times:
            links.chain(group)
            return
        column = one_array(table.column(times[0])).cast(_TIME).cast(pa.int64())
        group = np.where(pc.is_valid(column).to_numpy(zero_copy_only=False), group, -1)
        link_times(links, group, pc.fill_null(column, 0).to_numpy(), self.within or 0)

    def _state(self, table: pa.Table, first: np.ndarray, unhashed: int) -> State:
        """Return the groups of two and more. Rows come in order of their uid, so the first of a group is its name."""
        sizes = np.bincount(first, minlength=len(table))[first]
        members = np.flatnonzero(sizes > 1)
        drop = np.zeros(len(table), np.uint8)
        if self.keep != "all":
            kept = first if self.by is None else _best(first, Ranking(self.by, False, 0), Rows(table))
            drop = (kept != np.arange(len(table))).astype(np.uint8)
        uids = one_array(table.column(UID))
        groups = uids.take(pa.array(first[members]))
        columns = {UID: uids.take(pa.array(members)), "group": groups, "drop": drop[members]}
        largest = int(sizes.max()) if len(members) else 0
        count = len(np.unique(first[members]))
        values = {"rows": len(table), "members": len(members), "groups": count, "largest": largest}
        values["unhashed"] = unhashed
        return State({**values, "dropped": int(drop.sum())}, {MEMBERS: pa.table(columns)})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.tables[MEMBERS]
        uids = rows.column(UID).cast(pa.string())
        indices = once("lookup", table, _lookup_of).find(uids)
        groups = one_array(table.column("group")).take(pa.array(indices, mask=indices < 0))
        drop = np.append(table.column("drop").to_numpy(), np.uint8(0))[indices]
        return Outcome({self.into: pc.coalesce(groups, uids)}, drop if self.keep != "all" else None)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        table = state.tables[MEMBERS]
        count = pc.sum(pc.equal(table.column("group"), pa.scalar(row.get(self.into), pa.string()))).as_py() or 0
        return f"one of {in_rows(count)} that are near-duplicates" if count else "no near-duplicates"

    def learned(self, state: State) -> str:
        values = state.values
        members = f"{in_rows(values['members'])} of {values['rows']:,}"
        text = f"{members} are in {in_groups(values['groups'])} of near-duplicates"
        text += f", the largest of {in_rows(values['largest'])}" if values["largest"] else ""
        if values.get("unhashed"):
            text += f"; {in_rows(values['unhashed'])} without a hash that says something"
        return f"{text}; one of each kept" if self.keep != "all" else text


@dataclass
class _Collected:
    """Collected rows, with their vectors kept separately."""

    tables: list[pa.Table] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)

    def merge(self, other: _Collected) -> _Collected:
        self.tables += other.tables
        self.vectors += other.vectors
        return self


@dataclass(frozen=True)
class _Add:
    """Add a batch to the collected rows."""

    step: NearDuplicates

    def __call__(self, found: _Collected, rows: Rows) -> _Collected:
        vectors = self.step.vectors
        found.tables.append(_decoded(rows.without([vectors] if vectors else []).table))
        if vectors:
            found.vectors.append(rows.vectors(vectors))
        return found


@dataclass(frozen=True)
class _Joined:
    """All rows in order of their uid: the columns other than vectors, and the vectors (n, d)."""

    table: pa.Table
    vectors: np.ndarray


def _joined(found: _Collected, schema: pa.Schema, names: list[str]) -> _Joined:
    empty = _decoded(pa.schema([schema.field(name) for name in names]).empty_table())
    table = pa.concat_tables([empty, *(one.select(names) for one in found.tables)])
    order = pc.sort_indices(table.column(UID))
    return _Joined(table.take(order), _in_order(found.vectors, order.to_numpy()))


def _in_order(batches: list[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Return the vectors of all batches in one matrix, its rows in that order; empties `batches` to save memory."""
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    first = batches[0] if batches else np.empty((0, 0), np.float16)
    vectors, at = np.empty((len(order), first.shape[1]), first.dtype), 0
    for number, matrix in enumerate(batches):
        vectors[row[at : at + len(matrix)]] = matrix
        at += len(matrix)
        batches[number] = matrix[:0]
    return vectors


def _decoded(table: pa.Table) -> pa.Table:
    """Return texts of any encoding as one type, so that uids and texts sort and join."""
    fields = [pa.field(one.name, pa.large_string() if is_text(one.type) else one.type) for one in table.schema]
    columns = [
        as_array(column).cast(pa.string()).cast(pa.large_string()) if is_text(one.type) else column
        for one, column in zip(table.schema, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _plain(column: pa.Array) -> pa.Array:
    """Return times as integers, for grouping."""
    if not pa.types.is_temporal(column.type):
        return column
    return column.cast(pa.int32()).cast(pa.int64()) if column.type.bit_width == 32 else column.cast(pa.int64())


def _hashes(column: pa.ChunkedArray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return hashes as uint64 (n,), and which rows have one that says something about the picture.

    Raises:
        StepError: a value is not a hash of 16 hex digits.
    """
    texts = column.to_pylist()
    bad = next((text for text in texts if text is not None and not re.fullmatch(r"[0-9a-fA-F]{16}", text)), None)
    if bad is not None:
        raise StepError(
            f"near_duplicates: '{bad}' in '{name}' is not a 64-bit hash of 16 hex digits; compute them with `hash`"
        )
    numbers = np.array([int(text, 16) if text else 0 for text in texts], np.uint64)
    return numbers, np.array([text is not None for text in texts], bool) & ~np.isin(numbers, _FLAT)


def _best(first: np.ndarray, order: Ranking, rows: Rows) -> np.ndarray:
    """Return the best row of each row's group; of equally good ones that with the smallest uid."""
    keys, valid = order.keys(rows)
    ranked = np.lexsort((np.arange(len(first)), np.where(valid, keys, ALL), first))
    begins = np.append(True, np.diff(first[ranked]) > 0)[: len(first)]
    best = np.empty(len(first), np.int64)
    best[first[ranked[begins]]] = ranked[begins]
    return np.asarray(best[first])


def _lookup_of(table: pa.Table) -> ValueIndex:
    return ValueIndex(one_array(table.column(UID)))
