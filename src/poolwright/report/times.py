"""Plot rows by month, year or decade."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwright.core.wording import rows as in_rows
from poolwright.report.charts.charts import Tick, columns, count_ticks, nice_top
from poolwright.report.charts.distributions import Distributions
from poolwright.report.figures import Plot

_MONTHLY, _YEARLY = 36, 12 * 150
_PER = {1: "by month", 12: "by year", 120: "by decade"}


def time_plots(found: Distributions) -> list[Plot]:
    """Return a plot of rows by month, year or decade for every column of times."""
    return [
        replace(_time_plot(name, counts, found.nulls.get(name, 0)), meaning=found.meanings.get(name, ""))
        for name, counts in found.months.items()
        if counts
    ]


def _time_plot(name: str, months: list[tuple[int, int]], nulls: int) -> Plot:
    first, last = _shown_months(months)
    per = 1 if last - first < _MONTHLY else 12 if last - first < _YEARLY else 120
    start = first // per
    counts = [0] * (last // per - start + 1)
    outside = 0
    for month, rows in months:
        if first <= month <= last:
            counts[month // per - start] += rows
        else:
            outside += rows
    words = [_month(period * per, per) for period in range(start, start + len(counts))]
    top = nice_top(max(counts))
    facts = [f"{_month(months[0][0], 1)} to {_month(months[-1][0], 1)}", _PER[per]]
    if outside:
        facts.append(f"{in_rows(outside)} outside the range shown")
    if nulls:
        facts.append(f"{in_rows(nulls)} without a value")
    titles = [f"{word}: {in_rows(count)}" for word, count in zip(words, counts, strict=True)]
    every = max(1, round(len(counts) / 6))
    return Plot(
        title=name,
        meaning="",
        facts=" · ".join(facts),
        svg=columns(counts, titles, f"Rows by {name}: {facts[0]}", top),
        across=tuple(
            Tick(round(100 * (period + 0.5) / len(counts), 2), words[period]) for period in range(0, len(counts), every)
        ),
        up=count_ticks(top),
        numbers=tuple((word, f"{count:,}") for word, count in zip(words, counts, strict=True) if count),
    )


def _shown_months(months: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the first and last month to draw: all, unless a few rows are years away from the rest."""
    reached = np.cumsum([rows for _, rows in months])
    near = months[int(np.searchsorted(reached, reached[-1] * 0.001))][0]
    far = months[int(np.searchsorted(reached, reached[-1] * 0.999))][0]
    margin = max(24, (far - near) // 3)
    low, high = months[0][0], months[-1][0]
    return (low if low >= near - margin else near), (high if high <= far + margin else far)


def _month(month: int, per: int) -> str:
    year = 1970 + month // 12
    return f"{year:04d}-{month % 12 + 1:02d}" if per == 1 else f"{year:04d}" + ("s" if per == 120 else "")
