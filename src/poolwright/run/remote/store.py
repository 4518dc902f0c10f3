"""Read and write the objects of a remote run folder; each is replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from poolwright.core.errors import InputError
from poolwright.core.remote.failures import reaching, retried
from poolwright.core.remote.listing import remote_file
from poolwright.core.remote.schemes import file_system

T = TypeVar("T")

_CHUNK = 16 << 20
"""Bytes of a piece of a large file; larger files are sent in several, and appear once the last has arrived."""


class RunStore:
    """The objects below a URL.

    Args:
        url: of the run folder, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._system, self._top = file_system(url)

    def _tried(self, name: str, call: Callable[[], T]) -> T:
        with reaching(f"{self.url}/{name}"):
            return retried(call)

    def _path(self, name: str) -> str:
        return f"{self._top.rstrip('/')}/{name}"

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the JSON object under a name; None if there is none.

        Raises:
            InputError: it is none, or the store fails.
        """
        self._system.invalidate_cache()
        try:
            data = self._tried(name, lambda: self._system.cat_file(self._path(name)))
        except FileNotFoundError:
            return None
        try:
            found: dict[str, Any] = json.loads(data)
        except ValueError:
            raise InputError(f"{self.url}/{name}: is damaged; name another run folder, or remove this one") from None
        return found

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON object under a name.

        Raises:
            InputError: the store fails, or there is no such bucket.
        """
        data = json.dumps(content, indent=1, sort_keys=True).encode()
        try:
            self._tried(name, lambda: self._system.pipe_file(self._path(name), data))
        except FileNotFoundError:
            raise InputError(f"{self.url}: there is no such bucket; make it, or mind the spelling") from None

    def send(self, file: Path, name: str) -> None:
        """Send a file."""
        options = {"chunksize": _CHUNK} if self.url.startswith("s3") else {}
        self._tried(name, lambda: self._system.put_file(str(file), self._path(name), **options))

    def fetch(self, name: str, file: Path) -> None:
        """Fetch a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        self._tried(name, lambda: self._system.get_file(self._path(name), str(file)))

    def names(self) -> list[str]:
        """Return the names of all objects."""
        self._system.invalidate_cache()
        found = self._tried("", lambda: self._system.find(self._top))
        return [str(path)[len(self._top.rstrip("/")) + 1 :] for path in found]

    def states(self, folder: str) -> dict[str, str]:
        """Return the state of each object below a folder, a text that changes when the object does, by name."""
        self._system.invalidate_cache()
        found = self._tried(folder, lambda: self._system.find(self._path(folder), detail=True))
        cut = len(self._path(""))
        return {str(path)[cut:]: remote_file(self.url, info).state for path, info in found.items()}

    def state(self, name: str) -> str | None:
        """Return the state of an object, as `states` does; None if there is none."""
        self._system.invalidate_cache()
        try:
            info = self._tried(name, lambda: self._system.info(self._path(name)))
        except FileNotFoundError:
            return None
        return remote_file(self.url, info).state

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        try:
            self._tried(name, lambda: self._system.rm_file(self._path(name)))
        except FileNotFoundError:
            return
