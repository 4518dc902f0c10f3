"""Find and open files on disk and behind fsspec URLs in the same way."""

from __future__ import annotations

import codecs
import glob
import io
import os
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any, BinaryIO, TypeVar, cast

import pyarrow as pa
from pydantic import BeforeValidator, Field, WithJsonSchema

from poolwright.core.errors import BadPart, InputError, RecipeError, did_you_mean
from poolwright.core.pool import Part, PathOrUrl
from poolwright.core.remote import listing
from poolwright.core.remote.failures import reaching, retried
from poolwright.core.remote.files import open_file
from poolwright.core.remote.schemes import file_system, is_url, keys_for
from poolwright.core.runtime.packed import unpacked, unpacked_name
from poolwright.core.texts.text_files import encoding_of

T = TypeVar("T")


def _as_paths(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


PathsOrUrls = Annotated[
    tuple[PathOrUrl, ...],
    BeforeValidator(_as_paths),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
"""One path or a list of them, as a tuple."""


class Unreadable(InputError):
    """The content of a file does not fit its format. Inside a part this becomes `BadPart`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.path, self.reason))


DAMAGE = (pa.ArrowException, OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile)
"""Exceptions that readers raise on damaged files. pyarrow raises OSError without an errno for damage."""


def base_name(path: str) -> str:
    """Return the last part of the path."""
    if path.startswith(("https://", "http://")):
        return posixpath.basename(path.partition("?")[0])  # what follows may be a signature
    return posixpath.basename(path if is_url(path) else path.replace(os.sep, "/"))


def suffix(path: str) -> str:
    """Return the extension in lower case, without the dot and without that of a packed file, such as '.gz'."""
    name = unpacked_name(base_name(path)).lower()
    return name.rpartition(".")[2] if "." in name else ""


def stem(path: str) -> str:
    """Return the file name without the ending of a packed file, such as '.gz', and without the extension."""
    name = unpacked_name(base_name(path))
    return name.rpartition(".")[0] or name


def map_files(function: Callable[[str], T], files: Sequence[str], root: str) -> list[T]:
    """Call a function with each file; concurrently if `root` is a URL, as remote files take time."""
    if len(files) < 2 or not is_url(root):
        return [function(file) for file in files]
    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(function, files))


def open_text(path: str, encoding: str | None = None) -> BinaryIO:
    """Open the text in a file, unpacked if its name shows that it is packed. The caller closes it.

    Args:
        path: path or URL.
        encoding: of a text without a byte order mark, which is given in UTF-8; None for the bytes as they are.
    """
    file = unpacked(open_file(path), path)
    if encoding is None:
        return file
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, file))
    name = encoding_of(buffered.peek(4), encoding)
    return buffered if name.startswith("utf-8") else io.BufferedReader(_AsUtf8(buffered, name))


class _AsUtf8(io.RawIOBase):
    """A text in another encoding as UTF-8. A byte that is not valid stays as it is, and so is not valid UTF-8."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._left = file, b""
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b"begin"
        while data and not self._left:
            data = self._file.read(len(buffer))
            self._left = self._decoder.decode(data, final=not data).encode("utf-8", "surrogateescape")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def close(self) -> None:
        super().close()
        self._file.close()


@contextmanager
def reading(part: Part) -> Iterator[None]:
    """Raise `BadPart` for damage met while reading a part; other obstacles stop the run.

    Raises:
        BadPart: the content is damaged, or was when the part was made (`detail['damage']`).
        InputError: a file is gone, not permitted, or its disk or network fails: quarantining the part would
            lose rows that exist.
    """
    if "damage" in part.detail:
        raise BadPart(part.index, part.name, part.detail["damage"])
    try:
        with reaching(part.name):
            yield
    except Unreadable as error:
        raise BadPart(part.index, part.name, error.reason) from None
    except DAMAGE as error:
        raise_if_unreachable(error, part.name)
        raise BadPart(part.index, part.name, f"cannot be read: {damage_of(error)}") from None


def raise_if_unreachable(error: BaseException, path: str) -> None:
    """Raise `InputError` if an error comes from the file system, not from the content."""
    if isinstance(error, FileNotFoundError):
        raise InputError(f"{path}: a file is gone since it was listed; put it back ({error})") from None
    if isinstance(error, PermissionError):
        raise InputError(f"{path}: no permission to read it; change its mode or run as its owner") from None
    if isinstance(error, OSError) and error.errno is not None:
        raise InputError(f"{path}: the file system fails: {error}; run again when it works") from None


def first_line(error: BaseException) -> str:
    """Return the first line of an error message."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def damage_of(error: BaseException) -> str:
    """Return the first line of a reader's message, with what to do about a list that pyarrow cannot read."""
    text = first_line(error)
    if "Expected all lists to be of size" in text:
        return f"{text}; PyArrow before 26 cannot read null among lists of fixed size: update it, or write plain lists"
    return text


def find_files(paths: Collection[str], suffixes: Collection[str]) -> list[str]:
    """Find the files of paths: files, globs, and folders with all their files of some extensions.

    Args:
        paths: paths or URLs.
        suffixes: extensions looked for in folders, lower case, without dots; that of a packed file, such as '.gz',
            may follow.

    Returns:
        Each path's files in the order of their POSIX paths, one path after another.

    Raises:
        RecipeError: a path does not exist or holds no such file, or a file is named twice.
    """
    found: list[str] = []
    for path in paths:
        found.extend(_find_url(path, suffixes) if is_url(path) else _find_local(path, suffixes))
    seen: set[str] = set()
    for file in found:
        if file in seen:
            raise RecipeError(f"{file}: named twice; each file may be read once")
        seen.add(file)
    return found


def _find_local(path: str, suffixes: Collection[str]) -> list[str]:
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        return _in_folder(path, suffixes)
    if glob.has_magic(path):
        found = sorted(file for file in glob.glob(path, recursive=True) if os.path.isfile(file))
        if found:
            return found
        raise RecipeError(f"{path}: no file matches")
    raise RecipeError(f"{path}: no such file or folder{_neighbour(path)}")


def _find_url(path: str, suffixes: Collection[str]) -> list[str]:
    try:
        with reaching(path):
            return _find_remote(path, suffixes)
    except FileNotFoundError:
        raise RecipeError(
            f"{path}: no such file or folder, or it is not visible without keys; mind the spelling, or {keys_for(path)}"
        ) from None


def _find_remote(path: str, suffixes: Collection[str]) -> list[str]:
    system, inner = file_system(path)
    listing.forget([path])  # what an earlier run in this process saw
    if "*" in path:
        entries = retried(lambda: system.glob(inner, detail=True))
        found = sorted(str(name) for name, info in entries.items() if info["type"] == "file")
        if not found:
            raise RecipeError(f"{path}: no file matches")
        return [str(system.unstrip_protocol(file)) for file in found]
    if listing.is_folder_at(path):
        return _in_folder(path, suffixes)
    return [path]


def _in_folder(path: str, suffixes: Collection[str]) -> list[str]:
    files = sorted(files_below(path, lambda name: suffix(name) in suffixes))
    if not files:
        raise RecipeError(f"{path}: no file here ends in {', '.join('.' + name for name in sorted(suffixes) if name)}")
    return [join(path, file) for file in files]


def _neighbour(path: str) -> str:
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or "."):
        return f"; the folder {folder} does not exist"
    names = os.listdir(folder or ".")
    return f"; {did_you_mean(name, names)}" if 0 < len(names) <= 200 else ""


def join(root: str, relative: str) -> str:
    """Return the path of a file below a folder or URL."""
    return f"{root.rstrip('/')}/{relative}" if root != "/" else f"/{relative}"


def files_below(root: str, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yield the relative POSIX paths of the files in a folder at any depth, in no fixed order.

    Files and folders whose names begin with '.' are left out. Linked folders are followed, except a link to
    a folder that contains it.

    Args:
        wanted: whether a file of that name is wanted.

    Raises:
        InputError: a folder may not be read, a link among the wanted files leads nowhere, or a name of
            one is not valid UTF-8.
    """
    return _remote_below(root, wanted) if is_url(root) else _local_below(root, wanted)


def _remote_below(root: str, wanted: Callable[[str], bool]) -> Iterator[str]:
    for relative in listing.files_below(root):
        if wanted(relative.rpartition("/")[2]) and not any(name.startswith(".") for name in relative.split("/")):
            yield relative


def _local_below(root: str, wanted: Callable[[str], bool]) -> Iterator[str]:
    todo: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while todo:
        prefix, above = todo.pop()
        folder = os.path.join(root, prefix) if prefix else root
        inside = above | {_identity(folder)}
        for entry in _entries(folder):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if not entry.is_symlink() or _identity(entry.path) not in inside:
                    todo.append((f"{prefix}{entry.name}/", inside))
            elif wanted(entry.name):
                relative = prefix + entry.name
                _check_name(root, relative)
                if entry.is_file():
                    yield relative
                elif entry.is_symlink():
                    raise InputError(f"{entry.path}: the link leads nowhere; remove it or bring back what it links to")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except PermissionError:
        raise InputError(f"{folder}: no permission to list it; change its mode or run as its owner") from None


def _identity(folder: str) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _check_name(root: str, relative: str) -> None:
    try:
        relative.encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(relative).decode("utf-8", errors="backslashreplace")
        raise InputError(f"{root}: the file name '{shown}' is not valid UTF-8; rename the file") from None
