"""Finds and reads the image files of a pool, below the folder or URL that the user gave, and within limits."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from poolwright.core.files import ImageRoot, is_below
from poolwright.core.remote.failures import reaching, status_of
from poolwright.core.remote.files import read_whole

_READ_AT_ONCE = 1 << 24
_READING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""Without waiting for a writer, should the path be a named pipe."""

_PLAIN = re.compile(r"(?:[^./:\\][^/:\\]*/)*[^./:\\][^/:\\]*")
"""A path with nothing to resolve in it."""


@dataclass(frozen=True)
class Limits:
    """The most that an image file may cost.

    Attributes:
        max_bytes: size of the file.
        max_pixels: width times height; 100 million need about 400 MB to decode.
    """

    max_bytes: int = 50_000_000
    max_pixels: int = 100_000_000


DEFAULT_LIMITS = Limits()


def read_bytes(root: ImageRoot, path: str, limits: Limits = DEFAULT_LIMITS) -> bytes | str:
    """Read the bytes of an image file, or return a reason.

    Args:
        root: folder or fsspec URL that `path` is relative to. A path that leaves it, by '..', by a symbolic link, as
            an absolute path or as a URL, is refused: paths come from the pool, the root comes from the user.
        path: file below `root`; any local path or URL if there is no root.
        limits: more than `max_bytes` is never read.
    """
    if isinstance(root, Mapping):
        name, path = split_root(root, path)
        return "outside_root" if name is None else read_bytes(root[name], path, limits)
    if root is None:
        return _read_url(path, limits) if "://" in path else _read_local(path, limits)
    inside = _inside(_relative(root, path))
    if inside is None:
        return "outside_root"
    if "://" in root:
        return _read_url(f"{root.rstrip('/')}/{inside}", limits)
    file = os.path.join(root, inside)
    return _read_local(file, limits) if is_below(root, file) else "outside_root"


def _relative(root: str, path: str) -> str:
    """Return an absolute path or URL below a root as a relative one; any other unchanged."""
    if "://" not in root and not os.path.isabs(path):
        return path
    top = root if "://" in root else os.path.abspath(root)
    return path.removeprefix(top.rstrip("/") + "/") if path.startswith(("/", top)) else path


def split_root(roots: Mapping[str, str | None], path: str) -> tuple[str | None, str]:
    """Return the name of the root that a path begins with, and the path below it."""
    name = next((name for name in roots if path.startswith(f"{name}/")), None)
    return name, path if name is None else path[len(name) + 1 :]


def roots_of(root: ImageRoot) -> tuple[str | None, ...]:
    """Return the folders and URLs that image paths are relative to."""
    return tuple(root.values()) if isinstance(root, Mapping) else (root,)


def local_image(root: ImageRoot, path: str) -> str | None:
    """Return the local file that `read_bytes` reads; None if it is not local, or the path leads out of `root`."""
    if isinstance(root, Mapping):
        name, path = split_root(root, path)
        return None if name is None else local_image(root[name], path)
    if root is None:
        return None if "://" in path else path
    inside = None if "://" in root else _inside(path)
    return None if inside is None else os.path.join(root, inside)


def _inside(path: str) -> str | None:
    """Return the path with '.' and '..' resolved; None if it leads out of the folder it is relative to."""
    if _PLAIN.fullmatch(path):
        return path
    if "://" in path or path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", path):
        return None
    parts: list[str] = []
    for part in re.split(r"[\\/]" if os.name == "nt" else "/", path):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) if parts else None


def _read_local(path: str, limits: Limits) -> bytes | str:
    try:
        file = os.open(path, _READING)  # Python's file objects take half as long again for a small file
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return "unreadable_file"
            if status.st_size > limits.max_bytes:
                return "too_many_bytes"
            data = os.read(file, status.st_size + 1)
            if len(data) != status.st_size:  # it has changed, or is of a file system that knows no sizes
                parts = [data]
                while parts[-1] and (left := limits.max_bytes + 1 - sum(map(len, parts))) > 0:
                    parts.append(os.read(file, min(left, _READ_AT_ONCE)))
                data = b"".join(parts)
            return refused(data, limits) or data
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        return "missing_file"
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return "unreadable_file"


def _read_url(url: str, limits: Limits) -> bytes | str:
    try:
        with reaching(url):
            return _fetched(url, limits)
    except FileNotFoundError:
        return "missing_file"
    except (OSError, ValueError):
        return "unreadable_file"


def _fetched(url: str, limits: Limits) -> bytes | str:
    try:
        data = read_whole(url, limits.max_bytes + 1)
    except Exception as error:
        if 400 <= (status_of(error) or 0) < 500 and status_of(error) not in (408, 429):  # of this file alone
            return "unreadable_file"
        raise
    return refused(data, limits) or data


def refused(data: bytes | None, limits: Limits) -> str | None:
    """Return why a file is refused before it is parsed: it is missing, empty or too large; None if it is not."""
    if data is None:
        return "missing_file"
    if not data:
        return "empty_file"
    return "too_many_bytes" if len(data) > limits.max_bytes else None
