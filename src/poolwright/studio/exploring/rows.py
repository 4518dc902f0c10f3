"""Explore the rows of a table by facets, ranges and words, as pictures or as a table, and one row with its story."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from poolwright.core.columns import UID
from poolwright.core.errors import InputError, PoolwrightError
from poolwright.inspect.search import SCORE
from poolwright.inspect.search_texts import text_classes, text_encoder
from poolwright.inspect.views.answers import Counts
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.images import values_of
from poolwright.inspect.views.vectors import vector_columns
from poolwright.inspect.views.view import SHUFFLED, View
from poolwright.inspect.why import why
from poolwright.studio.exploring.boxes import (
    FACET_VALUES,
    MOST_FACET_VALUES,
    classes_of,
    facet_box,
    facet_boxes,
    number_box,
    number_boxes,
    panel_of,
)
from poolwright.studio.exploring.cards import (
    RowCard,
    base_of,
    cards_of,
    filter_of,
    order_of,
    sorts_of,
    steps_of,
    table_columns,
)
from poolwright.studio.exploring.query_state import PageState, Pairs, brief, read_asked, words
from poolwright.studio.exploring.views import SearchedView, Views, Work
from poolwright.studio.pages import SessionOf, StudioOf, drawn, only_owner, page
from poolwright.studio.pictures import KEPT_BY_BROWSERS, nearest_edge


def filters_of_owner(request: Request, session: SessionOf) -> None:
    """Refuse expressions of everybody except the person who started the studio: one can take long and much memory."""
    if any(request.query_params.get(name) for name in ("where", "a.where", "b.where")):
        only_owner(session)


router = APIRouter(dependencies=[Depends(filters_of_owner)])

LAZY_ROWS = 1_000_000
"""Number of rows above which facets are loaded after the page."""


_FIRST = threading.Lock()


def views_of(request: Request, studio: StudioOf) -> Views:
    """Return the views of this studio, created on first use."""
    state = request.app.state
    with _FIRST:
        if not hasattr(state, "explore"):
            state.explore = Views(studio.opened)
    return cast(Views, state.explore)


ViewsOf = Annotated[Views, Depends(views_of)]


def open_view(request: Request, views: Views, name: str) -> View | Response:
    """Return the view of a table, or the page that shows the progress of its index."""
    found = views.get(name)
    if isinstance(found, Work):
        return page(request, "explore_wait.html.j2", table=name, work=found, what="reading its rows once")
    return found


@router.get("/explore")
def explore(studio: StudioOf) -> Response:
    """Redirect to the last table."""
    names = studio.opened.table_names()
    if not names and (waiting := studio.queues.names()):
        return RedirectResponse(f"/verify/{quote(waiting[0])}/rows", 303)
    if not names:
        raise InputError("no table of this run is finished yet; run the recipe first")
    return RedirectResponse(base_of(names[-1]), 303)


@router.get("/explore/{name}")
def rows_page(request: Request, studio: StudioOf, views: ViewsOf, name: str) -> Response:
    """Show the rows of a table, filtered and sorted."""
    view = open_view(request, views, name)
    if isinstance(view, Response):
        return view
    base, typed, pictures = base_of(name), "", studio.opened.has_pictures(name)
    shape = [] if pictures else [("layout", "table")]  # without pictures there is nothing to see in a grid
    try:
        asked = read_asked(view, [*request.query_params.multi_items(), *shape])
        found, search, trouble = _searched(views, view, asked)
        count, cards, following = cards_of(found, asked, search, 0)
    except PoolwrightError as error:
        typed = request.query_params.get("where", "")
        found, search, trouble = view, None, str(error)
        asked, (count, cards, following) = _without_where(view, request, shape)
    lazy = view.rows > LAZY_ROWS
    return page(
        request,
        "explore_rows.html.j2",
        table=name,
        base=base,
        of=view.digest,
        tables=studio.opened.table_names(),
        view=view,
        asked=asked,
        search=search,
        trouble=trouble,
        typed=typed,
        count=count,
        rows=count.rows if asked.kept is None else count.kept if asked.kept else count.dropped,
        downward=order_of(asked, search)[1],
        cards=cards,
        pictures=pictures,
        following=following,
        facets=None if lazy else facet_boxes(found, asked, base),
        numbers=None if lazy else number_boxes(found, asked, base),
        chips=[(words(view, one), f"{base}?{asked.without(one).query()}") for one in asked.chosen],
        sorts=sorts_of(found),
        vectors=vector_columns(view),
        classes=classes_of(view),
        strategies=strategies_of(view),
        speaks=_speaks(view),
        columns=table_columns(view),
        shuffled=SHUFFLED,
        score=SCORE,
        panel=panel_of(found, asked, search) if search else None,
        step=steps_of(found, asked, search),
        top=steps_of(found, asked.outcome(None), search, count.rows) if search and count.rows and not asked.odd else "",
        replace=replace,
    )


def strategies_of(view: View) -> list[str]:
    """List the ways in which rows of a table can be drawn."""
    classes, vectors = bool(classes_of(view)), bool(vector_columns(view))
    ways = {"random": True, "balanced": classes, "diverse": vectors, "typical": classes and vectors}
    return [way for way, there in ways.items() if there]


def _without_where(
    view: View, request: Request, shape: Pairs
) -> tuple[PageState, tuple[Counts, list[RowCard], int | None]]:
    """Return the state and rows of a page without its expressions, or if that is wrong too, those of all rows."""
    pairs = [*(pair for pair in request.query_params.multi_items() if pair[0] != "where"), *shape]
    try:
        asked = read_asked(view, pairs).unsearched()
        return asked, cards_of(view, asked, None, 0)
    except PoolwrightError:
        return PageState(), cards_of(view, PageState(), None, 0)


def _searched(views: Views, view: View, asked: PageState) -> tuple[View, SearchedView | None, str]:
    if not asked.searches:
        return view, None, ""
    try:
        search = views.searched(view, asked)
    except PoolwrightError as error:
        return view, None, str(error)
    return search.view, search, ""


def _speaks(view: View) -> dict[str, Any]:
    """Return by column of vectors whether text can be searched for, or else which classes."""
    found: dict[str, Any] = {}
    for column in vector_columns(view):
        encodes = text_encoder(view.run, view.table.schema.field(column)) is not None
        found[column] = {"text": encodes, "classes": [] if encodes else sorted(text_classes(view.run, column))[:2_000]}
    return found


@router.get("/explore/{name}/rows")
def more_rows(
    request: Request,
    studio: StudioOf,
    views: ViewsOf,
    name: str,
    start: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> Response:
    """Return the next rows of a page."""
    view, asked, search = read_again(request, views, name)
    _, cards, following = cards_of(view, asked, search, start)
    return page(
        request,
        "explore_cards.html.j2",
        base=base_of(name),
        of=view.digest,
        asked=asked,
        cards=cards,
        pictures=studio.opened.has_pictures(name),
        following=following,
    )


@router.get("/explore/{name}/facets")
def all_facets(request: Request, views: ViewsOf, name: str) -> Response:
    """Return the facets of a page that loads them after its rows."""
    view, asked, _ = read_again(request, views, name)
    base = base_of(name)
    facets, numbers = facet_boxes(view, asked, base), number_boxes(view, asked, base)
    return page(request, "explore_facets.html.j2", facets=facets, numbers=numbers)


@router.get("/explore/{name}/facet")
def one_facet(
    request: Request,
    views: ViewsOf,
    name: str,
    facet: Annotated[str, Query(alias="name", max_length=500)],
    find: Annotated[str, Query(max_length=200)] = "",
    most: Annotated[int, Query(ge=1, le=MOST_FACET_VALUES)] = FACET_VALUES,
) -> Response:
    """Return the values of one facet."""
    view, asked, _ = read_again(request, views, name)
    box = facet_box(view, asked, base_of(name), facet, most, find)
    return page(request, "explore_values.html.j2", box=box)


@router.get("/explore/{name}/number")
def one_number(
    request: Request, views: ViewsOf, name: str, column: Annotated[str, Query(alias="name", max_length=500)]
) -> Response:
    """Return the histogram of one column."""
    view, asked, _ = read_again(request, views, name)
    box = number_box(view, asked, base_of(name), column)
    return page(request, "explore_number.html.j2", box=box)


def read_again(request: Request, views: Views, name: str) -> tuple[View, PageState, SearchedView | None]:
    """Return view, state and search of a part of a page."""
    view = ready(views, name)
    asked = read_asked(view, request.query_params.multi_items())
    search = views.searched(view, asked) if asked.searches else None
    return (search.view if search else view), asked, search


def ready(views: Views, name: str) -> View:
    """Return a view whose index is complete.

    Raises:
        InputError: it is still being made.
    """
    view = views.get(name)
    if isinstance(view, Work):
        raise InputError(f"the rows of '{name}' are still being read; wait for its page")
    return view


At = Annotated[int, Query(ge=0)]
Of = Annotated[str, Query(max_length=16)]
"""Digest of the table that positions on a page refer to: once it is made again, they are those of other rows."""


def same(views: Views, name: str, of: str) -> View:
    """Return a view if its table is still the one that the page shows.

    Raises:
        InputError: the table was made again.
    """
    view = ready(views, name)
    if of != view.digest:
        raise InputError(f"table '{name}' was made again; reload the page")
    return view


@router.get("/explore/{name}/row")
def one_row(
    request: Request,
    views: ViewsOf,
    name: str,
    at: At = 0,
    of: Of = "",
    uid: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """Show one row, by its position on a page or its uid: picture, outcome, values."""
    view = ready(views, name) if uid else same(views, name, of)
    at = view.position_of(uid) if uid else at
    values = values_of(view, at)
    reason = values.pop(DROPPED_BY)
    return page(
        request,
        "explore_row.html.j2",
        table=name,
        base=base_of(name),
        at=at,
        of=view.digest,
        uid=values.pop(UID) or "",
        reason=reason,
        values=[(column, brief(value, 600), value is None) for column, value in values.items()],
        vectors=vector_columns(view),
    )


@router.get("/explore/{name}/story")
def story(request: Request, studio: StudioOf, name: str, uid: Annotated[str, Query(max_length=2000)]) -> Response:
    """Show the history of a row, from its pool on."""
    stories = why(studio.opened.run, uid)
    return page(request, "explore_story.html.j2", stories=stories, table=name, brief=brief)


@router.get("/explore/{name}/picture")
async def row_picture(
    request: Request, views: ViewsOf, name: str, at: At, of: Of, edge: Annotated[int, Query(ge=1, le=10_000)] = 320
) -> Response:
    """Serve the picture of a row by its position, re-encoded."""
    return await drawn(request, lambda: views.picture(same(views, name, of), at, nearest_edge(edge)), KEPT_BY_BROWSERS)


@router.get("/explore/{name}/uids")
def uids(request: Request, views: ViewsOf, name: str) -> Response:
    """Download the uids that pass a filter, one per line: a list that the step `remove` reads."""
    view, asked, search = read_again(request, views, name)
    chosen = filter_of(asked, search)
    view.count(chosen)  # errors of the filter must be reported before the response begins
    lines = (f"{uid}\n" for uid in view.uids(chosen) if uid is not None and "\n" not in uid)
    headers = {"content-disposition": 'attachment; filename="uids.txt"'}
    return StreamingResponse(_in_blocks(lines), headers=headers, media_type="text/plain; charset=utf-8")


def _in_blocks(lines: Iterator[str]) -> Iterator[str]:
    while block := "".join(islice(lines, 10_000)):
        yield block
