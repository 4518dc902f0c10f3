"""Defines the answers of a view about the rows of a filter: facets, histograms, counts, pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class FacetValue:
    """A value of a facet: its text (None is no value), rows with it, and whether the filter asks for it."""

    name: str | None
    rows: int
    chosen: bool


@dataclass(frozen=True)
class Facet:
    """Rows by the values of a column, most frequent first, for the filter without its clauses about this column.

    Attributes:
        values: the first values, and all that were chosen.
        distinct: number of values that have rows.
    """

    column: str
    values: tuple[FacetValue, ...]
    distinct: int


@dataclass(frozen=True)
class Histogram:
    """Kept and dropped rows by the numbers of a column, in bins of equal width.

    Attributes:
        low, high: ends of the bins.
    """

    column: str
    low: float
    high: float
    kept: tuple[int, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Counts:
    """Counts of the rows that a filter finds."""

    kept: int
    dropped: int

    @property
    def rows(self) -> int:
        """Kept and dropped rows together."""
        return self.kept + self.dropped


@dataclass(frozen=True)
class Page:
    """Some rows of a filter, in order: their positions, and how many rows the filter finds."""

    positions: tuple[int, ...]
    rows: int


def facet_of(
    column: str, names: Sequence[str | None], rows: npt.NDArray[np.int64], asked: set[str | None], most: int, like: str
) -> Facet:
    """Make a facet from the rows of all its values.

    Args:
        column: the name of the column.
        names: names of the values.
        rows: int64, rows of each value.
        asked: values that the filter asks for.
        most: number of values to return, besides those.
        like: only values that contain this text.
    """
    words = like.lower()
    order = sorted(np.flatnonzero(rows).tolist(), key=lambda index: (-rows[index], _by_value(names[index])))
    shown = [index for index in order if words in (names[index] or "no value").lower()][:most]
    there = {names[index] for index in shown}
    codes = {name: index for index, name in enumerate(names)} if asked - there else {}
    shown += [codes[value] for value in asked - there if value in codes]
    values = tuple(FacetValue(names[index], int(rows[index]), names[index] in asked) for index in shown)
    return Facet(column, values, len(order))


def _by_value(name: str | None) -> tuple[int, float, str]:
    """Return a sort key: no value first, then whole numbers by size, then texts."""
    if name is None:
        return 0, 0, ""
    return (1, int(name), "") if name.removeprefix("-").isdecimal() and len(name) < 20 else (2, 0, name)
