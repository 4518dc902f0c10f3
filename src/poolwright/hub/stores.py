"""Push releases to folders of object stores, such as s3://, and pull them, by fsspec.

An object store replaces one object at a time. SHA256SUMS marks a release as complete: it is removed before the first
object is written, and written last. Until then `PROGRESS` lists what has been written, so that the same push continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from poolwright.core.errors import ReleaseError, TransferError
from poolwright.core.files import PARTIAL
from poolwright.core.remote.failures import is_remote
from poolwright.core.remote.schemes import file_system, keys_for
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.core.wording import some
from poolwright.hub.addresses import leads_out
from poolwright.release.checksums import SUMS, parse_sums, sums_text
from poolwright.release.record import RELEASE

PROGRESS = f"{SUMS}{PARTIAL}"
_SAVE_SECONDS = 10.0
_LARGE = 16 << 20
_THREADS = 4
_S3_OPTIONS = {"chunksize": 16 << 20, "max_concurrency": 4}
"""Bytes and number of the pieces of a file that are in memory at once."""


class _Store:
    """A folder of an object store."""

    def __init__(self, url: str, listener: Listener) -> None:
        self.url, self.listener = url, listener
        self.system, self.root = file_system(url)
        self.name = url.rpartition("/")[2]
        self.options = _S3_OPTIONS if url.startswith("s3://") else {}

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file by its path; none if there is no such folder."""
        self.guarded(self._reach)
        found = self.guarded(self._find)
        top = len(self.root.rstrip("/")) + 1
        return {str(path)[top:]: int(info["size"]) for path, info in found.items()}

    def _reach(self) -> None:
        """Ask once, as a store that is out of reach would be asked again for a while before the error is raised."""
        if not self.url.startswith("s3://"):
            return
        once, _ = file_system(self.url, attempts=1)
        once.retries = 1
        try:
            once.ls(self.root, refresh=True)
        except Exception as error:  # another one is an answer, and raised by what follows if it stays
            if type(error).__name__ in _UNREACHED:
                raise

    def _find(self) -> dict[str, Any]:
        try:
            return dict(self.system.find(self.root, detail=True))
        except FileNotFoundError:
            if self.url.startswith("s3://"):  # there is no such bucket: folders exist by what is in them
                raise
            return {}

    def path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    def read(self, name: str) -> str:
        return str(self.guarded(lambda: self.system.cat_file(self.path(name))).decode("utf-8"))

    def remove(self, name: str) -> None:
        self.guarded(lambda: self.system.rm_file(self.path(name)))

    def each(self, phase: str, names: Sequence[str], call: Callable[[str], None]) -> Iterator[str]:
        """Call with every name, several at once, and yield those that are done, in their order."""
        self.listener.table_started(self.name, phase, len(names))
        with ThreadPoolExecutor(_THREADS) as threads:
            try:
                for done, (name, _) in enumerate(zip(names, threads.map(call, names), strict=True), 1):
                    yield name
                    self.listener.progress(TableProgress(self.name, phase, len(names), done))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def guarded(self, call: Callable[[], Any]) -> Any:
        """Call, and turn errors of the store into one line without addresses that are signed.

        Raises:
            TransferError: the store refuses, fails or cannot be reached.
        """
        self.system.invalidate_cache()
        try:
            return call()
        except FileNotFoundError:
            raise TransferError(f"{self.url}: no such bucket or folder; mind the spelling") from None
        except Exception as error:
            if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
                raise TransferError(
                    f"{self.url}: there are no keys for the store, or they may not do this; {keys_for(self.url)}"
                ) from None
            if not isinstance(error, OSError) and not is_remote(error):
                raise
            said = type(error).__name__
            where = f"check the connection, the proxy and {_ENDPOINT}; " if said in _UNREACHED else ""
            raise TransferError(
                f"{self.url}: the store fails or cannot be reached ({said}); {where}the same command continues where "
                "it stopped"
            ) from None


_ENDPOINT = "AWS_ENDPOINT_URL_S3"
_UNREACHED = frozenset(("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"))


class StorePush(_Store):
    """One push of a release.

    Args:
        folder: the release, verified.
        files: SHA-256 of all its files, SHA256SUMS included.
    """

    def __init__(self, folder: Path, files: Mapping[str, str], url: str, listener: Listener) -> None:
        super().__init__(url, listener)
        self.folder, self.files = folder, files
        self.sent: list[str] = []
        self.removed: list[str] = []

    def run(self, overwrite: bool) -> None:
        """Bring the folder to the state of the release.

        Raises:
            ReleaseError: the folder holds something else.
            TransferError: the store refuses, fails or cannot be reached.
        """
        sizes, gone = self.check(overwrite)
        there = self._there(sizes)
        todo = [name for name in self.files if name != SUMS and there.get(name) != self.files[name]]
        if not todo and not gone and there.get(SUMS) == self.files[SUMS]:
            return
        self._save(there)
        if SUMS in sizes:
            self.remove(SUMS)
        self._send(todo, there)
        for name in gone:
            self.remove(name)
        self._put(SUMS)
        self._check()
        self.remove(PROGRESS)
        self.sent, self.removed = [*todo, SUMS], gone

    def check(self, overwrite: bool) -> tuple[dict[str, int], list[str]]:
        """Look at the folder; return the sizes of its files, and those that are not in the release.

        Raises:
            ReleaseError: the folder holds something else.
            TransferError: the store refuses, fails or cannot be reached.
        """
        sizes = self.sizes()
        gone = sorted(name for name in sizes if name not in self.files and name != PROGRESS)
        if gone and not sizes.keys() & {RELEASE, PROGRESS} and not overwrite:
            raise ReleaseError(
                f"{self.url}: the folder holds what is not a release ({some(gone, 3)}), which a push removes; push to "
                "another folder, or replace it with --overwrite"
            )
        return sizes, gone

    def _there(self, sizes: Mapping[str, int]) -> dict[str, str]:
        """Return the SHA-256 of what is there whole, as an earlier push has written down."""
        known: dict[str, str] = {}
        for name in (SUMS, PROGRESS):
            if name in sizes:
                text = self.read(name)
                known |= dict(parse_sums(text))
                if name == SUMS:
                    known[SUMS] = _sha256(text)
        return {
            name: digest
            for name, digest in known.items()
            if name in self.files and sizes.get(name) == (self.folder / name).stat().st_size
        }

    def _send(self, names: list[str], there: dict[str, str]) -> None:
        saved = time.monotonic()
        try:
            for name in self.each("upload", names, self._put):
                there[name] = self.files[name]
                if time.monotonic() - saved > _SAVE_SECONDS or (self.folder / name).stat().st_size > _LARGE:
                    self._save(there)
                    saved = time.monotonic()
        except BaseException:
            with suppress(TransferError):
                self._save(there)
            raise

    def _save(self, there: Mapping[str, str]) -> None:
        text = sums_text({name: digest for name, digest in there.items() if name != SUMS})
        self.guarded(lambda: self.system.pipe_file(self.path(PROGRESS), text.encode("utf-8")))

    def _put(self, name: str) -> None:
        self.guarded(lambda: self.system.put_file(str(self.folder / name), self.path(name), **self.options))

    def _check(self) -> None:
        sizes = self.sizes()
        wrong = [name for name in self.files if sizes.get(name) != (self.folder / name).stat().st_size]
        if wrong:
            raise TransferError(f"{self.url}: {some(wrong, 3)} did not arrive whole; the same command sends it again")


class StoreSource(_Store):
    """A folder of an object store that is pulled."""

    commit: str | None = None

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file by its path.

        Raises:
            TransferError: a push has not finished, or a name leads out of the folder.
        """
        sizes = super().sizes()
        if PROGRESS in sizes:
            raise TransferError(f"{self.url}: a push has not finished; repeat it, then pull")
        if wrong := [name for name in sizes if leads_out(name)]:
            raise TransferError(f"{self.url}: '{wrong[0]}' leads out of the folder; nothing was pulled")
        return sizes

    def download(self, names: list[str], folder: Path, phase: str = "download") -> None:
        """Download files into a folder; those that are there whole are left."""

        def get(name: str) -> None:
            path = folder / name
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(path.name + PARTIAL)
                self.guarded(lambda: self.system.get_file(self.path(name), str(partial)))
                partial.replace(path)

        for _ in self.each(phase, names, get):
            pass

    def is_same(self, name: str, path: Path, sha256: str | None = None) -> bool:
        """Whether a local file has the size of the one in the store, which knows no digest."""
        return path.is_file() and path.stat().st_size == int(self.guarded(lambda: self.system.size(self.path(name))))

    def tidy(self, folder: Path) -> None:
        """Do nothing: partial files have other names, and are replaced."""


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode("utf-8")).hexdigest()
