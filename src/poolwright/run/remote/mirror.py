"""Keep a run folder in an object store the same as the local one, file by file, named by a manifest.

An object store renames nothing: a file counts once `manifest.json` names it with its size and digest. A manifest is
replaced after everything that it names has arrived, and stops naming a file before that is replaced or removed, so the
store holds at any moment what a kill at some earlier moment would have left on the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from poolwright.core.errors import InputError
from poolwright.core.files import PARTIAL, digest_file, make_folder, remove, write_text
from poolwright.run.remote.contents import SERIAL, Passing, files_of_run, is_answer
from poolwright.run.remote.lease import LEASE, STUDIO, Lease
from poolwright.run.remote.store import RunStore

MANIFEST = "manifest.json"
_State = tuple[int, int, int]
_FORMAT = 1
_THREADS = 4


class Stored(NamedTuple):
    """A file as the manifest names it."""

    size: int
    digest: str


class Mirror:
    """A local run folder and its copy.

    Args:
        store: the remote run folder.
        folder: the local one; it is brought to the state of the remote one, unless it has gone on from there.
        lease: held on the remote run folder.
        passing: which files are of no use elsewhere.

    Raises:
        InputError: the store fails, or holds something else than a run.
    """

    def __init__(self, store: RunStore, folder: Path, lease: Lease, passing: Passing) -> None:
        self._store, self._folder, self._lease, self._passing = store, folder, lease, passing
        found = store.read(MANIFEST) or {"format": _FORMAT, "serial": 0, "files": {}}
        if found.get("format") != _FORMAT:
            raise InputError(f"{store.url}/{MANIFEST}: is of another version of poolwright; run in another folder")
        self._serial = int(found["serial"])
        self._named = {name: Stored(*entry) for name, entry in found["files"].items() if not is_answer(name)}
        self._seen: dict[str, tuple[_State, Stored]] = {}
        if _serial(folder) != self._serial:
            self._pull()

    def _pull(self) -> None:
        """Bring the local folder to the state of the manifest."""
        for path in files_of_run(self._folder, lambda _: False):
            if path not in self._named:
                remove(self._folder / path)
        with ThreadPoolExecutor(_THREADS) as threads:
            there = dict(zip(self._named, threads.map(self._fetched, self._named), strict=True))
        # A file that is not as the manifest says was being replaced; it, and what depends on it, is made again.
        self._named = {name: self._named[name] for name, whole in there.items() if whole}
        self._save_serial()

    def _fetched(self, name: str) -> bool:
        path = self._folder / name
        if path.is_file() and self._is_named(path, name):
            return True
        partial = path.with_name(path.name + PARTIAL)
        make_folder(path.parent)
        with suppress(FileNotFoundError):
            self._store.fetch(name, partial)
            if self._is_named(partial, name):
                os.replace(partial, path)
                return True
        for left in (partial, path):
            left.unlink(missing_ok=True)
        return False

    def _is_named(self, path: Path, name: str) -> bool:
        return Stored(path.stat().st_size, digest_file(path)) == self._named[name]

    def sync(self) -> None:
        """Send what has changed since, and name it.

        Raises:
            PoolwrightError: the store fails, or another process has taken over the run folder.
        """
        now = self._snapshot()
        if now == self._named:
            self._lease.check()
            return
        kept = {name: entry for name, entry in self._named.items() if now.get(name) == entry}
        if kept != self._named:
            self._name(kept)
        gone = set(self._named) - set(now)
        sent = self._send([name for name in now if name not in kept], now)
        self._name(kept | sent)
        for name in gone:
            self._store.remove(name)

    def finish(self) -> None:
        """Send what has changed, and remove what no manifest names: killed runs have sent it.

        Raises:
            PoolwrightError: as `sync`.
        """
        self.sync()
        for name in self._store.names():
            if name not in self._named and name not in (MANIFEST, LEASE, STUDIO) and not is_answer(name):
                self._store.remove(name)

    def _send(self, names: Iterable[str], now: Mapping[str, Stored]) -> dict[str, Stored]:
        """Send files; return those that did not change meanwhile."""

        def send(name: str) -> bool:
            try:
                self._store.send(self._folder / name, name)
                return self._state(name) == self._seen[name][0]
            except FileNotFoundError:  # removed meanwhile
                return False

        names = list(names)
        with ThreadPoolExecutor(_THREADS) as threads:
            whole = dict(zip(names, threads.map(send, names), strict=True))
        if not all(whole.values()):  # whatever comes after such a file waits for the next time
            return {name: now[name] for name in names if whole[name] and not _is_mark(name)}
        return {name: now[name] for name in names}

    def _name(self, files: Mapping[str, Stored]) -> None:
        """Replace the manifest."""
        self._lease.check()
        self._serial += 1
        self._store.write(MANIFEST, {"format": _FORMAT, "serial": self._serial, "files": dict(files)})
        self._named = dict(files)
        self._save_serial()

    def _save_serial(self) -> None:
        write_text(self._folder / SERIAL, json.dumps({"url": self._store.url, "serial": self._serial}))

    def _snapshot(self) -> dict[str, Stored]:
        """Return the files as they are: with every mark that something is done, the files from before it.

        What is written between two looks may be missed by the first; so marks are those of the first look that are
        still the same, and all else is from the second.
        """
        marks = {name: self._state(name) for name in self._files() if _is_mark(name)}
        found: dict[str, Stored] = {}
        for name in self._files():
            state = self._state(name)
            if state is None or (_is_mark(name) and marks.get(name) != state):
                continue
            if name not in self._seen or self._seen[name][0] != state:
                with suppress(FileNotFoundError):
                    self._seen[name] = state, Stored(state[0], digest_file(self._folder / name))
            found[name] = self._seen[name][1]
        return found

    def _files(self) -> Iterable[str]:
        return files_of_run(self._folder, self._passing)

    def _state(self, name: str) -> _State | None:
        """Return what changes with a file: size, time and inode; None if it is gone."""
        try:
            found = (self._folder / name).stat()
        except FileNotFoundError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino


def _is_mark(name: str) -> bool:
    """Whether a file says that others are whole: records, states, done-marks."""
    return name.endswith(".json")


def _serial(folder: Path) -> int:
    with suppress(OSError, ValueError, KeyError, TypeError):
        found: Any = json.loads((folder / SERIAL).read_text(encoding="utf-8"))
        return int(found["serial"])
    return -1
