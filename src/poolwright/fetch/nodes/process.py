"""Fetch shards in one of several processes, each from its first row, or its journal, to its files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from poolwright.core.runtime.nodes import RemoteObject
from poolwright.fetch.feed import ShardRows
from poolwright.fetch.fetcher import Fetcher, first_error
from poolwright.fetch.http.network import SystemResolver, check_installed
from poolwright.fetch.nodes.remote_centre import RemoteCentre, seen
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import FetchOutcome
from poolwright.fetch.shards.first_rows import FirstRows, has_first_rows
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.shards.journal import detach_journal


class FetchProcess:
    """Fetches the shards that it is given, several at once.

    Args:
        coordinator: a `Coordinator`, which this process has joined.
        name: of this process.
        folder: folder of the shards, which all processes see.
        options: how to fetch.
    """

    def __init__(self, coordinator: RemoteObject, name: str, folder: str, options: FetchOptions) -> None:
        check_installed()
        self.folder, self.options = FetchFolder(Path(folder), options), options
        self._centre = RemoteCentre(coordinator, name, self.folder)
        self._feed = _GivenShards()
        self._finished: dict[int, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def fetch(self, shard: int, rows: pa.Table, pending: Sequence[int] | None, apart: str) -> None:
        """Fetch a shard to its end, and finish it apart. What a process that is lost has journaled is kept.

        Raises:
            PoolwrightError, OSError: this process failed; finished work is kept.
        """
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await self._centre.check()  # one that was taken for lost may still be given what it was to do
        detach_journal(self.folder.work, shard)
        finished = self._finished[shard] = asyncio.get_running_loop().create_future()
        self._feed.give(ShardRows(shard, rows, pending, apart))
        await asyncio.wait({finished, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if not finished.done():
            await self._running  # raises its error
        await self._centre.report()  # so that all rows are counted when the driver knows of the shard

    def outcome(self, outcome: FetchOutcome) -> None:
        """As `FetchListener.outcome`."""
        self._centre.count(outcome.error_class or outcome.status)

    def shard_finished(self, shard: int) -> None:
        """As `FetchListener.shard_finished`."""
        self._finished.pop(shard).set_result(None)

    async def _run(self) -> None:
        resolver = SystemResolver(min(64, self.options.concurrency))
        await seen(lambda: has_first_rows(self.folder.work), f"{self.folder.work}: the URLs that repeat")
        first = FirstRows(self.folder.work, self.options.shard_rows)
        fetcher = Fetcher(self.folder, self.options, first, resolver, self, self._centre)
        self._feed.wake = fetcher.wake
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._centre.send_reports())
                group.create_task(self._centre.receive_grants(fetcher.wake.set))
                group.create_task(fetcher.run(self._feed))
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
        finally:
            resolver.close()


class _GivenShards:
    """Shards that the driver has given, begun at once: it keeps the number of open ones in bounds. See `ShardFeed`."""

    ended = False

    def __init__(self) -> None:
        self._shards: list[ShardRows] = []
        self.wake: asyncio.Event | None = None

    def give(self, shard: ShardRows) -> None:
        self._shards.append(shard)
        if self.wake is not None:
            self.wake.set()

    def next(self, opened: int, waiting: int) -> ShardRows | None:
        return self._shards.pop(0) if self._shards else None
