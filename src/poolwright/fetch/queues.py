"""Choose the next row to request, so that no host is overloaded and no host delays the others."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass
class _Host(Generic[Item]):
    waiting: deque[Item] = field(default_factory=deque)
    active: int = 0
    not_before: float = 0.0
    failures: int = 0
    listed: bool = False
    delay: float = 0.0


class HostQueues(Generic[Item]):
    """Items wait by host; hosts take turns. Times are in seconds of one clock, which the caller reads.

    Args:
        per_host: largest number of items of one host in progress.
        delay: seconds between two items of one host.
        failures: number of failures in a row after which a host is down.
    """

    def __init__(self, per_host: int, delay: float, failures: int) -> None:
        self.per_host, self.delay, self.failures = per_host, delay, failures
        self.waiting = 0
        self._hosts: dict[str, _Host[Item]] = {}
        self._turns: list[tuple[float, int, str]] = []  # a host with items and room is listed once
        self._later: list[tuple[float, int, str, Item]] = []
        self._down: set[str] = set()
        self._order = itertools.count()

    def put(self, host: str, item: Item, at: float = 0.0) -> None:
        """Queue an item, to be taken at `at` or later."""
        self.waiting += 1
        if at:
            heapq.heappush(self._later, (at, next(self._order), host, item))
        else:
            self._host(host).waiting.append(item)
            self._list(host)

    def take(self, now: float) -> tuple[str, Item] | None:
        """Return the next item that may be taken now, with its host; call `done` for it afterwards."""
        self._return_later(now)
        while self._turns and self._turns[0][0] <= now:
            _, _, name = heapq.heappop(self._turns)
            host = self._hosts[name]
            host.listed = False
            if host.waiting and host.active < self.per_host and host.not_before <= now:
                host.active += 1
                host.not_before = max(host.not_before, now + max(self.delay, host.delay))
                self.waiting -= 1
                item = host.waiting.popleft()
                self._list(name)
                return name, item
            self._list(name)
        return None

    def done(self, host: str, reached: bool | None = None) -> None:
        """Mark an item as done.

        Args:
            host: host of the item.
            reached: whether the host answered, or could not be reached; None if unknown.
        """
        state = self._hosts[host]
        state.active -= 1
        if reached is not None:
            state.failures = 0 if reached else state.failures + 1
            if state.failures >= self.failures:
                self._down.add(host)
        self._list(host)
        if not (state.waiting or state.active or state.listed or state.failures) and not (self.delay or state.delay):
            del self._hosts[host]

    def hold(self, host: str, until: float) -> None:
        """Take no item of a host until `until`."""
        state = self._host(host)
        state.not_before = max(state.not_before, until)

    def slow(self, host: str, delay: float) -> None:
        """Leave more seconds between two items of a host."""
        self._host(host).delay = delay

    def is_down(self, host: str) -> bool:
        """Whether a host is to be skipped."""
        return host in self._down

    def next_time(self) -> float | None:
        """Return the next time at which `take` may have an item; None if no item waits for a time."""
        times = [heap[0][0] for heap in (self._turns, self._later) if heap]
        return min(times) if times else None

    def _host(self, name: str) -> _Host[Item]:
        return self._hosts.setdefault(name, _Host())

    def _list(self, name: str) -> None:
        host = self._hosts[name]
        if host.waiting and host.active < self.per_host and not host.listed:
            host.listed = True
            heapq.heappush(self._turns, (host.not_before, next(self._order), name))

    def _return_later(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, name, item = heapq.heappop(self._later)
            self._host(name).waiting.append(item)
            self._list(name)
