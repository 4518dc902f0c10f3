"""Turn the distributions of a table into charts, ready for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from poolwright.core.columns import LATITUDE, LONGITUDE
from poolwright.core.table import Limit
from poolwright.core.wording import rows as in_rows
from poolwright.report.charts.charts import (
    BarSegment,
    Line,
    Markup,
    Tick,
    bar,
    columns,
    count_ticks,
    globe,
    nice_top,
    rank_curve,
    tick_values,
)
from poolwright.report.charts.distributions import Distributions, Numbers, in_order
from poolwright.report.charts.words import cut, figure, percent, short

LARGEST, SMALLEST = 30, 10
_NAME = 60
_SMALL_SHARE = 0.1


@dataclass(frozen=True)
class Bar:
    """One value of a group column, with its rows."""

    name: str
    rows: str
    share: str
    svg: Markup


@dataclass(frozen=True)
class BarChart:
    """Rows by value. `smallest` and `curve` are for many values; `more` describes what is not shown."""

    title: str
    meaning: str
    facts: str
    bars: tuple[Bar, ...]
    smallest: tuple[Bar, ...] = ()
    curve: Plot | None = None
    more: str = ""


@dataclass(frozen=True)
class Plot:
    """A drawing with axes. `numbers` are its data as a table: (description, rows)."""

    title: str
    meaning: str
    facts: str
    svg: Markup
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    behind: str = ""
    numbers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class HeatMap:
    """Rows by the values of two columns: (value, cells of (rows, shade 0 to 1)) per line."""

    down: str
    across: str
    names: tuple[str, ...]
    lines: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    facts: str


@dataclass(frozen=True)
class GlobeMap:
    """Rows on a map, with its legend."""

    svg: Markup
    legend: tuple[str, ...]
    facts: str


def bar_charts(found: Distributions) -> list[BarChart]:
    """Return a chart for every group column, the class first."""
    charts = [_bar_chart(name, counts, found) for name, counts in found.values.items() if counts]
    label = found.chosen.label
    return sorted(charts, key=lambda chart: chart.title != label)


def _bar_chart(name: str, counts: list[tuple[str, int]], found: Distributions) -> BarChart:
    sizes = [rows for _, rows in counts]
    whole, top, nulls = sum(sizes), sizes[0], found.nulls.get(name, 0)
    shown = counts[:LARGEST]
    if len(counts) <= LARGEST:
        by_value = dict(counts)
        shown = [(value, by_value[value]) for value in in_order([value for value, _ in counts])]
    rest = counts[LARGEST:]
    middle = sizes[len(sizes) // 2]
    facts = [f"{len(counts):,} values" if len(counts) != 1 else "1 value"]
    if rest:
        facts += [f"largest {sizes[0]:,}", f"median {middle:,}", f"smallest {sizes[-1]:,}"]
    if nulls:
        facts.append(f"{in_rows(nulls)} without a value")
    return BarChart(
        title=name,
        meaning=found.meanings.get(name, ""),
        facts=" · ".join(facts),
        bars=tuple(_bar(value, rows, whole, top) for value, rows in shown),
        smallest=tuple(_bar(value, rows, whole, top) for value, rows in rest[-SMALLEST:]),
        curve=_tail(name, sizes) if rest else None,
        more=_more(rest),
    )


def _tail(name: str, sizes: list[int]) -> Plot:
    curve = rank_curve(sizes, f"Sizes of {len(sizes):,} values of {name}, by rank")
    scale = "logarithmic scale" if curve.logarithmic else ""
    title = f"Sizes of the {len(sizes):,} values, largest first"
    return Plot(title, "", scale, curve.svg, curve.across, curve.up)


def _more(rest: Sequence[tuple[str, int]]) -> str:
    between = rest[:-SMALLEST]
    if not between:
        return ""
    return f"{len(between):,} values in between have {in_rows(sum(rows for _, rows in between))}"


def _bar(value: str, rows: int, whole: int, top: int) -> Bar:
    name = cut(value, _NAME) or "(empty)"
    share = percent(rows, whole)
    words = f"{name}: {in_rows(rows)}, {share}"
    return Bar(name, f"{rows:,}", share, bar([BarSegment(rows, "kept", words)], top))


def number_plots(
    found: Distributions,
    source: Distributions | None,
    source_name: str,
    limits: Mapping[str, Sequence[Limit]],
) -> list[Plot]:
    """Return a histogram for every numeric column.

    Args:
        source: distributions of the source table; drawn behind if it has the column in the same bins.
        limits: by column, the limits that steps compared it with.
    """
    plots = []
    for name, numbers in found.numbers.items():
        theirs = source.numbers.get(name) if source else None
        behind = theirs.counts if theirs and theirs.bins == numbers.bins else None
        plot = _number_plot(name, numbers, behind, source_name, limits.get(name, ()))
        plots.append(replace(plot, meaning=found.meanings.get(name, "")))
    return plots


def _number_plot(
    name: str, numbers: Numbers, behind: Sequence[int] | None, source_name: str, limits: Sequence[Limit]
) -> Plot:
    bins, counts = numbers.bins, numbers.counts
    outline, legend = _behind(counts, behind, source_name)
    top = nice_top(max([*counts, *outline, 1]))
    ranges = [_range(numbers, index) for index in range(bins.number)]
    titles = [f"{name} {words}: {in_rows(count)}" for words, count in zip(ranges, counts, strict=True)]
    if behind:
        titles = [f"{title}, of {count:,} in {source_name}" for title, count in zip(titles, behind, strict=True)]
    span = bins.high - bins.low
    lines = [
        Line(round(100 * (limit.value - bins.low) / span, 2), limit.words)
        for limit in limits
        if bins.low <= limit.value <= bins.high
    ]
    facts = _number_facts(numbers)
    return Plot(
        title=name,
        meaning="",
        facts=facts,
        svg=columns(counts, titles, f"Histogram of {name}: {facts}", top, outline),
        across=tuple(
            Tick(round(100 * (value - bins.low) / span, 2), short(value))
            for value in tick_values(bins.low, bins.high, 5)
            if not bins.whole or value == int(value)
        ),
        up=count_ticks(top),
        lines=tuple(lines),
        behind=legend,
        numbers=tuple((words, f"{count:,}") for words, count in zip(ranges, counts, strict=True) if count),
    )


def _behind(counts: Sequence[int], behind: Sequence[int] | None, name: str) -> tuple[list[float], str]:
    """Return the outline of the source and its legend, scaled down if few of its rows were kept."""
    if not behind or not any(counts) or list(behind) == list(counts):
        return [], ""
    if sum(counts) >= _SMALL_SHARE * sum(behind):
        return [float(count) for count in behind], f"all rows of {name}"
    scale = max(counts) / max(behind)
    return [count * scale for count in behind], f"all rows of {name}, drawn 1 : {round(1 / scale):,}"


def _range(numbers: Numbers, index: int) -> str:
    bins = numbers.bins
    if bins.whole:
        return figure(bins.edge(index) + 0.5)
    if bins.number == 1:
        return figure(numbers.tally.low)
    return f"{figure(bins.edge(index), bins.width)} to {figure(bins.edge(index + 1), bins.width)}"


def _number_facts(numbers: Numbers) -> str:
    tally = numbers.tally
    step = numbers.bins.width / 10 if not numbers.bins.whole and numbers.bins.width < 10 else 0.0
    facts = [f"{figure(tally.low, step)} to {figure(tally.high, step)}"]
    if tally.high > tally.low:
        facts.append(f"median {_rounded(tally.quantile(0.5))}")
    if numbers.below:
        facts.append(f"{in_rows(numbers.below)} below the range shown")
    if numbers.above:
        facts.append(f"{in_rows(numbers.above)} above the range shown")
    if tally.infinite:
        facts.append(f"{in_rows(tally.infinite)} infinite")
    if tally.missing:
        facts.append(f"{in_rows(tally.missing)} without a value")
    return " · ".join(facts)


def _rounded(value: float) -> str:
    """Round to three digits, the precision of a quantile from float32 bits."""
    return f"{float(f'{value:.3g}'):,.6g}"


def heat_maps(found: Distributions) -> list[HeatMap]:
    """Return tables of two group columns, shaded by the square root of the rows."""
    maps = []
    for (down, across), tally in found.pairs.items():
        counts = tally.counts
        most = max((count for line in counts for count in line), default=0) or 1
        whole = sum(rows for _, rows in found.values[down])
        inside = sum(map(sum, counts))
        shown = "" if inside == whole else f"{in_rows(inside)} of {whole:,}: only the largest values of each column"
        lines = tuple(
            (cut(name, 40), tuple((f"{count:,}", round((count / most) ** 0.5, 3)) for count in line))
            for name, line in zip(tally.down, counts, strict=True)
        )
        maps.append(HeatMap(down, across, tuple(cut(name, 24) for name in tally.across), lines, shown))
    return maps


def globe_map(found: Distributions) -> GlobeMap | None:
    """Return a map of the rows by latitude and longitude; None if the table has no coordinates."""
    if found.coordinates is None:
        return None
    degrees = found.coordinates.degrees
    label = f"Map of {in_rows(found.coordinates.rows)} by {LATITUDE} and {LONGITUDE}"
    svg, shades = globe(found.coordinates.cells, label, _land())
    legend = tuple(f"{least:,}" if least == most else f"{least:,}–{most:,}" for least, most in shades)
    return GlobeMap(svg, legend, f"{in_rows(found.coordinates.rows)} in cells of {degrees} by {degrees} degrees")


@cache
def _land() -> str:
    """Return the land of the world (Natural Earth, 1:110 million), as an SVG path in half degrees."""
    return files("poolwright.report").joinpath("templates", "land.txt").read_text(encoding="ascii").strip()
