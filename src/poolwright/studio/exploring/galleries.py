"""List what is worth a look in a table: odd labels, outliers, both sides of each cut, near-duplicates, and leaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Between, Filter
from poolwright.inspect.views.oddities import Edge, edges
from poolwright.inspect.views.repeats import repeat_columns, split_columns
from poolwright.inspect.views.vectors import vector_columns
from poolwright.inspect.views.view import View
from poolwright.studio.exploring.boxes import classes_of
from poolwright.studio.exploring.cards import RowCard, base_of, cards_of, steps_of
from poolwright.studio.exploring.grouping import groups_url, step_of
from poolwright.studio.exploring.query_state import PageState, shown
from poolwright.studio.exploring.rows import ViewsOf, open_view, read_again
from poolwright.studio.exploring.views import AT_ONCE
from poolwright.studio.pages import StudioOf, page

router = APIRouter()

_WORDS = {
    "mislabelled": ("Most wrong labels", "nearer to the mean of another class than to that of their own"),
    "outliers": ("Outliers", "far from the mean of their own class"),
}
_STRIP = 8
"""Pictures that a gallery shows in the list."""


@dataclass(frozen=True)
class Gallery:
    """A gallery in the list.

    Attributes:
        title, words: what it shows.
        url: its page, relative to the pages of the table.
        step: the step of a recipe that acts on it; '' if that depends on a threshold to be chosen.
        strip: the URL of a few of its pictures; '' for none.
    """

    title: str
    words: str
    url: str
    step: str = ""
    strip: str = ""


@router.get("/explore/{name}/galleries")
def galleries(request: Request, studio: StudioOf, views: ViewsOf, name: str) -> Response:
    """Show the list."""
    view = open_view(request, views, name)
    if isinstance(view, Response):
        return view
    return page(
        request,
        "explore_galleries.html.j2",
        table=name,
        base=base_of(name),
        tables=studio.opened.table_names(),
        galleries=[*_odd(view), *_cuts(view), *_repeats(view)],
    )


@router.get("/explore/{name}/strip")
def strip(request: Request, views: ViewsOf, name: str, start: Annotated[int, Query(ge=0, le=1 << 40)] = 0) -> Response:
    """Return a few pictures of a gallery."""
    view, asked, search = read_again(request, views, name)
    cards: list[RowCard] = cards_of(view, asked, search, start)[1][:_STRIP]
    return page(request, "explore_strip.html.j2", base=base_of(name), of=view.digest, cards=cards)


def _odd(view: View) -> Iterator[Gallery]:
    label = next(iter(classes_of(view)), "")
    for column in vector_columns(view) if label else []:
        for kind, (title, words) in _WORDS.items():
            query = PageState(vectors=column, odd=f"{kind} {label}").query()
            strip = f"/strip?{query}" if view.rows <= AT_ONCE else ""  # all vectors are read for it
            yield Gallery(title, f"{words}, by ‘{label}’ and the vectors ‘{column}’", f"?{query}", strip=strip)


def _cuts(view: View) -> Iterator[Gallery]:
    for edge in edges(view, DROPPED_BY) if view.rows > view.kept else []:
        query = PageState(filter=Filter((Between(edge.column, edge.low, edge.high),)), sort=edge.column).query()
        title = f"Both sides of {edge.column} {shown(view.column(edge.column), edge.cut)}"
        step = steps_of(view, _kept_side(edge), None)
        middle = max(0, edge.below - _STRIP // 2)
        yield Gallery(title, f"dropped: {edge.reason}", f"?{query}", step, f"/strip?{query}&start={middle}")


def _kept_side(edge: Edge) -> PageState:
    ends = (edge.cut, None) if edge.above else (None, edge.cut)
    return PageState(filter=Filter((Between(edge.column, *ends),)))


def _repeats(view: View) -> Iterator[Gallery]:
    for column in repeat_columns(view):
        vectors = column in vector_columns(view)
        by = f"vectors ‘{column}’ that are nearly equal" if vectors else f"equal ‘{column}’"
        yield Gallery("Near-duplicates", f"groups of rows with {by}", groups_url(column), step_of(view, column))
        for split in split_columns(view):
            words = f"groups of rows with {by} in more than one ‘{split}’"
            yield Gallery("Leaks across splits", words, groups_url(column, split), step_of(view, column, split))
