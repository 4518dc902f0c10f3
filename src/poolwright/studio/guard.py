"""Guard every request before a page handles it, and add the headers of every response."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from fnmatch import fnmatchcase
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poolwright.studio.access import SESSION_SECONDS, Access, Session
from poolwright.studio.rooted import SESSION, root_headers, root_of, unframe

COOKIE = "poolwright_studio"
CSRF_HEADER = "x-csrf-token"
MOST_BYTES = 64_000
"""Maximum size of a POST in bytes, for paths without a limit of their own."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""Headers of responses that do not set them themselves."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_FREE = ("/enter", "/static/")
"""Prefixes of paths that need no token."""
_COOKIELESS = ("/static/", "/picture")
"""Prefixes of paths that start no session: a page requests many of them at once."""


class TooLarge(HTTPException):
    """A body is longer than its limit, whatever its header claimed."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"refused: more than {limit:,} bytes")


class Guard:
    """ASGI middleware: checks host, origin, size, session and CSRF token.

    Args:
        app: the guarded application.
        access: the access rules.
        limits: maximum size of a POST in bytes, by pattern of its path.
    """

    def __init__(self, app: ASGIApp, access: Access, limits: Mapping[str, int] | None = None) -> None:
        self.app, self.access, self.limits = app, access, limits or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        known = scope.get(SESSION) or self._session(headers)
        session = known or self.access.new_session(owner=self.access.open)
        scope.setdefault("state", {}).update(session=session, access=self.access)
        refusal = self._refusal(scope, headers, known)
        if refusal is not None:
            await refusal(scope, receive, _Answer(scope, send, None))
            return
        fresh = known is None and scope["method"] == "GET" and not scope["path"].startswith(_COOKIELESS)
        answer = _Answer(scope, send, self.access.cookie(session) if fresh else None)
        await self.app(scope, _Limited(receive, self._limit(scope["path"])), answer)

    def _session(self, headers: Headers) -> Session | None:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self.access.session_of(cookie.value) if cookie else None

    def _limit(self, path: str) -> int:
        found = (most for pattern, most in self.limits.items() if fnmatchcase(path, pattern))
        return next(found, MOST_BYTES)

    def _refusal(self, scope: Scope, headers: Headers, session: Session | None) -> Response | None:
        """Return the response to a request that is refused, or None."""
        path, method = scope["path"], scope["method"]
        if len(headers.getlist("host")) != 1 or not self.access.knows_host(headers["host"]):
            return _refused(421, "this host name is not known; start the studio with --name to allow it")
        if not self.access.open and not (session and session.name) and not path.startswith(_FREE):
            return RedirectResponse("/enter", 303) if method == "GET" else _refused(401, "enter with your token first")
        if method in _SAFE:
            return None
        return self._unsafe(path, headers, session)

    def _unsafe(self, path: str, headers: Headers, session: Session | None) -> Response | None:
        length = headers.get("content-length", "0")
        limit = self._limit(path)
        if not length.isdecimal() or int(length) > limit:
            return _refused(413, f"more than {limit:,} bytes")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
            return _refused(403, "a page of another site sent this")
        if session is None:
            return _refused(403, "this browser has no session; reload the page")
        if not _same(headers.get(CSRF_HEADER, ""), self.access.csrf(session)):
            return _refused(403, "this page is out of date; reload it")
        return None


class _Answer:
    """Sends messages, with the headers and the cookie of every response."""

    def __init__(self, scope: Scope, send: Send, cookie: str | None) -> None:
        self.send, self.cookie = send, cookie
        self.root, self.framed = root_of(scope), SESSION in scope

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            root_headers(headers, self.root)
            if self.framed:
                unframe(headers)
            if self.cookie is not None and "set-cookie" not in headers:
                headers.append("set-cookie", cookie_header(self.cookie))
        await self.send(message)


class _Limited:
    """Receives a body up to a limit, whatever the header claimed."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive, self.limit, self.left = receive, limit, limit

    async def __call__(self) -> Message:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            raise TooLarge(self.limit)
        return message


def cookie_header(value: str) -> str:
    """Return the header that sets the cookie, hidden from scripts and not sent by other sites."""
    return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={SESSION_SECONDS}"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _refused(status: int, reason: str) -> Response:
    return PlainTextResponse(f"refused: {reason}\n", status)
