"""Open connections to checked addresses, or to a proxy, and keep them open for the next request to the same origin.

Host header and TLS server name are those of the name, not of its address. No proxy settings of the environment are read
unless they are asked for.
"""

from __future__ import annotations

import asyncio
import os
import socket
from base64 import b64encode
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from poolwright.core.errors import RecipeError
from poolwright.fetch.http.addresses import AddressGuard
from poolwright.fetch.http.connection import Connection, Response
from poolwright.fetch.http.network import Names, Resolve
from poolwright.fetch.http.tls import is_refusal, tls_context
from poolwright.fetch.http.urls import RequestTarget
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

_TRIED = 3
"""Addresses of a name that are tried."""

_KEPT_SECONDS = 10.0
_RECEIVED_AT_ONCE = 256 << 10
_PROXY_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]


class Connections:
    """Connections kept open for the next request to the same origin, as many as requests run at once.

    Args:
        options: timeouts, TLS, the proxy, and which addresses are allowed.
        resolve: resolves host names.

    Raises:
        RecipeError: the proxy is not valid.
    """

    def __init__(self, options: FetchOptions, resolve: Resolve) -> None:
        proxy = proxy_url(options)
        self._proxy = urlsplit(proxy) if proxy else None
        self._names = Names(AddressGuard.of(options.allow_private, options.allow_networks), resolve, options.timeout)
        self._timeout, self._most = options.timeout, options.concurrency
        self._tls = tls_context(options.verify_tls)
        self._buffer = memoryview(bytearray(_RECEIVED_AT_ONCE))
        self._idle: OrderedDict[Connection, Origin] = OrderedDict()  # longest idle first
        self._by_origin: dict[Origin, list[Connection]] = {}

    @asynccontextmanager
    async def get(self, target: RequestTarget, fields: bytes) -> AsyncIterator[Response]:
        """Yield the response to a request, and close the connection after use if it cannot be reused.

        Args:
            target: target of the request.
            fields: header lines besides Host, each with its line end.

        Raises:
            Failure: there is no connection, or no response.
        """
        proxied = self._proxy is not None and target.scheme == "http"
        origin = ("", "", 0) if proxied else (target.scheme, target.host, target.port)
        path = target.url if proxied else target.path
        connection = self._reuse(origin) or await self._open(target)
        response = None
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: {target.authority}\r\n".encode() + fields
            if proxied:
                request += self._credentials()
            response = await connection.respond(request + b"\r\n")
            yield response
        finally:
            if response is not None and response.is_reusable():
                self._keep(origin, connection)
            else:
                connection.close()

    def _reuse(self, origin: Origin) -> Connection | None:
        waiting = self._by_origin.get(origin, [])
        while waiting:
            connection = waiting.pop()
            del self._idle[connection]
            if connection.is_open() and monotonic() - connection.idle_since < _KEPT_SECONDS:
                return connection
            connection.close()
        self._by_origin.pop(origin, None)
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        connection.idle_since = monotonic()
        self._idle[connection] = origin
        self._by_origin.setdefault(origin, []).append(connection)
        if len(self._idle) > self._most:
            oldest, home = self._idle.popitem(last=False)
            self._by_origin[home].remove(oldest)
            if not self._by_origin[home]:
                del self._by_origin[home]
            oldest.close()

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.popitem()[0].close()
        self._by_origin.clear()

    async def _open(self, target: RequestTarget) -> Connection:
        if self._proxy is not None:
            return await self._open_through(self._proxy, target)
        addresses = await self._names.addresses(target.host, target.port)
        sock = await self._connect(addresses[:_TRIED], target.port)
        return await self._start(sock, target.host if target.scheme == "https" else None)

    async def _open_through(self, proxy: SplitResult, target: RequestTarget) -> Connection:
        """Open a connection to the proxy; for https, with a tunnel to the target."""
        host, port = proxy.hostname or "", proxy.port or _PROXY_PORTS[proxy.scheme]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Failure("connect_failed", f"proxy {host}: {error.strerror or error}") from None
        sock = await self._connect([str(entry[4][0]) for entry in found][:_TRIED], port)
        connection = await self._start(sock, host if proxy.scheme == "https" else None)
        if target.scheme == "http":
            return connection
        authority = f"[{target.host}]" if ":" in target.host else target.host
        lines = f"CONNECT {authority}:{target.port} HTTP/1.1\r\nHost: {authority}:{target.port}\r\n".encode()
        try:
            response = await connection.respond(lines + self._credentials() + b"\r\n")
            if response.status // 100 != 2:
                raise Failure("connect_failed", f"proxy {host}: HTTP {response.status}")
            async with self._connecting(self._timeout):
                await connection.start_tls(self._tls, target.host)
        except BaseException:
            connection.close()
            raise
        return connection

    def _credentials(self) -> bytes:
        """Return the header line with the user name of the proxy, if it has one."""
        if self._proxy is None or not self._proxy.username:
            return b""
        user = f"{unquote(self._proxy.username)}:{unquote(self._proxy.password or '')}"
        return b"Proxy-Authorization: Basic " + b64encode(user.encode()) + b"\r\n"

    async def _connect(self, addresses: list[str], port: int) -> socket.socket:
        """Connect to the first address that answers."""
        for address in addresses[:-1]:
            try:
                return await self._connect_to(address, port, self._timeout / len(addresses))
            except Failure:
                continue
        return await self._connect_to(addresses[-1], port, self._timeout)

    async def _connect_to(self, address: str, port: int, seconds: float) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with self._connecting(seconds):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _start(self, sock: socket.socket, host: str | None) -> Connection:
        """Start HTTP on a socket; with TLS if it is for a host."""
        tls: dict[str, Any] = {"ssl": self._tls, "server_hostname": host} if host else {}
        try:
            async with self._connecting(self._timeout):
                loop = asyncio.get_running_loop()
                make = partial(Connection, self._timeout, self._buffer)
                _, connection = await loop.create_connection(make, sock=sock, **tls)
        except BaseException:
            sock.close()
            raise
        return connection

    @asynccontextmanager
    async def _connecting(self, seconds: float) -> AsyncIterator[None]:
        """Turn what goes wrong while connecting into a `Failure`."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise Failure("connect_timeout", f"no connection within {self._timeout:g} s") from None
        except OSError as error:
            kind = "tls_failed" if is_refusal(error) else "connect_failed"
            raise Failure(kind, str(error) or type(error).__name__) from None


def proxy_url(options: FetchOptions) -> str | None:
    """Return the proxy to use, if any; that of the environment only for 'env'."""
    if options.proxy == "env":
        names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
        found = next((os.environ[name] for name in names if os.environ.get(name)), None)
        if not found:
            raise RecipeError("proxy: env, but HTTPS_PROXY is not set; name the proxy, or leave it out")
        return found
    if options.proxy and not options.proxy.startswith(("http://", "https://")):
        raise RecipeError(f"proxy '{options.proxy}': needs http:// or https://")
    return options.proxy
