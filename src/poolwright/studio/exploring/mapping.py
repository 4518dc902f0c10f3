"""Serve the map of a table: its points, their colours, and selections by lasso."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, cast

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from poolwright.core.columns import LABEL, TEXT, TITLE, UID
from poolwright.core.errors import InputError
from poolwright.inspect.search import SCORE
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Filter, Picked
from poolwright.inspect.views.colours import NOTHING, OTHER, colours
from poolwright.inspect.views.projection import METHODS, Method, Projection, known_projection
from poolwright.inspect.views.selections import save_selection
from poolwright.inspect.views.vectors import vector_columns
from poolwright.inspect.views.view import SHUFFLED, View
from poolwright.studio.exploring.boxes import facet_order, no_value
from poolwright.studio.exploring.cards import base_of, filter_of
from poolwright.studio.exploring.query_state import PageState, brief, number, read_asked, shown, words
from poolwright.studio.exploring.rows import At, Of, ViewsOf, filters_of_owner, open_view, read_again, ready, same
from poolwright.studio.exploring.views import Views, Work
from poolwright.studio.pages import StudioOf, page

router = APIRouter(dependencies=[Depends(filters_of_owner)])

_SAMPLE = 24
_COLOUR_FIRST = (LABEL, "domain", "cluster", "bucket", "continent", "split", DROPPED_BY)

MethodOf = Annotated[str, Query(pattern="^(pca|tsne)$")]


@router.get("/explore/{name}/map")
def map_page(
    request: Request,
    studio: StudioOf,
    views: ViewsOf,
    name: str,
    method: MethodOf = "pca",
    by: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Show the map."""
    view = open_view(request, views, name)
    if isinstance(view, Response):
        return view
    asked = read_asked(view, request.query_params.multi_items())
    columns = vector_columns(view)
    choices = _colour_choices(view, asked)
    return page(
        request,
        "explore_map.html.j2",
        table=name,
        base=base_of(name),
        tables=studio.opened.table_names(),
        view=view,
        of=view.digest,
        asked=asked,
        vectors=columns,
        vec=asked.vectors if asked.vectors in columns else next(iter(columns), ""),
        method=method,
        methods=METHODS,
        tsne=find_spec("openTSNE") is not None,
        choices=choices,
        by=by if by in choices else next((one for one in _COLOUR_FIRST if one in choices), choices[0]),
        chips=[
            (words(view, clause), f"{base_of(name)}/map?{asked.without(clause).query()}")
            for clause in asked.filter.clauses
        ],
    )


def _colour_choices(view: View, asked: PageState) -> list[str]:
    facets = facet_order(view)
    return [*([SCORE] if asked.searches else []), *facets, *(one for one in view.numbers if one not in facets)]


def _projection(views: Views, view: View, vec: str, method: str) -> Projection | Work:
    made = views.projected(view, vec, cast(Method, method))
    if isinstance(made, Work):
        return made
    found = known_projection(view, vec, cast(Method, method))
    if found is None:
        raise InputError("the map was made again meanwhile; reload the page")
    return found


@router.get("/explore/{name}/map/points")
def points(views: ViewsOf, name: str, vec: Annotated[str, Query(max_length=500)], method: MethodOf = "pca") -> Response:
    """Return the points: their number (uint32), the number of rows they are a sample of (uint32), x and y of each
    (float32), and the position of each row (uint32); little-endian. Status 202 while the map is being made."""
    view = ready(views, name)
    found = _projection(views, view, vec, method)
    if isinstance(found, Work):
        return JSONResponse({"making": method}, 202)
    head = np.array([len(found.positions), found.of], "<u4").tobytes()
    body = found.coordinates.astype("<f4").tobytes() + found.positions.astype("<u4").tobytes()
    return Response(head + body, media_type="application/octet-stream")


@router.get("/explore/{name}/map/colours")
def point_colours(
    request: Request,
    views: ViewsOf,
    name: str,
    vec: Annotated[str, Query(max_length=500)],
    by: Annotated[str, Query(max_length=500)],
    method: MethodOf = "pca",
) -> Response:
    """Return the colours of the points, and which of them pass the filter."""
    view, asked, search = read_again(request, views, name)
    found = _projection(views, view, vec, method)
    if isinstance(found, Work):
        return JSONResponse({"making": method}, 202)
    chosen = filter_of(asked, search)
    matches = view.rows_of(chosen)[found.positions] if chosen.clauses else np.ones(len(found.positions), bool)
    made = colours(view, by, found.positions)
    return JSONResponse(
        {
            "shades": made.shades,
            "legend": [
                {"code": hue.code, "words": _hue(view, by, hue.words, hue.code), "rows": hue.rows} for hue in made.hues
            ],
            "codes": base64.b64encode(made.codes.tobytes()).decode(),
            "found": base64.b64encode(np.packbits(matches, bitorder="little").tobytes()).decode(),
            "points": int(matches.sum()),
        }
    )


def _hue(view: View, by: str, text: str | None, code: int) -> str:
    if text is None:
        return {OTHER: "other values", NOTHING: no_value(by)}.get(code, "")
    column = view.column(by)
    return text if column.facet else shown(column, number(None, text))


@router.get("/explore/{name}/brief")
def brief_row(views: ViewsOf, name: str, at: At, of: Of) -> Response:
    """Return a short description of one row, for the point under the pointer."""
    view = same(views, name, of)
    view.locate(at)
    known = {column.name for column in view.columns}
    names = [UID, DROPPED_BY, *(one for one in (LABEL, TITLE, TEXT) if one in known)]
    row = view.read([at], names)[0]
    texts = [brief(row[one], 90) for one in names[2:] if row[one] is not None]
    return JSONResponse({"uid": row[UID], "words": texts[:2], "lost": row[DROPPED_BY]})


class Lasso(BaseModel):
    """Points of a map selected by a lasso.

    Attributes:
        vec, method: of the map.
        bits: one bit per point, least significant first, in base64.
    """

    vec: str = Field(max_length=500)
    method: str = Field(pattern="^(pca|tsne)$")
    bits: str = Field(max_length=40_000)


@router.post("/explore/{name}/map/selection")
def select(views: ViewsOf, name: str, lasso: Lasso) -> Response:
    """Save the selection of a lasso under a name that filters know."""
    view = ready(views, name)
    found = _projection(views, view, lasso.vec, lasso.method)
    if isinstance(found, Work):
        raise InputError("the map is still being made")
    try:
        packed = np.frombuffer(base64.b64decode(lasso.bits, validate=True), np.uint8)
    except binascii.Error:
        raise InputError("the selection is damaged; draw it again") from None
    bits = np.unpackbits(packed, bitorder="little")[: len(found.positions)].astype(bool)
    picked = found.positions[: len(bits)][bits]
    return JSONResponse({"selection": save_selection(view.folder, picked, view.rows), "rows": len(picked)})


@dataclass(frozen=True)
class PickedValue:
    """A value with its number of rows in a selection, and in the whole table."""

    words: str
    rows: int
    of: int


@router.get("/explore/{name}/map/picked")
def picked(
    request: Request,
    views: ViewsOf,
    name: str,
    sel: Annotated[str, Query(pattern="^[0-9a-f]{16}$")],
    by: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Show the rows of a selection."""
    view = ready(views, name)
    chosen = Filter((Picked(sel),))
    asked = PageState(filter=chosen)
    sample = view.page(chosen, SHUFFLED, size=_SAMPLE)
    known = by in {column.name for column in view.columns if column.facet}
    return page(
        request,
        "explore_picked.html.j2",
        base=base_of(name),
        of=view.digest,
        query=asked.query(),
        count=view.count(chosen),
        sample=sample.positions,
        by=by if known else "",
        values=_values(view, chosen, by) if known else [],
    )


def _values(view: View, chosen: Filter, by: str) -> list[PickedValue]:
    whole: dict[str | None, Any] = {value.name: value.rows for value in view.facet(by, most=1 << 16).values}
    return [
        PickedValue(
            value.name or ("kept" if by == DROPPED_BY else "no value"), value.rows, whole.get(value.name, value.rows)
        )
        for value in view.facet(by, chosen, most=8).values
    ]
