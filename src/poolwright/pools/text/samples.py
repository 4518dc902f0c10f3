"""Take samples of text files: whole lines from their beginning, middle and end."""

from __future__ import annotations

import io
from typing import BinaryIO

from poolwright.pools.readers.paths import DAMAGE, Unreadable, first_line, open_text, raise_if_unreachable

TOTAL_BYTES = 3 << 20
"""Bytes that the samples of all files of a pool may have together; each has at least some lines of every file."""

_LEAST_BYTES = 1 << 11
_UNPACKED = 4  # a packed file is unpacked so many times the size of its sample


def bytes_of_each(files: int) -> int:
    """Return the size of each of the three pieces that are taken from each of `files` files."""
    return max(_LEAST_BYTES, TOTAL_BYTES // (3 * max(files, 1)))


def pieces_of(path: str, size: int, encoding: str = "utf-8") -> list[bytes]:
    """Read up to three pieces of about `size` bytes: the first lines, some from the middle, and the last ones.

    A file of at most three pieces comes as one. Of a file that is packed or not in UTF-8, only the beginning is read,
    and the pieces are taken from that.

    Returns:
        At least one piece, in UTF-8; all consist of whole lines, and the first begins with the file. A byte order mark
        is left out.

    Raises:
        Unreadable: the content is damaged.
        InputError: the file cannot be opened.
    """
    try:
        with open_text(path, encoding) as file:
            source = file if file.seekable() else io.BytesIO(_whole_lines(file, 3 * size * _UNPACKED))
            found = _pieces(source, size)
    except DAMAGE as error:
        raise_if_unreachable(error, path)
        raise Unreadable(path, f"cannot be read: {first_line(error)}") from None
    found[0] = found[0].removeprefix(b"\xef\xbb\xbf")
    return found


def _pieces(source: BinaryIO, size: int) -> list[bytes]:
    total = source.seek(0, io.SEEK_END)
    source.seek(0)
    if total <= 3 * size:
        return [source.read()]
    found = [_whole_lines(source, size)]
    for start in ((total - size) // 2, total - size):
        source.seek(max(start, source.tell()))
        source.readline()  # the rest of a line
        found.append(_whole_lines(source, size))
    return found


def _whole_lines(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    return data if data.endswith(b"\n") else data + source.readline()
