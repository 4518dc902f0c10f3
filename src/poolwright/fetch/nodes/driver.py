"""Give the shards of a source to processes on nodes; those of a lost process are given to others."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from poolwright.core.errors import PoolwrightError
from poolwright.core.runtime.nodes import NodeLost, Nodes, RemoteObject
from poolwright.fetch.feed import SHARDS_OPEN, ShardRows
from poolwright.fetch.nodes.coordinator import Coordinator, coordinator_lost
from poolwright.fetch.nodes.process import FetchProcess
from poolwright.fetch.options import FetchOptions
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
    nodes: Nodes, folder: FetchFolder, options: FetchOptions, shards: Iterator[ShardRows], listener: CountListener
) -> None:
    """Fetch shards into a folder that all nodes see.

    Args:
        nodes: where to fetch.
        folder: folder of the shards, already claimed; the repeated URLs of the source are known.
        options: how to fetch.
        shards: shards with rows to fetch, in order.
        listener: receives progress.

    Raises:
        PoolwrightError: no node is left, or a process failed; finished work is kept.
    """
    driver = _Driver(nodes, folder, options, listener)
    try:
        await driver.run(shards)
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
        self._coordinator = nodes.start(None, Coordinator, options)
        self._processes: list[_Process] = []
        self._started = 0
        self._flying: dict[asyncio.Task[None], tuple[_Process, ShardRows]] = {}
        self._lost: deque[ShardRows] = deque()

    async def run(self, shards: Iterator[ShardRows]) -> None:
        more = True
        while True:
            await self._start_processes()
            while self._lost:  # beyond the number of open ones: rows of those may wait for this shard
                await self._give(self._lost.popleft())
            while more and min(len(one.shards) for one in self._processes) < SHARDS_OPEN:
                shard = next(shards, None)
                more = shard is not None
                if shard is not None:
                    await self._coordinator.call("shard_begun", shard.number)
                    await self._give(shard)
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

    async def _start_processes(self) -> None:
        """Start the processes that nodes are without, which may have joined late.

        Raises:
            PoolwrightError: there is no node.
        """
        wanted = Counter(self.nodes.places()) - Counter(one.place for one in self._processes)
        for place in wanted.elements():
            name, self._started = f"{self._started}", self._started + 1
            await self._coordinator.call("join", name)
            given = (self._coordinator, name, str(self.folder.folder.absolute()), self.options)
            self._processes.append(_Process(name, place, self.nodes.start(place, FetchProcess, *given)))
        if not self._processes:
            raise PoolwrightError(
                "no node of the cluster is left that could fetch; finished shards stay, the same command continues"
            )

    async def _give(self, shard: ShardRows) -> None:
        process = min(self._processes, key=lambda one: len(one.shards))
        process.shards.add(shard.number)
        self._flying[asyncio.create_task(process.remote.call("fetch", *shard))] = process, shard

    async def _ended(self, task: asyncio.Task[None]) -> None:
        process, shard = self._flying.pop(task)
        process.shards.discard(shard.number)
        try:
            task.result()
        except NodeLost:
            await self._lose(process)
            self._lost.append(shard)
            return
        await self._coordinator.call("shard_finished", shard.number)
        self.listener.shard_finished(shard.number)

    async def _lose(self, process: _Process) -> None:
        if process in self._processes:
            self._processes.remove(process)
            self.nodes.end(process.remote)
            await self._coordinator.call("lost", process.name)
