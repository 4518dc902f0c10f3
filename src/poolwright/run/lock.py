"""Locks a run folder: one process at a time may run in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from poolwright.core.runtime.locks import hold_or_refuse

LOCK = "run.lock"


def run_lock(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of a run folder.

    Raises:
        PoolwrightError: another process holds it; the message says which one, and what to do.
    """
    return hold_or_refuse(folder / LOCK, folder)
