"""Speak HTTP/1.1 on one connection: send a request, read its response, then perhaps the next.

The client is our own since it is most of the time of a fetch, and needs little: GET alone, no redirects, no cookies,
nothing sent on its own; see decision 16.
"""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic

from poolwright.fetch.http.bodies import framing_of
from poolwright.fetch.http.headers import Headers
from poolwright.fetch.http.heads import HEAD_END, ResponseHead, parse_head
from poolwright.fetch.outcome import Failure

_LONGEST_HEAD = 64 << 10
_MOST_WAITING = 1 << 20
"""Bytes that may wait to be read before the server is held up."""

_SWITCHING = 101


class Connection(asyncio.BufferedProtocol):
    """One connection to a server, used by one request at a time.

    Args:
        timeout: seconds that the server may be silent.
        buffer: memory for what is received at once, which all connections of an event loop share.

    Attributes:
        idle_since: when the last response was read, by `monotonic`.
    """

    def __init__(self, timeout: float, buffer: memoryview) -> None:
        self.timeout, self.idle_since, self._buffer = timeout, monotonic(), buffer
        self._arrived: list[bytes] = []
        self._size = 0
        self._ended = self._paused = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._arrived.append(bytes(self._buffer[:nbytes]))
        self._size += nbytes
        if self._size > _MOST_WAITING:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, self._error or exc
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def respond(self, request: bytes) -> Response:
        """Send a request and return its response, of which the head has been read.

        Raises:
            Failure: connection_lost, read_timeout or bad_response.
        """
        self._transport.write(request)
        head, data = await self._head(b"")
        while head.status < 200 and head.status != _SWITCHING:
            head, data = await self._head(data)
        return Response(self, head, data)

    async def _head(self, data: bytes) -> tuple[ResponseHead, bytes]:
        """Return the next head, which may begin with `data`, and the bytes after it."""
        while True:
            data = data.lstrip(b"\r\n")
            if end := HEAD_END.search(data):
                return parse_head(data[: end.start()]), data[end.end() :]
            if len(data) > _LONGEST_HEAD:
                raise Failure("bad_response", f"more than {_LONGEST_HEAD:,} bytes of headers")
            if not (more := await self.read()):
                if data and not data.startswith(b"HTTP/"[: len(data)]):
                    parse_head(data)
                raise Failure("connection_lost", "ended within the headers" if data else "ended without a response")
            data += more

    async def read(self) -> bytes:
        """Return the bytes that have arrived, once there are some; b'' at the end of the connection.

        Raises:
            Failure: connection_lost or read_timeout.
        """
        if not self._arrived and not self._ended:
            await self._wait()
        if self._arrived:
            return self.arrived()
        if self._error is not None:
            raise Failure("connection_lost", str(self._error) or type(self._error).__name__)
        return b""

    def arrived(self) -> bytes:
        """Return the bytes that have arrived, without waiting."""
        data = self._arrived[0] if len(self._arrived) == 1 else b"".join(self._arrived)
        self._arrived.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._reader = loop.create_future()
        timer = loop.call_later(self.timeout, self._fall_silent, self._reader)
        try:
            await self._reader
        finally:
            timer.cancel()
            self._reader = None

    def _fall_silent(self, reader: asyncio.Future[None]) -> None:
        if not reader.done():
            reader.set_exception(Failure("read_timeout", f"silent for {self.timeout:g} s"))

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on encrypted, within a tunnel that a proxy has made.

        Raises:
            OSError: the handshake failed; `ssl.SSLError` if it is because of the certificate or the protocol.
        """
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self._transport, self, context, server_hostname=host)
        assert transport is not None
        self._transport = transport

    def is_open(self) -> bool:
        """Whether another request may be sent: the server has neither ended the connection nor sent more."""
        return not (self._ended or self._arrived or self._transport.is_closing())

    def close(self) -> None:
        """Close the connection at once."""
        self._transport.abort()


class Response:
    """The response to a request; iterate it for the pieces of its body.

    Args:
        connection: where the body comes from.
        head: its head.
        data: bytes that came with the head.

    Raises:
        Failure: bad_response, if it is not clear where the body ends.
    """

    def __init__(self, connection: Connection, head: ResponseHead, data: bytes) -> None:
        self.status, self.headers = head.status, Headers(head.fields)
        self.length = None if head.codings else next(iter(head.lengths), None)
        self._connection, self._data, self._framing = connection, data, framing_of(head)
        self._lasting = head.version != b"1.0" and head.status != _SWITCHING

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> bytes:
        while not self._framing.done:
            data, self._data = self._data or await self._connection.read(), b""
            if not data:
                self._framing.end()
            elif piece := self._framing.feed(data):
                return piece
        raise StopAsyncIteration

    def is_reusable(self) -> bool:
        """Whether the connection can take another request: the response has ended, perhaps with unread bytes."""
        if not self._lasting or "close" in ",".join(self.headers.every("connection")).lower():
            return False
        try:
            if not self._framing.done:
                self._framing.feed(self._data + self._connection.arrived())
                self._data = b""
        except Failure:
            return False
        return self._framing.done and not (self._data or self._framing.rest) and self._connection.is_open()
