"""Read local files, packed with gzip or bzip2 too, from any byte of their content on.

Packed files are read by rapidgzip (the extra `rapidgzip`), with an index that a first pass over the file gives.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import weakref
from pathlib import Path
from typing import Any, BinaryIO

from poolwright.core.errors import is_installed
from poolwright.core.files import write_text
from poolwright.core.remote.schemes import is_url
from poolwright.core.runtime.cores import cores
from poolwright.core.runtime.packed import is_packed
from poolwright.pools.readers.paths import first_line

_INDEXED = (".gz", ".bz2")


def can_seek(path: str) -> bool:
    """Whether the content of a file can be read from any byte on."""
    indexed = path.lower().endswith(_INDEXED) and is_installed("rapidgzip")
    return not is_url(path) and (indexed or not is_packed(path))


class SeekableFile(io.RawIOBase):
    """The content of a packed file, from any byte on.

    Args:
        path: local file, packed with gzip or bzip2.
        index: file that `save_index` wrote of it; without it, seeking means unpacking all that is before.
    """

    def __init__(self, path: str, index: str | None = None) -> None:
        import rapidgzip

        self._gzip, threads = path.lower().endswith(".gz"), 1 if index else cores()
        opened = rapidgzip._RapidgzipFile if self._gzip else rapidgzip._IndexedBzip2FileParallel
        self._file = opened(path, parallelization=threads)
        _OPEN.add(self)
        if index and self._gzip:
            self._file.import_index(index)
        elif index:
            offsets = json.loads(Path(index).read_text(encoding="utf-8"))
            self._file.set_block_offsets({int(at): int(start) for at, start in offsets.items()})

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._file.readinto(buffer))
        except (ValueError, RuntimeError) as error:
            raise OSError(f"the packed data is damaged or cut off: {first_line(error)}") from None

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def save_index(self, path: Path) -> None:
        """Write the index, once the whole file was read.

        Raises:
            OSError: it cannot be written.
        """
        if not self._gzip:
            write_text(path, json.dumps(self._file.block_offsets()))
            return
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.touch()  # an error of the file system has a number here
        self._file.export_index(str(partial))
        partial.replace(path)


_OPEN: weakref.WeakSet[SeekableFile] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what is still open: the threads of rapidgzip abort an interpreter that ends with them."""
    for file in list(_OPEN):
        file.close()


class FileWindow(io.RawIOBase):
    """The bytes of a file from `begin` to `end`; it closes the file with itself."""

    def __init__(self, file: BinaryIO | SeekableFile, begin: int, end: int) -> None:
        self._file, self._left = file, end - begin
        file.seek(begin)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left)) or b""
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        super().close()
        self._file.close()


def open_window(path: str, begin: int, end: int, index: str | None) -> BinaryIO:
    """Open a part of the content of a local file.

    Args:
        path: the file; packed with gzip or bzip2 only if there is an index.
        begin: first byte of the unpacked content.
        end: byte after the last.
        index: index of a packed file.
    """
    file = SeekableFile(path, index) if is_packed(path) else open(path, "rb")  # noqa: SIM115 - the window closes it
    return io.BufferedReader(FileWindow(file, begin, end), 1 << 18)
