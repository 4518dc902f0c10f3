"""Plot the decisions of classifiers over all rows they saw, kept or not, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from poolwright.core.table import DECISIONS, StepRecord, Table
from poolwright.core.wording import number
from poolwright.core.wording import rows as in_rows
from poolwright.report.charts.charts import Line, Tick, columns, tick_values
from poolwright.report.charts.words import figure, short
from poolwright.report.figures import Plot

_BINS = 60


def decision_plots(table: Table) -> Iterator[Plot]:
    """Yield a plot for each step that counted its decisions between two classes."""
    for step in table.record.steps:
        counts = table.record.tallies.get(f"{step.state_name}.{DECISIONS}")
        if counts is not None and any(counts):
            yield _plot(table, step, np.array(counts, np.int64))


def _plot(table: Table, step: StepRecord, counts: np.ndarray) -> Plot:
    values = table.state(step.index).values
    edges, threshold = np.array(values["edges"], np.float64), float(values["threshold"])
    seen = np.flatnonzero(counts)
    low = float(min(edges[max(seen[0] - 1, 0)], threshold))
    high = float(max(edges[min(seen[-1], len(edges) - 1)], threshold))
    low, high = (low, high) if low < high else (low - 1, high + 1)
    ends = np.linspace(low, high, _BINS + 1)
    drawn = np.zeros(_BINS, np.int64)
    middles = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    np.add.at(drawn, np.clip(np.searchsorted(ends, middles, side="right") - 1, 0, _BINS - 1), counts)
    above = int(counts[np.flatnonzero(edges <= threshold)[-1] + 1 :].sum())
    ranges = [f"{figure(one, 0.01)} to {figure(other, 0.01)}" for one, other in pairwise(ends.tolist())]
    top = max(1, math.ceil(math.log10(max(int(drawn.max()), 10))))
    facts = f"{in_rows(int(counts.sum()))} · {in_rows(above)} above the threshold"
    title = f"Decisions of step {step.index + 1}, {step.verb}"
    return Plot(
        title=title,
        meaning="All rows that the step saw, including dropped ones, on a logarithmic scale.",
        facts=facts,
        svg=columns(
            [math.log10(1 + count) for count in drawn.tolist()],
            [f"decision {words}: {in_rows(count)}" for words, count in zip(ranges, drawn.tolist(), strict=True)],
            f"{title}: {facts}",
            top,
        ),
        across=tuple(
            Tick(round(100 * (value - low) / (high - low), 2), short(value)) for value in tick_values(low, high, 5)
        ),
        up=tuple(Tick(round(100 * power / top, 2), short(10**power)) for power in range(1, top + 1)),
        lines=(Line(round(100 * (threshold - low) / (high - low), 2), f"threshold {number(threshold)}"),),
        numbers=tuple((words, f"{count:,}") for words, count in zip(ranges, drawn.tolist(), strict=True) if count),
    )
