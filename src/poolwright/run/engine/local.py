"""Runs units on a pool of threads in this process: the local engine.

NumPy, PyArrow, PyTorch and ONNX Runtime release the interpreter lock while they work. The threads are daemons rather
than those of `concurrent.futures`, which the interpreter joins on exit: after Ctrl-C nothing waits for a long unit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import WeakSet

from poolwright.core.runtime.cores import cores
from poolwright.core.runtime.merge_tree import MergeTree
from poolwright.core.runtime.nodes import Nodes
from poolwright.core.runtime.threads import one_thread_per_unit, one_torch_thread
from poolwright.core.step import Resources
from poolwright.run.engine.errors import is_interrupt, noted
from poolwright.run.engine.local_nodes import LocalNodes
from poolwright.run.engine.processes import processes
from poolwright.run.engine.protocol import ONE_CPU

R = TypeVar("R")

_WAITING = 4
"""Results per worker that may wait for the caller before workers pause."""


class LocalEngine:
    """Runs units on threads; see `Engine`. Resources are ignored: the threads share the machine.

    Args:
        workers: number of threads. Default: one per core that this process may use.
    """

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        self._workers, self._chosen = workers or cores(), workers is not None

    @property
    def workers(self) -> int:
        return self._workers

    def sharing(self, folder: Path, inputs: Callable[[], Sequence[str]]) -> AbstractContextManager[None]:
        """As `Engine.sharing`; there is one machine."""
        return nullcontext()

    @contextmanager
    def nodes(self, folder: Path) -> Iterator[Nodes | None]:
        """As `Engine.nodes`: one place per worker; None if there is one worker, or on Windows."""
        if self._workers == 1 or os.name == "nt":
            yield None
            return
        nodes = LocalNodes(self._workers, optional=not self._chosen)
        try:
            yield nodes
        finally:
            nodes.end_all()

    def map(
        self, function: Callable[[int], R], units: Sequence[int], resources: Resources = ONE_CPU
    ) -> Generator[tuple[int, R], None, None]:
        """As `Engine.map`."""
        if not units:
            return
        call = _Call(function, units, min(self._workers, len(units)))
        with one_thread_per_unit():
            try:
                call.start()
                for _ in units:
                    yield call.next()
            except BaseException as error:
                call.stop(wait=not is_interrupt(error))
                raise
            call.stop(wait=True)

    def map_apart(
        self, function: Callable[[int], R], units: Sequence[int], folder: Path, inputs: Callable[[], Sequence[str]]
    ) -> Generator[tuple[int, R], None, None]:
        """As `Workers.map_apart`: each thread has a process."""
        count = min(self._workers, len(units))
        if count < 2:
            yield from self.map(function, units)
            return
        with processes(function, count) as call:
            yield from self.map(call, units)

    def reduce(
        self,
        function: Callable[[int], R],
        units: Sequence[int],
        merge: Callable[[R, R], R],
        done: Callable[[], None] = lambda: None,
        resources: Resources = ONE_CPU,
    ) -> R:
        """As `Engine.reduce`."""
        tree = MergeTree(len(units))

        def summarise(index: int) -> None:
            tree.merge_in(index, function(units[index]), merge)

        for _ in self.map(summarise, range(len(units))):
            done()
        root: R = tree.root
        return root


class _Call:
    """The threads of one call of `map`, and their results."""

    def __init__(self, function: Callable[[int], Any], units: Sequence[int], workers: int) -> None:
        self._function, self._todo, self._lock = function, iter(units), threading.Lock()
        self._results: SimpleQueue[tuple[int, BaseException | None, Any]] = SimpleQueue()
        self._room = threading.Semaphore(workers * (1 + _WAITING))
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def next(self) -> tuple[int, Any]:
        """Return the next unit that is done and its result, or raise its error."""
        unit, error, result = self._results.get()
        self._room.release()
        if error is not None:
            raise error
        return unit, result

    def stop(self, wait: bool) -> None:
        """Begin no more units. Those that run are waited for, or left to finish by themselves."""
        self._stopped = True
        self._room.release(len(self._threads))
        if not wait:
            _left.update(thread for thread in self._threads if thread.is_alive())
            return
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        while True:
            self._room.acquire()
            with self._lock:
                unit = None if self._stopped else next(self._todo, None)
            if unit is None:
                return
            try:
                with one_torch_thread():
                    result = self._function(unit)
                self._results.put((unit, None, result))
                del result
            except BaseException as error:
                self._results.put((unit, noted(error), None))


_left: WeakSet[threading.Thread] = WeakSet()
"""Threads that still run a unit of a call that was interrupted."""


def wait_for_interrupted_units() -> None:
    """Wait until no unit of an interrupted call is running in this process, so that none writes into a new run."""
    for thread in list(_left):
        thread.join()
