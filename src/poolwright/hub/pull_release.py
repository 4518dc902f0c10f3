"""Pull a dataset into a folder: complete and verified, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from poolwright.core.errors import ReleaseError, TransferError
from poolwright.core.files import remove, sha256_file
from poolwright.core.runtime.progress import Listener
from poolwright.core.wording import some
from poolwright.hub.addresses import check_store, hub_address, is_hub, with_revision
from poolwright.hub.pull import HubSource
from poolwright.hub.results import Pulled
from poolwright.hub.stores import StoreSource
from poolwright.release.checks.result import Verification
from poolwright.release.checksums import SUMS, files_of, read_sums
from poolwright.release.folder import put_in_place, release_lock
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import RELEASE, ReleaseRecord
from poolwright.release.verify import verify


class Remote(Protocol):
    """A folder elsewhere that is pulled."""

    @property
    def name(self) -> str:
        """Its name, which the local folder gets."""
        ...

    @property
    def commit(self) -> str | None:
        """The commit that is pulled, if there are commits."""
        ...

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file by its path."""
        ...

    def download(self, names: list[str], folder: Path, phase: str = "download") -> None:
        """Download files; those that are there whole are left."""
        ...

    def is_same(self, name: str, path: Path, sha256: str | None = None) -> bool:
        """Whether a local file has the bytes of the one elsewhere, as far as that is known without reading it."""
        ...

    def tidy(self, folder: Path) -> None:
        """Remove what is kept to continue downloads."""
        ...


def pull_release(
    text: str,
    to: Path | None,
    find_layout: Callable[[str], type[Layout]],
    revision: str | None,
    overwrite: bool,
    listener: Listener,
    check: bool = True,
) -> Pulled:
    """Pull a dataset; see `poolwright.api.pull`.

    Args:
        check: whether the files are compared with their digests, and a release is verified.
    """
    remote: Remote
    if is_hub(text):
        remote = HubSource(with_revision(hub_address(text), revision), listener)
    else:
        remote = StoreSource(check_store(text), listener)
    folder = Path(os.path.abspath(to or remote.name))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with release_lock(folder):
        return _Pull(text, remote, folder).run(find_layout, overwrite, check)


class _Pull:
    def __init__(self, text: str, remote: Remote, folder: Path) -> None:
        self.text, self.remote, self.folder = text, remote, folder
        self.partial = folder.with_name(f".{folder.name}.pulling")
        self.sizes = remote.sizes()
        self.sums: dict[str, str] | None = None

    def run(self, find_layout: Callable[[str], type[Layout]], overwrite: bool, check: bool) -> Pulled:
        wanted = self._wanted()
        fresh = not self._is_there(wanted)
        place = self.folder
        if fresh:
            if not overwrite and self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise ReleaseError(
                    f"{self.folder}: the folder holds something else, or another version; pull to another folder, or "
                    "replace it with --overwrite"
                )
            self._download(wanted)
            place = self.partial
        verification = verify(place, find_layout, load=False) if check and self.sums is not None else None
        if fresh:
            if check:
                self._check_digests(wanted, verification)
            self.remote.tidy(self.partial)
            put_in_place(self.partial, self.folder)
        else:
            remove(self.partial)
        return self._pulled(wanted, fresh, verification)

    def _wanted(self) -> list[str]:
        """Return the files to pull: those that SHA256SUMS lists if this is a release, else all."""
        if RELEASE not in self.sizes or SUMS not in self.sizes:
            if not self.sizes:
                raise TransferError(f"{self.text}: there are no files")
            return sorted(self.sizes)
        for name in (SUMS, RELEASE):  # of an earlier pull, perhaps of another version
            remove(self.partial / name)
        self.remote.download([SUMS, RELEASE], self.partial, "look")
        self._check_digests([SUMS, RELEASE], None)
        try:
            self.sums = read_sums(self.partial)
        except ValueError as error:
            raise TransferError(f"{self.text}: {SUMS} is damaged: {error}; push the release again") from None
        if lacking := sorted(self.sums.keys() - self.sizes.keys()):
            raise TransferError(
                f"{self.text}: {some(lacking, 3)} of {SUMS} is not there: a push was interrupted, or the file removed; "
                "push the release again"
            )
        return [*sorted(self.sums), SUMS]

    def _is_there(self, wanted: list[str]) -> bool:
        """Whether the folder has these files, all of them as they are elsewhere, and no others."""
        sums = self.sums or {}
        if not self.folder.is_dir() or {*files_of(self.folder), SUMS} - {SUMS} != {*wanted} - {SUMS}:
            return False
        return all((self.folder / name).is_file() and self._is_right(name, self.folder, sums) for name in wanted)

    def _is_right(self, name: str, folder: Path, sums: Mapping[str, str]) -> bool:
        if name in sums:
            return sha256_file(folder / name) == sums[name]
        if self.sums is not None and folder != self.partial:
            return (folder / name).read_bytes() == (self.partial / name).read_bytes()
        return self.remote.is_same(name, folder / name)

    def _download(self, wanted: list[str]) -> None:
        self.partial.mkdir(exist_ok=True)
        for name in files_of(self.partial):  # what an interrupted pull left, perhaps of another version
            if name not in wanted or not self._is_right(name, self.partial, self.sums or {}):
                remove(self.partial / name)
        self.remote.download(wanted, self.partial)

    def _check_digests(self, names: list[str], verification: Verification | None) -> None:
        """Compare downloaded files with their digests, and remove those that differ, so that they are fetched again.

        `verify` has compared those of a release, which are read once more only if it found a difference.
        """
        if verification is not None and all(check.ok for check in verification.checks if check.name == "checksums"):
            return
        wrong = [name for name in names if not self._is_right(name, self.partial, self.sums or {})]
        for name in wrong:
            remove(self.partial / name)
        if wrong:
            self.remote.tidy(self.partial)
            raise TransferError(
                f"{self.text}: {some(wrong, 3)} came with other bytes than their digests say; the same command fetches "
                "them again. If it does not help, push the release again"
            )

    def _pulled(self, wanted: list[str], fresh: bool, verification: Verification | None) -> Pulled:
        release = ReleaseRecord.load(self.folder) if self.sums is not None else None
        return Pulled(
            source=self.text,
            folder=self.folder,
            commit=self.remote.commit,
            files=len(wanted),
            bytes=sum(self.sizes[name] for name in wanted),
            fresh=fresh,
            left_out=tuple(sorted(self.sizes.keys() - set(wanted))),
            table=release.table if release else None,
            layout=release.layout if release else None,
            verification=replace(verification, folder=self.folder) if verification else None,
        )
