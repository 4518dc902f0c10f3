"""Read the distributions of the kept rows: two passes over the shown columns, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from poolwright.core.columns import LATITUDE, LONGITUDE, meaning_of
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.report.charts.tally import (
    BinnedCounts,
    Bins,
    CoordinateTally,
    MonthTally,
    NumberTally,
    PairTally,
    ValueTally,
    floats,
)
from poolwright.report.images.select import Chosen, choose

BATCH_ROWS = 1 << 18
_MOST_VALUES = 1_000_000
_FEW_VALUES = 5_000
_BINS = 50
_WHOLE_BINS = 64
_CELL_DEGREES = 3
_MOST_DOWN, _MOST_ACROSS = 20, 12
_PAIRED = ("domain", "continent", "bucket", "attribute", "split")


@dataclass(frozen=True)
class Numbers:
    """One numeric column: its range and quantiles, and the rows in each bin."""

    tally: NumberTally
    bins: Bins
    counts: list[int]
    below: int
    above: int


@dataclass(frozen=True)
class Distributions:
    """Distributions of the kept rows.

    Attributes:
        chosen: the columns that were read.
        values: rows by value, most first, of every group column.
        nulls: rows without a value, by column.
        overflowed: group columns with too many values to count.
        numbers: histograms by column.
        months: rows by months since January 1970, by column.
        pairs: rows by the values of two group columns, by their names.
        coordinates: rows by latitude and longitude.
        meanings: meaning of each column.
    """

    chosen: Chosen = field(default_factory=Chosen)
    values: Mapping[str, list[tuple[str, int]]] = field(default_factory=dict)
    nulls: Mapping[str, int] = field(default_factory=dict)
    overflowed: tuple[str, ...] = ()
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    months: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str], PairTally] = field(default_factory=dict)
    coordinates: CoordinateTally | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)


def read_distributions(table: Table, bins_of: Callable[[str, Bins], Bins] | None = None) -> Distributions:
    """Count the columns of a table.

    Args:
        bins_of: may replace the bins of a numeric column, so that two tables can be compared.
    """
    if not table.record.rows_kept:
        return Distributions()
    chosen = choose(table.schema)
    if not chosen.names:
        return Distributions()
    first = _FirstPass(chosen)
    for rows in table.batches(chosen.names, BATCH_ROWS):
        first.add(rows)
    values = first.values()
    second = _SecondPass(chosen, values, first.bins(table.schema, bins_of))
    for rows in table.batches(second.names, BATCH_ROWS) if second.names else ():
        second.add(rows)
    return Distributions(
        chosen=chosen,
        meanings={name: meaning_of(table.schema.field(name)) for name in chosen.names},
        values=values,
        nulls={name: tally.nulls for name, tally in first.groups.items()}
        | {name: tally.nulls for name, tally in first.times.items()},
        overflowed=tuple(name for name in chosen.groups if first.groups[name].overflowed),
        numbers={name: _numbers(first.numbers[name], made) for name, made in second.histograms.items()},
        months={name: tally.counts() for name, tally in first.times.items()},
        pairs=second.pairs,
        coordinates=first.coordinates if first.coordinates and first.coordinates.rows else None,
    )


def _numbers(tally: NumberTally, made: BinnedCounts) -> Numbers:
    return Numbers(tally, made.bins, made.counts, made.below, made.above)


class _FirstPass:
    """Values of groups, ranges of numbers, months, coordinates."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self.groups = {name: ValueTally(_MOST_VALUES) for name in chosen.groups}
        self.groups |= {name: ValueTally(_FEW_VALUES) for name in chosen.maybe}
        self.numbers = {name: NumberTally() for name in chosen.numbers}
        self.times = {name: MonthTally() for name in chosen.times}
        self.coordinates = CoordinateTally(_CELL_DEGREES) if chosen.coordinates else None

    def add(self, rows: Rows) -> None:
        for name, tally in self.groups.items():
            if not tally.overflowed:
                tally.add(rows.column(name))
        for name, numbers in self.numbers.items():
            numbers.add(floats(rows.column(name)))
        for name, months in self.times.items():
            months.add(rows.column(name))
        if self.coordinates:
            self.coordinates.add(floats(rows.column(LATITUDE)), floats(rows.column(LONGITUDE)))

    def values(self) -> dict[str, list[tuple[str, int]]]:
        """Return the counts of columns whose values make groups, unlike those of ids, names and other free text."""
        found = {name: tally.counts() for name, tally in self.groups.items()}
        return {name: counts for name, counts in found.items() if name in self.chosen.groups or _repeats(counts)}

    def bins(self, schema: pa.Schema, bins_of: Callable[[str, Bins], Bins] | None) -> dict[str, Bins]:
        found = {}
        for name, tally in self.numbers.items():
            if tally.finite:
                bins = nice_bins(tally, pa.types.is_integer(schema.field(name).type))
                found[name] = bins_of(name, bins) if bins_of else bins
        return found


def _repeats(counts: list[tuple[str, int]]) -> bool:
    return 1 < len(counts) <= sum(rows for _, rows in counts) / 2


class _SecondPass:
    """Histograms in suitable bins, and pairs of groups."""

    def __init__(self, chosen: Chosen, values: Mapping[str, list[tuple[str, int]]], bins: Mapping[str, Bins]) -> None:
        self.histograms = {name: BinnedCounts(of) for name, of in bins.items()}
        self.pairs = {
            (down, across): PairTally(_largest(values[down], _MOST_DOWN), _largest(values[across], _MOST_ACROSS))
            for down, across in _worth_pairing(chosen, values)
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.histograms, *(name for pair in self.pairs for name in pair))))

    def add(self, rows: Rows) -> None:
        for name, histogram in self.histograms.items():
            histogram.add(floats(rows.column(name)))
        for (down, across), tally in self.pairs.items():
            tally.add(rows.column(down), rows.column(across))


def _worth_pairing(chosen: Chosen, values: Mapping[str, list[tuple[str, int]]]) -> list[tuple[str, str]]:
    """Return the class paired with at most two domain-like columns; without classes, the first two groups."""
    several = [name for name in values if len(values[name]) > 1]
    narrow = [name for name in several if len(values[name]) <= _MOST_ACROSS and name != chosen.label]
    if chosen.label in several:
        liked = [name for name in _PAIRED if name in narrow] or narrow[:1]
        return [(str(chosen.label), name) for name in liked[:2]]
    return [(several[0], name) for name in narrow if name != several[0]][:1] if several else []


def _largest(counts: list[tuple[str, int]], most: int) -> list[str]:
    values = [value for value, _ in counts[:most]]
    return in_order(values) if len(counts) <= most else values


def in_order(values: Iterable[str]) -> list[str]:
    """Return the values in numeric order if all are integers, else unchanged."""
    kept = list(values)
    return sorted(kept, key=int) if all(value.lstrip("-").isdecimal() for value in kept) else kept


def nice_bins(tally: NumberTally, integers: bool) -> Bins:
    """Return thirty to eighty bins with round edges; a thin, far tail is left to `below` and `above`."""
    low, high = _shown_range(tally)
    if integers and high - low < _WHOLE_BINS:
        low = math.floor(low)
        return Bins(low - 0.5, 1.0, int(math.ceil(high) - low) + 1, whole=True)
    if high <= low:
        step = max(abs(low) * 0.1, 1e-6)
        return Bins(low - step / 2, step, 1)
    step = nice_step((high - low) / _BINS)
    if integers:
        step = max(1.0, step)
    first = math.floor(low / step + 1e-9)
    return Bins(first * step, step, max(1, math.ceil(high / step - 1e-9) - first))


def _shown_range(tally: NumberTally) -> tuple[float, float]:
    near, far = tally.quantile(0.001), tally.quantile(0.999)
    margin = 0.3 * (far - near)
    low = tally.low if tally.low >= near - margin else near
    high = tally.high if tally.high <= far + margin else far
    return (low, high) if math.isfinite(high - low) else (max(low, -1e300), min(high, 1e300))


def nice_step(step: float) -> float:
    """Return the 1, 2 or 5 times a power of ten that is nearest, by ratio."""
    power = 10.0 ** math.floor(math.log10(step))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda size: abs(math.log(size / step)))
