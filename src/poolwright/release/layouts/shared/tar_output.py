"""Writes a tar in a thread of its own, which also digests it, while the next samples are read and made."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

_CHUNK = 4 << 20
_WAITING = 2


class TarOutput:
    """A tar that is being written. Its bytes are digested as they are written, so that it need not be read again."""

    def __init__(self, path: Path, threads: ThreadPoolExecutor) -> None:
        self._path, self._threads = path, threads
        self._file = path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._parts: list[bytes] = []
        self._held = 0
        self._waiting: deque[Future[None]] = deque()

    def write(self, parts: Sequence[bytes], size: int) -> None:
        """Add bytes, `size` of them; a full disk may be reported by a later call."""
        self._parts += parts
        self._held += size
        if self._held >= _CHUNK:
            self._send()

    def close(self) -> str:
        """Write the rest; return the SHA-256 of the file, hex."""
        self._send()
        while self._waiting:
            self._waiting.popleft().result()
        self._file.close()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Close the file as it is."""
        while self._waiting:
            self._waiting.popleft().exception()
        self._file.close()

    def _send(self) -> None:
        chunk = b"".join(self._parts)
        self._parts, self._held = [], 0
        self._waiting.append(self._threads.submit(self._put, chunk))
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def _put(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        while left:
            left = left[self._file.write(left) :]
        self._digest.update(chunk)


def flush(path: Path) -> None:
    """Flush a finished file to disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
