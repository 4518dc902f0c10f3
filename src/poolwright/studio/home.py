"""Serve the first page, entering and leaving, and the pictures."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from poolwright.core.errors import PoolwrightError
from poolwright.studio.access import OWNER, Session, check_name
from poolwright.studio.guard import cookie_header
from poolwright.studio.opened import OpenedRun
from poolwright.studio.pages import SessionOf, StudioOf, drawn, page
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


@router.get("/enter")
def enter(request: Request, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Show the page on which people enter their name or token."""
    return page(request, "enter.html.j2", next=_inside(next), wrong="", said="")


@router.post("/enter")
def entered(
    request: Request,
    studio: StudioOf,
    session: SessionOf,
    name: Annotated[str, Form(max_length=300)],
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Enter with a name if the studio is open, otherwise with a token."""
    access = studio.access
    known = name if access.open else access.name_of(name)
    try:
        if known is None:
            raise PoolwrightError("this token is not valid for this studio; ask for a new link")
        who = check_name(known)
    except PoolwrightError as error:
        return page(request, "enter.html.j2", next=_inside(next), wrong=str(error), said=name if access.open else "")
    now = Session(session.id, who, access.open or who == OWNER)
    return Response(headers={"hx-redirect": _inside(next), "set-cookie": cookie_header(access.cookie(now))})


@router.post("/leave")
def leave(studio: StudioOf) -> Response:
    """Start a new session without a name."""
    fresh = studio.access.new_session(owner=studio.access.open)
    return Response(headers={"hx-redirect": "/enter", "set-cookie": cookie_header(studio.access.cookie(fresh))})


def _inside(path: str) -> str:
    """Return a path within this studio; anything else becomes the first page."""
    parts = urlsplit(path)
    plain = not parts.scheme and not parts.netloc and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if plain and path.isprintable() else "/"
