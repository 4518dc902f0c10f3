"""Keeps objects on the nodes of a Ray cluster, each in an actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poolwright.core.runtime.nodes import NodeLost, RemoteObject
from poolwright.run.engine.errors import loaded_error
from poolwright.run.engine.holder import Holder
from poolwright.run.engine.sharing import FolderProbe

_CALLS = 10_000
"""Calls of one object at once."""


class RayNodes:
    """The nodes of a Ray cluster; see `Nodes`.

    Args:
        ray: the module, connected.
        probe: of the folder that all processes must see, if there is one.
        processes: most processes that work at once, spread over the nodes; default one on each node.
    """

    here = optional = False

    def __init__(self, ray: Any, probe: FolderProbe | None, processes: int | None) -> None:
        self._ray, self._probe, self._processes = ray, probe, processes
        self._started: set[RayObject] = set()

    def places(self) -> list[str]:
        """As `Nodes.places`; no node is named more often than it has CPUs."""
        rooms = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]}
        rounds = range(1 if self._processes is None else max(rooms.values(), default=0))
        return [node for number in rounds for node, room in rooms.items() if room > number][: self._processes]

    def start(self, place: str | None, make: Callable[..., Any], *given: Any) -> RemoteObject:
        """As `Nodes.start`."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        where = NodeAffinitySchedulingStrategy(place or here, soft=False)
        options = {"num_cpus": 0 if place is None else 1, "max_concurrency": _CALLS, "scheduling_strategy": where}
        actor = self._ray.remote(Holder).options(**options)
        started = RayObject(actor.remote(self._probe, make, *given))
        self._started.add(started)
        return started

    def end(self, remote: RemoteObject) -> None:
        """As `Nodes.end`."""
        if isinstance(remote, RayObject) and remote in self._started:
            self._started.remove(remote)
            self._ray.kill(remote.actor)

    def end_all(self) -> None:
        """End all processes that were started."""
        for remote in list(self._started):
            self.end(remote)


class RayObject:
    """An object in an actor; see `RemoteObject`.

    Args:
        actor: its handle.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    async def call(self, method: str, *given: Any) -> Any:
        """As `RemoteObject.call`."""
        import ray

        try:
            error, result = await self.actor.call.remote(method, *given)
        except ray.exceptions.RayError as lost:
            raise NodeLost(f"{type(lost).__name__}: {str(lost).strip().partition(chr(10))[0]}") from None
        if error:
            raise loaded_error(error)
        return result
