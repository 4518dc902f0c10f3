"""Pages: templates, and what they all show."""

from __future__ import annotations

import functools
from typing import Annotated, Any, cast
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from poolwright import __version__
from poolwright.studio.access import Session
from poolwright.studio.opened import Studio


def _studio(request: Request) -> Studio:
    return cast(Studio, request.app.state.studio)


def _session(request: Request) -> Session:
    return cast(Session, request.state.session)


StudioOf = Annotated[Studio, Depends(_studio)]
"""A parameter of a route: the studio."""

SessionOf = Annotated[Session, Depends(_session)]
"""A parameter of a route: who asks."""


def only_owner(session: Session) -> None:
    """Refuse everybody but who started the studio."""
    if not session.owner:
        raise HTTPException(403, "only who started the studio may do this")


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page or a piece of one, drawn by a template of `templates/`, where all text is escaped."""
    studio, session = _studio(request), _session(request)
    shared = {
        "run": studio.opened.title,
        "nav": studio.nav,
        "path": request.url.path,
        "me": session,
        "open": studio.access.open,
        "csrf": studio.access.csrf(session),
        "version": __version__,
    }
    return HTMLResponse(templates().get_template(template).render(shared | values), status)


def picture_url(table: str, uid: str, edge: int) -> str:
    """Where the picture of a row is served."""
    return "/picture?" + urlencode({"table": table, "uid": uid, "edge": edge})


@functools.cache
def templates() -> Environment:
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
