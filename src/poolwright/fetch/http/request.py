"""Make one request: GET a URL and read the response within limits, or fail with a reason. Redirects are returned."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, BinaryIO, cast

from poolwright.fetch.http.addresses import AddressGuard
from poolwright.fetch.http.contents import looks_foreign
from poolwright.fetch.http.encodings import decoder
from poolwright.fetch.http.headers import Headers, opted_out, retry_after
from poolwright.fetch.http.host_rules import HostPage
from poolwright.fetch.http.network import import_httpcore, literal_address
from poolwright.fetch.http.urls import RequestTarget, redirected
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

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
        file: the bytes, spooled to disk past 2 MB; None for a redirect.
        sha256: SHA-256 of the bytes, in hex.
    """

    http_status: int
    target: RequestTarget
    location: RequestTarget | None = None
    file: BinaryIO | None = None
    size: int = 0
    sha256: str | None = None
    content_type: str | None = None

    def read(self) -> bytes:
        """Return the bytes; may be called once."""
        if self.file is None:
            return b""
        with self.file as file:
            return file.read()


class Requests:
    """Makes requests over connections that are kept open."""

    def __init__(self, connections: Any, options: FetchOptions) -> None:
        self.connections, self.options = connections, options
        self._client = import_httpcore()
        self._guard = AddressGuard.of(options.allow_private, options.allow_networks) if options.proxy else None
        agent = options.user_agent or USER_AGENT
        self._agent, self.names = agent.encode("latin-1", "replace"), ("poolwright", re.split("[/ ]", agent)[0])

    async def get(self, target: RequestTarget, seconds: float) -> Reply:
        """Return the response of a target.

        Args:
            target: target of the request.
            seconds: time limit, from resolving the address to the last byte.

        Raises:
            Failure: the response has no image.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._get(target)
        except TimeoutError:
            raise Failure("total_timeout", f"not done within {self.options.total:g} s") from None
        except Failure:
            raise
        except Exception as error:
            raise self._failure(error) from error

    async def page(self, target: RequestTarget, most: int) -> HostPage:
        """Return the first bytes of a small text.

        Args:
            target: target of the request.
            most: bytes to read.

        Raises:
            Failure: the host cannot be reached, or breaks off.
        """
        try:
            async with asyncio.timeout(self.options.total), self._response(target, b"*/*") as response:
                headers, status = Headers(response.headers), int(response.status)
                if status in _REDIRECTS:
                    return _moved(status, target, headers)
                body, unpack = b"", decoder(headers.every("content-encoding"), most)
                async for raw in response.aiter_stream():
                    body += b"".join(unpack.feed(raw))
                    if len(body) >= most:
                        break
                return HostPage(status, body[:most])
        except TimeoutError:
            raise Failure("total_timeout", f"not done within {self.options.total:g} s") from None
        except Failure:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def _check_proxied(self, target: RequestTarget) -> None:
        """Check what can be checked of a target that the proxy resolves: a literal address in any form."""
        address = literal_address(target.host)
        refusal = self._guard.refusal(address) if self._guard and address else None
        if refusal:
            raise Failure("refused_address", refusal)

    async def _get(self, target: RequestTarget) -> Reply:
        async with self._response(target, b"image/*,*/*;q=0.5") as response:
            return await self._read(target, response)

    def _response(self, target: RequestTarget, accept: bytes) -> Any:
        """Return a context with the response to a request."""
        self._check_proxied(target)
        client, seconds = self._client, self.options.timeout
        url = client.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
        )
        headers = [
            (b"Host", target.authority.encode()),
            (b"User-Agent", self._agent),
            (b"Accept", accept),
            (b"Accept-Encoding", b"identity"),
        ]
        limits = {"timeout": {"connect": seconds, "read": seconds, "write": seconds}}
        return self.connections.stream("GET", url, headers=headers, extensions=limits)

    async def _read(self, target: RequestTarget, response: Any) -> Reply:
        headers, status = Headers(response.headers), int(response.status)
        if status in (*_REDIRECTS, *_WITH_IMAGE):
            self._check_reservations(headers, status)
        if status in _REDIRECTS:
            return Reply(status, target, redirected(target, headers.location()))
        if status not in _WITH_IMAGE:
            raise status_failure(status, headers)
        self._check_headers(headers, status)
        body = _Body(self.options, headers, status)
        try:
            async for raw in response.aiter_stream():
                body.add(body.decoder.feed(raw))
            body.add(body.decoder.close())
            return body.reply(target)
        except BaseException:
            body.file.close()
            raise

    def _check_reservations(self, headers: Headers, status: int) -> None:
        no = opted_out(headers.every("x-robots-tag"), self.options.robots, self.names)
        if no:
            raise Failure("opted_out", f"X-Robots-Tag: {no}", status)
        if self.options.tdm and "1" in map(str.strip, ",".join(headers.every("tdm-reservation")).split(",")):
            policy = headers.first("tdm-policy")
            more = f", tdm-policy: {policy[:200]}" if policy else ""
            raise Failure("tdm_reserved", f"tdm-reservation: 1{more}", status)

    def _check_headers(self, headers: Headers, status: int) -> None:
        length = headers.first("content-length") or ""
        if length.isdecimal() and int(length) > self.options.max_bytes:
            raise Failure("too_large", f"{int(length):,} bytes; {self.options.max_bytes:,} are allowed", status)

    def _failure(self, error: Exception) -> Failure:
        """Return the failure that an error of the client stands for."""
        client, message = self._client, _first_message(error)
        if isinstance(error, client.ConnectError) and _is_tls(error):
            return Failure("tls_failed", message)
        table = (
            (client.ConnectTimeout, "connect_timeout", f"no connection within {self.options.timeout:g} s"),
            (client.TimeoutException, "read_timeout", f"silent for {self.options.timeout:g} s"),
            (client.ConnectError, "connect_failed", message),
            (client.ProxyError, "connect_failed", message),
            (client.NetworkError, "connection_lost", message),
            (client.RemoteProtocolError, "connection_lost" if _broke_off(str(error)) else "bad_response", str(error)),
            (client.LocalProtocolError, "bad_url", message),
            (zlib.error, "bad_encoding", message),
            (OSError, "connection_lost", message),
        )
        for kind, error_class, message in table:
            if isinstance(error, kind):
                return Failure(error_class, message)
        return Failure("bad_response", f"{type(error).__name__}: {message}")


class _Body:
    """The body of a response, decoded and kept within limits."""

    def __init__(self, options: FetchOptions, headers: Headers, status: int) -> None:
        self.options, self.status, self.kind = options, status, headers.first("content-type")
        self.decoder = decoder(headers.every("content-encoding"), options.max_bytes)
        self.file = cast(BinaryIO, tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - passed on
        self.size, self._digest, self._head_seen = 0, hashlib.sha256(), False

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
            self.file.write(piece)
            if self.size >= _HEAD and not self._head_seen:
                self._head_seen = True
                self._check_head()

    def _check_head(self) -> None:
        """Stop early if the first bytes are not from an image."""
        self.file.seek(0)
        head = self.file.read(_HEAD)
        self.file.seek(0, 2)
        if self.options.check != "none" and looks_foreign(head):
            raise Failure("not_an_image", f"{self.kind or 'no content type'}, begins with {head[:24]!r}", self.status)

    def reply(self, target: RequestTarget) -> Reply:
        """Return the whole body as a reply."""
        if not self.size:
            raise Failure("empty", "no bytes received", self.status)
        self.file.seek(0)
        return Reply(self.status, target, None, self.file, self.size, self._digest.hexdigest(), self.kind)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__


def _is_tls(error: BaseException) -> bool:
    """Whether a connection failed because of its certificate or protocol, rather than because it broke."""
    broke = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return any(isinstance(cause, ssl.SSLError) and not isinstance(cause, broke) for cause in _causes(error))


def _first_message(error: BaseException) -> str:
    """Return the message of the first cause, which is the most specific."""
    said = [str(cause) for cause in _causes(error) if str(cause)]
    return said[-1] if said else type(error).__name__


def _broke_off(message: str) -> bool:
    """Whether h11 reports that the connection ended, rather than a protocol error."""
    return "peer closed connection" in message or "disconnected" in message


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
