"""Find where the body of a response ends (RFC 9112, 6.3): after a length, in chunks, or with the connection."""

from __future__ import annotations

import re
from typing import Protocol

from poolwright.fetch.http.heads import ResponseHead
from poolwright.fetch.outcome import Failure

_WITHOUT_BODY = (204, 304)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(;.*)?[ \t]*", re.DOTALL)
_LONGEST_LINE = 16 << 10


class Framing(Protocol):
    """Takes the bytes after a head as they arrive.

    Attributes:
        done: whether the body is whole.
        rest: bytes that came after its end, which no request asked for.
    """

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body among the next bytes of the connection."""
        ...

    def end(self) -> None:
        """Take note that the connection has ended.

        Raises:
            Failure: connection_lost, if the body is not whole.
        """
        ...


def framing_of(head: ResponseHead) -> Framing:
    """Return the framing of the body after a head.

    Raises:
        Failure: bad_response, if it has a transfer encoding that was not asked for, or several lengths.
    """
    if head.status in _WITHOUT_BODY:
        return Sized(0)
    if head.codings:
        if head.codings != (b"chunked",):
            words = b", ".join(head.codings).decode("latin-1")
            raise Failure("bad_response", f"transfer encoding '{words}', but none was asked for")
        return Chunked()
    if len(head.lengths) > 1:
        raise Failure("bad_response", f"several lengths: {', '.join(map(str, sorted(head.lengths)))}")
    return Sized(*head.lengths) if head.lengths else UntilClosed()


class Sized:
    """A body of `length` bytes."""

    def __init__(self, length: int) -> None:
        self._length = self._left = length
        self.done, self.rest = not length, b""

    def feed(self, data: bytes) -> bytes:
        left = self._left
        if len(data) > left:
            self.rest += data[left:]
            data = data[:left]
        self._left = left - len(data)
        self.done = not self._left
        return data

    def end(self) -> None:
        if not self.done:
            received = self._length - self._left
            raise Failure("connection_lost", f"ended after {received:,} of {self._length:,} bytes")


class UntilClosed:
    """A body that ends with the connection."""

    def __init__(self) -> None:
        self.done, self.rest = False, b""

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.done = True


class Chunked:
    """A body in chunks (RFC 9112, 7.1), each after its size in hex; extensions and trailers are left out."""

    def __init__(self) -> None:
        self.done, self.rest = False, b""
        self._line = b""  # the beginning of a line
        self._left = 0  # bytes of the chunk that are to come
        self._after = False  # whether the line that ends a chunk comes next
        self._trailers = False

    def feed(self, data: bytes) -> bytes:
        pieces = []
        while data and not self.done:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                pieces.append(piece)
                self._left -= len(piece)
                self._after = not self._left
                continue
            begun, end, data = data.partition(b"\n")
            self._line += begun
            if len(self._line) > _LONGEST_LINE:
                raise Failure("bad_response", f"a line of more than {_LONGEST_LINE:,} bytes between chunks")
            if end:
                line, self._line = self._line, b""
                self._take(line)
        self.rest += data
        return b"".join(pieces)

    def _take(self, line: bytes) -> None:
        """Take a line between two chunks, without its LF."""
        if self._trailers:
            self.done = line == b"\r"
            return
        if self._after and line == b"\r":
            self._after = False
            return
        size = _SIZE.fullmatch(line[:-1]) if line.endswith(b"\r") else None
        if self._after or size is None:
            raise Failure("bad_response", f"{line[:40]!r} where a chunk should {'end' if self._after else 'begin'}")
        self._left = int(size[1], 16)
        self._trailers = not self._left

    def end(self) -> None:
        if not self.done:
            raise Failure("connection_lost", "ended before the last chunk")
