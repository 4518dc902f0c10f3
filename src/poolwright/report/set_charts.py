"""Draw the classes and attributes of each set of rows that a step drew, ready for the template."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from poolwright.core.table import Table
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.row_sets import SetCounts, count_sets, row_sets
from poolwright.report.charts.charts import Line, Tick, columns, count_ticks, nice_top, tick_values
from poolwright.report.charts.words import short
from poolwright.report.figures import HeatMap, Plot

_MOST_BARS = 100


@dataclass(frozen=True)
class SetCharts:
    """A histogram of classes for each set, and one table of attributes."""

    classes: tuple[Plot, ...]
    attributes: HeatMap


def set_charts(table: Table) -> SetCharts | None:
    """Return the charts of a table's sets; None if no step drew any."""
    described = row_sets(table.schema)
    if described is None or not table.record.rows_kept:
        return None
    found = count_sets(described, table.batches(described.columns))
    if not found.classes:
        return None
    return SetCharts(tuple(_classes(found, title) for title in found.counts), _attributes(found))


def _classes(found: SetCounts, title: str) -> Plot:
    """Plot rows of the classes by number, averaged over several classes if there are many."""
    sizes = np.array(found.by_class(title), np.float64)
    edges = np.linspace(0, len(sizes), min(len(sizes), _MOST_BARS) + 1).round().astype(np.int64)
    sums = np.add.reduceat(sizes, edges[:-1])
    means = sums / np.diff(edges)
    ranges = [_range(first, last - 1) for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
    titles = [f"{words}: {in_rows(int(count))}" for words, count in zip(ranges, sums.tolist(), strict=True)]
    top = nice_top(float(means.max(initial=1.0)))
    facts = f"{in_rows(int(sizes.sum()))}; largest class {sizes.max():,.0f}, smallest {sizes.min():,.0f}"
    return Plot(
        title=title,
        meaning="Rows of each class, by its number" if len(ranges) == len(sizes) else "Mean rows of classes, by number",
        facts=facts,
        svg=columns(means.tolist(), titles, f"Classes of {title}: {facts}", top),
        across=tuple(Tick(round(100 * value / len(sizes), 2), short(value)) for value in _whole(len(sizes))),
        up=count_ticks(top),
        lines=_borders(found),
        numbers=tuple((words, f"{count:,.0f}") for words, count in zip(ranges, sums.tolist(), strict=True)),
    )


def _borders(found: SetCounts) -> tuple[Line, ...]:
    """Return lines at the starts of the frequency groups after the first."""
    starts = list(accumulate(found.groups))[:-1]
    return tuple(
        Line(round(100 * start / found.classes, 2), name)
        for start, name, count in zip(starts, found.described.group_names[1:], found.groups[1:], strict=True)
        if count
    )


def _range(first: int, last: int) -> str:
    return f"class {first}" if first == last else f"classes {first} to {last}"


def _whole(classes: int) -> list[float]:
    return [value for value in tick_values(0, classes, 5) if value == int(value)]


def _attributes(found: SetCounts) -> HeatMap:
    lines = {title: found.by_attribute(title) for title in found.counts}
    most = max((count for line in lines.values() for count in line), default=0) or 1
    return HeatMap(
        down="set",
        across="attribute",
        names=tuple(str(rank) for rank in range(found.attributes)),
        lines=tuple(
            (title, tuple((f"{count:,}", round((count / most) ** 0.5, 3)) for count in line))
            for title, line in lines.items()
        ),
        facts="0 is the largest cluster of its class",
    )
