"""Find images in a WebDataset tar by key.

A key is the name of a member up to its first dot, as in WebDataset: `000012.jpg`, `000012.txt` and `000012.json`
are one sample (https://github.com/webdataset/webdataset).
"""

from __future__ import annotations

import tarfile
from collections import Counter
from types import TracebackType
from typing import BinaryIO

from poolwright.core.images.formats import IMAGE_EXTENSIONS
from poolwright.core.images.image import Limits
from poolwright.pools.readers.paths import Unreadable, base_name, open_file

_BLOCK = 512


def key_of(name: str) -> tuple[str, str]:
    """Return the key of a member, and its extension in lower case."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


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


class TarImages:
    """Reads the images of one tar. A context manager.

    The tar is scanned once, no further than needed, and the offsets of its members are kept: rows in any order are
    read in one pass. A tar that was packed again from a folder has its name before every key; it is not needed.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._members: dict[str, tuple[int, int]] = {}  # offset and size by key
        self._file: BinaryIO = open_file(path)
        self._archive: tarfile.TarFile | None = None
        self._at_end = False
        self._bare: dict[str, tuple[int, int]] | None = None

    def __enter__(self) -> TarImages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, key: str) -> bytes | str:
        """Return the bytes of the image of a key, or the name of the reason why there are none.

        Raises:
            Unreadable: the tar is damaged or cut off.
        """
        while key not in self._members and not self._at_end:
            self._next()
        found = self._members.get(key) or self._below_folders().get(key)
        if found is None:
            return "missing_file"
        offset, size = found
        if size > Limits.max_bytes:
            return "too_many_bytes"
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) < size:
            raise Unreadable(self._path, f"{base_name(self._path)} is cut off within the image of '{key}'")
        return data

    def _below_folders(self) -> dict[str, tuple[int, int]]:
        """Return the members of a whole tar by key without its folder, if that is the key of one member alone."""
        if self._bare is None:
            bare = Counter(key.rpartition("/")[2] for key in self._members)
            self._bare = {
                name: place for key, place in self._members.items() if bare[name := key.rpartition("/")[2]] == 1
            }
        return self._bare

    def _next(self) -> None:
        try:
            if self._archive is None:
                self._archive = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115
            member = self._archive.next()
        except (tarfile.TarError, EOFError) as error:
            raise Unreadable(self._path, f"{base_name(self._path)} is no tar, or cut off: {error}") from None
        self._archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
        if member is None:
            self._check_end(self._archive.offset)
            self._at_end = True
        elif member.isreg() and not member.issparse():
            key, extension = key_of(member.name)
            if extension in IMAGE_EXTENSIONS:
                self._members.setdefault(key, (member.offset_data, member.size))

    def _check_end(self, offset: int) -> None:
        """Check that the end is a block of zeros: tarfile takes an invalid header for the end."""
        self._file.seek(offset)
        block = self._file.read(_BLOCK)
        if len(block) < _BLOCK or any(block):
            raise Unreadable(self._path, f"{base_name(self._path)} is damaged or cut off at byte {offset:,}")
