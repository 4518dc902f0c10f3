"""Answers: what a view says of the rows of a filter."""

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
    """Rows by the values of a column, most first; of the filter, but for what it asks of this column.

    Attributes:
        values: the first ones; those that were chosen always.
        distinct: how many have rows.
    """

    column: str
    values: tuple[FacetValue, ...]
    distinct: int


@dataclass(frozen=True)
class Histogram:
    """Rows by the numbers of a column, in bins of one width: kept ones and dropped ones.

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
    """What a filter finds."""

    kept: int
    dropped: int

    @property
    def rows(self) -> int:
        return self.kept + self.dropped


@dataclass(frozen=True)
class Page:
    """Some rows of a filter, in order: their positions, and how many rows the filter finds."""

    positions: tuple[int, ...]
    rows: int


def facet_of(
    column: str, names: Sequence[str | None], rows: npt.NDArray[np.int64], asked: set[str | None], most: int, like: str
) -> Facet:
    """A facet out of the rows of all its values.

    Args:
        column: its name.
        names: of the values.
        rows: int64, of each value.
        asked: values that the filter asks for.
        most: values to give, besides those.
        like: only values that hold these words.
    """
    words = like.lower()
    order = sorted(np.flatnonzero(rows).tolist(), key=lambda place: (-rows[place], _by_value(names[place])))
    shown = [place for place in order if words in (names[place] or "no value").lower()][:most]
    there = {names[place] for place in shown}
    codes = {name: place for place, name in enumerate(names)} if asked - there else {}
    shown += [codes[value] for value in asked - there if value in codes]
    values = tuple(FacetValue(names[place], int(rows[place]), names[place] in asked) for place in shown)
    return Facet(column, values, len(order))


def _by_value(name: str | None) -> tuple[int, float, str]:
    """No value first, then whole numbers by size, then texts."""
    if name is None:
        return 0, 0, ""
    return (1, int(name), "") if name.removeprefix("-").isdecimal() and len(name) < 20 else (2, 0, name)
