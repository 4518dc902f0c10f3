"""Open files packed with gzip, bzip2, xz or Zstandard, known by the ending of their names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, cast

import pyarrow as pa

_BUFFER = 1 << 18


def _zstandard(packed: BinaryIO) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(packed, "r"), "zstd")


_OPENERS: Mapping[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda packed: gzip.GzipFile(fileobj=packed),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstandard,
}

ENDINGS = tuple(_OPENERS)
"""Endings of the names of packed files, after the extension of their format: 'rows.csv.gz'."""

_DAMAGE = (pa.ArrowException, OSError, EOFError, zlib.error, lzma.LZMAError)


def is_packed(name: str) -> bool:
    """Whether a file is packed, by its name."""
    return name.lower().endswith(ENDINGS)


def unpacked_name(name: str) -> str:
    """Return a name without the ending of a packed file."""
    return name[: name.rindex(".")] if is_packed(name) else name


def unpacked(packed: BinaryIO, name: str) -> BinaryIO:
    """Return the content of a file that may be packed, all members or frames of it; it closes the file with itself.

    Reading raises an OSError without an errno if the packed data is damaged or cut off.

    Args:
        packed: the file, at its beginning.
        name: its name or path.
    """
    if not is_packed(name):
        return packed
    return io.BufferedReader(cast(io.RawIOBase, _Unpacked(packed, name)), _BUFFER)


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a file, from its beginning to its end."""

    def __init__(self, packed: BinaryIO, name: str) -> None:
        self._packed, self._at = packed, 0
        inner = _OPENERS[name[name.rindex(".") :].lower()](packed)
        self._read = getattr(inner, "read1", inner.read)  # so that an error is as late as it can be

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._read(len(buffer))
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            text = str(error).strip().partition("\n")[0]
            raise OSError(f"the packed data is damaged or cut off after {self._at:,} unpacked bytes ({text})") from None
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        super().close()
        self._packed.close()
