"""Compare two groups of rows side by side: pictures of both, and the columns in which they differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from poolwright.core.columns import UID
from poolwright.core.errors import PoolwrightError
from poolwright.inspect.views.answers import Counts
from poolwright.inspect.views.clauses import Filter
from poolwright.inspect.views.comparing import Difference, differences
from poolwright.inspect.views.view import SHUFFLED, View
from poolwright.studio.exploring.boxes import facet_order, no_value
from poolwright.studio.exploring.cards import base_of, filter_of
from poolwright.studio.exploring.query_state import PageState, Pairs, read_asked, shown, words
from poolwright.studio.exploring.rows import ViewsOf, filters_of_owner, open_view
from poolwright.studio.exploring.views import Views
from poolwright.studio.pages import StudioOf, page

router = APIRouter(dependencies=[Depends(filters_of_owner)])

SIDES = ("a", "b")
_PICTURES = 40
_MOST_DIFFERENCES = 12
_CHOICES, _CHOICE_FACETS = 40, 8


@dataclass(frozen=True)
class Side:
    """One of the two groups."""

    letter: str
    asked: PageState
    count: Counts
    pictures: tuple[tuple[int, str], ...]
    chips: tuple[tuple[str, str], ...]
    outcomes: tuple[tuple[str, str, bool], ...]
    rest: Pairs


@dataclass(frozen=True)
class ValueShares:
    """A value with its share of each group in percent, and the lengths of the bars."""

    words: str
    first: float
    second: float
    first_bar: float
    second_bar: float


@dataclass(frozen=True)
class Chart:
    """The distributions of a column in both groups."""

    column: str
    distance: float
    lines: tuple[ValueShares, ...]
    shapes: tuple[str, str]
    ends: tuple[str, str]


@router.get("/explore/{name}/compare")
def compare_page(
    request: Request,
    studio: StudioOf,
    views: ViewsOf,
    name: str,
    side: Annotated[str, Query(pattern="^[ab]?$")] = "",
) -> Response:
    """Show two groups of rows."""
    view = open_view(request, views, name)
    if isinstance(view, Response):
        return view
    pairs = request.query_params.multi_items()
    if side:
        return RedirectResponse(f"{base_of(name)}/compare?{urlencode(_opposed(view, pairs))}", 303)
    asked = [_side(view, pairs, letter) for letter in SIDES]
    found = [_found(views, view, one) for one in asked]
    trouble, filters = next((error for _, error in found if error), ""), [chosen for chosen, _ in found]
    sides = [_shown(name, view, letter, asked, chosen) for letter, chosen in zip(SIDES, filters, strict=True)]
    different = differences(view, filters[0], filters[1]) if all(one.count.rows for one in sides) else []
    return page(
        request,
        "explore_compare.html.j2",
        table=name,
        base=base_of(name),
        tables=studio.opened.table_names(),
        view=view,
        of=view.digest,
        sides=sides,
        charts=[_chart(view, one) for one in different[:_MOST_DIFFERENCES]],
        swapped=urlencode([*_named("a", asked[1]), *_named("b", asked[0])]),
        choices=_choices(view),
        trouble=trouble,
    )


def _opposed(view: View, pairs: Pairs) -> Pairs:
    """Return these rows as the first group, and the natural comparison as the second."""
    asked = read_asked(view, pairs)
    other = PageState().outcome(not asked.kept) if asked.kept is not None else PageState()
    if asked.filter.clauses and asked.kept is not None:
        other = asked.outcome(not asked.kept)
    return [*_named("a", replace(asked, sort="")), *_named("b", other)]


def _named(letter: str, asked: PageState) -> Pairs:
    return [(f"{letter}.{name}", value) for name, value in asked.pairs()]


def _side(view: View, pairs: Pairs, letter: str) -> PageState:
    mine = [(name.removeprefix(f"{letter}."), value) for name, value in pairs if name.startswith(f"{letter}.")]
    asked = read_asked(view, mine)
    for column, value in (_added(value) for name, value in mine if name == "add"):
        if column in view.facets:
            asked = asked.toggled(column, value)
    if not any(name.startswith(("a.", "b.")) for name, _ in pairs):
        return PageState().outcome(letter == "a")  # by default kept rows are compared with dropped ones
    return asked


def _added(text: str) -> tuple[str, str | None]:
    try:
        column, value = json.loads(text)
    except ValueError:
        return "", None
    return str(column), None if value is None else str(value)


def _found(views: Views, view: View, asked: PageState) -> tuple[Filter, str]:
    """Return the filter of a group, and an error or ''; a search with a threshold gives the rows above it."""
    if not asked.searches:
        return asked.filter, ""
    try:
        search = views.searched(view, asked)
        return Filter((views.kept_search(view, search, filter_of(asked, search)),)), ""
    except PoolwrightError as error:
        return asked.filter, str(error)


def _shown(name: str, view: View, letter: str, asked: Sequence[PageState], chosen: Filter) -> Side:
    mine = asked[SIDES.index(letter)]
    others = [pair for one, side in zip(SIDES, asked, strict=True) if one != letter for pair in _named(one, side)]

    def url(changed: PageState) -> str:
        return f"{base_of(name)}/compare?{urlencode([*_named(letter, changed), *others, (f'{letter}.', '')])}"

    outcomes = ((None, "all"), (True, "kept"), (False, "dropped"))
    return Side(
        letter,
        mine,
        view.count(chosen),
        _pictures(view, chosen),
        tuple((words(view, clause), url(mine.without(clause))) for clause in mine.chosen)
        + ((((f"search: {mine.text or mine.odd or 'like a row'}", url(mine.unsearched())),)) if mine.searches else ()),
        tuple((text, url(mine.outcome(kept)), mine.kept == kept) for kept, text in outcomes),
        [*_named(letter, mine), *others],
    )


def _pictures(view: View, chosen: Filter) -> tuple[tuple[int, str], ...]:
    """Return position and uid of some rows."""
    positions = view.page(chosen, SHUFFLED, size=_PICTURES).positions
    return tuple(zip(positions, (row[UID] or "" for row in view.read(positions, [UID])), strict=True))


def _choices(view: View) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the values that can be added to a group, by facet."""
    found = []
    for name in facet_order(view)[:_CHOICE_FACETS]:
        values = view.facet(name, most=_CHOICES).values
        found.append((name, [(value.name or no_value(name), json.dumps([name, value.name])) for value in values]))
    return found


def _chart(view: View, one: Difference) -> Chart:
    column = view.column(one.column)
    most = max([1e-9, *one.first, *one.second])
    lines = tuple(
        ValueShares(name or no_value(one.column), 100 * first, 100 * second, 100 * first / most, 100 * second / most)
        for name, first, second in zip(one.names, one.first, one.second, strict=False)
    )
    shapes = ("", "") if one.names else (_shape(one.first, most), _shape(one.second, most))
    ends = ("", "") if one.names else (shown(column, one.ends[0]), shown(column, one.ends[1]))
    return Chart(one.column, one.distance, lines, shapes, ends)


def _shape(shares: Sequence[float], most: float) -> str:
    """Return the outline of a histogram in a box of 100 by 100 as the points of a polygon."""
    width = 100 / len(shares)
    points = ["0,100"]
    for index, share in enumerate(shares):
        high = f"{100 - 96 * share / most:.1f}"
        points += [f"{index * width:.2f},{high}", f"{(index + 1) * width:.2f},{high}"]
    return " ".join([*points, "100,100"])
