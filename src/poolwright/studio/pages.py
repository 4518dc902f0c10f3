"""Render pages from templates, with the values that all of them show."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from poolwright import __version__
from poolwright.studio.access import Access, Session
from poolwright.studio.opened import Studio
from poolwright.studio.rooted import root_of, rooted


def _studio(request: Request) -> Studio:
    return cast(Studio, request.app.state.studio)


def _session(request: Request) -> Session:
    return cast(Session, request.state.session)


StudioOf = Annotated[Studio, Depends(_studio)]
"""A parameter of a route: the studio."""

SessionOf = Annotated[Session, Depends(_session)]
"""A parameter of a route: the session of the browser."""


def only_owner(session: Session) -> None:
    """Refuse everybody except the person who started the studio."""
    if not session.owner:
        raise HTTPException(403, "only the person who started the studio may do this")


async def drawn(request: Request, draw: Callable[[], bytes | str], headers: Mapping[str, str]) -> Response:
    """Return the response with a picture, or with the reason why there is none.

    Pictures are drawn on threads of their own: however many are asked for, no verdict and no page waits for them.
    """
    from anyio import to_thread

    picture = await to_thread.run_sync(draw, limiter=request.app.state.drawing)
    if isinstance(picture, str):
        return Response(picture, 404, {"cache-control": "no-store"}, "text/plain")
    return Response(picture, 200, headers, "image/jpeg")


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page, or a part of one, from a template in `templates/`, which escapes all text."""
    session, access, root = _session(request), cast(Access, request.state.access), root_of(request.scope)
    shared = {
        "outdated": lambda name: "",
        "unwritten": "",
        "path": request.url.path,
        "root": root,
        "up": root.rpartition("/run/")[0] + "/" if "/run/" in root else "",
        "me": session,
        "open": access.open,
        "csrf": access.csrf(session),
        "version": __version__,
        **request.app.state.shared(),
    }
    return HTMLResponse(rooted(templates().get_template(template).render(shared | values), root), status)


def picture_url(table: str, uid: str, edge: int) -> str:
    """Return the URL of the picture of a row."""
    return "/picture?" + urlencode({"table": table, "uid": uid, "edge": edge})


@functools.cache
def templates() -> Environment:
    """Return the environment of the templates."""
    environment = Environment(
        loader=PackageLoader("poolwright.studio", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["picture"] = picture_url
    environment.filters["percent"] = _percent
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{round(100 * share, digits):.{digits + 3}g} %"
