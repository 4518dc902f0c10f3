"""Coordinate the processes of a fetch: one object that they all ask.

A process reports in batches how many rows wait for which host, and is granted turns: a turn is the right to make one
request to a host, until the process reports it as done. So the limits of a host hold over all processes.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from poolwright.core.errors import PoolwrightError
from poolwright.core.runtime.nodes import NodeLost
from poolwright.fetch.centre import HostTexts, limits_of
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.queues import HostQueues

_REMEMBERED = 200_000


class Grant(NamedTuple):
    """A turn that was granted.

    Attributes:
        host: the host that may be asked once.
        pause: seconds until it may be asked again.
        down: whether the host is to be skipped.
    """

    host: str
    pause: float
    down: bool


@dataclass
class Report:
    """What happened in a process since its last report. Times are in seconds from now, as clocks differ.

    Attributes:
        slowed: hosts, and the pauses that they ask for.
        held: hosts that rest, and how long.
        started: hosts of turns with a pause whose request was started.
        done: hosts of turns that are done, and whether they answered, as in `HostLimits.done`.
        wanted: rows that wait, by host.
        outcomes: finished rows, by error class or as a success.
    """

    slowed: list[tuple[str, float]] = field(default_factory=list)
    held: list[tuple[str, float]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    done: list[tuple[str, bool | None]] = field(default_factory=list)
    wanted: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)


class _Process:
    """A process: its rows that wait, and the turns that it has by host; `busy` is the number of these."""

    def __init__(self, queues: HostQueues[None]) -> None:
        self.queues, self.grants, self.granted = queues, list[Grant](), asyncio.Event()
        self.starting, self.active, self.busy = Counter[str](), Counter[str](), 0


def coordinator_lost(error: NodeLost) -> PoolwrightError:
    """Return the error of a fetch whose coordinator has ended."""
    return PoolwrightError(
        f"the process that coordinates the fetch has ended ({error}); finished shards stay, the same command continues"
    )


class Coordinator:
    """Keeps what the processes of a fetch share. All methods run on one event loop.

    Args:
        options: options of the fetch.
        together: whether `concurrency` is that of all processes together, not of each.
    """

    def __init__(self, options: FetchOptions, together: bool = False) -> None:
        self.options, self.together, self._limits = options, together, limits_of(options)
        self._processes: OrderedDict[str, _Process] = OrderedDict()
        self._rules = _Rules(options.max_wait)
        self._open: dict[int, asyncio.Event] = {}
        self._counts: Counter[str] = Counter()
        self._busy = 0
        self._timer: asyncio.TimerHandle | None = None

    async def join(self, process: str) -> None:
        """Let a process take part."""
        self._processes[process] = _Process(HostQueues(self._limits))

    async def check(self, process: str) -> None:
        """Check that a process takes part.

        Raises:
            PoolwrightError: the process was taken for lost.
        """
        self._known(process)

    async def lost(self, process: str) -> None:
        """Take back what a process had that has ended: its turns and what it was reading."""
        gone = self._processes.pop(process)
        self._busy -= gone.busy
        self._started(gone, list(gone.starting.elements()))
        for host in gone.active.elements():
            self._limits.done(host)
        self._offer(gone.active)
        self._rules.lost(process)
        self._grant()

    async def report(self, process: str, report: Report) -> None:
        """Take in the report of a process.

        Raises:
            PoolwrightError: the process was taken for lost.
        """
        known, now = self._known(process), monotonic()
        for host, pause in report.slowed:
            self._limits.slow(host, pause)
        for host, seconds in report.held:
            self._limits.hold(host, now + seconds)
        self._started(known, report.started)
        for host, reached in report.done:
            self._limits.done(host, reached)
            known.active[host] -= 1
            if not known.active[host]:
                del known.active[host]
        known.busy -= len(report.done)
        self._busy -= len(report.done)
        self._offer(host for host, _ in report.done)
        for host, count in report.wanted.items():
            for _ in range(count):
                known.queues.put(host, None)
        self._counts.update(report.outcomes)
        self._grant()

    async def grants(self, process: str) -> list[Grant]:
        """Return turns for a process, as soon as there are any."""
        known = self._known(process)
        await known.granted.wait()
        known.granted.clear()
        grants, known.grants = known.grants, []
        return grants

    async def host_texts(self, process: str, origin: str) -> HostTexts | None:
        """As `Centre.host_texts`; while one process reads, the others wait."""
        return await self._rules.get(process, origin)

    async def host_read(self, process: str, origin: str, texts: HostTexts | None) -> None:
        """As `Centre.host_read`."""
        self._known(process)
        self._rules.put(origin, texts)

    async def shard_begun(self, shard: int) -> None:
        """A shard is given to a process; rows of later ones may wait for it."""
        self._open.setdefault(shard, asyncio.Event())

    async def shard_finished(self, shard: int) -> None:
        """A shard is finished."""
        self._open.pop(shard).set()

    async def shard_settled(self, shard: int) -> None:
        """As `Centre.shard_settled`."""
        if shard in self._open:
            await self._open[shard].wait()

    async def counts(self) -> Counter[str]:
        """Return the number of finished rows by error class, and of those that succeeded."""
        return self._counts

    def _known(self, process: str) -> _Process:
        if process not in self._processes:
            raise PoolwrightError("this process was taken for lost, and its work given to others")
        return self._processes[process]

    def _started(self, process: _Process, hosts: list[str]) -> None:
        now = monotonic()
        for host in hosts:
            self._limits.started(host, now)
            process.starting[host] -= 1
        process.starting = +process.starting
        self._offer(hosts)

    def _offer(self, hosts: Iterable[str]) -> None:
        for host in set(hosts):
            for process in self._processes.values():
                process.queues.offer(host)

    def _grant(self) -> None:
        """Grant turns in rounds, one to each process, as long as there are any; then wait for the next time."""
        now, busy = monotonic(), True
        while busy:
            busy = False
            for name in list(self._processes):
                busy = self._grant_one(self._processes[name], now) or busy
                self._processes.move_to_end(name)
            if busy:  # so that another process is the first to be asked next time
                self._processes.move_to_end(next(iter(self._processes)))
        self._wait_until_next_turn(now)

    def _grant_one(self, process: _Process, now: float) -> bool:
        if not self._has_room(process):
            return False
        turn = process.queues.take(now)
        if turn is None:
            return False
        process.busy += 1
        self._busy += 1
        process.active[turn.host] += 1
        if turn.pause:
            process.starting[turn.host] += 1
        process.grants.append(Grant(turn.host, turn.pause, self._limits.is_down(turn.host)))
        process.granted.set()
        return True

    def _has_room(self, process: _Process) -> bool:
        return (self._busy if self.together else process.busy) < self.options.concurrency

    def _wait_until_next_turn(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle = (one for one in self._processes.values() if self._has_room(one))
        times = [time for one in idle if (time := one.queues.next_time()) is not None]
        if times:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, min(times) - now), self._grant)


@dataclass
class _Read:
    """What is known of a host: texts until a time, or the process that reads them."""

    process: str
    done: asyncio.Event = field(default_factory=asyncio.Event)
    texts: HostTexts | None = None
    until: float = float("inf")


class _Rules:
    """What hosts ask of crawlers, each read by one process.

    Args:
        unread_seconds: how long a file that could not be read counts.
    """

    def __init__(self, unread_seconds: float) -> None:
        self.unread_seconds = unread_seconds
        self._known: OrderedDict[str, _Read] = OrderedDict()

    async def get(self, process: str, origin: str) -> HostTexts | None:
        """Return the texts of a host; None if the process is to read them."""
        while (read := self._known.get(origin)) is not None and read.until > monotonic():
            await read.done.wait()
            if read.texts is not None:
                return read.texts
        self._known[origin] = _Read(process)
        if len(self._known) > _REMEMBERED:
            self._drop(next(iter(self._known)))
        return None

    def put(self, origin: str, texts: HostTexts | None) -> None:
        """Keep what was read; without texts, the next who asks is to read them."""
        read = self._known.get(origin)
        if read is None or texts is None:
            self._drop(origin)
            return
        read.texts = texts
        if texts.unread:
            read.until = monotonic() + self.unread_seconds
        read.done.set()

    def lost(self, process: str) -> None:
        """Let others read what a lost process was reading."""
        for origin in [origin for origin, read in self._known.items() if read.process == process]:
            if not self._known[origin].done.is_set():
                self._drop(origin)

    def _drop(self, origin: str) -> None:
        read = self._known.pop(origin, None)
        if read is not None:
            read.done.set()
