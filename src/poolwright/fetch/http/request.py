"""Make one request: GET a URL and read the response within limits, or fail with a reason. Redirects are returned."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, BinaryIO, cast

from poolwright.core.images.image import has_signature
from poolwright.fetch.http.addresses import AddressGuard
from poolwright.fetch.http.encodings import decoder
from poolwright.fetch.http.headers import Headers, opted_out, retry_after
from poolwright.fetch.http.host_rules import HostPage
from poolwright.fetch.http.network import literal_address
from poolwright.fetch.http.urls import RequestTarget, redirected
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

if TYPE_CHECKING:
    from poolwright.fetch.http.connections import Connections, Response

USER_AGENT = f"poolwright/{version('poolwright')} (+https://pypi.org/project/poolwright/)"

_WITH_IMAGE = (200, 202, 203)
"""Statuses that may come with an image: whether one did, its bytes say."""

_REDIRECTS = (301, 302, 303, 307, 308)
_STATUS_CLASSES = {401: "forbidden", 403: "forbidden", 451: "forbidden", 404: "not_found", 410: "not_found",
                   408: "server_error", 425: "server_error", 429: "too_many_requests"}  # fmt: skip
_IN_MEMORY = 1 << 21
_HEAD = 64
"""First bytes of a file, enough to detect its format."""


@dataclass(frozen=True)
class Reply:
    """A response: bytes, or the target of a redirect.

    Attributes:
        pieces: the bytes; empty if they are in `file`.
        file: the bytes, if they are more than 2 MB; a temporary file.
        sha256: SHA-256 of the bytes, in hex.
    """

    http_status: int
    target: RequestTarget
    location: RequestTarget | None = None
    pieces: Sequence[bytes] = ()
    file: BinaryIO | None = None
    size: int = 0
    sha256: str | None = None
    content_type: str | None = None

    def read(self) -> bytes:
        """Return the bytes; may be called once."""
        if self.file is None:
            return b"".join(self.pieces)
        with self.file as file:
            file.seek(0)
            return file.read()


class Requests:
    """Makes requests over connections that are kept open."""

    def __init__(self, connections: Connections, options: FetchOptions) -> None:
        self.connections, self.options = connections, options
        self._guard = AddressGuard.of(options.allow_private, options.allow_networks) if options.proxy else None
        agent = options.user_agent or USER_AGENT
        self._agent, self.names = agent, ("poolwright", re.split("[/ ]", agent)[0])

    async def get(self, target: RequestTarget, seconds: float) -> Reply:
        """Return the response of a target.

        Args:
            target: target of the request.
            seconds: time limit, from resolving the address to the last byte.

        Raises:
            Failure: the response has no image.
        """
        with self._failing():
            async with asyncio.timeout(seconds), self._response(target, "image/*,*/*;q=0.5") as response:
                return await self._read(target, response)

    async def page(self, target: RequestTarget, most: int) -> HostPage:
        """Return the first bytes of a small text.

        Args:
            target: target of the request.
            most: bytes to read.

        Raises:
            Failure: the host cannot be reached, or breaks off.
        """
        with self._failing():
            async with asyncio.timeout(self.options.total), self._response(target, "*/*") as response:
                if response.status in _REDIRECTS:
                    return _moved(response.status, target, response.headers)
                body, unpack = b"", decoder(response.headers.every("content-encoding"), most)
                async for raw in response:
                    body += b"".join(unpack.feed(raw))
                    if len(body) >= most:
                        break
                return HostPage(response.status, body[:most])

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn all errors of a request into a `Failure`."""
        try:
            yield
        except TimeoutError:
            raise Failure("total_timeout", f"not done within {self.options.total:g} s") from None
        except Failure:
            raise
        except zlib.error as error:
            raise Failure("bad_encoding", str(error)) from error
        except OSError as error:
            raise Failure("connection_lost", str(error) or type(error).__name__) from error
        except Exception as error:
            raise Failure("bad_response", f"{type(error).__name__}: {error}") from error

    def _response(self, target: RequestTarget, accept: str) -> AbstractAsyncContextManager[Response]:
        """Return a context with the response to a request."""
        self._check_proxied(target)
        headers = {"User-Agent": self._agent, "Accept": accept, "Accept-Encoding": "identity"}
        return self.connections.get(target, headers)

    def _check_proxied(self, target: RequestTarget) -> None:
        """Check what can be checked of a target that the proxy resolves: a literal address in any form."""
        address = literal_address(target.host) if self._guard else None
        refusal = self._guard.refusal(address) if self._guard and address else None
        if refusal:
            raise Failure("refused_address", refusal)

    async def _read(self, target: RequestTarget, response: Response) -> Reply:
        headers, status = response.headers, response.status
        if status in (*_REDIRECTS, *_WITH_IMAGE):
            self._check_reservations(headers, status)
        if status in _REDIRECTS:
            return Reply(status, target, redirected(target, headers.location()))
        if status not in _WITH_IMAGE:
            raise status_failure(status, headers)
        if response.length is not None and response.length > self.options.max_bytes:
            allowed = f"{self.options.max_bytes:,} are allowed"
            raise Failure("too_large", f"{response.length:,} bytes; {allowed}", status)
        body = _Body(self.options, headers, status)
        try:
            async for raw in response:
                body.add(body.decoder.feed(raw))
            body.add(body.decoder.close())
            return body.reply(target)
        except BaseException:
            body.close()
            raise

    def _check_reservations(self, headers: Headers, status: int) -> None:
        no = opted_out(headers.every("x-robots-tag"), self.options.robots, self.names)
        if no:
            raise Failure("opted_out", f"X-Robots-Tag: {no}", status)
        if self.options.tdm and "1" in map(str.strip, ",".join(headers.every("tdm-reservation")).split(",")):
            policy = headers.first("tdm-policy")
            more = f", tdm-policy: {policy[:200]}" if policy else ""
            raise Failure("tdm_reserved", f"tdm-reservation: 1{more}", status)


class _Body:
    """The body of a response, decoded and kept within limits; in memory up to 2 MB, then on disk."""

    def __init__(self, options: FetchOptions, headers: Headers, status: int) -> None:
        self.options, self.status, self.kind = options, status, headers.first("content-type")
        self.decoder = decoder(headers.every("content-encoding"), options.max_bytes)
        self.size, self._digest, self._head_seen = 0, hashlib.sha256(), False
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None

    def add(self, pieces: Iterator[bytes]) -> None:
        """Keep the next pieces.

        Raises:
            Failure: they are too many, or not from an image.
        """
        for piece in pieces:
            self.size += len(piece)
            if self.size > self.options.max_bytes:
                raise Failure("too_large", f"more than {self.options.max_bytes:,} bytes", self.status)
            self._digest.update(piece)
            self._pieces.append(piece)
            if not self._head_seen and self.size >= _HEAD:
                self._check_head()
        if self._file is not None or self.size > _IN_MEMORY:
            if self._file is None:
                self._file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - passed on
            self._file.writelines(self._pieces)
            self._pieces.clear()

    def _check_head(self) -> None:
        """Stop early if the first bytes are not from an image."""
        self._head_seen = True
        head = b"".join(self._pieces)[:_HEAD]
        if self.options.check != "none" and not has_signature(head):
            raise Failure("not_an_image", f"{self.kind or 'no content type'}, begins with {head[:24]!r}", self.status)

    def reply(self, target: RequestTarget) -> Reply:
        """Return the whole body as a reply."""
        if not self.size:
            raise Failure("empty", "no bytes received", self.status)
        digest = self._digest.hexdigest()
        return Reply(self.status, target, None, self._pieces, self._file, self.size, digest, self.kind)

    def close(self) -> None:
        """Remove what is on disk."""
        if self._file is not None:
            self._file.close()


def _moved(status: int, target: RequestTarget, headers: Headers) -> HostPage:
    try:
        return HostPage(status, location=redirected(target, headers.location()))
    except Failure as failure:
        return HostPage(status, lost=failure.message)


def status_failure(status: int, headers: Headers) -> Failure:
    """Return the failure for an HTTP status other than 200 and redirects."""
    kind = _STATUS_CLASSES.get(status) or ("server_error" if 500 <= status < 600 else "client_error")
    wait = retry_after(headers.first("retry-after")) if status in (429, 503) else None
    return Failure(kind, f"HTTP {status}", status, wait)
