"""The engine: Daft, on this machine or on Ray. Units of work in, their results out.

Everything a run does on rows is a function of one unit: a fold of a fit, a digest of inputs, an apply.
The list of units is a small Daft table; one row is one unit, and a batch UDF with `batch_size=1`
calls the function. Daft spreads the rows over the cores, or Ray over its workers; what a unit writes
depends on neither.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import count
from typing import Any, TypeVar

from poolwright.core.errors import MissingExtra, PoolwrightError, RecipeError
from poolwright.core.runtime.quiet import import_daft, one_torch_thread

R = TypeVar("R")

ENGINES = ("native", "ray")


class Engine:
    """Runs a function over units of work.

    Args:
        name: 'native' (threads of this process) or 'ray'.
        workers: units in flight at once, at most one a core (native; Ray decides itself). Default: one a core.
        address: Ray cluster, such as 'ray://head:10001'; default: a local Ray is started.
    """

    def __init__(self, name: str = "native", workers: int | None = None, address: str | None = None) -> None:
        if name not in ENGINES:
            raise RecipeError(f"unknown engine '{name}'; known: {', '.join(ENGINES)}")
        if workers is not None and workers < 1:
            raise RecipeError(f"workers must be at least 1, not {workers}")
        self.name, self.address = name, address
        self.workers = workers or (os.cpu_count() or 1)

    def map(self, function: Callable[[int], R], units: Sequence[int]) -> Generator[tuple[int, R], None, None]:
        """Call `function` with every unit; yields (unit, result) as they are done, in any order.

        Raises:
            Whatever the function raises, in this process, with its type.
        """
        if not units:
            return
        import cloudpickle

        daft = self._daft()
        job = next(_JOBS)
        call = _unit_udf(daft, cloudpickle.dumps(function), job, self.workers if self.name == "native" else None)
        frame = daft.from_pydict({"unit": list(units)})
        if self.name == "ray":
            frame = frame.into_partitions(len(units))
        rows = frame.select(call(daft.col("unit")).alias("result")).iter_rows()
        try:
            with one_thread_a_unit():
                for row in rows:
                    unit, failed, result = cloudpickle.loads(row["result"])
                    if failed:
                        raise result
                    yield unit, _HANDED_OVER.pop((job, unit)) if self.name == "native" else result
        finally:
            # Closing waits for all units, so those that have not begun must know first that nobody wants them. And it
            # is done here: the collector could do it in Daft's event loop, which would then wait for itself.
            _ENDED.add(job)
            rows.close()
            for key in [key for key in _HANDED_OVER if key[0] == job]:
                del _HANDED_OVER[key]

    def _daft(self) -> Any:
        daft = import_daft()
        if _RUNNER and _RUNNER[0] != self.name:
            raise PoolwrightError(
                f"this process runs on the {_RUNNER[0]} engine already; start another process for {self.name}"
            )
        if not _RUNNER:
            self._bind(daft)
            _RUNNER.append(self.name)
        return daft

    def _bind(self, daft: Any) -> None:
        if self.name == "native":
            daft.set_runner_native()
            return
        _require_ray()
        daft.set_runner_ray(address=self.address, noop_if_initialized=True)


_HANDED_OVER: dict[tuple[int, int], Any] = {}
"""Results of units by (call of `map`, unit), where they are made in this process: summaries of a fold are large, and
Daft would copy them several times."""

_JOBS = count()
_ENDED: set[int] = set()
"""Calls of `map` that are over, also by an error or Ctrl-C: units of theirs that have not begun do nothing."""


def _is_ended(job: int) -> bool:
    # A function, since Daft pickles the UDF: a set named there would be a copy. Ray's workers never know.
    return job in _ENDED


_RUNNER: list[str] = []  # the engine this process was bound to: Daft allows one


def _require_ray() -> None:
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise MissingExtra("ray", "--engine ray")
    # Ray would warn once a run that it keeps accelerators visible to tasks that asked for none.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def _unit_udf(daft: Any, function: bytes, job: int, workers: int | None) -> Any:
    """A Daft batch UDF over one unit a call.

    Args:
        function: the pickled function.
        job: number of the call of `map`.
        workers: calls at once in this process; None leaves it to the engine. Daft's own
            `max_concurrency` would move the calls into other processes.
    """
    slots = _slots(workers) if workers else nullcontext()
    use_process = False if workers else None

    def call(units: Any) -> list[bytes]:
        with slots:
            here = job if workers else None
            return [b"" if _is_ended(job) else _call(function, unit, here) for unit in units.to_pylist()]

    batch = daft.func.batch(return_dtype=daft.DataType.binary(), batch_size=1, use_process=use_process)
    return batch(call)


class _Slots:
    """At most so many calls at once; pickles as its number, for Daft pickles every function it is given."""

    def __init__(self, workers: int) -> None:
        self.workers, self.semaphore = workers, threading.BoundedSemaphore(workers)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_slots, (self.workers,))

    def __enter__(self) -> None:
        self.semaphore.acquire()

    def __exit__(self, *exception: object) -> None:
        self.semaphore.release()


@lru_cache
def _slots(workers: int) -> _Slots:
    return _Slots(workers)


def _call(function: bytes, unit: int, here: int | None) -> bytes:
    """Run one unit. Errors come back as values, so that they keep their type.

    Args:
        here: number of the call of `map` that waits in this process; None where it waits in another.
    """
    import cloudpickle

    try:
        with one_torch_thread():
            result = _unpickle(function)(unit)
            if here is None:
                return bytes(cloudpickle.dumps((unit, False, result)))
            _HANDED_OVER[here, unit] = result
            return bytes(cloudpickle.dumps((unit, False, None)))
    except Exception as error:
        return _pickled_error(unit, error)


@lru_cache(maxsize=4)
def _unpickle(function: bytes) -> Callable[[int], Any]:
    import cloudpickle

    loaded: Callable[[int], Any] = cloudpickle.loads(function)
    return loaded


def _pickled_error(unit: int, error: Exception) -> bytes:
    import traceback

    import cloudpickle

    if not isinstance(error, PoolwrightError | OSError):
        error.add_note("".join(traceback.format_exception(error)[-6:]))
    try:
        whole = bytes(cloudpickle.dumps((unit, True, error)))
        cloudpickle.loads(whole)
    except Exception:
        return bytes(cloudpickle.dumps((unit, True, PoolwrightError(f"{type(error).__name__}: {error}"))))
    return whole


@contextmanager
def one_thread_a_unit() -> Iterator[None]:
    """One BLAS thread a unit while units run in this process."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
