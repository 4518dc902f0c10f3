"""Serve the studio on this machine."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.studio.access import FOLDER, OWNER, Access, check_name, is_loopback, make_access

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

PORT = 8765


@dataclass(frozen=True)
class Link:
    """The link by which one person enters.

    Attributes:
        name: of the person; empty if no token is needed.
        url: the link.
    """

    name: str
    url: str


def serve(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    annotators: Sequence[str] = (),
    names: Sequence[str] = (),
    tell: Callable[[list[Link]], None] = lambda links: None,
    frame: bool = False,
) -> None:
    """Serve a run, or the runs of a folder, until interrupted.

    Args:
        folder: the run folder, or a folder of runs; or a release, a folder of images, Parquet or a folder of Hugging
            Face, see `run_of`.
        host: address to listen on. On any but a loopback address everybody needs a token.
        port: 0 chooses a free one.
        annotators: names of the people who get a link.
        names: further host names of this machine.
        tell: receives the links once the server listens.
        frame: let other pages, such as notebooks, show the studio in a frame at the link, which is the key to it; and
            stop when the standard input ends.

    Raises:
        MissingExtra: fastapi or uvicorn is not installed.
        RecipeError: the address is taken or not of this machine, or not a loopback one with `frame`, or an annotator's
            name is not valid.
        InputError: the folder is nothing that can be opened.
        PoolwrightError: it is the work folder of a remote run folder, and another studio is at work on that.
    """
    for module in ("fastapi", "uvicorn", "python_multipart", "jinja2", "itsdangerous"):
        _check_installed(module)
    import uvicorn

    from poolwright.run.lock import run_lock
    from poolwright.run.remote.folder import refuse_remote, studio_folder
    from poolwright.studio.app import create_app
    from poolwright.studio.opening import run_of, runs_cache
    from poolwright.studio.rooted import Framed
    from poolwright.studio.runs import Runs, runs_below

    people = [check_name(name) for name in annotators]
    if frame and not is_loopback(host):
        raise RecipeError(f"a studio in a frame is for this machine only; leave out --host {host}, or --frame")
    refuse_remote(folder)
    path = Path(folder).expanduser()
    several = bool(runs_below(path))
    home = runs_cache(path) if several else run_of(path)
    access = make_access(home, host, names)
    with studio_folder(home), run_lock(home / FOLDER), closing(_listening(host, port)) as listening:
        app: ASGIApp = Runs(path, access) if several else create_app(home, access)
        found = links(access, listening.getsockname()[1], people)
        if frame:
            app = framed = Framed(app, _user())
            found = [Link("", f"{found[0].url}{framed.root}/")]
        tell(found)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, date_header=False, timeout_keep_alive=75
        )
        server = uvicorn.Server(config)
        if frame:
            threading.Thread(target=_stop_with_input, args=(server,), daemon=True).start()
        server.run(sockets=[listening])


def _stop_with_input(server: uvicorn.Server) -> None:
    """Stop a server when the standard input ends: when whoever started this process is gone."""
    while os.read(sys.stdin.fileno(), 4_096):
        pass
    server.should_exit = True


def _user() -> str:
    """Return the name of the user as that of an annotator."""
    try:
        return check_name(getpass.getuser())
    except (RecipeError, OSError, KeyError):
        return OWNER


def links(access: Access, port: int, people: Sequence[str]) -> list[Link]:
    """Return the links of the owner and of each annotator. Tokens follow '#', which browsers neither send nor log."""
    here = f"http://{_in_url(access.host)}:{port}"
    if access.open:
        return [Link("", here)]
    return [Link(name, f"{here}/enter#{quote(access.token(name))}") for name in (OWNER, *people)]


def _in_url(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(256)
    except OSError as error:
        raise RecipeError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from None
    return listening


def _check_installed(module: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtra(module, "the studio") from None
