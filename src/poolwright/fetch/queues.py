"""Choose the next row to request, so that no host is overloaded and no host delays the others."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import Generic, NamedTuple, Protocol, TypeVar

from poolwright.fetch.limits import HostLimits

Item = TypeVar("Item")


class Turn(NamedTuple, Generic[Item]):
    """An item whose host may be asked now.

    Attributes:
        host: its host.
        item: the item.
        pause: seconds from `started` until the host may be asked again, as far as they are known.
    """

    host: str
    item: Item
    pause: float


class Queues(Protocol[Item]):
    """Items wait by host. Times are in seconds of `time.monotonic`.

    Attributes:
        waiting: number of items.
    """

    waiting: int

    def put(self, host: str, item: Item, at: float = 0.0) -> None:
        """Queue an item, to be taken at `at` or later."""
        ...

    def take(self, now: float) -> Turn[Item] | None:
        """Return the next item that may be taken now; call `done` for its host, after `started` if it has a pause."""
        ...

    def next_time(self) -> float | None:
        """Return the next time at which `take` may have an item; None if no item waits for a time."""
        ...

    def started(self, host: str, now: float) -> None:
        """As `HostLimits.started`."""
        ...

    def done(self, host: str, reached: bool | None = None) -> None:
        """As `HostLimits.done`."""
        ...

    def hold(self, host: str, until: float) -> None:
        """As `HostLimits.hold`."""
        ...

    def slow(self, host: str, pause: float) -> None:
        """As `HostLimits.slow`."""
        ...

    def is_down(self, host: str) -> bool:
        """As `HostLimits.is_down`."""
        ...


class LaterItems(Generic[Item]):
    """Items that wait for a time, such as that of a retry."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, Item]] = []
        self._order = itertools.count()

    def put(self, host: str, item: Item, at: float) -> None:
        """Keep an item until `at`."""
        heapq.heappush(self._heap, (at, next(self._order), host, item))

    def due(self, now: float) -> list[tuple[str, Item]]:
        """Remove and return the items whose time has come, with their hosts."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            found.append(heapq.heappop(self._heap)[2:])
        return found

    def next_time(self) -> float | None:
        """Return the time of the next item."""
        return self._heap[0][0] if self._heap else None


class HostQueues(Generic[Item]):
    """Items wait by host, within limits; hosts take turns. See `Queues`.

    Args:
        limits: limits of the hosts. Several queues may have the same; call `offer` for a host whose limits changed by
            another queue.
    """

    def __init__(self, limits: HostLimits) -> None:
        self.limits, self.waiting = limits, 0
        self._items: dict[str, deque[Item]] = {}
        self._turns: list[tuple[float, int, str]] = []
        self._listed: set[str] = set()  # a host with items and room is in `_turns` once
        self._later: LaterItems[Item] = LaterItems()
        self._order = itertools.count()

    def put(self, host: str, item: Item, at: float = 0.0) -> None:
        self.waiting += 1
        if at:
            self._later.put(host, item, at)
        else:
            self._items.setdefault(host, deque()).append(item)
            self.offer(host)

    def take(self, now: float) -> Turn[Item] | None:
        for host, item in self._later.due(now):
            self._items.setdefault(host, deque()).append(item)
            self.offer(host)
        while self._turns and self._turns[0][0] <= now:
            host = heapq.heappop(self._turns)[2]
            self._listed.remove(host)
            at = self.limits.free_at(host)
            if at is not None and at <= now and host in self._items:
                pause = self.limits.begin(host)
                self.waiting -= 1
                item = self._items[host].popleft()
                if not self._items[host]:
                    del self._items[host]
                self.offer(host)
                return Turn(host, item, pause)
            self.offer(host)
        return None

    def offer(self, host: str) -> None:
        """List a host for a turn, if it has items and room."""
        if host in self._items and host not in self._listed:
            at = self.limits.free_at(host)
            if at is not None:
                self._listed.add(host)
                heapq.heappush(self._turns, (at, next(self._order), host))

    def next_time(self) -> float | None:
        times = [self._turns[0][0] if self._turns else None, self._later.next_time()]
        return min((time for time in times if time is not None), default=None)

    def started(self, host: str, now: float) -> None:
        self.limits.started(host, now)
        self.offer(host)

    def done(self, host: str, reached: bool | None = None) -> None:
        self.limits.done(host, reached)
        self.offer(host)

    def hold(self, host: str, until: float) -> None:
        self.limits.hold(host, until)

    def slow(self, host: str, pause: float) -> None:
        self.limits.slow(host, pause)

    def is_down(self, host: str) -> bool:
        return self.limits.is_down(host)
