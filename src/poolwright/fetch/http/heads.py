"""Clean the head of a response before it is parsed: parsers refuse a whole response for one line that is not valid.

Browsers, curl and urllib pass over a header line that cannot be read. RFC 9112 asks for two of these repairs: no space
before the colon (5.1), and a space for a bare CR (2.2).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

_LONGEST = 64 << 10
_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)
_LINES = rb"(?:\r\n(?!(?i:transfer-encoding|content-length)\b)[!#$%&'*+.^_`|~0-9A-Za-z-]+: [!-~](?:[ -~]*[!-~])?)*"
_PLAIN = re.compile(rb"HTTP/1\.[01] \d{3}(?: [ -~]*)?" + _LINES + rb"\r\nContent-Length: \d{1,20}" + _LINES)
"""A head in which there is nothing to clean, as most are."""

_LENGTH = re.compile(rb"\d{1,20}(\s*,\s*\d{1,20})*")
_LENGTHS = re.compile(rb"\r\nContent-Length: (\d+)")
_UNREADABLE = re.compile(rb"[\x00\r\x0b\x0c]")
_INTERIM = re.compile(rb"HTTP/\S+ +1(?!01)\d\d\b")
_WITHOUT_BODY = re.compile(rb"HTTP/\S+ +(204|304)\b")
_SAYS_NOTHING = (b"", b"identity")


def clean_head(head: bytes) -> bytes:
    """Return a status line and its header lines, without those that cannot be read.

    Also left out are lengths that are not numbers or are said again, and transfer encodings that say nothing:
    'identity', or 'chunked' a second time. With a transfer encoding, lengths are left out (RFC 9112, 6.3).
    """
    if _PLAIN.fullmatch(head):
        return head
    status, *lines = head.replace(b"\r\n", b"\n").split(b"\n")
    kept: list[bytes] = []
    codings: list[bytes] = []
    lengths: list[bytes] = []
    before = False  # whether the line that a continuation belongs to was kept
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if before:
                kept[-1] += b" " + _UNREADABLE.sub(b" ", line).strip()
            continue
        field = _FIELD.fullmatch(line)
        before = False
        if field is None:
            continue
        name, value = field[1].lower(), _UNREADABLE.sub(b" ", field[2]).strip()
        if name == b"transfer-encoding":
            codings += [word.strip().lower() for word in value.split(b",")]
        elif name == b"content-length":
            lengths += [word.strip() for word in value.split(b",")] if _LENGTH.fullmatch(value) else []
        else:
            kept.append(field[1] + b": " + value)
            before = True
    codings = [word for word in dict.fromkeys(codings) if word not in _SAYS_NOTHING]
    if codings:
        kept.append(b"Transfer-Encoding: " + b", ".join(codings))
    else:
        kept += [b"Content-Length: " + length for length in dict.fromkeys(lengths)]
    return b"\r\n".join([_UNREADABLE.sub(b" ", status), *kept])


class CleanHeads(asyncio.Protocol):
    """Passes what arrives on a connection to a protocol, the heads of responses cleaned.

    Args:
        protocol: parses the responses.
        surplus: called if more arrives than a response has.
    """

    def __init__(self, protocol: asyncio.BaseProtocol, surplus: Callable[[], None]) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._surplus = surplus
        self._protocol = protocol
        self._in_head, self._begun = False, b""
        self._left: int | None = None  # bytes of the body that are to come, if they are known
        self.connection_made = protocol.connection_made  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def expect_head(self) -> None:
        """Clean what arrives next, up to the end of a head; a request is about to be sent."""
        self._in_head, self._left = True, None

    def data_received(self, data: bytes) -> None:
        ready = b""
        while self._in_head:
            data = (self._begun + data).lstrip(b"\r\n")
            self._begun = b""
            end = _END.search(data)
            if end is None:
                self._in_head = len(data) <= _LONGEST
                if self._in_head:
                    self._begun, data = data, b""
                break
            head, data = clean_head(data[: end.start()]), data[end.end() :]
            ready += head + b"\r\n\r\n"
            self._in_head = _INTERIM.match(head) is not None
            lengths = [b"0"] if _WITHOUT_BODY.match(head) else _LENGTHS.findall(head)
            self._left = int(lengths[0]) if len(lengths) == 1 else None
        if ready or data:
            self._protocol.data_received(ready + self._within_length(data))

    def _within_length(self, data: bytes) -> bytes:
        """Cut off what a server sends after the end of a body, as browsers do; the connection is not used again."""
        if self._left is None:
            return data
        if len(data) > self._left:
            self._surplus()
        data = data[: self._left]
        self._left -= len(data)
        return data

    def eof_received(self) -> bool | None:
        self._flush()
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._flush()
        self._protocol.connection_lost(exc)

    def _flush(self) -> None:
        """Pass on the beginning of a head, so that the parser can say what is wrong with it."""
        begun, self._begun = self._begun, b""
        if begun:
            self._protocol.data_received(begun)
