"""Make one request: GET a URL and read the response within limits, or fail with a reason. Redirects are returned."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import ssl
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, BinaryIO, cast

from poolwright.fetch.http.addresses import AddressGuard
from poolwright.fetch.http.contents import looks_foreign
from poolwright.fetch.http.network import import_httpcore, literal_address
from poolwright.fetch.http.urls import RequestTarget, redirected
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

USER_AGENT = f"poolwright/{version('poolwright')} (+https://pypi.org/project/poolwright/)"

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


class Headers:
    """Response headers by lower-case name; a header may come several times."""

    def __init__(self, raw: Iterator[tuple[bytes, bytes]] | list[tuple[bytes, bytes]]) -> None:
        self._all: dict[str, list[str]] = {}
        for name, value in raw:
            self._all.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())

    def first(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return self._all.get(name, [None])[0]

    def every(self, name: str) -> list[str]:
        """Return all values of a header."""
        return self._all.get(name, [])


class Requests:
    """Makes requests over connections that are kept open."""

    def __init__(self, connections: Any, options: FetchOptions) -> None:
        self.connections, self.options = connections, options
        self._client = import_httpcore()
        self._guard = AddressGuard.of(options.allow_private, options.allow_networks) if options.proxy else None
        self._agent = (options.user_agent or USER_AGENT).encode("latin-1", "replace")

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

    def _check_proxied(self, target: RequestTarget) -> None:
        """Check what can be checked of a target that the proxy resolves: a literal address in any form."""
        address = literal_address(target.host)
        refusal = self._guard.refusal(address) if self._guard and address else None
        if refusal:
            raise Failure("refused_address", refusal)

    async def _get(self, target: RequestTarget) -> Reply:
        self._check_proxied(target)
        client, seconds = self._client, self.options.timeout
        url = client.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
        )
        headers = [
            (b"Host", target.authority.encode()),
            (b"User-Agent", self._agent),
            (b"Accept", b"image/*,*/*;q=0.5"),
            (b"Accept-Encoding", b"identity"),
        ]
        limits = {"timeout": {"connect": seconds, "read": seconds, "write": seconds}}
        async with self.connections.stream("GET", url, headers=headers, extensions=limits) as response:
            return await self._read(target, response)

    async def _read(self, target: RequestTarget, response: Any) -> Reply:
        headers, status = Headers(response.headers), int(response.status)
        if status in _REDIRECTS:
            return Reply(status, target, redirected(target, headers.first("location") or ""))
        if status != 200:
            raise status_failure(status, headers)
        self._check_headers(headers)
        kind = headers.first("content-type")
        digest, size = hashlib.sha256(), 0
        file = cast(BinaryIO, tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - passed on
        try:
            head = b""
            decode = decoder(headers.first("content-encoding"))
            async for raw in response.aiter_stream():
                for chunk in decode(raw, self.options.max_bytes + 1):
                    size += len(chunk)
                    if size > self.options.max_bytes:
                        raise Failure("too_large", f"more than {self.options.max_bytes:,} bytes", status)
                    digest.update(chunk)
                    file.write(chunk)
                    if len(head) < _HEAD <= size:
                        file.seek(0)
                        head = file.read(_HEAD)
                        file.seek(0, 2)
                        self._check_head(head, kind)
            if not size:
                raise Failure("empty", "no bytes received", status)
            file.seek(0)
            return Reply(status, target, None, file, size, digest.hexdigest(), kind)
        except BaseException:
            file.close()
            raise

    def _check_headers(self, headers: Headers) -> None:
        no = opted_out(headers.every("x-robots-tag"), self.options.robots)
        if no:
            raise Failure("opted_out", f"X-Robots-Tag: {no}", 200)
        length = headers.first("content-length") or ""
        if length.isdecimal() and int(length) > self.options.max_bytes:
            raise Failure("too_large", f"{int(length):,} bytes; {self.options.max_bytes:,} are allowed", 200)

    def _check_head(self, head: bytes, kind: str | None) -> None:
        """Stop early if the first bytes are not from an image."""
        if self.options.check != "none" and looks_foreign(head):
            raise Failure("not_an_image", f"{kind or 'no content type'}, begins with {head[:24]!r}", 200)

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


def status_failure(status: int, headers: Headers) -> Failure:
    """Return the failure for an HTTP status other than 200 and redirects."""
    kind = _STATUS_CLASSES.get(status) or ("server_error" if 500 <= status < 600 else "client_error")
    wait = retry_after(headers.first("retry-after")) if status in (429, 503) else None
    return Failure(kind, f"HTTP {status}", status, wait)


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header: a number, or an HTTP date."""
    if not value:
        return None
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def opted_out(values: list[str], directives: tuple[str, ...]) -> str | None:
    """Return the X-Robots-Tag that opts out for everyone or for this agent; None if there is none.

    Read as by img2dataset: 'noai, noindex' is for all, 'agent: noai' for one agent.
    """
    for value in values:
        agent, colon, rest = value.partition(":")
        if colon and agent.strip().lower() != "poolwright":
            continue
        said = {word.strip().lower() for word in (rest if colon else value).split(",")}
        if said & {word.lower() for word in directives}:
            return value
    return None


def decoder(encoding: str | None) -> Any:
    """Return a function (bytes, most) -> pieces that decodes a content encoding, about `most` bytes at a time at most.

    Raises:
        Failure: bad_encoding, if the standard library does not support it.
    """
    name = (encoding or "identity").strip().lower()
    if name in ("identity", "none", "", "utf-8"):
        return lambda data, most: (data,)
    if name not in ("gzip", "x-gzip", "deflate"):
        raise Failure("bad_encoding", f"content encoding '{name}', but none was asked for", 200)
    unzip = zlib.decompressobj(47 if "gzip" in name else 15)

    def pieces(data: bytes, most: int) -> Iterator[bytes]:
        del most
        while data and not unzip.eof:
            yield unzip.decompress(data, 1 << 20)
            data = unzip.unconsumed_tail

    return pieces
