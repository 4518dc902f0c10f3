"""Send requests by aiohttp, to checked addresses only or to a proxy, on connections that are kept open.

Each name is resolved once and only a checked address is used, so that a name cannot resolve to one address for the
check and to another for the connection (DNS rebinding). aiohttp follows no redirects here, keeps no cookies,
decompresses nothing, and reads no settings of the environment.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from poolwright.fetch.http.addresses import AddressGuard
from poolwright.fetch.http.headers import Headers
from poolwright.fetch.http.heads import CleanHeads
from poolwright.fetch.http.network import Names, Resolve, literal_address, proxy_url
from poolwright.fetch.http.tls import tls_context
from poolwright.fetch.http.urls import RequestTarget
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

_TRIED = 3
"""Addresses of a name that are tried."""

_KEPT_SECONDS = 10.0
_LONGEST_LINE = 64 << 10
_MOST_LINES = 1_000
_BROKE = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@dataclass(frozen=True)
class Response:
    """The response to a request; iterate it for the pieces of its body, as they were sent.

    Attributes:
        length: bytes of the body, if they are known before.
    """

    status: int
    headers: Headers
    length: int | None
    body: AsyncIterator[bytes]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.body


class Connections:
    """Connections kept open for the next request to the same origin, as many as requests run at once.

    Use it as an asynchronous context.

    Args:
        options: timeouts, TLS, the proxy, and which addresses are allowed.
        resolve: resolves host names.

    Raises:
        RecipeError: the proxy is not valid.
    """

    def __init__(self, options: FetchOptions, resolve: Resolve) -> None:
        self._proxy, self._timeout = proxy_url(options), options.timeout
        self._names = Names(AddressGuard.of(options.allow_private, options.allow_networks), resolve, options.timeout)
        self._connector = _Connector(
            options.concurrency,
            resolver=None if self._proxy else _Checked(self._names),
            use_dns_cache=False,
            ssl=tls_context(options.verify_tls),
            keepalive_timeout=_KEPT_SECONDS,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.timeout, sock_read=options.timeout),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            max_headers=_MOST_LINES,
            middlewares=[self._connector.send],
        )

    async def __aenter__(self) -> Connections:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @asynccontextmanager
    async def get(self, target: RequestTarget, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """Yield the response to a request.

        Args:
            target: target of the request.
            headers: headers besides Host.

        Raises:
            Failure: there is no connection or no response, or it breaks off while it is read.
        """
        if self._proxy is None and literal_address(target.host):  # aiohttp resolves names alone
            await self._names.addresses(target.host, target.port)
        url = URL(target.url, encoded=True)
        with self._failing():
            async with self._session.get(url, headers=headers, allow_redirects=False, proxy=self._proxy) as response:
                received, body = Headers(response.raw_headers), response.content.iter_any()
                try:
                    yield Response(response.status, received, response.content_length, body)
                finally:
                    self._connector.free(response)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn the errors of aiohttp into a `Failure`."""
        try:
            yield
        except aiohttp.ConnectionTimeoutError:
            raise Failure("connect_timeout", f"no connection within {self._timeout:g} s") from None
        except aiohttp.ServerTimeoutError:
            raise Failure("read_timeout", f"silent for {self._timeout:g} s") from None
        except aiohttp.ClientHttpProxyError as error:
            raise Failure("connect_failed", f"proxy {URL(self._proxy or '').host}: HTTP {error.status}") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise Failure("tls_failed", str(error.certificate_error)) from None
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ssl.SSLError) and not isinstance(error.os_error, _BROKE)
            raise Failure("tls_failed" if refused else "connect_failed", _words(error.os_error)) from None
        except aiohttp.ClientPayloadError as error:
            raise Failure("connection_lost", str(error)) from None
        except aiohttp.ClientOSError as error:
            raise Failure("connection_lost", _words(error)) from None
        except aiohttp.ClientResponseError as error:
            raise Failure("bad_response", " ".join(error.message.split())[:200]) from None


@dataclass(frozen=True)
class _Use:
    """The use of a connection by one request; `number` counts from 1 on each connection."""

    transport: asyncio.Transport
    number: int


class _Connector(aiohttp.TCPConnector):
    """Opens connections on which the heads of responses are cleaned, and keeps the `most` used last.

    aiohttp keeps every connection for its time, so that many hosts would take all sockets that a process may have.
    """

    def __init__(self, most: int, **options: Any) -> None:
        super().__init__(limit=0, **options)
        self._most = most
        self._uses: WeakKeyDictionary[asyncio.Transport, int] = WeakKeyDictionary()  # requests so far
        self._used: WeakKeyDictionary[object, _Use] = WeakKeyDictionary()  # by request, then by response
        self._reused: WeakSet[aiohttp.ClientRequest] = WeakSet()
        self._idle: OrderedDict[asyncio.Transport, None] = OrderedDict()  # longest idle first; some have ended

    async def send(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request; once more only if the server had ended the kept connection meanwhile (RFC 9112, 9.3.1).

        aiohttp would send it again whenever a server hangs up, whatever a host may be asked.
        """
        while True:
            self._reused.discard(request)
            try:
                response = await send(request)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if request not in self._reused:
                    words = _words(error) if isinstance(error, OSError) else "ended without a response"
                    raise Failure("connection_lost", words) from None
            else:
                self._used[response] = self._used[request]
                return response

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        """Connect as aiohttp does, or take a connection that was kept."""
        connection = await super().connect(req, traces, timeout)
        transport, protocol = connection.transport, connection.protocol
        if isinstance(transport, asyncio.Transport) and protocol is not None:
            heads = transport.get_protocol()
            if isinstance(heads, CleanHeads):
                self._reused.add(req)
                self._idle.pop(transport, None)
            else:
                heads = CleanHeads(heads, surplus=protocol.force_close)
                transport.set_protocol(heads)
            heads.expect_head()
            self._uses[transport] = self._uses.get(transport, 0) + 1
            self._used[req] = _Use(transport, self._uses[transport])
        return connection

    def free(self, response: aiohttp.ClientResponse) -> None:
        """Take note that a response was read; its connection is idle, unless another request has it already."""
        use = self._used[response]
        if self._uses[use.transport] == use.number:
            self._idle[use.transport] = None
        while len(self._idle) > self._most:
            self._idle.popitem(last=False)[0].close()


class _Checked(AbstractResolver):
    """Gives a few addresses of a name, all of which may be connected to."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in (await self._names.addresses(host, port))[:_TRIED]
        ]

    async def close(self) -> None:
        """Release nothing: the names belong to the connections."""


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
