"""Locks between processes, on files. A lock is released when its process ends, however that ends."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from poolwright.core.errors import PoolwrightError
from poolwright.core.files import make_folder

_HOLDER = ".holder"


@contextmanager
def hold_or_refuse(file: Path, where: Path) -> Iterator[None]:
    """Hold a lock while the block runs; another process that wants it is refused at once.

    Args:
        file: the lock; made if there is none, and left in place.
        where: the folder or file that it guards, for the error.

    Raises:
        PoolwrightError: another process, or another block of this one, holds it.
    """
    from filelock import FileLock, Timeout

    make_folder(file.parent)
    lock = FileLock(file, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise PoolwrightError(
            f"{where}: another process is using it{_holder(file)}; wait for it, or stop it first"
        ) from None
    holder = file.with_name(file.name + _HOLDER)
    try:
        with suppress(OSError):
            holder.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname()}), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def one_at_a_time(file: Path) -> Iterator[None]:
    """Hold a lock while the block runs; other processes that want it wait.

    Args:
        file: the lock; made if there is none, and left in place.

    Raises:
        OSError: the file cannot be made.
    """
    from filelock import FileLock

    with FileLock(file, thread_local=False):
        yield


def _holder(file: Path) -> str:
    """Return who holds a lock, as a part of a sentence; '' if that is not known."""
    try:
        found = json.loads(file.with_name(file.name + _HOLDER).read_text(encoding="utf-8"))
        return f" (process {int(found['process'])} on {found['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
