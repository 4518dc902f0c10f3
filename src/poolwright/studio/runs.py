"""Serve the runs of a folder: a start page lists them, their releases and queues, and opens each when it is asked for.

A run is served below `/run/NAME`, with tokens and sessions of the folder.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Container, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from poolwright.annotation.queue.queue import list_queues
from poolwright.core.errors import PoolwrightError
from poolwright.core.table import Table
from poolwright.run.lock import run_lock
from poolwright.run.memory import MEMORY
from poolwright.run.remote.folder import studio_folder
from poolwright.studio.access import FOLDER, Access
from poolwright.studio.app import base_app, create_app
from poolwright.studio.entering import router as entering
from poolwright.studio.opened import OpenedRun
from poolwright.studio.opening import plain, run_of
from poolwright.studio.pages import page
from poolwright.studio.rooted import below

_PLACES = tuple(f"{place}/{MEMORY}" for place in ("*", "runs/*", "*/run", "*/runs/*"))

router = APIRouter()


def runs_below(folder: Path) -> list[Path]:
    """Return the run folders of a folder: those in it and in its `runs`, and those of the projects in it."""
    if not folder.is_dir() or (folder / MEMORY).is_file():
        return []
    return sorted({path.parent for place in _PLACES for path in folder.glob(place)}, key=_natural)


def _natural(path: Path) -> list[str | int]:
    """Sort `p2` before `p10`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


@dataclass(frozen=True)
class ListedRelease:
    """A release on the start page; `slug` is '' if it is not written yet."""

    slug: str
    table: str
    layout: str
    folder: str


@dataclass(frozen=True)
class ListedRun:
    """A run on the start page.

    Attributes:
        slug: its name in URLs.
        folder: relative to the folder of all.
        title: name of its recipe.
        tables: the finished tables.
        queues: names of its queues.
        releases: releases of its recipe.
        trouble: why it cannot be read, or ''.
    """

    slug: str
    folder: str
    title: str = ""
    tables: tuple[Table, ...] = ()
    queues: tuple[str, ...] = ()
    releases: tuple[ListedRelease, ...] = ()
    trouble: str = ""


class Runs:
    """ASGI application: the start page, and the studios that were opened from it.

    Args:
        folder: a folder of runs.
        access: the access rules, of all runs.
    """

    def __init__(self, folder: Path, access: Access) -> None:
        self.folder, self.access = folder.resolve(), access
        self._apps: dict[str, ASGIApp] = {}
        self._read: dict[Path, OpenedRun] = {}
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()
        self.start = base_app(access, lambda: {"run": self.folder.name, "nav": ()}, (entering, router), self._lifespan)
        self.start.state.runs = self

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        async with self._open:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, _, rest = str(scope.get("path", "")).partition("/run/")
        slug = rest.partition("/")[0]
        run = below(scope, f"/run/{slug}") if scope["type"] == "http" and slug in self._apps else None
        await (self.start(scope, receive, send) if run is None else self._apps[slug](run, receive, send))

    def paths(self) -> dict[str, Path]:
        """Return what can be opened: the path of each run and written release, by its name in URLs."""
        found: dict[str, Path] = {}
        for path in runs_below(self.folder):
            name = _free(plain("-".join(path.relative_to(self.folder).parts)), found)
            found[name] = path
            for one in self._releases(path):
                found[_free(f"release-{name}-{plain(one.name)}", found)] = one
        return found

    def listed(self) -> list[ListedRun]:
        """Return the runs as the start page lists them."""
        paths = self.paths()
        slugs = {path: slug for slug, path in paths.items()}
        return [self._listed(slug, path, slugs) for slug, path in paths.items() if (path / MEMORY).is_file()]

    def _listed(self, slug: str, path: Path, slugs: dict[Path, str]) -> ListedRun:
        where = path.relative_to(self.folder).as_posix()
        try:
            opened = self._run(path)
            releases = tuple(
                ListedRelease(slugs.get(one.folder(path).resolve(), ""), one.table, one.layout.layout, str(one.to))
                for one in opened.run.recipe.releases
            )
            tables = tuple(opened.table(name) for name in opened.table_names())
            return ListedRun(slug, where, opened.title, tables, tuple(list_queues(path)), releases)
        except PoolwrightError as error:
            return ListedRun(slug, where, trouble=str(error))

    def _run(self, path: Path) -> OpenedRun:
        """Return a run, which is read again only if it changes."""
        if path not in self._read:
            self._read[path] = OpenedRun(path)
        return self._read[path]

    def _releases(self, path: Path) -> Iterator[Path]:
        """Yield the folders of the releases of a run that are written."""
        try:
            releases = self._run(path).run.recipe.releases
        except PoolwrightError:
            return
        for one in releases:
            folder = one.folder(path)
            if folder.is_dir():
                yield folder.resolve()

    async def open(self, slug: str) -> None:
        """Open a run or a release, once.

        Raises:
            HTTPException: there is none of this name.
            PoolwrightError: it cannot be opened, or another process serves it.
        """
        async with self._opening:
            if slug in self._apps:
                return
            path = (await to_thread.run_sync(self.paths)).get(slug)
            if path is None:
                raise HTTPException(404, "there is no such run in this folder any more")
            folder = await to_thread.run_sync(run_of, path)
            async with AsyncExitStack() as opening:
                await to_thread.run_sync(opening.enter_context, studio_folder(folder))
                opening.enter_context(run_lock(folder / FOLDER))
                app = await to_thread.run_sync(create_app, folder, self.access)
                await opening.enter_async_context(app.router.lifespan_context(app))
                await self._open.enter_async_context(opening.pop_all())
            self._apps[slug] = app


def _free(name: str, taken: Container[str]) -> str:
    """Return a name, with a number if it is taken."""
    return next(one for one in chain([name], (f"{name}-{number}" for number in count(2))) if one not in taken)


@router.get("/")
def start(request: Request) -> Response:
    """List the runs."""
    runs: Runs = request.app.state.runs
    return page(request, "runs.html.j2", runs=runs.listed(), folder=str(runs.folder))


@router.get("/run/{slug}")
@router.get("/run/{slug}/{rest:path}")
async def opened(request: Request, slug: str, rest: str = "") -> Response:
    """Open a run, and show the page that was asked for."""
    await request.app.state.runs.open(slug)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/run/{quote(slug)}/{quote(rest)}{query}", 303)
