"""Open each queue of a run once, and write its results shortly after each verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from poolwright.annotation.exchange.candidate_file import CANDIDATES
from poolwright.annotation.exchange.import_export import verdicts_in_files
from poolwright.annotation.exchange.worklist import ASKED, STUDIO_ANSWERS
from poolwright.annotation.queue.queue import SETTINGS, Queue, list_queues, read_queue
from poolwright.annotation.queue.store import STORE, VerdictStore
from poolwright.core.errors import InputError, PoolwrightError
from poolwright.studio.verifying.live import LiveQueue

_WRITE_SECONDS = 2.0

Stamp = tuple[tuple[str, int, int], ...]
"""Name, time and size of the files that a queue is read from."""


def _stamp(folder: Path) -> Stamp:
    """Return the stamp of the folder of a queue."""
    asked = folder / ASKED
    if not asked.is_file():
        return _stamp_of([folder / SETTINGS])
    files = [asked, folder / CANDIDATES, *folder.glob("verdicts/*"), *folder.glob("sheets/*")]
    return _stamp_of([path for path in files if path != folder / STUDIO_ANSWERS])


def _stamp_of(files: Iterable[Path]) -> Stamp:
    found = [(str(path), path.stat()) for path in sorted(files) if path.is_file()]
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)


def _elsewhere(queue: Queue) -> list[Path]:
    """List the files of answers that the recipe names."""
    return [Path(path) for path in queue.step.understanding.files] if queue.step else []


class OpenQueues:
    """The queues of a run, each opened once.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = VerdictStore(folder / STORE)
        self._live: dict[str, tuple[Stamp, LiveQueue]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.unwritten = ""

    def names(self) -> list[str]:
        """List the names of the queues."""
        return list_queues(self.folder)

    def queue(self, name: str) -> LiveQueue:
        """Return a queue; it is opened again if a step asks about other rows than before.

        Raises:
            InputError: there is none of this name, or it is damaged.
        """
        if name not in self.names():
            raise InputError(f"there is no queue '{name}'")
        folder = self.folder / "verify" / name
        with self._lock:
            stamp, known = _stamp(folder), self._live.get(name)
            if known is None or known[0] != (*stamp, *_stamp_of(_elsewhere(known[1].queue))):
                queue = read_queue(folder)
                stamp = (*stamp, *_stamp_of(_elsewhere(queue)))
                in_files = verdicts_in_files(queue) if queue.waiting else []
                self._live[name] = known = (stamp, LiveQueue(queue, self.store, in_files))
            return known[1]

    def keep_writing(self) -> None:
        """Write certificates and answers shortly after each verdict, until `stop`.

        After an error, such as a full disk, it tries again; `unwritten` says meanwhile what is wrong.
        """
        wait = _WRITE_SECONDS
        while not self._stopping.wait(wait):
            begun = time.monotonic()
            try:
                self.write()
                self.unwritten = ""
            except (OSError, PoolwrightError, pa.ArrowException) as error:
                self.unwritten = str(error)
            wait = max(_WRITE_SECONDS, 20 * (time.monotonic() - begun))

    def write(self) -> None:
        """Write the results that are not written yet.

        Raises:
            OSError, PoolwrightError, ArrowException: one could not be written; it is written next time.
        """
        with self._lock:
            lives = [live for _, live in self._live.values()]
        failed: Exception | None = None
        for live in lives:
            try:
                live.write()
            except (OSError, PoolwrightError, pa.ArrowException) as error:
                failed = error  # the other queues are written all the same
        if failed:
            raise failed

    def stop(self) -> None:
        """Write the remaining results, and close the history."""
        self._stopping.set()
        try:
            self.write()
        finally:
            self.store.close()
