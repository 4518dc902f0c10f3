"""Give the shards of a source to processes, and put in place what they finish; a lost one's shards go to others.

Only the driver writes finished shards, from folders that it names anew each time it gives a shard to a process. So a
process that was wrongly taken for lost cannot finish a shard, whenever it goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from secrets import token_hex
from typing import Protocol

from poolwright.core.errors import PoolwrightError
from poolwright.core.runtime.nodes import NodeLost, Nodes, RemoteObject
from poolwright.fetch.feed import SHARDS_OPEN, ShardRows
from poolwright.fetch.nodes.coordinator import Coordinator, coordinator_lost
from poolwright.fetch.nodes.process import FetchProcess
from poolwright.fetch.nodes.remote_centre import seen
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards.finish_shard import put_in_place
from poolwright.fetch.shards.folder import FetchFolder

_LOOK_SECONDS = 1.0
"""How often progress is asked for, and new nodes are looked for."""


class CountListener(Protocol):
    """Receives the progress of a fetch."""

    def outcomes(self, counts: Mapping[str, int]) -> None:
        """Rows that have an outcome so far, by error class, and those that succeeded."""
        ...

    def shard_finished(self, shard: int) -> None:
        """A shard is finished."""
        ...


async def fetch_on_nodes(
    nodes: Nodes,
    folder: FetchFolder,
    options: FetchOptions,
    shards: Iterator[ShardRows],
    listener: CountListener,
    prepare: Callable[[], object],
) -> None:
    """Fetch shards into a folder that all nodes see.

    Args:
        nodes: where to fetch.
        folder: folder of the shards, already claimed.
        options: how to fetch.
        shards: shards with rows to fetch, in order.
        listener: receives progress.
        prepare: finds the repeated URLs of the source; called in a thread, while processes start.

    Raises:
        PoolwrightError: no node is left, or a process failed; finished work is kept.
    """
    driver = _Driver(nodes, folder, options, listener)
    try:
        await driver.run(await driver.start(shards, prepare))
    except NodeLost as error:  # that of a process that fetches is caught where its shards are given to others
        raise coordinator_lost(error) from None
    finally:
        driver.end()


@dataclass(eq=False)
class _Process:
    name: str
    place: str
    remote: RemoteObject
    shards: set[int] = field(default_factory=set)


class _Driver:
    def __init__(self, nodes: Nodes, folder: FetchFolder, options: FetchOptions, listener: CountListener) -> None:
        self.nodes, self.folder, self.options, self.listener = nodes, folder, options, listener
        self._coordinator = nodes.start(None, Coordinator, options, nodes.here)
        self._processes: list[_Process] = []
        self._started, self._why_lost = 0, ""
        self._flying: dict[asyncio.Task[None], tuple[_Process, ShardRows]] = {}
        self._lost: deque[ShardRows] = deque()

    async def start(self, shards: Iterator[ShardRows], prepare: Callable[[], object]) -> Iterator[ShardRows]:
        """Start as many processes as there are places and shards; return the shards, all of them."""
        preparing = asyncio.create_task(asyncio.to_thread(prepare))
        try:
            free = self._free_places()
            first = list(islice(shards, len(free)))
            for place in free[: len(first)]:
                await self._start(place)
        finally:
            await preparing
        return chain(first, shards)

    async def run(self, shards: Iterator[ShardRows]) -> None:
        """Fetch all shards."""
        shard = next(shards, None)
        while True:
            free = self._free_places()
            while self._lost:  # beyond the number of open ones: rows of those may wait for this shard
                await self._give(self._lost.popleft(), free)
            while shard is not None and (free or min(len(one.shards) for one in self._processes) < SHARDS_OPEN):
                await self._coordinator.call("shard_begun", shard.number)
                await self._give(shard, free)
                shard = next(shards, None)
            if not self._flying:
                return
            done, _ = await asyncio.wait(self._flying, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await self._ended(task)
            self.listener.outcomes(await self._coordinator.call("counts"))

    def end(self) -> None:
        """End all processes."""
        for task in self._flying:
            task.cancel()
        for remote in (*(one.remote for one in self._processes), self._coordinator):
            self.nodes.end(remote)

    def _free_places(self) -> list[str]:
        """Return the places without a process, of nodes that may have joined late.

        Raises:
            PoolwrightError: there is neither a place nor a process.
        """
        free = list((Counter(self.nodes.places()) - Counter(one.place for one in self._processes)).elements())
        if not (free or self._processes):
            what = "process" if self.nodes.here else "node of the cluster"
            raise PoolwrightError(
                f"no {what} is left that could fetch{self._why_lost}; finished shards stay, the same command continues"
            )
        return free

    async def _start(self, place: str) -> None:
        name, self._started = f"{self._started}", self._started + 1
        await self._coordinator.call("join", name)
        given = (self._coordinator, name, str(self.folder.folder.absolute()), self.options)
        self._processes.append(_Process(name, place, self.nodes.start(place, FetchProcess, *given)))

    async def _give(self, shard: ShardRows, free: list[str]) -> None:
        """Give a shard to the process with the fewest; to a new one if there is a place, and every process has some."""
        if free and all(one.shards for one in self._processes):
            await self._start(free.pop(0))
        process = min(self._processes, key=lambda one: len(one.shards))
        process.shards.add(shard.number)
        given = shard._replace(apart=f"{shard.number:05d}-{token_hex(4)}")
        self._flying[asyncio.create_task(process.remote.call("fetch", *given))] = process, given

    async def _ended(self, task: asyncio.Task[None]) -> None:
        process, shard = self._flying.pop(task)
        process.shards.discard(shard.number)
        try:
            task.result()
        except NodeLost as error:
            self._why_lost = f" ({error})"
            await self._lose(process)
            self._lost.append(shard)
            return
        apart = self.folder.apart(str(shard.apart))
        await seen(lambda: apart.is_whole(shard.number), str(apart.folder))
        await asyncio.to_thread(put_in_place, self.folder, shard.number, apart)
        await self._coordinator.call("shard_finished", shard.number)
        self.listener.shard_finished(shard.number)

    async def _lose(self, process: _Process) -> None:
        if process in self._processes:
            self._processes.remove(process)
            self.nodes.end(process.remote)
            await self._coordinator.call("lost", process.name)
