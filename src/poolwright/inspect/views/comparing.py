"""Compares two groups of rows: the columns in which they differ, and how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.columns import UID
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Among, Between, Filter, HasOutcome
from poolwright.inspect.views.view import BINS, View

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A column, and the distributions of its values in two groups.

    Attributes:
        column: its name.
        distance: of a facet the share of rows that would have to change their value (total variation); of numbers the
            greatest difference of the shares below a number, over the edges of the bins (Kolmogorov-Smirnov). 0 to 1.
        names: names of the most frequent values; None is no value. Empty for numbers.
        ends: ends of the bins, for numbers.
        first, second: share of each group with each value or in each bin.
        rows: rows of each group that have a value.
    """

    column: str
    distance: float
    names: tuple[str | None, ...]
    ends: tuple[float, float]
    first: tuple[float, ...]
    second: tuple[float, ...]
    rows: tuple[int, int]


def differences(view: View, first: Filter, second: Filter, most: int = 8) -> list[Difference]:
    """Compute how the columns of two groups differ, the most different first.

    Columns that a filter asks about are left out, and those without values in one of the groups.

    Args:
        view: the rows.
        first, second: the groups; rows may be in both.
        most: number of values to return of each facet.
    """
    asked = {one.column for one in (*first.clauses, *second.clauses) if isinstance(one, Among | Between)}
    if any(isinstance(one, HasOutcome) for one in (*first.clauses, *second.clauses)):
        asked.add(DROPPED_BY)
    facets = [name for name in view.facets if name not in asked]
    numbers = [name for name in view.numbers if name not in {*asked, *facets, UID}]
    found = [_of_values(view, name, first, second, most) for name in facets]
    found += [_of_numbers(view, name, first, second) for name in numbers]
    return sorted((one for one in found if min(one.rows)), key=lambda one: -one.distance)


def _of_values(view: View, name: str, first: Filter, second: Filter, most: int) -> Difference:
    counts = [view.value_counts(name, one) for one in (first, second)]
    one, other = _share(counts[0]), _share(counts[1])
    names: list[str | None] = [None, *view.column(name).names]
    order = np.argsort(-(one + other), kind="stable")[:most]
    shown = [index for index in order.tolist() if one[index] or other[index]]
    distance = float(np.abs(one - other).sum() / 2)
    rows = int(counts[0][1:].sum()), int(counts[1][1:].sum())
    first_shares, second_shares = (tuple(part[shown].tolist()) for part in (one, other))
    return Difference(name, distance, tuple(names[index] for index in shown), (0, 0), first_shares, second_shares, rows)


def _of_numbers(view: View, name: str, first: Filter, second: Filter) -> Difference:
    histograms = [view.histogram(name, one, BINS) for one in (first, second)]
    counts = [np.add(one.kept, one.dropped) for one in histograms]
    one, other = _share(counts[0]), _share(counts[1])
    distance = float(np.abs(np.cumsum(one) - np.cumsum(other)).max())
    rows = int(counts[0].sum()), int(counts[1].sum())
    ends = (histograms[0].low, histograms[0].high)
    return Difference(name, distance, (), ends, tuple(one.tolist()), tuple(other.tolist()), rows)


def _share(counts: npt.NDArray[np.int64]) -> Shares:
    total = counts.sum()
    return np.asarray(counts / total if total else np.zeros(len(counts)), np.float64)
