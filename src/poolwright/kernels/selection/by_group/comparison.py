"""Compare groups: where each stands in an order of all of them, also if there are too many for memory.

Groups that are counted in memory are sorted. The counts of more are dealt out to ranges of the order, each of which is
sorted alone, and the place of each group goes back to the partition that has its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.files import write_atomically
from poolwright.core.rows import Rows, one_array, vector_array, vectors_of
from poolwright.core.runtime.spread import Integers, Spread, units_of
from poolwright.kernels.selection.groups import Groups

_SAMPLED = 1_000
"""Groups of each partition that are looked at to divide all groups into ranges."""

_COUNT, _ID, _ALONG = "rows", "id", "along"
Bytes = npt.NDArray[np.uint8]


class CountedGroups(Protocol):
    """Groups and the rows of each, int64 (k,)."""

    @property
    def groups(self) -> Groups: ...

    @property
    def counts(self) -> np.ndarray: ...


@dataclass(frozen=True)
class AmongGroups:
    """What is known of the groups of a table among all groups.

    Attributes:
        rows: number of all rows, if the table has some of the groups only; else None.
        known: what `GroupComparison.survey` returned.
        place: int64 (k,) number of groups that come before each in the order of the comparison.
        before: int64 (k,) the rows of those.
        along: uint8 (k, b) what `GroupComparison.along` returned of each.
    """

    rows: int | None = None
    known: Any = None
    place: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    before: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    along: Bytes = field(default_factory=lambda: np.empty((0, 0), np.uint8))


GroupValues = Sequence[pa.Array]
"""The groups of a table: one array per group column."""


def no_survey(groups: Iterable[tuple[GroupValues, Integers]]) -> None:
    """Find out nothing about all groups."""


@dataclass(frozen=True)
class GroupComparison:
    """How a step compares groups. The functions are picklable, and all results independent of how groups are cut.

    Attributes:
        order: returns the sort keys of groups, (k,) integers or booleans each, given the groups, their rows, int64
            (k,), and what `survey` returned; groups with equal keys are in the order of their values. None if the
            step needs no order.
        survey: receives all groups, some at a time with their rows, int64 (k,), and returns what the step has to know
            of them: something small.
        along: goes along the groups in their order, for what the groups before one decide about it. It receives what
            gives the rows of all groups, int64, some at a time, and what `survey` returned; and returns a few bytes
            for each group, uint8 (k, b), which the driver holds.
    """

    order: Callable[[GroupValues, Integers, Any], Sequence[np.ndarray]] | None = None
    survey: Callable[[Iterable[tuple[GroupValues, Integers]]], Any] = no_survey
    along: Callable[[Callable[[], Iterator[Integers]], Any], Bytes] | None = None

    def among_all(self, table: pa.Table) -> AmongGroups:
        """Return what is known of groups that are all there are, by their `count_table`."""
        values, counts = _parts(table)
        known = self.survey([(values, counts)])
        if self.order is None:
            return AmongGroups(known=known)
        keys = self.order(values, counts, known)
        order = np.lexsort(keys[::-1]) if keys else np.arange(len(counts))
        place, before = np.empty(len(counts), np.int64), np.empty(len(counts), np.int64)
        place[order] = np.arange(len(counts))
        before[order] = np.cumsum(counts[order]) - counts[order]
        if self.along is None:
            return AmongGroups(None, known, place, before)
        return AmongGroups(None, known, place, before, self.along(lambda: iter([counts[order]]), known)[place])


def compare_all(
    spread: Spread, count: Callable[[int, Spread], pa.Table], comparison: GroupComparison, rows: int
) -> tuple[Any, Spread | None]:
    """Return what the survey of all groups found, and the places of the groups in the order, if there is one.

    Args:
        spread: partitions of rows, each with all rows of its groups.
        count: returns the `count_table` of a partition; picklable.
        comparison: how groups are compared.
        rows: groups that are sorted at once, about.

    Returns:
        What the survey found; and a spread with as many partitions as `spread`, see `places_of`.
    """
    tables = [table for _, table in spread.map("counted", count)]
    known = comparison.survey(_parts(table) for table in tables)
    if comparison.order is None:
        return known, None
    borders = _borders(comparison, known, tables, rows)
    lined = spread.then("counted", "lined", _DealInOrder(comparison, known, borders), len(borders) + 1)
    counts = [pc.sum(lined.read(part).column(_COUNT)).as_py() or 0 for part in range(lined.partitions)]
    place, name = _PlaceGroups(np.cumsum(lined.rows) - lined.rows, np.cumsum(counts) - counts), "placed"
    if comparison.along is not None:
        path = lined.folder / f"{_ALONG}.npy"
        if not path.exists():
            along = comparison.along(partial(_counts_along, lined), known)
            write_atomically(path, lambda out: np.save(out, along))
        place, name = replace(place, along=path), "placed along"
    for _ in lined.map(name, place):
        pass
    return known, lined.then(name, "places", _deal_back, spread.partitions)


def count_table(counted: CountedGroups) -> pa.Table:
    """Return groups and the rows of each as a table for `compare_all`."""
    return counted.groups.table({_COUNT: counted.counts})


def places_of(places: Spread, partition: int) -> tuple[Integers, Integers, Bytes]:
    """Return `place`, `before` and `along` (`AmongGroups`) of the groups of a partition, in order of `count_table`."""
    table = places.read(partition).sort_by(_ID)
    place, before = (table.column(name).to_numpy() for name in ("place", "before"))
    along = vectors_of(one_array(table.column(_ALONG))) if _ALONG in table.column_names else np.empty((0, 0), np.uint8)
    return place, before, along


def _parts(table: pa.Table) -> tuple[GroupValues, Integers]:
    *values, counts = (one_array(column) for column in table.columns)
    return values, counts.to_numpy()


def _keyed(table: pa.Table, comparison: GroupComparison, known: Any) -> pa.Table:
    """Return the sort keys of groups and their values, in the order in which these are compared."""
    values, counts = _parts(table)
    keys = comparison.order(values, counts, known) if comparison.order else ()
    return pa.table([*map(pa.array, keys), *values], [str(index) for index in range(len(keys) + len(values))])


def _sorted(keyed: pa.Table) -> Integers:
    return np.asarray(pc.sort_indices(keyed, sort_keys=[(name, "ascending") for name in keyed.column_names]), np.int64)


def _borders(comparison: GroupComparison, known: Any, tables: Sequence[pa.Table], rows: int) -> pa.Table:
    """Return groups that divide all of them into ranges of about `rows` groups."""
    ranges = -(-sum(map(len, tables)) // rows)
    picked = [table.take(np.unique(np.linspace(0, len(table) - 1, _SAMPLED, dtype=int))) for table in tables if table]
    sample = pa.concat_tables(_keyed(table, comparison, known) for table in picked)
    return sample.take(_sorted(sample)[np.arange(1, ranges) * len(sample) // ranges]).combine_chunks()


@dataclass(frozen=True)
class _DealInOrder:
    """Deals groups to the ranges of an order that begin at some of them, each with its number among all."""

    comparison: GroupComparison
    known: Any
    borders: pa.Table

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        keyed = _keyed(rows.table, self.comparison, self.known)
        order = _sorted(pa.concat_tables([self.borders, keyed]))
        passed = np.cumsum(order < len(self.borders))
        part = np.empty(len(order), np.int64)
        part[order] = passed
        dealt = keyed.append_column(_COUNT, rows.table.column(_COUNT)).append_column(_ID, pa.array(places))
        return dealt, part[len(self.borders) :]


@dataclass(frozen=True)
class _PlaceGroups:
    """Gives the groups of a range of an order their places.

    Attributes:
        groups: (p,) the groups before each range.
        rows: (p,) the rows of these.
        along: file of what `GroupComparison.along` returned.
    """

    groups: Integers
    rows: Integers
    along: Path | None = None

    def __call__(self, part: int, lined: Spread) -> pa.Table:
        table, counts = _in_order(lined, part)
        place = np.arange(len(table)) + self.groups[part]
        before = np.cumsum(counts) - counts + self.rows[part]
        placed = pa.table({_ID: table.column(_ID), "place": place, "before": before})
        if self.along is None:
            return placed
        first = int(self.groups[part])
        along = np.load(self.along, mmap_mode="r")[first : first + len(table)]
        return placed.append_column(_ALONG, vector_array(along))


def _in_order(lined: Spread, part: int) -> tuple[pa.Table, Integers]:
    """Return the groups of a range in their order, and the rows of each."""
    table = lined.read(part)
    table = table.take(_sorted(table.drop_columns([_COUNT, _ID])))
    return table, table.column(_COUNT).to_numpy()


def _counts_along(lined: Spread) -> Iterator[Integers]:
    """Yield the rows of all groups in their order, range by range."""
    for part in range(lined.partitions):
        yield _in_order(lined, part)[1]
        lined.forget()


def _deal_back(rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
    """Deal the places of groups to the partitions that have the groups."""
    return rows.table, units_of(rows.column(_ID).to_numpy())
