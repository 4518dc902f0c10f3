"""Cut files of one record per line at line ends, and read them in blocks of lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.pools.readers.paths import Unreadable, open_text

CUT_BYTES = 1 << 25
"""Least size of a range, except the last."""

BLOCK_BYTES = 1 << 23
_SCAN_BYTES = 1 << 20
_LONGEST = 1 << 26
_ENDS = b"\r\n"


@dataclass(frozen=True)
class Range:
    """Whole lines of a file: `lines` of them from byte `begin` to byte `end`, after `before` others."""

    begin: int
    end: int
    before: int
    lines: int


def ranges(file: str, size: int | None = None) -> list[Range]:
    """Cut a local file into ranges of about `size` bytes at line ends. Blank lines at its end belong to none.

    Args:
        file: not packed.
        size: bytes; default `CUT_BYTES`.

    Returns:
        At least one range; its `lines` are 0 if the file is empty.
    """
    size = CUT_BYTES if size is None else size
    found: list[Range] = []
    begin = at = before = lines = 0
    with open(file, "rb", buffering=0) as source:
        stop = _last_byte(source)
        source.seek(0)
        while at < stop:
            block = source.read(min(_SCAN_BYTES, stop - at))
            if not block:
                break
            count = block.count(b"\n")
            cut = block.rfind(b"\n") + 1
            lines += count
            if cut and at + cut - begin >= size:
                found.append(Range(begin, at + cut, before, lines))
                begin, before, lines = at + cut, before + lines, 0
            at += len(block)
    if begin < stop or not found:
        found.append(Range(begin, stop, before, lines + (begin < stop)))
    return found


def _last_byte(source: BinaryIO) -> int:
    """Return the byte after the last line that is not blank."""
    at = source.seek(0, os.SEEK_END)
    while at:
        begin = max(0, at - _SCAN_BYTES)
        source.seek(begin)
        kept = len(source.read(at - begin).rstrip(_ENDS))
        if kept:
            return begin + kept
        at = begin
    return 0


def line_blocks(file: str, begin: int = 0, end: int | None = None) -> Iterator[pa.Array]:
    """Read the lines of a file in blocks of about 8 MB, without their ends ('\\n' or '\\r\\n').

    Args:
        file: path or URL, packed or not.
        begin: byte that a line starts at. Not for packed files.
        end: byte after the last line; None for the end of the file; blank lines there are left out.

    Yields:
        Bytes (n,), n at least 1.

    Raises:
        Unreadable: a line is longer than 64 MB, so the file has no lines.
        OSError, EOFError, zlib.error: the file cannot be read or unpacked.
    """
    for block in whole_lines(file, begin, end):
        yield split_block(block)


def split_block(block: bytes) -> pa.Array:
    """Split a block of `whole_lines` into lines."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return pc.split_pattern(pa.array([block], pa.binary()), b"\n").values


def whole_lines(file: str, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Read blocks like `line_blocks`, but as raw bytes, without the last '\\n' of each block."""
    rest = b""
    with open_text(file) as source:
        for block in _blocks(source, begin, end):
            rest = rest + block if rest else block
            # Blank lines wait until more follows: at the end of the file they do not count.
            filled = _filled(rest)
            if filled:
                cut = rest.index(b"\n", filled)
                yield rest[:cut]
                rest = rest[cut + 1 :]
            elif len(rest) > _LONGEST:
                raise Unreadable(file, f"a line of more than {_LONGEST >> 20} MB; these are no lines of metadata")
    rest = rest.rstrip(_ENDS) if end is None else rest
    if rest:
        yield rest.removesuffix(b"\n")


def _filled(data: bytes) -> int:
    """Count the bytes up to the end of the last whole line that is not blank."""
    at = data.rfind(b"\n")
    while at > 0 and data[at - 1] in _ENDS:
        at -= 1
    return max(at, 0)


def _blocks(source: BinaryIO, begin: int, end: int | None) -> Iterator[bytes]:
    if begin:
        source.seek(begin)
    left = None if end is None else end - begin
    while block := source.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left)):
        left = None if left is None else left - len(block)
        yield block
