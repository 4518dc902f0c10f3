"""Let people enter with their name or token, and leave."""

from __future__ import annotations

from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from poolwright.core.errors import PoolwrightError
from poolwright.studio.access import OWNER, Access, Session, check_name
from poolwright.studio.guard import cookie_header
from poolwright.studio.pages import SessionOf, page

router = APIRouter()


def _access(request: Request) -> Access:
    return cast(Access, request.state.access)


AccessOf = Annotated[Access, Depends(_access)]
"""A parameter of a route: the access rules."""


@router.get("/enter")
def enter(request: Request, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Show the page on which people enter their name or token."""
    return page(request, "enter.html.j2", next=inside(next), wrong="", said="")


@router.post("/enter")
def entered(
    request: Request,
    access: AccessOf,
    session: SessionOf,
    name: Annotated[str, Form(max_length=300)],
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Enter with a name if the studio is open, otherwise with a token."""
    known = name if access.open else access.name_of(name)
    try:
        if known is None:
            raise PoolwrightError("this token is not valid for this studio; ask for a new link")
        who = check_name(known)
    except PoolwrightError as error:
        return page(request, "enter.html.j2", next=inside(next), wrong=str(error), said=name if access.open else "")
    now = Session(session.id, who, access.open or who == OWNER)
    return Response(headers={"hx-redirect": inside(next), "set-cookie": cookie_header(access.cookie(now))})


@router.post("/leave")
def leave(access: AccessOf) -> Response:
    """Start a new session without a name."""
    fresh = access.new_session(owner=access.open)
    return Response(headers={"hx-redirect": "/enter", "set-cookie": cookie_header(access.cookie(fresh))})


def inside(path: str) -> str:
    """Return a path within this studio; anything else becomes the first page."""
    parts = urlsplit(path)
    plain = not parts.scheme and not parts.netloc and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if plain and path.isprintable() else "/"
