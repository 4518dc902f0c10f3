"""Clean the head of a response before h11 parses it, which refuses a whole response for one line that is not valid.

Browsers, curl and urllib pass over a header line that cannot be read. RFC 9112 asks for two of these repairs: no space
before the colon (5.1), and a space for a bare CR (2.2).
"""

from __future__ import annotations

import re
from typing import Any

_LONGEST = 64 << 10
_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)
_UNREADABLE = re.compile(rb"[\x00\r\x0b\x0c]")


def clean_head(head: bytes) -> bytes:
    """Return a status line and its header lines, without those that cannot be read.

    Also left out are lengths that are not numbers, and transfer encodings that say nothing: 'identity', or 'chunked' a
    second time.
    """
    status, *lines = head.replace(b"\r\n", b"\n").split(b"\n")
    kept = [_UNREADABLE.sub(b" ", status)]
    before = False  # whether the line that a continuation belongs to was kept
    codings: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if before:
                kept.append(b" " + _UNREADABLE.sub(b" ", line).strip())
            continue
        field = _FIELD.fullmatch(line)
        before = field is not None
        if field is None:
            continue
        name, value = field[1], _UNREADABLE.sub(b" ", field[2]).strip()
        if name.lower() == b"transfer-encoding":
            codings += [word.strip().lower() for word in value.split(b",")]
            before = False
        elif name.lower() == b"content-length" and not re.fullmatch(rb"\d{1,20}(\s*,\s*\d{1,20})*", value):
            before = False
        else:
            kept.append(name + b": " + value)
    codings = [word for word in dict.fromkeys(codings) if word not in (b"", b"identity")]
    if codings:
        kept.append(b"Transfer-Encoding: " + b", ".join(codings))
    return b"\r\n".join(kept)


class CleanHeads:
    """A network stream of httpcore2 that cleans the heads of responses; a request that is written starts the next.

    Args:
        stream: the stream itself.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._in_head = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes. All of a head come at once."""
        data: bytes = await self._stream.read(max_bytes, timeout)
        if not self._in_head:
            return data
        ready = b""
        while self._in_head:
            data = data.lstrip(b"\r\n")
            end = _END.search(data)
            if end:
                head, data = data[: end.start()], data[end.end() :]
                ready += clean_head(head) + b"\r\n\r\n"
                self._in_head = re.match(rb"HTTP/\S+ 1\d\d\b", head) is not None
                continue
            more = b"" if len(data) > _LONGEST or (ready and not data) else await self._stream.read(max_bytes, timeout)
            if not more:
                self._in_head = bool(ready) and not data
                break
            data += more
        return ready + data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write a request, or a part of it."""
        self._in_head = self._in_head or bool(buffer)
        await self._stream.write(buffer, timeout)

    async def start_tls(self, *arguments: Any, **more: Any) -> CleanHeads:
        """Return the encrypted stream, which cleans heads too."""
        return CleanHeads(await self._stream.start_tls(*arguments, **more))

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore2 asks of the socket."""
        return self._stream.get_extra_info(info)
