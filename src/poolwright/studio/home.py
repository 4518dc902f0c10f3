"""Serve the first page, and the pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from poolwright.studio.opened import OpenedRun
from poolwright.studio.pages import StudioOf, drawn, page
from poolwright.studio.pictures import KEPT_BY_BROWSERS, nearest_edge

router = APIRouter()


@router.get("/")
def first(request: Request, studio: StudioOf) -> Response:
    """Show the tables and queues of the run."""
    tables = [studio.opened.table(name) for name in studio.opened.table_names()]
    lives = [studio.queues.queue(name) for name in studio.queues.names()]
    queues = [(live.queue, live.progress()) for live in lives]
    return page(request, "home.html.j2", tables=tables, queues=queues, releases=_releases(studio.opened))


def _releases(opened: OpenedRun) -> list[tuple[str, str, bool]]:
    """Return table, place, and whether it was written, of each release of the recipe."""
    return [(one.table, str(one.to), one.folder(opened.folder).is_dir()) for one in opened.run.recipe.releases]


@router.get("/picture")
async def picture(
    request: Request,
    studio: StudioOf,
    table: Annotated[str, Query(max_length=200)],
    uid: Annotated[str, Query(max_length=2000)],
    edge: Annotated[int, Query(ge=1, le=10_000)] = 640,
) -> Response:
    """Serve the picture of a row, re-encoded."""
    return await drawn(request, lambda: studio.opened.picture(table, uid, nearest_edge(edge)), KEPT_BY_BROWSERS)
