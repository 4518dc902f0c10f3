"""Open connections: each name is resolved once, every address is checked, and only a checked address is used.

So a name cannot resolve to one address for the check and to another for the connection (DNS rebinding); Host header
and TLS server name stay those of the name. The HTTP client is httpcore2, which follows no redirects,
reads no proxy settings and sends nothing on its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.fetch.http.addresses import AddressGuard
from poolwright.fetch.http.heads import CleanHeads
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Addresses of a name and port, best first. Raises `socket.gaierror` as `socket.getaddrinfo` does."""

_REMEMBERED = 20_000
_SECONDS = 120.0
_TRIED = 3
_KEPT_SECONDS = 10.0
_TEMPORARY = {getattr(socket, name) for name in ("EAI_AGAIN", "EAI_SYSTEM", "EAI_MEMORY") if hasattr(socket, name)}


def import_httpcore() -> Any:
    """Import the HTTP client.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import anyio  # noqa: F401 - httpcore2 imports it late
        import httpcore2
        import idna  # noqa: F401
    except ImportError as error:
        raise MissingExtra("httpcore2", f"fetching images ({error.name})") from None
    return httpcore2


class SystemResolver:
    """Resolves names with the system. Each lookup has its own thread, so that a slow one does not delay others."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _ask, host, port)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _ask(host: str, port: int) -> list[Any]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Names:
    """Addresses of hosts, resolved, checked and cached for two minutes."""

    def __init__(self, guard: AddressGuard, resolve: Resolve, timeout: float) -> None:
        self.guard, self.resolve, self.timeout = guard, resolve, timeout
        self._known: OrderedDict[tuple[str, int], tuple[float, asyncio.Task[list[str]]]] = OrderedDict()

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host that may be connected to.

        Raises:
            Failure: dns_failed, dns_temporary, or refused_address if any of them is refused.
        """
        until, task = self._known.get((host, port), (0.0, None))
        if task is None or until < monotonic():
            task = asyncio.create_task(self._look_up(host, port))
            task.add_done_callback(seen)
            self._known[host, port] = monotonic() + _SECONDS, task
            self._known.move_to_end((host, port))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except Failure as failure:
            if failure.kind.retried:
                self._known.pop((host, port), None)
            raise

    async def _look_up(self, host: str, port: int) -> list[str]:
        address = literal_address(host)
        found = [address] if address else await self._ask(host, port)
        for address in found:
            refusal = self.guard.refusal(address)
            if refusal:
                raise Failure("refused_address", refusal if address == host else f"{host}: {refusal}")
        return found

    async def _ask(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(self.timeout):
                found = await self.resolve(host, port)
        except TimeoutError:
            raise Failure("dns_temporary", f"{host}: no answer in {self.timeout:g} s") from None
        except socket.gaierror as error:
            kind = "dns_temporary" if error.errno in _TEMPORARY else "dns_failed"
            raise Failure(kind, f"{host}: {error.strerror or error}") from None
        except (OSError, UnicodeError) as error:
            raise Failure("dns_failed", f"{host}: {error}") from None
        if not found:
            raise Failure("dns_failed", f"{host} has no address")
        return found


def seen(task: asyncio.Task[Any]) -> None:
    """Mark the error of a task as retrieved, in case nobody waits for it any more."""
    if not task.cancelled():
        task.exception()


def literal_address(host: str) -> str | None:
    """Return the address that a host is, also in forms such as 127.1 and 0x7f000001; None if it is a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return "127.0.0.1" if host.removesuffix(".") == "localhost" else None


class Connections:
    """Connections kept open for the next request to the same origin, as many as requests run at once.

    The pool of httpcore2 examines every connection for every request; this one examines one.
    """

    def __init__(self, options: FetchOptions, resolve: Resolve) -> None:
        client = import_httpcore()
        guard = AddressGuard.of(options.allow_private, options.allow_networks)
        self._backend = _backend(client, Names(guard, resolve, options.timeout))
        self._client, self._tls, self._most = client, _tls(client, options.verify_tls), options.concurrency
        self._idle: OrderedDict[Any, Any] = OrderedDict()  # by connection, longest idle first
        self._by_origin: dict[str, list[Any]] = {}

    @asynccontextmanager
    async def stream(self, method: str, url: Any, *, headers: Any, extensions: Any) -> AsyncIterator[Any]:
        """Yield the response to a request and close it after use, with a connection that cannot be reused."""
        origin = str(url.origin)
        connection = await self._reuse(origin) or self._client.AsyncHTTPConnection(
            url.origin, ssl_context=self._tls, keepalive_expiry=_KEPT_SECONDS, network_backend=self._backend
        )
        try:
            request = self._client.Request(method, url, headers=headers, extensions=extensions)
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            await self._give_back(origin, connection)

    async def _reuse(self, origin: str) -> Any:
        waiting = self._by_origin.get(origin, [])
        while waiting:
            connection = waiting.pop()
            del self._idle[connection]
            if connection.is_idle() and not connection.has_expired():
                return connection
            await connection.aclose()
        self._by_origin.pop(origin, None)
        return None

    async def _give_back(self, origin: str, connection: Any) -> None:
        if not connection.is_idle() or connection.is_closed():
            await connection.aclose()
            return
        self._idle[connection] = origin
        self._by_origin.setdefault(origin, []).append(connection)
        if len(self._idle) > self._most:
            oldest, home = self._idle.popitem(last=False)
            self._by_origin[home].remove(oldest)
            if not self._by_origin[home]:
                del self._by_origin[home]
            await oldest.aclose()

    async def aclose(self) -> None:
        """Close all open connections."""
        while self._idle:
            connection, _ = self._idle.popitem()
            await connection.aclose()
        self._by_origin.clear()


def open_connections(options: FetchOptions, resolve: Resolve) -> Any:
    """Return an object with `stream` as in `Connections`; with a proxy, the pool of httpcore2.

    Raises:
        MissingExtra: httpcore2 is not installed.
        RecipeError: the proxy is not valid.
    """
    proxy = proxy_url(options)
    if not proxy:
        return Connections(options, resolve)
    client = import_httpcore()
    tls = _tls(client, options.verify_tls)
    return client.AsyncConnectionPool(
        ssl_context=tls,
        proxy=client.Proxy(proxy),
        max_connections=options.concurrency,
        keepalive_expiry=_KEPT_SECONDS,
        network_backend=_backend(client, None),
    )


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


def _tls(client: Any, verify: bool) -> Any:
    context = client.default_ssl_context()
    if not verify:
        import ssl

        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _backend(client: Any, names: Names | None) -> Any:
    """Make a network backend that connects to checked addresses only, or to a proxy. Its base class is imported lazily.

    Args:
        client: the HTTP client.
        names: checked addresses; None to connect to the proxy, whatever its address.
    """

    class Guarded(client.AsyncNetworkBackend):  # type: ignore[misc]
        """Connects by TCP to the first address that answers."""

        def __init__(self) -> None:
            self._plain = client.AnyIOBackend()

        async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **more: Any) -> Any:
            addresses = (await names.addresses(host, port))[:_TRIED] if names else [host]
            for address in addresses[:-1]:
                try:
                    return await self._connect(address, port, (timeout or 0) / len(addresses) or None, **more)
                except (client.ConnectError, client.ConnectTimeout):
                    continue
            return await self._connect(addresses[-1], port, timeout, **more)

        async def _connect(self, address: str, port: int, timeout: float | None, **more: Any) -> Any:
            return CleanHeads(await self._plain.connect_tcp(address, port, timeout, **more))

        async def connect_unix_socket(self, *_: Any, **__: Any) -> Any:
            raise client.UnsupportedProtocol("no Unix sockets")

        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    return Guarded()
