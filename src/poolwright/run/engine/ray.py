"""Runs units on the nodes of a Ray cluster, one task per unit: the Ray engine.

Functions are put into the object store once per call, results pass through it, and summaries are merged by separate
tasks that take them from it. A unit whose node dies is run again, and so is one whose result was lost with the node.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from poolwright.core.errors import MissingExtra, PoolwrightError
from poolwright.core.runtime.merge_tree import MergeTree
from poolwright.core.runtime.nodes import Nodes
from poolwright.core.runtime.quiet import silence
from poolwright.core.runtime.threads import one_thread_per_unit, one_torch_thread
from poolwright.core.step import Resources
from poolwright.run.engine.errors import is_interrupt, loaded_error, noted, pickled_error
from poolwright.run.engine.local import LocalEngine
from poolwright.run.engine.protocol import ONE_CPU
from poolwright.run.engine.ray_nodes import RayNodes
from poolwright.run.engine.sharing import FolderProbe, NodeView, check, check_here, look

R = TypeVar("R")

RETRIES = 5
"""Times that a unit is run again after the node or the process that ran it has died. Errors are not retried."""

_PER_CPU = 2
"""Units in flight per CPU of the cluster, so that none waits for the driver."""

_connecting = threading.Lock()


class RayEngine:
    """Runs units as Ray tasks; see `Engine`.

    Args:
        workers: units in flight at a time. Default: two per CPU of the cluster, which runs as many as it has room for.
        address: address of the cluster. A process that is already connected to one stays with it.

    Raises:
        MissingExtra: Ray is not installed.
    """

    name = "ray"

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        from importlib.util import find_spec

        if find_spec("ray") is None:
            raise MissingExtra("ray", "--engine ray")
        self._workers, self.address = workers, address
        self.probe: FolderProbe | None = None

    @property
    def workers(self) -> int:
        return self._workers or int(_connected(self.address).cluster_resources().get("CPU", 1))

    @property
    def most(self) -> int:
        """Return the most units in flight at a time, for the current size of the cluster."""
        return self._workers or _PER_CPU * self.workers

    @contextmanager
    def sharing(self, folder: Path, inputs: Callable[[], Sequence[str]]) -> Iterator[None]:
        """As `Engine.sharing`; a block within another one, which has a folder of its own, is possible."""
        outer, probe = self.probe, FolderProbe.write(folder)
        self.probe = probe
        try:
            check(probe, self._seen_by_nodes(probe, inputs()))
            yield
        finally:
            probe.remove()
            self.probe = outer

    @contextmanager
    def nodes(self, folder: Path) -> Iterator[Nodes]:
        """As `Engine.nodes`."""
        with self.sharing(folder.absolute(), tuple):
            nodes = RayNodes(_connected(self.address), self.probe, self._workers)
            try:
                yield nodes
            finally:
                nodes.end_all()

    def _seen_by_nodes(self, probe: FolderProbe, inputs: Sequence[str]) -> dict[str, NodeView]:
        """Ask every node that can run units what it sees; one that dies meanwhile runs none."""
        ray = _connected(self.address)
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = ray.remote(look)
        asked = {}
        for node in ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU"):
                here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": here}
                asked[node["NodeID"]] = task.options(**options).remote(probe, node["NodeID"], inputs)
        found = {}
        for node_id, reference in asked.items():
            with suppress(ray.exceptions.RayError):
                found[node_id] = ray.get(reference)
        return found

    def map(
        self, function: Callable[[int], R], units: Sequence[int], resources: Resources = ONE_CPU
    ) -> Generator[tuple[int, R], None, None]:
        """As `Engine.map`."""
        if not units:
            return
        todo = iter(units)
        with _Call(self, resources) as call:
            sent = call.put(function)
            while True:
                for unit in call.filling(todo):
                    call.send(unit, sent, unit)
                if not call.flying:
                    return
                unit, result = call.next()
                yield unit, call.fetch(result)

    def map_apart(
        self, function: Callable[[int], R], units: Sequence[int], folder: Path, inputs: Callable[[], Sequence[str]]
    ) -> Generator[tuple[int, R], None, None]:
        """As `Workers.map_apart`: on the nodes, or in processes of this machine if they do not share the folder."""
        try:
            with self.sharing(folder, inputs):
                pass
        except PoolwrightError:
            yield from LocalEngine(self._workers).map_apart(function, units, folder, inputs)
            return
        yield from self.map(function, units)

    def reduce(
        self,
        function: Callable[[int], R],
        units: Sequence[int],
        merge: Callable[[R, R], R],
        done: Callable[[], None] = lambda: None,
        resources: Resources = ONE_CPU,
    ) -> R:
        """As `Engine.reduce`."""
        tree, todo = MergeTree(len(units)), iter(range(len(units)))
        with _Call(self, resources) as call:
            sent, sent_merge = call.put(function), call.put(merge)
            while True:
                for index in call.filling(todo):
                    call.send((0, index), sent, units[index])
                if not call.flying:
                    root: R = call.fetch(tree.root)
                    return root
                (level, index), summary = call.next()
                if level == 0:
                    done()
                pair = tree.add(level, index, summary)
                if pair is not None:
                    call.send((pair.level, pair.index), sent_merge, pair.left, pair.right)


class _Call:
    """The tasks of one call of an engine.

    Attributes:
        flying: purpose of each task in flight, and the reference to its result, by the reference to its failure.
    """

    def __init__(self, engine: RayEngine, resources: Resources) -> None:
        self._ray, self._engine = _connected(engine.address), engine
        if resources.gpus > self._ray.cluster_resources().get("GPU", 0):
            raise PoolwrightError(
                "a step of this table runs on a GPU, and no node of the Ray cluster has one: start such a node, or let "
                "the step run on CPUs with 'device: cpu'"
            )
        self._task = self._ray.remote(_run).options(
            num_returns=2, max_retries=RETRIES, num_cpus=resources.cpus, num_gpus=resources.gpus
        )
        self.flying: dict[Any, tuple[Any, Any]] = {}

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Wait for the tasks in flight, or cancel them if the call was interrupted."""
        left = list(self.flying)
        if is_interrupt(error):
            for reference in left:
                self._ray.cancel(reference, force=True)
        elif left:
            self._ray.wait(left, num_returns=len(left))

    def put(self, function: Callable[..., Any]) -> Any:
        """Put a function into the object store; return the reference, which every node can use."""
        import cloudpickle

        return self._ray.put(cloudpickle.dumps(function))

    def filling(self, todo: Iterator[int]) -> Iterator[int]:
        """Yield units while there is room in flight."""
        return islice(todo, max(0, self._engine.most - len(self.flying)))

    def send(self, purpose: Any, function: Any, *arguments: Any) -> None:
        """Begin a task."""
        failure_of, result = self._task.remote(self._engine.probe, function, *arguments)
        self.flying[failure_of] = (purpose, result)

    def next(self) -> tuple[Any, Any]:
        """Return the purpose of the next task that is done and the reference to its result, or raise its error."""
        (ready, *_), _ = self._ray.wait(list(self.flying))
        failed = self._get(ready)
        purpose, result = self.flying.pop(ready)
        if failed:
            raise loaded_error(failed)
        return purpose, result

    def fetch(self, result: Any) -> Any:
        """Return the result behind a reference."""
        import cloudpickle

        return cloudpickle.loads(self._get(result))

    def _get(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:
            self.flying.pop(reference, None)
            message = str(error).strip().partition("\n")[0]
            raise PoolwrightError(
                f"Ray could not run a unit, {RETRIES} retries included: {type(error).__name__}: {message}\n"
                "Finished units are kept: the same command continues"
            ) from error


def _connected(address: str | None) -> Any:
    """Return the ray module, connected to a cluster."""
    silence()
    # Ray would warn once per run that it keeps accelerators visible to tasks that asked for none.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    with _connecting:
        if not ray.is_initialized():
            remote = address is not None and address.startswith("ray://")
            options = {} if remote else {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
            ray.init(address, **options)
    return ray


def _run(probe: FolderProbe | None, function: bytes, *arguments: Any) -> tuple[bytes, bytes]:
    """Call a pickled function, on a worker.

    Args:
        probe: of the run folder that it works in.
        arguments: a unit, or summaries as bytes.

    Returns:
        The pickled error if it failed, else nothing; and the pickled result.
    """
    import cloudpickle

    try:
        if probe is not None:
            check_here(probe)
        given = [cloudpickle.loads(one) if isinstance(one, bytes) else one for one in arguments]
        with one_thread_per_unit(), one_torch_thread():
            return b"", bytes(cloudpickle.dumps(_function(function)(*given)))
    except Exception as error:
        return pickled_error(noted(error)), b""


@lru_cache(maxsize=4)
def _function(pickled: bytes) -> Callable[..., Any]:
    """Load a function once per process, so that its caches serve all units of the process."""
    import cloudpickle

    loaded: Callable[..., Any] = cloudpickle.loads(pickled)
    return loaded
