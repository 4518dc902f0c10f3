"""Open the one pickle in a file that may be packed with gzip, bzip2, xz, tar or zip, detected by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, cast

from poolwright.core.remote.files import open_file
from poolwright.pools.readers.paths import Unreadable, first_line, raise_if_unreachable

SUFFIXES = ("pkl", "pickle", "p", "xz", "tgz", "tar", "zip")
"""Extensions of pickles and what they are packed in; '.gz' and '.bz2' may follow."""

_PICKLES = (".pkl", ".pickle", ".p")
_BUFFER = 1 << 20
_TAR_AT, _TAR = 257, b"ustar"

_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    RuntimeError,
    ValueError,
)


@contextmanager
def open_pickle(path: str) -> Iterator[BinaryIO]:
    """Open the pickle in a file. Members of archives are streamed, never written to disk.

    Raises:
        Unreadable: the file is damaged, or an archive holds no pickle or several.
        InputError: the file cannot be opened.
    """
    with ExitStack() as stack:
        try:
            file = _unpacked(open_file(path), path, stack)
        except _DAMAGE as error:
            raise_if_unreachable(error, path)
            raise Unreadable(path, f"cannot be unpacked: {first_line(error)}") from None
        yield file


def _unpacked(raw: BinaryIO, path: str, stack: ExitStack) -> BinaryIO:
    file = stack.enter_context(raw)
    if _peek(file, 4) == b"PK\x03\x04":
        return _zip_member(stack.enter_context(zipfile.ZipFile(file)), path, stack)
    file = _decompressed(file, stack)
    if _peek(file, _TAR_AT + len(_TAR))[_TAR_AT:] == _TAR:
        return _tar_member(file, path, stack)
    return file


def _decompressed(file: BinaryIO, stack: ExitStack) -> BinaryIO:
    head = _peek(file, 6)
    if head.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file)))
    if head.startswith(b"BZh"):
        return cast(BinaryIO, stack.enter_context(bz2.BZ2File(file)))
    if head == b"\xfd7zXZ\x00":
        return cast(BinaryIO, stack.enter_context(lzma.LZMAFile(file)))
    return file


def _peek(file: BinaryIO, count: int) -> bytes:
    head = file.read(count)
    file.seek(0)
    return head


def _zip_member(archive: zipfile.ZipFile, path: str, stack: ExitStack) -> BinaryIO:
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    name = _only(names, path)
    return cast(BinaryIO, stack.enter_context(archive.open(name)))


def _tar_member(file: BinaryIO, path: str, stack: ExitStack) -> BinaryIO:
    """Find the pickle in a pass over the headers; the archive is then read up to it."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        members = {info.name: info for info in archive if info.isfile()}
    member = members[_only(list(members), path)]
    file.seek(member.offset_data)
    return cast(BinaryIO, _Window(file, member.size))


class _Window:
    """The next bytes of a file, as `pickle` reads them."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int = -1) -> bytes:
        wanted = self._left if count < 0 else min(count, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readline(self) -> bytes:
        data = self._file.readline(self._left)
        self._left -= len(data)
        return data


def _only(names: list[str], path: str) -> str:
    found = [name for name in names if name.lower().endswith(_PICKLES) and not name.rpartition("/")[2].startswith(".")]
    if len(found) != 1:
        held = "no pickle" if not found else f"{len(found)} pickles ({', '.join(sorted(found)[:3])})"
        raise Unreadable(path, f"holds {held}, but one is expected; unpack it and name the pickle itself")
    return found[0]
