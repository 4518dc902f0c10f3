"""Resolve names: each once, every address is checked, and only a checked address is used.

So a name cannot resolve to one address for the check and to another for the connection (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from time import monotonic
from typing import Any

from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.fetch.http.addresses import AddressGuard
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Addresses of a name and port, best first. Raises `socket.gaierror` as `socket.getaddrinfo` does."""

_REMEMBERED = 20_000
_SECONDS = 120.0
_TEMPORARY = {getattr(socket, name) for name in ("EAI_AGAIN", "EAI_SYSTEM", "EAI_MEMORY") if hasattr(socket, name)}


def check_installed() -> None:
    """Check that the libraries are installed that requests need.

    Raises:
        MissingExtra: one of them is not.
    """
    for name in ("aiohttp", "idna", "truststore"):
        if find_spec(name) is None:
            raise MissingExtra("idna", f"fetching images ({name})")


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


def proxy_url(options: FetchOptions) -> str | None:
    """Return the proxy to use, if any; that of the environment only for 'env'.

    Raises:
        RecipeError: it is not valid, or the environment names none.
    """
    if options.proxy == "env":
        names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
        found = next((os.environ[name] for name in names if os.environ.get(name)), None)
        if not found:
            raise RecipeError("proxy: env, but HTTPS_PROXY is not set; name the proxy, or leave it out")
        return found
    if options.proxy and not options.proxy.startswith(("http://", "https://")):
        raise RecipeError(f"proxy '{options.proxy}': needs http:// or https://")
    return options.proxy
