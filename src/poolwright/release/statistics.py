"""Count a released table: sizes of classes, splits and groups, and histograms of its numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core import columns as names
from poolwright.core.columns import is_groupable
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.record import ReleaseRecord

MOST_VALUES = 60
"""A column with at most this many values is shown as a grouping."""
BINS = 40

_ALWAYS = (names.LABEL, names.SPLIT, names.LICENSE)
_NEVER = frozenset(
    (
        names.UID,
        names.URL,
        names.TEXT,
        names.TITLE,
        names.SHA256,
        names.PHASH,
        names.PDQ,
        names.IMAGE_PATH,
        names.BYTES,
        names.WIDTH,
        names.HEIGHT,
        names.LABEL_INDEX,
    )
)
_MEASURES = (names.WIDTH, names.HEIGHT, names.BYTES)

Value = str | int | bool | None


@dataclass(frozen=True)
class ValueSpread:
    """Range and histogram of a column of numbers.

    Attributes:
        missing: rows in which it is null, NaN or infinite.
        low, high: least and greatest finite value; None if there is none.
        counts: rows in each of `BINS` equal bins from low to high; empty if low equals high.
    """

    missing: int
    low: float | None
    high: float | None
    counts: tuple[int, ...] = ()


class Detail(Protocol):
    """Counts over several columns together, with a section and a figure of their own on the card."""

    @property
    def key(self) -> str:
        """Their entry in `statistics.json`."""

    @property
    def name(self) -> str:
        """Name of the figure's file, without extension."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns that are counted here and therefore not individually."""

    def document(self) -> Any:
        """Return the counts as JSON."""

    def files(self) -> Mapping[str, str]:
        """Return the text of further files of the release, by name."""

    def section(self, picture: str) -> str:
        """Return the counts as Markdown; `picture` is the Markdown of the figure, '' if there is none."""

    def figure(self) -> tuple[Any, str] | None:
        """Return a matplotlib figure and its caption; None if there is nothing to draw."""


@dataclass(frozen=True)
class Statistics:
    """Counts of a table.

    Attributes:
        rows: number of rows of the table.
        groups: rows by value, largest group first, of every column that groups rows.
        spreads: range and histogram of every column of floats, and of image sizes.
        details: counts over several columns together, such as classes by domain.
        twins: for a column whose values stand for those of another one, such as codes of countries, that other one.
    """

    rows: int
    groups: dict[str, list[tuple[Value, int]]] = field(default_factory=dict)
    spreads: dict[str, ValueSpread] = field(default_factory=dict)
    details: tuple[Detail, ...] = ()
    twins: Mapping[str, str] = field(default_factory=dict)

    def counts(self, column: str) -> list[tuple[Value, int]]:
        """Return the rows by value of `column`, largest first; empty if the table does not have the column."""
        return self.groups.get(column, [])

    def to_json(self) -> str:
        """Return the text of `statistics.json`."""
        document: dict[str, Any] = {
            "rows": self.rows,
            "groups": {
                name: [{"value": value, "rows": rows} for value, rows in counts]
                for name, counts in sorted(self.groups.items())
            },
            "numbers": {
                name: {"missing": spread.missing, "low": spread.low, "high": spread.high, "bins": list(spread.counts)}
                for name, spread in sorted(self.spreads.items())
            },
        }
        document |= {detail.key: detail.document() for detail in self.details}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def gather(table: Table, details: Sequence[Detail] = ()) -> Statistics:
    """Count a table in a few passes over its narrow columns, in bounded memory except for the class counts.

    Args:
        details: counts over several columns together, already made.
    """
    schema = table.schema
    grouped = [name for name in schema.names if name not in _NEVER and is_groupable(schema.field(name).type)]
    measured = [name for name in schema.names if _is_measure(schema.field(name))]
    counters: dict[str, Counter[Value] | None] = {name: Counter() for name in grouped}
    bounds = {name: _Bounds() for name in measured}
    for rows in table.batches([*grouped, *measured]):
        for name in grouped:
            counters[name] = _count(counters[name], rows.table.column(name), name in _ALWAYS)
        for name in measured:
            bounds[name].add(rows.numbers(name))
    groups = {name: _ordered(counter.items()) for name, counter in counters.items() if counter is not None}
    spreads = _histograms(table, bounds)
    return Statistics(table.record.rows_kept, groups, spreads, tuple(details), _twins(table, groups))


def _twins(table: Table, groups: Mapping[str, list[tuple[Value, int]]]) -> dict[str, str]:
    """Return the columns whose values are in one-to-one relation to those of an earlier one, by which."""
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(groups, key=lambda name: name not in _ALWAYS):
        if len(groups[name]) > 1:
            alike.setdefault(tuple(rows for _, rows in groups[name]), []).append(name)
    pairs = [(first, other) for first, *others in alike.values() for other in others]
    seen: dict[tuple[str, str], set[tuple[Value, Value]]] = {pair: set() for pair in pairs}
    for rows in table.batches(sorted({name for pair in pairs for name in pair})) if pairs else ():
        for pair, found in seen.items():
            if len(found) <= len(groups[pair[0]]):
                met = rows.table.select(list(pair)).group_by(list(pair)).aggregate([])
                found |= set(zip(*(met.column(name).to_pylist() for name in pair), strict=True))
    return {other: first for (first, other), found in seen.items() if len(found) == len(groups[first])}


def of_released(statistics: Statistics, release: ReleaseRecord) -> Statistics:
    """Return the counts with the sizes of images under the names that they have if a release changed the images."""
    if release.images is None or release.images.changes is None:
        return statistics
    sized = (*_MEASURES, names.ASPECT)
    spreads = {f"original_{name}" if name in sized else name: spread for name, spread in statistics.spreads.items()}
    return replace(statistics, spreads=spreads)


def _is_measure(column: pa.Field) -> bool:
    if pa.types.is_floating(column.type):
        return column.name not in (names.LATITUDE, names.LONGITUDE)
    return column.name in _MEASURES and bool(pa.types.is_integer(column.type))


def _count(counter: Counter[Value] | None, column: pa.ChunkedArray, always: bool) -> Counter[Value] | None:
    """Return the counter with a batch added; None once a column has too many values to be a grouping."""
    if counter is None:
        return None
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    found = pc.value_counts(column)
    if not always and len(found) > MOST_VALUES:
        return None
    for value, rows in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
        counter[value] += rows
    return None if not always and len(counter) > MOST_VALUES else counter


def _ordered(counts: Iterable[tuple[Value, int]]) -> list[tuple[Value, int]]:
    return sorted(counts, key=lambda item: (-item[1], item[0] is None, str(item[0])))


class _Bounds:
    """Least and greatest finite value of a column."""

    def __init__(self) -> None:
        self.missing, self.low, self.high = 0, np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        self.missing += len(values) - len(finite)
        if len(finite):
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))


def _histograms(table: Table, bounds: dict[str, _Bounds]) -> dict[str, ValueSpread]:
    wide = [name for name, bound in bounds.items() if bound.low < bound.high]
    counts = {name: np.zeros(BINS, np.int64) for name in wide}
    for rows in table.batches(wide) if wide else ():
        _fill(counts, rows, bounds, wide)
    return {
        name: ValueSpread(
            bound.missing,
            bound.low if bound.low <= bound.high else None,
            bound.high if bound.low <= bound.high else None,
            tuple(int(count) for count in counts.get(name, ())),
        )
        for name, bound in bounds.items()
    }


def _fill(counts: dict[str, np.ndarray], rows: Rows, bounds: dict[str, _Bounds], wide: Sequence[str]) -> None:
    for name in wide:
        values = rows.numbers(name)
        values = values[np.isfinite(values)]
        counts[name] += np.histogram(values, BINS, (bounds[name].low, bounds[name].high))[0]
