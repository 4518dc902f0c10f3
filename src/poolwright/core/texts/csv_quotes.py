"""Find quote marks in CSV that are opened and never closed: a parser takes the lines after them as one value."""

from __future__ import annotations

import re
from collections.abc import Iterable

_QUOTE = ord('"')
_CLOSE = re.compile(rb'(?:[^"]|"")*+"(?!")')
_BOM = b"\xef\xbb\xbf"


def unclosed_quote(lines: Iterable[bytes], delimiter: str) -> str:
    """Say which quoted value of several lines is not closed before a delimiter or the end of a line; '' if all are.

    Args:
        lines: of a whole file, with their ends.
        delimiter: one character.
    """
    mark, opened = delimiter.encode(), 0
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix(_BOM) if number == 1 else line
        if b'"' not in line:
            continue
        start = 0
        if opened:
            closed = _CLOSE.match(line)
            if closed is None:
                continue
            start = closed.end()
            if line[start : start + 1] not in (mark, b"\r", b"\n", b""):
                break
            opened = 0
            start = line.find(mark, start) + 1 or len(line)
        if is_open(line[start:], mark):
            opened = number
    if not opened:
        return ""
    return (
        f"line {opened}: a quote mark opens a value that is never closed, so the lines after it would be part of it; "
        "close or double the quote mark"
    )


def is_open(line: bytes, delimiter: bytes) -> bool:
    """Whether a line that begins outside of a quoted value ends within one."""
    at = 0
    while at < len(line):
        if line[at] == _QUOTE:
            closed = _CLOSE.match(line, at + 1)
            if closed is None:
                return True
            at = closed.end()
        at = line.find(delimiter, at) + 1
        if not at:
            return False
    return False
