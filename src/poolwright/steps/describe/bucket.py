"""bucket: runs of time, equal in rows, by the calendar, or between given edges."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from poolwright.core.columns import BUCKET, TAKEN_AT, UPLOADED_AT
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, exactly_one
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import number, some
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.counters import Counters
from poolwright.kernels.selection.quantiles import Extent, at_positions, extent
from poolwright.kernels.selection.ranks import Ranking, check_orderable
from poolwright.kernels.selection.timestamps import Moment, is_time, keys_of, moments_of, written
from poolwright.reference.calendar import Unit, begins, name

BUCKETS = "buckets"
MOST = 100_000
MISSING, EARLY, LATE, ORDER, OUTSIDE = 1, 2, 3, 4, 5
EARLIEST = datetime.datetime(1990, 1, 1, tzinfo=datetime.UTC)


class Bucket(Step):
    """Cut rows into buckets by a column of times or numbers, the earliest bucket 0.

    - `n`: this many buckets of consecutive rows in ascending order, with rows / n each; what is left over goes to the
      first buckets, one row each, so that the last ones are the short ones, as in CLEAR's code and `numpy.array_split`.
      Rows of equal value are never separated: those with the value that a bucket begins with are all in it.
    - `unit`: decade, year, half, quarter, month, week (from Monday) or day, in UTC, from the first that has a row;
      units without rows count too.
    - `edges`: ascending; a bucket is from one edge, which belongs to it, to the next, which does not; the last bucket
      has its right edge too.

    Rows without a possible time are dropped. `latest` sets what counts as the future: the time the source was made.
    No clock is read, so that the same recipe gives the same rows on every day.

    State: the buckets with their begin, end, name and rows.
    """

    verb: ClassVar[str] = "bucket"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "bucket: {by: uploaded_at, n: 11, latest: 2014-05-01}"
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_time", "no value to bucket by"),
        Reason("too_early", "before the earliest possible time"),
        Reason("too_late", "after the latest possible time"),
        Reason("taken_after_upload", "taken after it was uploaded"),
        Reason("outside", "outside the edges of the buckets"),
    )

    by: Column = Field(description="column of times or numbers")
    n: int | None = Field(default=None, ge=1, description="buckets with equally many rows")
    unit: Unit | None = Field(default=None, description="buckets of the calendar: year, month, ...")
    edges: list[Moment] | None = Field(
        default=None, min_length=2, description="where buckets begin, and where the last ends: times, dates or numbers"
    )
    earliest: Moment | None = Field(
        default=None, description="earlier values are impossible; 1990-01-01 for times unless `edges` are given"
    )
    latest: Moment | None = Field(default=None, description="later values are impossible: they are in the future")
    ordered: bool = Field(
        default=True,
        description=f"drop rows taken after they were uploaded, if `by` is {TAKEN_AT} or {UPLOADED_AT} and both are "
        "there",
    )
    into: str = Field(default=BUCKET, min_length=1, description="column of the bucket's number")

    @model_validator(mode="after")
    def _one_way(self) -> Bucket:
        exactly_one(self, "n", "unit", "edges")
        kinds = {
            isinstance(one, datetime.datetime)
            for one in (*(self.edges or ()), self.earliest, self.latest)
            if one is not None
        }
        if len(kinds) > 1:
            raise ValueError("edges, earliest and latest must be all times or all numbers")
        for one, other in pairwise(self.edges or ()):
            if not one < other:  # type: ignore[operator]
                raise ValueError(f"edges must ascend: {written(one)} is followed by {written(other)}")
        return self

    @property
    def _pair(self) -> tuple[str, ...]:
        """Return the column to compare `by` with, for rows taken after they were uploaded."""
        other = {TAKEN_AT: UPLOADED_AT, UPLOADED_AT: TAKEN_AT}.get(self.by)
        return (other,) if other and self.ordered else ()

    def needs(self) -> tuple[str, ...]:
        return (self.by,)

    def optional(self) -> tuple[str, ...]:
        return self._pair

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_orderable(self.verb, given, self.by)
        dtype = given.field(self.by).type
        if self.unit and not is_time(dtype):
            raise StepError(f"bucket: '{self.by}' is {dtype}, not a time; give n or edges instead of unit")
        for one in (*(self.edges or ()), self.earliest, self.latest):
            if one is not None and isinstance(one, datetime.datetime) != is_time(dtype):
                what = "a time" if isinstance(one, datetime.datetime) else "a number"
                raise StepError(f"bucket: '{self.by}' is {dtype}, but {written(one)} is {what}")
        return [pa.field(self.into, pa.int32())]

    def _bounds(self, dtype: pa.DataType) -> tuple[int | None, int | None]:
        """Keys of the earliest and latest possible value."""
        earliest = self.earliest
        if earliest is None and self.edges is None and is_time(dtype):
            earliest = EARLIEST
        low, high = (None if one is None else int(keys_of([one], dtype)[0]) for one in (earliest, self.latest))
        return low, high

    def fit(self, frame: Frame, context: Context) -> State:
        dtype = frame.schema.field(self.by).type
        columns = [self.by, *(name for name in self._pair if name in frame.schema.names)]
        possible = _Possible(self.by, self._pair, dtype, *self._bounds(dtype))
        found = extent(frame, columns, possible) if self.edges is None else None
        edges = self._edges(frame, columns, possible, found, dtype)
        names = self._bucket_names(edges, dtype)
        last_in = self.unit is None
        counts = frame.fold(columns, _Start(len(names)), _AddCounts(possible, edges, last_in), Counters.merge).counts
        values = Ranking(self.by, True, 0).value(edges, dtype)
        table = {"bucket": pa.array(np.arange(len(names), dtype=np.int32)), "name": pa.array(names, pa.string())}
        table |= {"begin": values[:-1], "end": values[1:], "rows": pa.array(counts)}
        # Equal buckets are open at both ends, so that rows added later have one too.
        return State({"open": self.n is not None, "last_in": last_in}, {BUCKETS: pa.table(table)})

    def _edges(
        self, frame: Frame, columns: Sequence[str], possible: _Possible, found: Extent | None, dtype: pa.DataType
    ) -> np.ndarray:
        """Keys of the edges: int64 (buckets + 1,)."""
        if found is None:
            return keys_of(self.edges or [], dtype)
        if not found.rows:
            return np.empty(0, np.int64)
        if self.n is not None:
            # The first buckets have the rows that are left over: the last ones are the short ones, as in CLEAR's code.
            size, left = divmod(found.rows, self.n)
            begun = np.arange(1, self.n, dtype=np.int64)
            positions = np.minimum(begun * size + np.minimum(begun, left), found.rows - 1)
            inner = at_positions(frame, columns, possible, found, positions)
            return np.concatenate([[found.least], inner, [found.greatest]]).astype(np.int64)
        first, last = moments_of(np.array([found.least, found.greatest]), dtype)
        edges = begins(self.unit or "year", first, last)
        if len(edges) > MOST:
            raise StepError(
                f"bucket: {len(edges) - 1:,} buckets of a {self.unit} from {first} to {last}; at most {MOST:,}: "
                "set earliest and latest, or take a larger unit"
            )
        return keys_of([moment.replace(tzinfo=datetime.UTC) for moment in edges.tolist()], dtype)

    def _bucket_names(self, edges: np.ndarray, dtype: pa.DataType) -> list[str]:
        if self.unit:
            return [name(self.unit, begin) for begin in moments_of(edges[:-1], dtype)]
        texts = [_text(value) for value in Ranking(self.by, True, 0).value(edges, dtype).to_pylist()]
        return [f"{begin} .. {end}" for begin, end in pairwise(texts)]

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.tables[BUCKETS]
        dtype = table.schema.field("begin").type
        keys, valid = Ranking(self.by, True, 0).keys(rows, dtype)
        bucket = _bucket_of(keys, once("edges", table, _edges_of), state.values["open"], state.values["last_in"])
        drop = _Possible(self.by, self._pair, dtype, *self._bounds(dtype)).reasons(rows, keys, valid)
        outside = (bucket < 0) & (drop == 0)
        drop[outside] = OUTSIDE
        return Outcome({self.into: pa.array(bucket.astype(np.int32), mask=drop > 0)}, drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        value, bucket = row.get(self.by), row.get(self.into)
        if value is None:
            return f"no value in {self.by}"
        if bucket is None:
            return f"{self.by} = {_text(value)}"
        one = state.tables[BUCKETS].slice(bucket, 1).to_pylist()[0]
        return f"{self.by} = {_text(value)} is in bucket {bucket} ({one['name']}, {in_rows(one['rows'])})"

    def learned(self, state: State) -> str:
        table = state.tables[BUCKETS]
        counts = table.column("rows").to_numpy()
        described = [
            f"{bucket}: {name} ({count:,})"
            for bucket, (name, count) in enumerate(zip(table.column("name").to_pylist(), counts, strict=True))
        ]
        empty = int((counts == 0).sum())
        lacking = f"; {empty:,} without rows" if empty else ""
        return f"{len(counts):,} buckets of {self.by}{lacking}: {some(described, 12)}"


def _text(value: Any) -> str:
    return written(value) if isinstance(value, datetime.datetime) else number(value)


@dataclass(frozen=True)
class _Possible:
    """Decide which rows have a possible value; a call returns the keys of those."""

    by: str
    pair: tuple[str, ...]
    dtype: pa.DataType
    earliest: int | None
    latest: int | None

    def __call__(self, rows: Rows) -> np.ndarray:
        keys, valid = Ranking(self.by, True, 0).keys(rows, self.dtype)
        return np.asarray(keys[self.reasons(rows, keys, valid) == 0])

    def reasons(self, rows: Rows, keys: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the reason of each row, uint8 (n,): 0 where the value is possible."""
        drop = np.zeros(len(rows), np.uint8)
        if self.pair and self.pair[0] in rows.schema.names:
            drop[_taken_after_upload(rows)] = ORDER
        if self.latest is not None:
            drop[keys > self.latest] = LATE
        if self.earliest is not None:
            drop[keys < self.earliest] = EARLY
        drop[~valid] = MISSING
        return drop


def _taken_after_upload(rows: Rows) -> np.ndarray:
    taken, uploaded = (rows.column(name).cast(pa.timestamp("us", "UTC")) for name in (TAKEN_AT, UPLOADED_AT))
    return np.asarray(pc.fill_null(pc.greater(taken, uploaded), False).to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class _Start:
    buckets: int

    def __call__(self) -> Counters:
        return Counters(self.buckets)


@dataclass(frozen=True)
class _AddCounts:
    possible: _Possible
    edges: np.ndarray
    last_in: bool

    def __call__(self, bins: Counters, rows: Rows) -> Counters:
        bucket = _bucket_of(self.possible(rows), self.edges, False, self.last_in)
        bins.add(bucket[bucket >= 0])
        return bins


def _bucket_of(keys: np.ndarray, edges: np.ndarray, open_ends: bool, last_in: bool) -> np.ndarray:
    """Return the bucket of each key: int64 (n,), -1 outside.

    Args:
        edges: int64 (buckets + 1,), ascending; equal ones have no rows between them. Empty without buckets.
        open_ends: the first and last bucket also take what is outside the edges.
        last_in: the last edge belongs to the last bucket.
    """
    if not len(edges):
        return np.full(len(keys), -1)
    bucket = np.searchsorted(edges[:-1], keys, side="right") - 1
    if open_ends:
        return np.asarray(np.maximum(bucket, 0))
    outside = keys > edges[-1] if last_in else keys >= edges[-1]
    bucket[outside] = -1
    return np.asarray(np.minimum(bucket, len(edges) - 2))


def _edges_of(table: pa.Table) -> np.ndarray:
    """Keys of the edges of a state."""
    begin, end = one_array(table.column("begin")), one_array(table.column("end"))
    edges = pa.concat_arrays([begin, end.slice(max(len(end) - 1, 0))])
    return Ranking("edge", True, 0).keys(Rows(pa.table({"edge": edges})))[0]
