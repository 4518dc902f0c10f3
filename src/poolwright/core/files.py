"""Writes files so that a kill at any moment leaves the old file, the new file or none, never half of one."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, cast

from poolwright.core.errors import RecipeError

PARTIAL = ".partial"

ImageRoot = str | Mapping[str, str | None] | None
"""Folder or URL that image paths are relative to; None if they may lead anywhere.

If rows come from several sources, the root of each by the name that its paths begin with: `{photos: /data/photos}`
for 'photos/cat/1.jpg'.
"""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> str:
    """Write a file under a temporary name, flush it to disk, then rename it into place.

    Args:
        path: where the file ends up; its folder is made.
        write: called with the open binary file.

    Returns:
        `digest_file` of what was written.

    Raises:
        OSError: the disk is full or the folder not writable; the temporary file is removed.
    """
    make_folder(path.parent)
    # Several threads, processes and nodes may write the same file at once; the last to finish wins.
    partial = path.with_name(f"{path.name}.{token_hex(4)}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            out = _Digesting(file)
            write(cast(BinaryIO, out))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return out.hexdigest()


class _Digesting(io.BufferedIOBase):
    """A binary file that is only written to, from beginning to end, and digests what passes."""

    def __init__(self, file: BinaryIO) -> None:
        from xxhash import xxh3_128

        self._file, self._digest, self._at = file, xxh3_128(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self._file.write(data)
        size = memoryview(data).nbytes
        self._at += size
        return size

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        self._file.flush()

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def write_text(path: Path, text: str) -> str:
    """Write a text in UTF-8, as `write_atomically` does."""
    return write_atomically(path, lambda out: out.write(text.encode("utf-8")))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, flushed to disk as the files in it will be."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in reversed(missing):
        sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk where the platform can (Windows cannot open folders)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_file(path: Path | str) -> str:
    """Return the XXH3-128 of a local file, hex: it detects any accidental change, at the speed of memory.

    Releases, which others check, carry SHA-256 instead.
    """
    from xxhash import xxh3_128

    digest, buffer = xxh3_128(), memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def sha256_file(path: Path | str) -> str:
    """Return the SHA-256 of a local file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_SNAPSHOT = re.compile(r"(.*/(?:datasets|models)--[^/]+)/snapshots/[^/]+(?:/.*)?")
"""A folder in the cache of the Hugging Face Hub, whose files are links to `blobs` of the same repository."""


def is_below(folder: str, path: str) -> bool:
    """Whether a path is below a local folder once symbolic links are resolved.

    Files of a snapshot in the cache of the Hugging Face Hub are below it: their contents are next to the snapshots.
    """
    try:
        top = _real_folder(folder)
        if os.path.islink(path):
            return _is_in(top, os.path.realpath(path))
        parent, name = os.path.split(path)
        inside = _real_folder(parent)
        return _is_in(top, inside) or os.path.join(inside, name) == top
    except (OSError, ValueError):  # ValueError: a NUL in the path, which cannot be opened either
        return True


@functools.lru_cache(maxsize=4096)
def _is_in(top: str, path: str) -> bool:
    if snapshot := _SNAPSHOT.fullmatch(top):
        top = snapshot[1]
    return os.path.commonpath([top, path]) == top


def _real_folder(folder: str) -> str:
    try:
        found = os.stat(folder)
    except OSError:
        return os.path.realpath(folder)
    return _resolved(folder, found.st_dev, found.st_ino)


@functools.lru_cache(maxsize=4096)
def _resolved(folder: str, device: int, inode: int) -> str:
    """Resolve the links to a folder, once for as long as its path leads to the same one."""
    return os.path.realpath(folder)


def leading_out(folders: Collection[str], files: Iterable[str]) -> list[str]:
    """Return those of local files that are below none of some folders once symbolic links are resolved."""

    @functools.cache
    def leads_out(path: str) -> bool:
        return not any(is_below(folder, path) for folder in folders)

    return [file for file in files if leads_out(file if os.path.islink(file) else os.path.dirname(file))]


def remove(path: Path) -> None:
    """Remove a file, or a folder with everything in it; do nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_partials(folder: Path, deep: bool = True, min_age: float = 0.0) -> None:
    """Remove what killed writers left below a folder.

    Args:
        folder: the folder; there need not be one.
        deep: whether folders within it are searched too.
        min_age: seconds since a file was last written to; 0 only while no other writer can be active.
    """
    for path in folder.rglob(f"*{PARTIAL}") if deep else folder.glob(f"*{PARTIAL}"):
        with suppress(FileNotFoundError):  # another process has removed or renamed it
            if path.is_file() and (not min_age or time.time() - path.stat().st_mtime > min_age):
                path.unlink()


def human_bytes(count: float) -> str:
    """Format a number of bytes: '1.5 GB' (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def claim_folder(folder: Path, what: str, made: Mapping[str, Any]) -> None:
    """Mark a folder as that of a command, which writes into a new or an empty folder or continues its own.

    Args:
        folder: the folder; it is made if there is none.
        what: what is made there; the file that marks the folder is called so, with the ending .json.
        made: what it is made from; a folder that is marked with something else is not continued.

    Raises:
        RecipeError: it holds other files, or another one of these. Nothing was written.
    """
    mark = folder / f"{what}.json"
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder} is a file; name a folder with --to")
    if folder.exists() and any(folder.iterdir()):
        if not mark.is_file():
            raise RecipeError(f"{folder} holds other files; name a new folder with --to")
        try:
            earlier = json.loads(mark.read_text(encoding="utf-8"))
        except ValueError:
            earlier = None
        if earlier != made:
            raise RecipeError(
                f"{folder} holds another {what} ({mark.name}: {earlier}), and this one is of {dict(made)}; ask for "
                "that one again, or name a new folder with --to"
            )
    write_text(mark, json.dumps(made) + "\n")
