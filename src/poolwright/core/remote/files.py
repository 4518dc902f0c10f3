"""Read local and remote files in the same way: remote ones in ranges, with further tries where the network fails."""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import posixpath
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from poolwright.core.errors import InputError
from poolwright.core.files import write_atomically
from poolwright.core.remote.failures import reaching, retried
from poolwright.core.remote.listing import info_of
from poolwright.core.remote.schemes import file_system, is_url

BUFFER = 1 << 22
"""Bytes of a request for a file that is read from front to back."""


def open_file(path: str, buffer: int = BUFFER) -> BinaryIO:
    """Open a local file or a URL for reading. The caller closes it.

    Args:
        path: path or URL.
        buffer: bytes that are fetched at least with each request for a remote file.

    Raises:
        RecipeError: the URL's file system is not known or not installed.
        InputError: the server fails, refuses, or cannot be reached.
        OSError: the file cannot be opened.
    """
    if not is_url(path):
        return open(path, "rb")
    return cast(BinaryIO, io.BufferedReader(_Ranges(path), buffer))


class _Ranges(io.RawIOBase):
    """The content of a remote file, each read of it a request for a range."""

    def __init__(self, url: str) -> None:
        self._url, self._at = url, 0
        self._system, self._path = file_system(url)
        with reaching(url):
            self._file: Any = retried(lambda: self._system.open(self._path, "rb", cache_type="none"))
        self._size: int | None = getattr(self._file, "size", None)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True  # else a `BufferedReader` would refuse in words of its own

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if self._size is None:
            raise InputError(f"{self._url}: {_WHOLE}")
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        with reaching(self._url):
            data: bytes = retried(lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, count: int) -> bytes:
        if self._size is None:
            return bytes(self._file.read(count))
        count = min(count, self._size - self._at)
        if count <= 0:
            return b""
        self._file.seek(self._at)
        try:
            data = bytes(self._file.read(count))
        except ValueError as error:
            if "range requests" not in str(error):
                raise
            return self._from_the_beginning(count)
        if not data:
            raise InputError(f"{self._url}: ends {self._size - self._at:,} bytes early; it has changed: run again")
        return data

    def _from_the_beginning(self, count: int) -> bytes:
        """Go on reading a file of a server that knows no ranges: all that was read passes once more."""
        self._file.close()
        self._file, self._size = self._system.open(self._path, "rb", block_size=0), None
        left = self._at
        while left:
            left -= len(self._file.read(min(left, BUFFER)))
        return bytes(self._file.read(count))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


_WHOLE = "its server gives files as a whole alone, and this one is read in ranges; download it first"


def read_whole(url: str, most: int) -> bytes:
    """Return the first `most` bytes of a remote file, by one request.

    Raises:
        Exception: whatever its file system raises; see `reaching`.
    """
    system, path = file_system(url)
    return bytes(retried(lambda: system.cat_file(path, start=0, end=most)))


def local_file(path: str) -> Path:
    """Return the path of a small file, such as a vocabulary; one behind a URL is copied once per process.

    Raises:
        RecipeError: the URL's file system is not known or not installed.
        InputError: the server fails, refuses, or cannot be reached.
        FileNotFoundError: there is no file at the URL.
    """
    if not is_url(path):
        return Path(path)
    found = info_of(path)
    to = Path(_copies()) / hashlib.sha256(repr((path, found.size, found.state)).encode()).hexdigest()[:16]
    to = to / (posixpath.basename(path.partition("?")[0]) or "file")
    if not found.state or not to.is_file():
        with open_file(path) as source:
            write_atomically(to, lambda out: shutil.copyfileobj(source, out, BUFFER))
    return to


@cache
def _copies() -> str:
    folder = tempfile.mkdtemp(prefix="poolwright-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
