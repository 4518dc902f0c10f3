"""Nodes that are objects of this process, on one event loop, for tests without a cluster."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

from poolwright.core.runtime.nodes import NodeLost, RemoteObject


class HereObject:
    """A remote object; what it is given and returns travels by pickle."""

    def __init__(self, nodes: HereNodes, place: str | None, made: Any) -> None:
        self.nodes, self.place, self.made = nodes, place, made
        self.calls: set[asyncio.Task[Any]] = set()
        self.lost, self.apart = False, asyncio.Event()

    async def call(self, method: str, *given: Any) -> Any:
        if self.lost:
            raise NodeLost("it has ended")
        self.nodes.called[self.place, method] += 1
        task = asyncio.create_task(getattr(self.made, method)(*pickle.loads(pickle.dumps(given))))
        self.calls.add(task)
        apart = asyncio.create_task(self.apart.wait())
        try:
            await asyncio.wait({task, apart}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise NodeLost("it does not answer")
            return pickle.loads(pickle.dumps(await task))
        except asyncio.CancelledError:
            if self.lost and not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise NodeLost("it has ended") from None
            raise
        finally:
            apart.cancel()
            if not self.apart.is_set():
                self.calls.discard(task)

    def end(self) -> None:
        self.lost = True
        for task in (*self.calls, getattr(self.made, "_running", None)):
            if task is not None:
                task.cancel()


class HereNodes:
    """Nodes by name; `called` counts the calls by place and method."""

    here = optional = False

    def __init__(self, *places: str) -> None:
        self.alive = list(places)
        self.objects: list[HereObject] = []
        self.called: Counter[tuple[str | None, str]] = Counter()

    def places(self) -> list[str]:
        return list(self.alive)

    def start(self, place: str | None, make: Callable[..., Any], *given: Any) -> RemoteObject:
        self.objects.append(HereObject(self, place, make(*given)))
        return self.objects[-1]

    def end(self, remote: RemoteObject) -> None:
        if isinstance(remote, HereObject):
            remote.end()

    def cut_off(self, place: str) -> None:
        """Let a node no longer answer, although its processes go on."""
        self.alive.remove(place)
        for one in self.objects:
            if one.place == place:
                one.lost = True
                one.apart.set()

    def kill(self, place: str) -> None:
        """End all processes of a node, which does not come back."""
        self.alive.remove(place)
        for one in self.objects:
            if one.place == place:
                one.end()
