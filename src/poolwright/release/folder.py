"""Find an existing release folder, or put a complete one in place atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from poolwright.core.errors import ReleaseError
from poolwright.core.files import human_bytes, remove, sync_folder
from poolwright.core.runtime.locks import hold_or_refuse
from poolwright.release.checksums import check_sums, flush
from poolwright.release.record import RELEASE, ReleaseRecord


@dataclass(frozen=True)
class Written:
    """A release on disk.

    Attributes:
        folder: folder of the release.
        layout: name of its layout.
        rows: number of rows.
        files: number of files in the folder.
        bytes: total size of those files.
        fresh: False if the same release was there already and verified.
        notes: what a user should know about it, in sentences.
        url: folder of an object store that it was pushed to; None if it was not.
    """

    folder: Path
    layout: str
    rows: int
    files: int
    bytes: int
    fresh: bool
    notes: tuple[str, ...] = ()
    url: str | None = None

    @property
    def words(self) -> str:
        """One line of text: rows, files, size."""
        size = f"{self.rows:,} rows, {self.files:,} files, {human_bytes(self.bytes)}"
        return size if self.fresh else f"unchanged and verified; {size}"


def written(folder: Path, record: ReleaseRecord, fresh: bool, notes: tuple[str, ...] = ()) -> Written:
    """Describe the release in `folder`."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Written(folder, record.layout, record.rows, len(sizes), sum(sizes), fresh, notes)


def released_table(folder: Path) -> str | None:
    """Return the name of the table whose release is in a folder; None if it holds none."""
    try:
        return ReleaseRecord.load(folder).table
    except (OSError, ValueError):
        return None


def check_target(folder: Path) -> None:
    """Check that a release can be written into a folder: that it holds nothing, or a release.

    Raises:
        ReleaseError: it holds something else, or is inside a release.
    """
    if folder.is_symlink() and not folder.exists():
        raise ReleaseError(f"{folder}: a link to a folder that does not exist; make the folder, or remove the link")
    for above in folder.parents:
        if (above / RELEASE).is_file():
            raise ReleaseError(f"{folder}: this is inside the release {above}, which would not verify; choose another")
    if not _is_free(folder) and not (folder / RELEASE).is_file():
        raise ReleaseError(f"{folder}: the folder holds what is not a release; choose another")


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def is_release(folder: Path) -> bool:
    """Whether a folder holds a release."""
    return (folder / RELEASE).is_file()


def find_release(folder: Path, made_from: str, overwrite: bool) -> Written | None:
    """Return the release in `folder` if it is the wanted one and complete; None if it is to be written.

    Args:
        made_from: digest of what the wanted release is made from, as in its record.
        overwrite: whether another release, or a damaged one, may be replaced.

    Raises:
        ReleaseError: the folder holds something else.
    """
    check_target(folder)
    if _is_free(folder):
        return None
    try:
        record = ReleaseRecord.load(folder)
    except (OSError, ValueError):
        if overwrite:
            return None
        raise ReleaseError(f"{folder}: the folder holds what is not a release; choose another") from None
    wrong = check_sums(folder) if record.made_from == made_from else ["it was made from another table, card or layout"]
    if not wrong:
        return written(folder, record, fresh=False)
    if overwrite:
        return None
    raise ReleaseError(
        f"{folder}: the folder already holds a release of '{record.table}', and {wrong[0]}; "
        "remove it, release to another folder, or replace it with --overwrite"
    )


@contextmanager
def release_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a release while it is written; put back the one that was being replaced when a process ended.

    Raises:
        PoolwrightError: another process holds it.
    """
    file = folder.with_name(f".{folder.name}.lock")
    with hold_or_refuse(file, folder):
        try:
            old = replaced(folder)
            if old.exists() and not folder.exists():
                os.replace(old, folder)
            remove(old)
            yield
        finally:
            with suppress(OSError):
                file.unlink()


def replaced(folder: Path) -> Path:
    """Return the name that a release has while another takes its place."""
    return folder.with_name(f".{folder.name}.old")


def put_in_place(partial: Path, folder: Path) -> None:
    """Flush to disk, then rename; a previous release is removed only after the new one has its name."""
    flush(partial)
    old = replaced(folder)
    remove(old)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    sync_folder(folder.parent)
    remove(old)
