"""List what is worth a look in a table: rows with odd labels, outliers, and the rows on both sides of each cut."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from poolwright.core.columns import LABEL
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Between, Filter
from poolwright.inspect.views.oddities import edges
from poolwright.inspect.views.vectors import vector_columns
from poolwright.studio.exploring.boxes import facet_order
from poolwright.studio.exploring.cards import base_of
from poolwright.studio.exploring.query_state import PageState, shown
from poolwright.studio.exploring.rows import ViewsOf, open_view
from poolwright.studio.pages import StudioOf, page

router = APIRouter()

_WORDS = {
    "mislabelled": ("Most wrong labels", "nearer to the mean of another class than to that of their own"),
    "outliers": ("Outliers", "far from the mean of their own class"),
}


@router.get("/explore/{name}/galleries")
def galleries(request: Request, studio: StudioOf, views: ViewsOf, name: str) -> Response:
    """Show the list."""
    view = open_view(request, views, name)
    if isinstance(view, Response):
        return view
    base, found = base_of(name), []
    labels = [one for one in facet_order(view) if one != DROPPED_BY and len(view.column(one).names) > 1]
    label = LABEL if LABEL in labels else next(iter(labels), "")
    for column in vector_columns(view) if label else []:
        for kind, (title, words) in _WORDS.items():
            state = PageState(vectors=column, odd=f"{kind} {label}")
            found.append((title, f"{words}, by ‘{label}’ and the vectors ‘{column}’", f"{base}?{state.query()}"))
    for edge in edges(view, DROPPED_BY) if view.rows > view.kept else []:
        state = PageState(filter=Filter((Between(edge.column, edge.low, edge.high),)), sort=edge.column)
        cut = shown(view.column(edge.column), edge.cut)
        found.append((f"Both sides of {edge.column} {cut}", f"dropped: {edge.reason}", f"{base}?{state.query()}"))
    return page(
        request,
        "explore_galleries.html.j2",
        table=name,
        base=base,
        tables=studio.opened.table_names(),
        galleries=found,
    )
