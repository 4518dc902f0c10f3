"""Build the application: routers, static files, error pages."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from poolwright.core.errors import PoolwrightError
from poolwright.studio import entering, home
from poolwright.studio.access import Access
from poolwright.studio.exploring import (
    comparing,
    drawing,
    galleries,
    grouping,
    mapping,
    reporting,
    rows,
    tagging,
    versions,
)
from poolwright.studio.guard import Guard
from poolwright.studio.opened import OpenedRun, Studio
from poolwright.studio.pages import page
from poolwright.studio.verifying import asking, estimating, making, results, reviewing
from poolwright.studio.verifying.open_queues import OpenQueues

NAV = (("/", "Run"), ("/verify", "Verify"), ("/explore", "Explore"), ("/report", "Report"))
"""Pages in the bar at the top: (path, title)."""

ROUTERS = (
    *(home.router, entering.router, making.router, asking.router, estimating.router, reviewing.router, results.router),
    *(
        rows.router,
        mapping.router,
        comparing.router,
        reporting.router,
        tagging.router,
        galleries.router,
        grouping.router,
        drawing.router,
        versions.router,
    ),
)

DRAWN_AT_ONCE = 16
"""Requests for pictures that are worked on at once; the others wait, and nothing waits for them."""

LIMITS = {
    "/verify/*/import": results.MOST_IMPORTED + 10_000,
    "/verify/*/take": 600_000,
    "/verify/*/leave": 600_000,
    "/explore/*/pick": 200_000,
    "/tags/import": 64_000_000,
}
"""Maximum size of a POST in bytes by path, for paths that allow more than others; '*' matches any text."""


def create_app(folder: Path, access: Access) -> FastAPI:
    """Return the studio on a run folder as an ASGI application.

    Raises:
        InputError: the folder is not a run folder.
    """
    opened = OpenedRun(folder)
    queues = OpenQueues(opened.folder)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        writer = threading.Thread(target=queues.keep_writing, daemon=True)
        writer.start()
        yield
        queues.stop()
        writer.join()

    studio = Studio(opened, access, queues)

    def shared() -> dict[str, Any]:
        return {"run": opened.title, "nav": NAV, "outdated": opened.outdated, "unwritten": queues.unwritten}

    app = base_app(access, shared, ROUTERS, lifespan)
    app.state.studio = studio
    return app


def base_app(
    access: Access, shared: Callable[[], dict[str, Any]], routers: Sequence[APIRouter], lifespan: Lifespan[FastAPI]
) -> FastAPI:
    """Return an application of these routers, with static files, pages of errors, and the guard.

    Args:
        access: the access rules.
        shared: returns what all pages show: at least `run`, the title, and `nav`, (path, words) of the bar at the top.
        routers: its pages.
        lifespan: as FastAPI takes it.
    """
    app = FastAPI(title="poolwright studio", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.drawing = CapacityLimiter(DRAWN_AT_ONCE)
    app.state.shared = shared
    for router in routers:
        app.include_router(router)
    app.mount("/static", _Static(directory=str(files("poolwright.studio").joinpath("static"))))
    app.add_exception_handler(PoolwrightError, _known_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_middleware(Guard, access=access, limits=LIMITS)
    return app


class _Static(StaticFiles):
    """Static files of the package. Modules import each other without a version, so browsers must revalidate them."""

    def file_response(self, *given: object, **named: object) -> Response:
        response = super().file_response(*given, **named)  # type: ignore[arg-type]
        response.headers["cache-control"] = "private, no-cache"
        return response


def _known_error(request: Request, error: Exception) -> Response:
    return page(request, "error.html.j2", 400, title="That did not work", words=str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "There is no such page." if error.status_code == 404 and error.detail == "Not Found" else error.detail
    return page(request, "error.html.j2", error.status_code, title=str(error.status_code), words=str(words))


def _malformed(request: Request, error: Exception) -> Response:
    return page(request, "error.html.j2", 422, title="422", words="A part of this request is missing or malformed.")
