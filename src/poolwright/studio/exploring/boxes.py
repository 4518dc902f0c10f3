"""Build facets, histograms and the threshold of a search for a page of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from poolwright.core.columns import LABEL, SIMILARITY, SPLIT
from poolwright.inspect.search import SCORE
from poolwright.inspect.views.answers import Histogram
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Among, Between, Filter
from poolwright.inspect.views.view import View
from poolwright.studio.exploring.query_state import PageState, shown
from poolwright.studio.exploring.views import SearchedView

FACET_VALUES = 10
MOST_FACET_VALUES = 200
FINE = 24
"""Integer columns with more distinct values are shown as histograms."""

_FIRST = (DROPPED_BY, LABEL, SPLIT, "domain", "bucket", "cluster", "continent", "region", "country", "license")
_OPEN_FACETS, _OPEN_NUMBERS = 4, 2


@dataclass(frozen=True)
class ValueLink:
    """A value of a facet on the page."""

    words: str
    rows: int
    of: int
    chosen: bool
    url: str


@dataclass(frozen=True)
class FacetBox:
    """A facet on the page; `values` is None as long as it is closed and not counted."""

    name: str
    url: str
    values: tuple[ValueLink, ...] | None = None
    distinct: int = 0
    most: int = 1


@dataclass(frozen=True)
class NumberBox:
    """A numeric column on the page, with the chosen range."""

    name: str
    url: str
    low: str = ""
    high: str = ""
    bars: tuple[tuple[float, float], ...] | None = None
    ends: tuple[float, float] = (0.0, 0.0)
    shown: tuple[str, str] = ("", "")


def facet_order(view: View) -> list[str]:
    """Return the facets in order of interest: well-known columns first, without fine-grained numbers."""
    coarse = [name for name in view.facets if not _is_fine(view, name)]
    return sorted(coarse, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))


def classes_of(view: View) -> list[str]:
    """Return the facets that can be classes: those of several values, the label first."""
    found = [name for name in facet_order(view) if name != DROPPED_BY and len(view.column(name).names) > 1]
    return sorted(found, key=lambda name: name != LABEL)


def facet_boxes(view: View, asked: PageState, base: str) -> list[FacetBox]:
    """Return the facets, well-known ones first; the first and those with a choice are counted, others on opening."""
    order = [name for name in facet_order(view) if name != DROPPED_BY or view.rows > view.kept]
    chosen = {clause.column for clause in asked.filter.clauses if isinstance(clause, Among)}
    counted = [name for name in order if len(view.column(name).names) > 1 or name in chosen][:_OPEN_FACETS]
    return [
        facet_box(view, asked, base, name)
        if name in counted or name in chosen
        else FacetBox(name, _of(base, asked, name))
        for name in order
    ]


def _of(base: str, asked: PageState, name: str) -> str:
    return f"{base}/facet?{asked.query(('name', name))}"


def _is_fine(view: View, name: str) -> bool:
    column = view.column(name)
    return pa.types.is_integer(column.type) and len(column.names) > FINE


def facet_box(view: View, asked: PageState, base: str, name: str, most: int = FACET_VALUES, like: str = "") -> FacetBox:
    """Count one facet. With the threshold of a search, values have the rows above it and all rows."""
    facet = view.facet(name, _cut(view, asked), most, like)
    of = facet if asked.cut is None else view.facet(name, _cut(view, replace(asked, cut=None)), MOST_FACET_VALUES)
    totals = {value.name: value.rows for value in of.values}
    values = tuple(
        ValueLink(
            words=value.name if value.name is not None else no_value(name),
            rows=value.rows,
            of=max(totals.get(value.name, value.rows), value.rows),
            chosen=value.chosen,
            url=f"{base}?{asked.toggled(name, value.name).query()}",
        )
        for value in facet.values
    )
    return FacetBox(name, _of(base, asked, name), values, facet.distinct, max([1, *(value.of for value in values)]))


def no_value(name: str) -> str:
    """Return the text for a missing value of a column."""
    return "kept" if name == DROPPED_BY else "no value"


def _cut(view: View, asked: PageState) -> Filter:
    searched = any(column.name == SCORE for column in view.columns)
    return asked.filter & Between(SCORE, asked.cut) if searched else asked.filter


def number_boxes(view: View, asked: PageState, base: str) -> list[NumberBox]:
    """Return the numeric columns; the first and those with a range are drawn, others on opening."""
    varied = [name for name in view.numbers if name != SCORE and view.column(name).low != view.column(name).high]
    fine = [name for name in varied if not view.column(name).facet or _is_fine(view, name)]
    order = sorted(fine, key=lambda name: (name != SIMILARITY, not pa.types.is_floating(view.column(name).type)))
    chosen = {clause.column for clause in asked.filter.clauses if isinstance(clause, Between)}
    return [
        number_box(view, asked, base, name)
        if index < _OPEN_NUMBERS or name in chosen
        else NumberBox(name, f"{base}/number?{asked.query(('name', name))}")
        for index, name in enumerate(order)
    ]


def number_box(view: View, asked: PageState, base: str, name: str) -> NumberBox:
    """Draw one numeric column, over the rows that pass the rest of the filter."""
    mine = [one for one in asked.filter.clauses if isinstance(one, Between) and one.column == name]
    rest = asked.ranged(name)
    histogram = view.histogram(name, _cut(view, rest))
    column = view.column(name)
    return NumberBox(
        name,
        f"{base}?{rest.query()}",
        next((repr(one.low) for one in mine if one.low is not None), ""),
        next((repr(one.high) for one in mine if one.high is not None), ""),
        bars(histogram),
        (histogram.low, histogram.high),
        (shown(column, histogram.low), shown(column, histogram.high)),
    )


def bars(histogram: Histogram) -> tuple[tuple[float, float], ...]:
    """Return (kept rows, all rows) of each bin, in percent of the highest bin."""
    sums = [kept + dropped for kept, dropped in zip(histogram.kept, histogram.dropped, strict=True)]
    most = max([1, *sums])
    return tuple(
        (round(100 * kept / most, 2), round(100 * both / most, 2))
        for kept, both in zip(histogram.kept, sums, strict=True)
    )


@dataclass(frozen=True)
class Panel:
    """The panel of a search above its rows."""

    words: str
    column: str
    scored: int
    bars: tuple[tuple[float, float], ...]
    low: float
    high: float
    cut: float


def panel_of(view: View, asked: PageState, search: SearchedView) -> Panel:
    """Return the panel of a search, with the histogram of its scores."""
    column = view.column(SCORE)
    low, high = column.low or 0.0, column.high or 0.0
    histogram = view.histogram(SCORE, asked.filter, bins=96, ends=(low, high))
    found = search.result
    return Panel(
        found.words, found.column, found.rows, bars(histogram), low, high, low if asked.cut is None else asked.cut
    )
