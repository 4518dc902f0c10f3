"""Limits libraries to one thread per unit of work.

Parallelism is across units, and the last bits of a matrix product depend on its number of threads.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any


class _Unit(threading.local):
    """Whether the calling thread works on a unit."""

    active = False


class _Limits:
    """The thread limits of a process while any run in it works on units.

    The limits of BLAS and OpenMP libraries are those of the process, and so are PyTorch's. The first run to begin sets
    them and the last to end restores them, so that runs which overlap leave none behind.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs = 0
        self.pools: Any = None
        self.torch_threads: int | None = None

    def enter(self) -> None:
        with self.lock:
            self.runs += 1
            if self.runs == 1:
                self.torch_threads = _torch_threads()
                self.pools = one_blas_thread()

    def leave(self) -> None:
        with self.lock:
            self.runs -= 1
            if self.runs == 0:
                self.pools.restore_original_limits()
                if self.torch_threads is not None:
                    sys.modules["torch"].set_num_threads(self.torch_threads)
                self.pools = self.torch_threads = None

    def one_for_torch(self, torch: Any) -> None:
        """Give PyTorch one thread, and remember how many it had."""
        with self.lock:
            if self.runs and self.torch_threads is None:
                self.torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)


_unit = _Unit()
_limits = _Limits()


def one_blas_thread() -> Any:
    """Give the BLAS and OpenMP libraries of this process one thread.

    Returns:
        A context manager that restores the number that each had.
    """
    return _libraries(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> Any:
    """Find the libraries with threads, which takes milliseconds; again once more modules are imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _torch_threads() -> int | None:
    # A module that another thread is importing right now lacks the function.
    get = getattr(sys.modules.get("torch"), "get_num_threads", None)
    return get() if get else None


@contextmanager
def one_thread_per_unit() -> Iterator[None]:
    """Limit BLAS to one thread per unit while units run in this process. Runs may nest and overlap."""
    _limits.enter()
    try:
        yield
    finally:
        _limits.leave()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Work on a unit: PyTorch, already imported or imported within the block, gets one thread."""
    before, _unit.active = _unit.active, True
    torch = sys.modules.get("torch")
    if hasattr(torch, "set_num_threads"):
        _limits.one_for_torch(torch)
    try:
        yield
    finally:
        _unit.active = before


def import_torch() -> Any:
    """Import and return torch, with one thread if it is first imported in a unit.

    Raises:
        ImportError: torch is not installed.
    """
    fresh = "torch" not in sys.modules
    torch = import_module("torch")
    if fresh and _unit.active:
        _limits.one_for_torch(torch)
    return torch
