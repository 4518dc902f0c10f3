"""List the members of tars, plain or packed by gzip, with their offsets, without reading their contents.

A key is the name of a member up to the first dot of its last part, as in WebDataset: `000012.jpg`, `000012.txt` and
`000012.json` are one sample (https://github.com/webdataset/webdataset).
"""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, NamedTuple, cast

from poolwright.core.errors import is_installed
from poolwright.core.remote.files import open_file
from poolwright.pools.readers.paths import Unreadable, base_name

_BLOCK = 512
_REGULAR = (b"0", b"\0")
_META = "__"


class TarMember(NamedTuple):
    """A regular file in a tar: its name, and the place of its content in the unpacked tar."""

    name: str
    offset: int
    size: int


def key_of(name: str, last: bool = False) -> tuple[str, str]:
    """Return the key of a member, and its extension in lower case; the extension is '' if it is of no sample.

    Members without an extension, hidden ones, and those that WebDataset takes for its own, '__NAME__', are of none.

    Args:
        last: whether the key ends at the last dot rather than at the first.
    """
    name = name.removeprefix("./")
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.rpartition(".") if last else base.partition(".")
    top = name.partition("/")[0]
    is_own = len(top) > 2 * len(_META) and top.startswith(_META) and top.endswith(_META)
    return f"{folder}{slash}{stem}", "" if is_own or base.startswith(".") or not stem else extension.lower()


def cut_off(path: str) -> bool:
    """Whether a tar does not end in a block of zeros, as every finished one does.

    Raises:
        OSError: the file cannot be read.
    """
    with open_file(path) as file:
        size = file.seek(0, 2)
        if size < 2 * _BLOCK:
            return True
        file.seek(size - _BLOCK)
        return any(file.read(_BLOCK))


def is_gzip(path: str) -> bool:
    """Whether the name of a tar says that it is packed by gzip."""
    return path.lower().endswith((".gz", ".tgz"))


@contextmanager
def open_tar(path: str, seek_points: str = "") -> Iterator[BinaryIO]:
    """Open a tar, unpacked if it is packed by gzip: by rapidgzip if that is installed, else by Python.

    Python's reader can only go forward, and begins anew to go back.

    Args:
        seek_points: file in which rapidgzip keeps where it can start; read if it exists. '' for none.

    Raises:
        Unreadable: the packed file is damaged.
        OSError: the file cannot be opened.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_file(path))
        if not is_gzip(path):
            yield file
            return
        if not is_installed("rapidgzip"):
            yield cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file)))
            return
        import rapidgzip

        try:
            packed = stack.enter_context(rapidgzip.open(file, parallelization=1))
            if seek_points and os.path.isfile(seek_points):
                packed.import_index(seek_points)
            yield packed
        except (RuntimeError, ValueError) as error:
            raise Unreadable(path, f"{base_name(path)} is damaged or cut off: {error}") from None


class TarScan:
    """Lists the regular files of a tar in their order. An iterator.

    Attributes:
        others: number of members that are no regular files, such as links, and the name of the first.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.others: tuple[int, str] = (0, "")
        self._path, self._file, self._offset = path, file, 0
        self._archive: Any = None

    def __iter__(self) -> TarScan:
        return self

    def __next__(self) -> TarMember:
        """Return the next one.

        Raises:
            Unreadable: the tar is damaged, cut off, or goes on after its end.
        """
        self._file.seek(self._offset)
        header = self._file.read(_BLOCK)
        if (plain := _plain_member(header, self._offset)) is not None:
            self._offset += _BLOCK + -(-plain.size // _BLOCK) * _BLOCK
            return plain
        return self._by_tarfile()

    def _by_tarfile(self) -> TarMember:
        """Read headers of all other kinds, such as those of long names."""
        while True:
            try:
                if self._archive is None:
                    self._file.seek(0)
                    self._archive = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115
                if self._offset:  # else it has read the first member already
                    self._archive.firstmember, self._archive.offset = None, self._offset
                member = self._archive.next()
            except (tarfile.TarError, EOFError) as error:
                raise Unreadable(self._path, f"{base_name(self._path)} is no tar, or cut off: {error}") from None
            self._archive.members.clear()  # tarfile would keep them all
            if member is None:
                self._check_end()
                raise StopIteration
            self._offset = self._archive.offset
            if member.isreg() and not member.issparse():
                return TarMember(member.name, member.offset_data, member.size)
            if not member.isdir():
                self.others = self.others[0] + 1, self.others[1] or member.name

    def _check_end(self) -> None:
        """Check that only zeros follow: tarfile takes an invalid header for the end."""
        self._file.seek(self._offset)
        block = self._file.read(_BLOCK)
        if len(block) < _BLOCK or any(block):
            raise Unreadable(self._path, f"{base_name(self._path)} is damaged or cut off at byte {self._offset:,}")
        while rest := self._file.read(1 << 20):
            if rest.strip(b"\0"):
                raise Unreadable(
                    self._path,
                    f"{base_name(self._path)} goes on after its end, as tars do that were joined by cat; unpack it "
                    "with 'tar --ignore-zeros' and pack it again",
                )


def _plain_member(header: bytes, offset: int) -> TarMember | None:
    """Parse the header of a regular file with a short name; None for any other block."""
    if header[257:262] != b"ustar" or header[156:157] not in _REGULAR:
        return None
    try:
        size = int(header[124:136].rstrip(b" \0"), 8)
        checksum = int(header[148:156].rstrip(b" \0"), 8)
        name = header[:100].partition(b"\0")[0].decode()
        prefix = header[345:500].partition(b"\0")[0].decode() if header[257:263] == b"ustar\0" else ""
    except ValueError:
        return None
    if checksum != sum(header) - sum(header[148:156]) + 8 * ord(" ") or size < 0 or not name or name.endswith("/"):
        return None
    return TarMember(f"{prefix}/{name}" if prefix else name, offset + _BLOCK, size)
