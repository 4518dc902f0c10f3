"""Exploring: the rows of a table by facets, ranges and words, as pictures or as a table, and one row with its story."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast
from urllib.parse import quote

import pyarrow as pa
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from poolwright.core.columns import LABEL, SIMILARITY, SPLIT, TEXT, TITLE, UID
from poolwright.core.errors import InputError, PoolwrightError
from poolwright.explore.build import DROPPED_BY
from poolwright.explore.clauses import Between, Filter, Outcome
from poolwright.explore.images import values_of
from poolwright.explore.search import SCORE, Search, text_classes, text_encoder
from poolwright.explore.vectors import vector_columns
from poolwright.explore.view import SHUFFLED, Counts, Histogram, View
from poolwright.run.why import why
from poolwright.studio.explore_asked import Asked, brief, read_asked, shown, words
from poolwright.studio.explore_views import Views, Work
from poolwright.studio.pages import StudioOf, page
from poolwright.studio.pictures import nearest_edge

router = APIRouter()

PAGE = 60
FACET_VALUES = 10
MOST_FACET_VALUES = 200
FINE = 24
"""Integers of more different values are shown as a histogram."""

LAZY_ROWS = 1_000_000
"""Past so many rows facets come after the page."""

_FIRST = (DROPPED_BY, LABEL, SPLIT, "bucket", "cluster", "continent", "region", "country", "license")
_OPEN_FACETS, _OPEN_NUMBERS = 4, 2


def views_of(request: Request, studio: StudioOf) -> Views:
    """The views of this studio, made at the first question."""
    state = request.app.state
    if not hasattr(state, "explore"):
        state.explore = Views(studio.opened)
    return cast(Views, state.explore)


ViewsOf = Annotated[Views, Depends(views_of)]


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
    """A facet on the page; `values` is None where it is closed and not counted yet."""

    name: str
    url: str
    values: tuple[ValueLink, ...] | None = None
    distinct: int = 0
    most: int = 1


@dataclass(frozen=True)
class NumberBox:
    """A column of numbers on the page, with the range that was chosen."""

    name: str
    url: str
    low: str = ""
    high: str = ""
    bars: tuple[tuple[float, float], ...] | None = None
    ends: tuple[float, float] = (0.0, 0.0)
    shown: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Card:
    """A row on the page."""

    position: int
    uid: str
    title: str
    tag: str
    kept: bool
    why: str
    values: tuple[str, ...] = ()


def base_of(name: str) -> str:
    """Where the pages of a table lie."""
    return f"/explore/{quote(name, safe='')}"


def open_view(request: Request, views: Views, name: str) -> View | Response:
    """The view of a table, or the page that tells how far its index is."""
    found = views.get(name)
    if isinstance(found, Work):
        return page(request, "explore_wait.html.j2", table=name, work=found, what="reading its rows once")
    return found


@router.get("/explore")
def explore(studio: StudioOf) -> Response:
    """The last table."""
    names = studio.opened.table_names()
    if not names:
        raise InputError("no table of this run is finished yet; run the recipe first")
    return RedirectResponse(base_of(names[-1]), 303)


@router.get("/explore/{name}")
def rows_page(request: Request, studio: StudioOf, views: ViewsOf, name: str) -> Response:
    """Rows of a table, filtered and sorted."""
    view = open_view(request, views, name)
    if isinstance(view, Response):
        return view
    base = base_of(name)
    try:
        asked = read_asked(view, request.query_params.multi_items())
        found, search, trouble = _searched(views, view, asked)
        count, cards, following = _cards(found, asked, search, 0)
    except PoolwrightError as error:
        asked, found, search, trouble = Asked(layout="grid"), view, None, str(error)
        count, cards, following = _cards(view, asked, None, 0)
    lazy = view.rows > LAZY_ROWS
    return page(
        request,
        "explore_rows.html.j2",
        table=name,
        base=base,
        tables=studio.opened.table_names(),
        view=view,
        asked=asked,
        search=search,
        trouble=trouble,
        count=count,
        rows=count.rows if asked.kept is None else count.kept if asked.kept else count.dropped,
        downward=_order(asked, search)[1],
        cards=cards,
        following=following,
        facets=None if lazy else facet_boxes(found, asked, base),
        numbers=None if lazy else number_boxes(found, asked, base),
        chips=[(words(view, clause), f"{base}?{asked.without(clause).query()}") for clause in asked.filter.clauses],
        sorts=_sorts(found),
        vectors=vector_columns(view),
        speaks=_speaks(view),
        columns=_table_columns(view),
        shuffled=SHUFFLED,
        score=SCORE,
        panel=_panel(found, asked, search) if search else None,
        step=_steps(found, asked, search),
        replace=replace,
    )


def _searched(views: Views, view: View, asked: Asked) -> tuple[View, Search | None, str]:
    if not asked.searches:
        return view, None, ""
    try:
        search = views.searched(view, asked)
    except PoolwrightError as error:
        return view, None, str(error)
    return search.view, search, ""


def filter_of(asked: Asked, search: Search | None) -> Filter:
    """The whole filter, with the threshold of a search. A search shows only rows that have a score."""
    if search is None:
        return asked.filter
    return asked.filter & Between(SCORE, asked.cut)


def _order(asked: Asked, search: Search | None) -> tuple[str | None, bool]:
    """What rows are sorted by, and whether the greatest come first: scores do unless asked otherwise."""
    if asked.sort or search is None:
        return asked.sort or None, asked.descending
    return SCORE, not asked.descending


def _cards(view: View, asked: Asked, search: Search | None, start: int) -> tuple[Counts, list[Card], int | None]:
    """Counts of the filter but for the outcome, one page of its rows, and where the next page begins."""
    chosen = filter_of(asked, search)
    sort, descending = _order(asked, search)
    found = view.page(chosen, sort, descending, start, PAGE)
    following = start + PAGE if start + PAGE < found.rows else None
    count = view.count(chosen.without(lambda clause: isinstance(clause, Outcome)))
    return count, _drawn(view, found.positions, sort, asked.layout == "table"), following


def _drawn(view: View, positions: Sequence[int], sort: str | None, table: bool) -> list[Card]:
    known = {column.name for column in view.columns}
    titles = [name for name in (LABEL, TITLE, TEXT) if name in known]
    tag = sort if sort in known else SIMILARITY if SIMILARITY in known else None
    wide = _table_columns(view) if table else []
    names = list(dict.fromkeys([UID, DROPPED_BY, *titles, *([tag] if tag else []), *wide]))
    return [
        Card(
            position=position,
            uid=str(row[UID]),
            title=brief(next((row[name] for name in titles if row[name] is not None), row[UID]), 60),
            tag=_tag(view, tag, row) if tag else "",
            kept=position < view.kept,
            why=row[DROPPED_BY] or "kept",
            values=tuple(brief(row[name], 80) for name in wide),
        )
        for position, row in zip(positions, view.read(positions, names), strict=True)
    ]


def _tag(view: View, name: str, row: dict[str, Any]) -> str:
    value = row[name]
    return brief(value, 19) if not isinstance(value, float) else f"{value:.3f}"


def _table_columns(view: View) -> list[str]:
    return [column.name for column in view.columns if column.name not in (UID, DROPPED_BY)]


def _sorts(view: View) -> list[str]:
    return [name for name in view.numbers if name != SCORE]


def facet_boxes(view: View, asked: Asked, base: str) -> list[FacetBox]:
    """Facets: the well-known first; the first ones and those with a choice are counted, others when they open."""
    texts = [name for name in view.facets if not _is_fine(view, name)]
    order = sorted(texts, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    chosen = {clause.column for clause in asked.filter.clauses if hasattr(clause, "values")}
    counted = [name for name in order if len(view.column(name).names) > 1 or name in chosen][:_OPEN_FACETS]
    return [
        facet_box(view, asked, base, name) if name in counted or name in chosen else FacetBox(name, _of(base, asked, name))
        for name in order
    ]


def _of(base: str, asked: Asked, name: str) -> str:
    return f"{base}/facet?{asked.query(('name', name))}"


def _is_fine(view: View, name: str) -> bool:
    column = view.column(name)
    return pa.types.is_integer(column.type) and len(column.names) > FINE


def facet_box(
    view: View, asked: Asked, base: str, name: str, most: int = FACET_VALUES, like: str = ""
) -> FacetBox:
    """One facet, counted. Of a search with a threshold, rows above it and rows in all."""
    facet = view.facet(name, _cut(view, asked), most, like)
    of = facet if asked.cut is None else view.facet(name, _cut(view, replace(asked, cut=None)), MOST_FACET_VALUES)
    totals = {value.name: value.rows for value in of.values}
    values = tuple(
        ValueLink(
            words=value.name if value.name is not None else _nothing(name),
            rows=value.rows,
            of=max(totals.get(value.name, value.rows), value.rows),
            chosen=value.chosen,
            url=f"{base}?{asked.toggled(name, value.name).query()}",
        )
        for value in facet.values
    )
    return FacetBox(name, _of(base, asked, name), values, facet.distinct, max([1, *(value.of for value in values)]))


def _nothing(name: str) -> str:
    return "kept" if name == DROPPED_BY else "no value"


def _cut(view: View, asked: Asked) -> Filter:
    searched = any(column.name == SCORE for column in view.columns)
    return asked.filter & Between(SCORE, asked.cut) if searched else asked.filter


def number_boxes(view: View, asked: Asked, base: str) -> list[NumberBox]:
    """Columns of numbers: the first ones and those with a range are drawn, others when they open."""
    fine = [name for name in view.numbers if name != SCORE and (not view.column(name).facet or _is_fine(view, name))]
    order = sorted(fine, key=lambda name: (name != SIMILARITY, not pa.types.is_floating(view.column(name).type)))
    chosen = {clause.column for clause in asked.filter.clauses if isinstance(clause, Between)}
    return [
        number_box(view, asked, base, name)
        if place < _OPEN_NUMBERS or name in chosen
        else NumberBox(name, f"{base}/number?{asked.query(('name', name))}")
        for place, name in enumerate(order)
    ]


def number_box(view: View, asked: Asked, base: str, name: str) -> NumberBox:
    """One column of numbers, drawn: rows of the rest of the filter."""
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
    """(height of kept rows, height of all rows) of each bin, as shares of the highest bin."""
    sums = [kept + dropped for kept, dropped in zip(histogram.kept, histogram.dropped, strict=True)]
    most = max([1, *sums])
    return tuple(
        (round(100 * kept / most, 2), round(100 * both / most, 2))
        for kept, both in zip(histogram.kept, sums, strict=True)
    )


@dataclass(frozen=True)
class Panel:
    """What a search shows above its rows."""

    words: str
    column: str
    scored: int
    bars: tuple[tuple[float, float], ...]
    low: float
    high: float
    cut: float


def _panel(view: View, asked: Asked, search: Search) -> Panel:
    column = view.column(SCORE)
    low, high = column.low or 0.0, column.high or 0.0
    histogram = view.histogram(SCORE, asked.filter, bins=96, ends=(low, high))
    query = search.query
    return Panel(query.words, query.column, search.scored, bars(histogram), low, high, low if asked.cut is None else asked.cut)


def _steps(view: View, asked: Asked, search: Search | None) -> str:
    """The filter and the search as steps of a recipe; what was kept or picked by hand is no step."""
    said = f"- where: {_yaml(text)}\n" if (text := asked.filter.sql(view)) else ""
    if search is None:
        return said
    return said + search.steps(asked.cut)


def _yaml(text: str) -> str:
    import yaml

    return str(yaml.safe_dump(text, width=1 << 20, allow_unicode=True)).removesuffix("...\n").strip()


def _speaks(view: View) -> dict[str, Any]:
    """Per column of vectors, whether words can be searched for, or else which classes."""
    found: dict[str, Any] = {}
    for column in vector_columns(view):
        encodes = text_encoder(view, column) is not None
        found[column] = {"text": encodes, "classes": [] if encodes else sorted(text_classes(view, column))[:2_000]}
    return found


@router.get("/explore/{name}/rows")
def more_rows(
    request: Request, views: ViewsOf, name: str, start: Annotated[int, Query(ge=0, le=1 << 40)] = 0
) -> Response:
    """The next rows of a page."""
    view, asked, search = read_again(request, views, name)
    _, cards, following = _cards(view, asked, search, start)
    base = base_of(name)
    return page(request, "explore_cards.html.j2", base=base, asked=asked, cards=cards, following=following)


@router.get("/explore/{name}/facets")
def all_facets(request: Request, views: ViewsOf, name: str) -> Response:
    """The facets of a page, where they come after it."""
    view, asked, _ = read_again(request, views, name)
    base = base_of(name)
    boxes = {"facets": facet_boxes(view, asked, base), "numbers": number_boxes(view, asked, base)}
    return page(request, "explore_facets.html.j2", **boxes)


@router.get("/explore/{name}/facet")
def one_facet(
    request: Request,
    views: ViewsOf,
    name: str,
    facet: Annotated[str, Query(alias="name", max_length=500)],
    like: Annotated[str, Query(max_length=200)] = "",
    most: Annotated[int, Query(ge=1, le=MOST_FACET_VALUES)] = FACET_VALUES,
) -> Response:
    """The values of one facet."""
    view, asked, _ = read_again(request, views, name)
    box = facet_box(view, asked, base_of(name), facet, most, like)
    return page(request, "explore_values.html.j2", box=box)


@router.get("/explore/{name}/number")
def one_number(
    request: Request, views: ViewsOf, name: str, column: Annotated[str, Query(alias="name", max_length=500)]
) -> Response:
    """The histogram of one column."""
    view, asked, _ = read_again(request, views, name)
    box = number_box(view, asked, base_of(name), column)
    return page(request, "explore_number.html.j2", box=box)


def read_again(request: Request, views: Views, name: str) -> tuple[View, Asked, Search | None]:
    """What a piece of a page is about."""
    view = ready(views, name)
    asked = read_asked(view, request.query_params.multi_items())
    search = views.searched(view, asked) if asked.searches else None
    return (search.view if search else view), asked, search


def ready(views: Views, name: str) -> View:
    """A view whose index is there.

    Raises:
        InputError: it is still being made.
    """
    view = views.get(name)
    if isinstance(view, Work):
        raise InputError(f"the rows of '{name}' are still being read; wait for its page")
    return view


@router.get("/explore/{name}/row")
def one_row(request: Request, views: ViewsOf, name: str, at: Annotated[int, Query(ge=0)]) -> Response:
    """One row: picture, outcome, values."""
    view = ready(views, name)
    values = values_of(view, at)
    uid = str(values.pop(UID))
    reason = values.pop(DROPPED_BY)
    return page(
        request,
        "explore_row.html.j2",
        table=name,
        base=base_of(name),
        at=at,
        uid=uid,
        reason=reason,
        values=[(column, brief(value, 600), value is None) for column, value in values.items()],
        vectors=vector_columns(view),
    )


@router.get("/explore/{name}/story")
def story(request: Request, studio: StudioOf, name: str, uid: Annotated[str, Query(max_length=2000)]) -> Response:
    """What happened to a row, from its pool on."""
    stories = why(studio.opened.run, uid)
    return page(request, "explore_story.html.j2", stories=stories, table=name, brief=brief)


@router.get("/explore/{name}/picture")
def row_picture(
    views: ViewsOf, name: str, at: Annotated[int, Query(ge=0)], edge: Annotated[int, Query(ge=1, le=10_000)] = 320
) -> Response:
    """The picture of a row by its position, drawn anew."""
    found = views.picture(ready(views, name), at, nearest_edge(edge))
    if isinstance(found, str):
        return Response(found, 404, {"cache-control": "no-store"}, "text/plain")
    return Response(found, 200, {"cache-control": "private, max-age=3600"}, "image/jpeg")


@router.get("/explore/{name}/uids")
def uids(request: Request, views: ViewsOf, name: str) -> Response:
    """The uids that a filter finds, one a line: a list that the step `remove` reads."""
    view, asked, search = read_again(request, views, name)
    found: Iterable[str | None] = view.uids(filter_of(asked, search))
    text = "".join(f"{uid}\n" for uid in found if uid is not None and "\n" not in uid)
    headers = {"content-disposition": 'attachment; filename="uids.txt"'}
    return PlainTextResponse(text, headers=headers)


