"""Read what a host asks of crawlers, once: robots.txt (RFC 9309) and /.well-known/tdmrep.json (TDMRep, 10 May 2024)."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from poolwright.core.errors import MissingExtra
from poolwright.core.texts.text_files import load_json
from poolwright.fetch.centre import Centre, HostTexts
from poolwright.fetch.http.network import seen
from poolwright.fetch.http.urls import RequestTarget
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure

LONGEST = 500 << 10
"""Bytes of robots.txt that are read: the least that RFC 9309, 2.5, allows."""

_REDIRECTS = 5
_REMEMBERED = 200_000
_ROBOTS, _TDM = "/robots.txt", "/.well-known/tdmrep.json"
_EVERYONE = "*"


def import_protego() -> Any:
    """Import the parser of robots.txt.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        from protego import Protego
    except ImportError:
        raise MissingExtra("protego", "reading robots.txt") from None
    return Protego


@dataclass(frozen=True)
class HostPage:
    """A response with a small text.

    Attributes:
        body: its first bytes.
        location: target of a redirect.
        lost: why a redirect is not followed; '' if there is none, or it is.
    """

    status: int
    body: bytes = b""
    location: RequestTarget | None = None
    lost: str = ""


class PageReader(Protocol):
    """Makes one guarded request for a small text."""

    async def page(self, target: RequestTarget, most: int) -> HostPage:
        """Return at most `most` bytes; redirects are returned, and failures raised as `Failure`."""
        ...


@dataclass(frozen=True)
class HostRules:
    """What a host asks of this agent.

    Attributes:
        robots: parsed robots.txt; None if everything is allowed.
        reserved: rules of TDMRep as those of a robots.txt that disallows what is reserved; None if nothing is.
        agents: names of this agent.
        unread: why robots.txt could not be read, so that nothing is allowed; '' if it was, or there is none.
        delay: seconds between two requests that robots.txt asks for.
    """

    robots: Any
    reserved: Any
    agents: tuple[str, ...]
    unread: str = ""
    delay: float = 0.0

    def check(self, target: RequestTarget) -> None:
        """Check that a target may be requested.

        Raises:
            Failure: robots, robots_unreachable or tdm_reserved.
        """
        if self.unread:
            raise Failure("robots_unreachable", f"robots.txt of {target.authority}: {self.unread}")
        for agent in self.agents if self.robots else ():
            if not self.robots.can_fetch(target.url, agent):
                raise Failure(
                    "robots", f"robots.txt of {target.authority} does not allow {target.path[:200]} to {agent}"
                )
        if self.reserved and not self.reserved.can_fetch(target.url, _EVERYONE):
            raise Failure("tdm_reserved", f"tdmrep.json of {target.authority} reserves {target.path[:200]}")


class KnownHosts:
    """The rules of hosts, each read when its first image is to be fetched, and kept for the run.

    Args:
        pages: makes the requests.
        options: which rules are respected.
        agents: names of this agent.
        centre: has what other processes have read.
    """

    def __init__(self, pages: PageReader, options: FetchOptions, agents: Sequence[str], centre: Centre) -> None:
        self.pages, self.options, self.agents = pages, options, tuple(dict.fromkeys(agents))
        self.centre = centre
        self._parser: Any = import_protego() if options.robots_txt or options.tdm else None
        self._known: OrderedDict[str, tuple[float, asyncio.Task[HostRules]]] = OrderedDict()

    def at_hand(self, target: RequestTarget) -> HostRules | None:
        """Return the rules of the host of a target if they are known, or none are respected."""
        if self._parser is None:
            return HostRules(None, None, self.agents)
        until, task = self._known.get(_origin(target), (0.0, None))
        if task is None or until < monotonic() or not task.done() or task.exception():
            return None
        return task.result()

    async def read(self, target: RequestTarget) -> HostRules:
        """Return the rules of the host of a target; all who ask at once share the requests.

        Raises:
            Failure: the host cannot be reached, so that its images cannot either.
        """
        origin = _origin(target)
        until, task = self._known.get(origin, (0.0, None))
        if task is None or until < monotonic():
            task = asyncio.create_task(self._read(target))
            task.add_done_callback(seen)
            self._known[origin] = float("inf"), task
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        try:
            rules = await asyncio.shield(task)
        except Failure:
            self._known.pop(origin, None)
            raise
        if rules.unread:  # RFC 9309, 2.3.1.4: disallowed for a time
            self._known[origin] = monotonic() + self.options.max_wait, task
        return rules

    async def _read(self, target: RequestTarget) -> HostRules:
        texts = await self.centre.host_texts(_origin(target))
        if texts is None:
            try:
                texts = await self._ask(target)
            finally:
                await self.centre.host_read(_origin(target), texts)
        robots = self._parser.parse(texts.robots) if texts.robots else None
        reserved = self._parser.parse(texts.reserved) if texts.reserved else None
        delays = [robots.crawl_delay(agent) or 0.0 for agent in self.agents] if robots else [0.0]
        return HostRules(robots, reserved, self.agents, texts.unread, min(max(delays), self.options.max_wait))

    async def _ask(self, target: RequestTarget) -> HostTexts:
        robots, unread = await self._robots(target) if self.options.robots_txt else ("", "")
        return HostTexts(robots, await self._reserved(target) if self.options.tdm and not unread else "", unread)

    async def _robots(self, target: RequestTarget) -> tuple[str, str]:
        """Return robots.txt, '' if everything is allowed, and why it could not be read."""
        try:
            page = await self._page(target, _ROBOTS)
        except _Elsewhere as failure:
            return "", str(failure)
        if page is None or (400 <= page.status < 500 and page.status != 429):
            return "", ""
        if page.status >= 400:
            return "", f"HTTP {page.status}, so that nothing may be fetched for now"
        text = page.body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace") if page.status == 200 else ""
        return text if text.strip() else "", ""

    async def _reserved(self, target: RequestTarget) -> str:
        try:
            page = await self._page(target, _TDM)
            found = load_json(page.body) if page is not None and page.status == 200 else []
        except (Failure, _Elsewhere, json.JSONDecodeError, UnicodeDecodeError):
            return ""
        lines = reservations(found)
        return "\n".join([f"User-agent: {_EVERYONE}", *lines]) if lines else ""

    async def _page(self, target: RequestTarget, path: str) -> HostPage | None:
        """Return the page after its redirects; None if there are more than five of them."""
        at = RequestTarget(target.scheme, target.host, target.port, path)
        for hop in range(_REDIRECTS + 1):
            try:
                page = await self._tried(at)
            except Failure as failure:
                if not hop:
                    raise
                raise _Elsewhere(f"redirected to {at.url[:200]}: {failure.message}") from None
            if page.lost:
                raise _Elsewhere(page.lost)
            if page.location is None:
                return page
            at = page.location
        return None

    async def _tried(self, at: RequestTarget) -> HostPage:
        """Return a page; an error of the server is asked again as one of an image is."""
        for attempt in range(self.options.retries + 1):
            page = await self.pages.page(at, LONGEST)
            if page.status < 500 or attempt == self.options.retries:
                break
            await asyncio.sleep(min(self.options.backoff * 2**attempt, self.options.max_wait))
        return page


class _Elsewhere(Exception):
    """A redirect of a page led to where it cannot be read."""


def _origin(target: RequestTarget) -> str:
    return f"{target.scheme}://{target.authority}"


def reservations(rules: Any) -> list[str]:
    """Return the rules of a tdmrep.json as lines of a robots.txt that disallows what is reserved.

    The longest pattern that matches counts, as with robots.txt, which the protocol refers to. What is no rule is left
    out.
    """
    lines = []
    for rule in rules if isinstance(rules, list) else [rules]:
        where, reserved = (
            (rule.get("location"), rule.get("tdm-reservation")) if isinstance(rule, dict) else (None, None)
        )
        if isinstance(where, str) and where.strip() and where.isprintable() and reserved in (0, 1, "0", "1"):
            path = where.strip().replace("#", "%23")
            lines.append(f"{'Disallow' if int(reserved) else 'Allow'}: {path if path[0] in '/*' else f'/{path}'}")
    return lines
