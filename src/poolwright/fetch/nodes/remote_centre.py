"""What the processes of a fetch share, as one of them sees it: the coordinator is asked in batches."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Generic, TypeVar

from poolwright.core.errors import PoolwrightError
from poolwright.core.runtime.nodes import NodeLost, RemoteObject
from poolwright.fetch.centre import HostTexts
from poolwright.fetch.nodes.coordinator import Grant, Report, coordinator_lost
from poolwright.fetch.queues import LaterItems, Queues, Turn
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.shards.shard_files import shard_name

Item = TypeVar("Item")

_PATIENCE = 60.0
"""Seconds until files that another machine has written are there; network file systems remember what is missing."""

_DONE_AT_ONCE, _DONE_SECONDS = 4, 0.01
"""Turns that are done are reported together, once they are a quarter of those granted, or after this time: a message
takes about a third of the CPU time of a request, and a process with few turns waits for the next ones."""


async def seen(is_there: Callable[[], bool], what: str) -> None:
    """Wait until files can be seen here that another process has written.

    Raises:
        PoolwrightError: they are not there after a minute.
    """
    until = monotonic() + _PATIENCE
    while not is_there():
        if monotonic() > until:
            raise PoolwrightError(
                f"{what}: another process wrote it, and {socket.gethostname()} does not see it after {_PATIENCE:g} s; "
                "all nodes must share the folder. Finished shards stay, the same command continues"
            )
        await asyncio.sleep(0.1)


class RemoteCentre:
    """The centre of a fetch in several processes; see `Centre`.

    Args:
        coordinator: a `Coordinator`.
        process: name of this process, which has joined.
        folder: folder of the shards.
    """

    def __init__(self, coordinator: RemoteObject, process: str, folder: FetchFolder) -> None:
        self.process, self.folder = process, folder
        self._coordinator = coordinator
        self._queues: GrantedQueues[Any] = GrantedQueues()

    def queues(self) -> Queues[Any]:
        return self._queues

    async def host_texts(self, origin: str) -> HostTexts | None:
        texts: HostTexts | None = await self._ask("host_texts", self.process, origin)
        return texts

    async def host_read(self, origin: str, texts: HostTexts | None) -> None:
        await self._ask("host_read", self.process, origin, texts)

    async def shard_settled(self, shard: int) -> None:
        await self._ask("shard_settled", shard)
        await seen(lambda: self.folder.is_whole(shard), f"{self.folder.folder}: shard {shard_name(shard)}")

    async def check(self) -> None:
        """Check that this process was not taken for lost."""
        await self._ask("check", self.process)

    def count(self, name: str) -> None:
        """Count a finished row, by error class or as a success."""
        self._queues.report.outcomes[name] += 1

    async def send_reports(self) -> None:
        """Report to the coordinator, for ever: all that happened while the last report was on its way."""
        while True:
            await self._queues.changed.wait()
            await self.report()

    async def report(self) -> None:
        """Report what happened since the last report."""
        self._queues.changed.clear()
        await self._ask("report", self.process, self._queues.take_report())

    async def receive_grants(self, wake: Callable[[], None]) -> None:
        """Receive turns from the coordinator, for ever; call `wake` when there are some."""
        while True:
            self._queues.grant(await self._ask("grants", self.process))
            wake()

    async def _ask(self, method: str, *given: Any) -> Any:
        try:
            return await self._coordinator.call(method, *given)
        except NodeLost as error:
            raise coordinator_lost(error) from None


class GrantedQueues(Generic[Item]):
    """Items wait by host, and are taken as turns are granted for their hosts; see `Queues`.

    Attributes:
        report: what was not reported yet.
        changed: set when something is to be reported now.
    """

    def __init__(self) -> None:
        self.waiting, self.report, self.changed = 0, Report(), asyncio.Event()
        self._granted, self._timer = 0, False
        self._items: dict[str, deque[Item]] = {}
        self._grants: deque[Grant] = deque()
        self._later: LaterItems[Item] = LaterItems()
        self._down: set[str] = set()

    def put(self, host: str, item: Item, at: float = 0.0) -> None:
        self.waiting += 1
        if at:
            self._later.put(host, item, at)
        else:
            self._want(host, item)

    def take(self, now: float) -> Turn[Item] | None:
        for host, item in self._later.due(now):
            self._want(host, item)
        if not self._grants:
            return None
        grant = self._grants.popleft()
        items = self._items[grant.host]
        self.waiting -= 1
        item = items.popleft()
        if not items:
            del self._items[grant.host]
        return Turn(grant.host, item, grant.pause)

    def next_time(self) -> float | None:
        return self._later.next_time()

    def started(self, host: str, now: float) -> None:
        self.report.started.append(host)
        self.changed.set()

    def done(self, host: str, reached: bool | None = None) -> None:
        self.report.done.append((host, reached))
        if _DONE_AT_ONCE * len(self.report.done) >= self._granted:
            self.changed.set()
        elif not self._timer:
            self._timer = True
            asyncio.get_running_loop().call_later(_DONE_SECONDS, self._in_time)

    def hold(self, host: str, until: float) -> None:
        self.report.held.append((host, until - monotonic()))
        self.changed.set()

    def slow(self, host: str, pause: float) -> None:
        self.report.slowed.append((host, pause))
        self.changed.set()

    def is_down(self, host: str) -> bool:
        return host in self._down

    def grant(self, grants: list[Grant]) -> None:
        """Add turns that were granted: each answers an item that was wanted."""
        self._granted += len(grants)
        self._grants.extend(grants)
        self._down.update(grant.host for grant in grants if grant.down)

    def take_report(self) -> Report:
        """Return what happened since the last call."""
        report, self.report = self.report, Report()
        self._granted -= len(report.done)
        return report

    def _in_time(self) -> None:
        self._timer = False
        if self.report.done:
            self.changed.set()

    def _want(self, host: str, item: Item) -> None:
        self._items.setdefault(host, deque()).append(item)
        self.report.wanted[host] += 1
        self.changed.set()
