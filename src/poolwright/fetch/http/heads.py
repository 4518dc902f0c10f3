"""Parse the head of a response, passing over what cannot be read, as browsers, curl and urllib do.

RFC 9112 asks for two of these repairs: no space before the colon (5.1), and a space for a bare CR (2.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from poolwright.fetch.outcome import Failure

HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/(\d\.\d) +(\d{3})(?: .*)?", re.DOTALL)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)
_UNREADABLE = re.compile(rb"[\x00\r\x0b\x0c]")
_LENGTH = re.compile(rb"\d{1,20}(\s*,\s*\d{1,20})*")


@dataclass(frozen=True)
class ResponseHead:
    """Status line and header lines of a response.

    Attributes:
        version: such as b'1.1'.
        status: three digits.
        fields: name and value of each header line that can be read, but for those of lengths and transfer encodings.
        lengths: the lengths that Content-Length gives; lengths that are not numbers are passed over.
        codings: words of Transfer-Encoding in lower case, each once, without 'identity'.
    """

    version: bytes
    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    lengths: frozenset[int]
    codings: tuple[bytes, ...]


def parse_head(head: bytes) -> ResponseHead:
    """Parse the bytes before the empty line that ends a head.

    Raises:
        Failure: bad_response, if they do not begin with a status line.
    """
    first, *lines = head.replace(b"\r\n", b"\n").split(b"\n")
    line = _STATUS.fullmatch(_UNREADABLE.sub(b" ", first))
    if line is None:
        raise Failure("bad_response", f"begins with {head[:40]!r}, which is no status line of HTTP/1.1")
    fields: list[tuple[bytes, bytes]] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for name, value in _fields(lines):
        lower = name.lower()
        if lower == b"transfer-encoding":
            codings += [word.strip().lower() for word in value.split(b",")]
        elif lower == b"content-length":
            lengths += value.split(b",") if _LENGTH.fullmatch(value) else []
        else:
            fields.append((name, value))
    words = dict.fromkeys(word for word in codings if word not in (b"", b"identity"))
    return ResponseHead(line[1], int(line[2]), tuple(fields), frozenset(map(int, lengths)), tuple(words))


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Return name and value of every line that can be read; a line that begins with a space continues the last one."""
    found: list[tuple[bytes, bytes]] = []
    kept = False  # whether the line that a continuation belongs to was kept
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if kept:
                name, value = found[-1]
                found[-1] = name, value + b" " + _UNREADABLE.sub(b" ", line).strip()
            continue
        field = _FIELD.fullmatch(line)
        kept = field is not None
        if field is not None:
            found.append((field[1], _UNREADABLE.sub(b" ", field[2]).strip()))
    return found
