"""Serve an application below a path, as if it were alone.

Pages write their URLs from '/' on; those in their HTML and in headers get the path in front. Scripts read it from
`data-root` of the page.
"""

from __future__ import annotations

import hmac
import re
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from poolwright.studio.access import Session

ROOT = "poolwright.root"
"""Key of a scope: the path that the application is served below; '' or missing if there is none."""
SESSION = "poolwright.session"
"""Key of a scope: the session of a frame, which needs no cookie."""

_URLS = re.compile(r'((?:href|src|action|hx-get|hx-post|data-base|data-url)=")/(?!/)')
_LOCATIONS = ("location", "hx-redirect")
_FRAMED = re.compile(r"; frame-ancestors '(?:none|self)'")


def root_of(scope: Scope) -> str:
    """Return the path that an application is served below; '' for none."""
    return str(scope.get(ROOT, ""))


def below(scope: Scope, root: str) -> Scope | None:
    """Return a scope as the application below `root` sees it; None if its path is elsewhere."""
    path = scope.get("path", "")
    if path != root and not path.startswith(f"{root}/"):
        return None
    return {**scope, "path": path[len(root) :] or "/", ROOT: root_of(scope) + root}


def rooted(html: str, root: str) -> str:
    """Put a path in front of the URLs of a page. Texts are escaped, so that what looks like one is an attribute."""
    return _URLS.sub(rf"\1{root}/", html) if root else html


def root_headers(headers: MutableHeaders, root: str) -> None:
    """Put a path in front of the URLs that a response redirects to."""
    for name in _LOCATIONS:
        if headers.get(name, "").startswith("/"):
            headers[name] = root + headers[name]


class Framed:
    """ASGI application: lets another page, such as a notebook, show a studio in a frame.

    Browsers send no cookies of a frame of another site, so its path is the key: nobody can guess it, and whoever knows
    it is who started the studio.

    Args:
        app: the studio.
        name: the name in which verdicts are given.
    """

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.root = f"/frame/{secrets.token_urlsafe(32)}"
        self.session = Session(secrets.token_urlsafe(16), name, True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = str(scope.get("path", ""))[: len(self.root)]
        inside = below(scope, self.root) if hmac.compare_digest(start.encode(), self.root.encode()) else None
        await self.app(scope if inside is None else {**inside, SESSION: self.session}, receive, send)


def unframe(headers: MutableHeaders) -> None:
    """Allow other pages to show a response in a frame."""
    if "x-frame-options" in headers:
        del headers["x-frame-options"]
    headers["content-security-policy"] = _FRAMED.sub("", headers.get("content-security-policy", ""))
