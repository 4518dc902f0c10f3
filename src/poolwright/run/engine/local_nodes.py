"""Keeps objects in processes of this machine, for work that holds the interpreter lock; see `Nodes`.

Each process is connected by a pair of sockets, over which either end calls the objects of the other. A process ends
with the one that started it, even if that is killed.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

from poolwright.core.runtime.nodes import NodeLost, RemoteObject
from poolwright.run.engine.errors import loaded_error
from poolwright.run.engine.holder import Holder
from poolwright.run.engine.processes import ending, start_module

_LENGTH = struct.Struct("<Q")
_ENDS_SECONDS = 10.0
"""Longest time between the last byte of a process and its end."""


class LocalNodes:
    """Places for processes on this machine; a process that ends by itself is not replaced.

    Args:
        count: number of places.
        optional: see `Nodes`.
    """

    here = True

    def __init__(self, count: int, optional: bool) -> None:
        self.optional = optional
        self._places = [str(number) for number in range(count)]
        self._objects: list[Holder] = []
        self._started: set[LocalObject] = set()

    def places(self) -> list[str]:
        """As `Nodes.places`."""
        return list(self._places)

    def start(self, place: str | None, make: Callable[..., Any], *given: Any) -> RemoteObject:
        """As `Nodes.start`, on a running event loop; what has no place is kept in this process."""
        if place is None:
            self._objects.append(Holder(None, make, *given))
            return OwnObject(self._objects[-1], len(self._objects) - 1)
        remote = LocalObject(self._objects, lambda: self._places.remove(place))
        sent = tuple(_Number(one.number) if isinstance(one, OwnObject) else one for one in given)
        remote.link.send((make, sent))
        self._started.add(remote)
        return remote

    def end(self, remote: RemoteObject) -> None:
        """As `Nodes.end`."""
        if isinstance(remote, LocalObject) and remote in self._started:
            self._started.remove(remote)
            remote.end()

    def end_all(self) -> None:
        """End all processes that were started."""
        for remote in list(self._started):
            self.end(remote)


class _Number(NamedTuple):
    """An object of the process that started this one, by its number."""

    number: int


class OwnObject:
    """An object in this process; see `RemoteObject`."""

    def __init__(self, holder: Holder, number: int) -> None:
        self.holder, self.number = holder, number

    async def call(self, method: str, *given: Any) -> Any:
        """As `RemoteObject.call`."""
        return _result(await self.holder.call(method, *given))


class LocalObject:
    """An object in a process of its own; see `RemoteObject`.

    Args:
        objects: what it may call here, by number.
        lost: called if the process ends by itself.
    """

    def __init__(self, objects: list[Holder], lost: Callable[[], None]) -> None:
        ours, its = socket.socketpair()
        with its:
            handle = str(its.fileno())
            self._process = start_module(__name__, handle, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)
        self.link, self._lost = _Link(objects, self._ended), lost
        self._socket, self._opening = ours, asyncio.create_task(self.link.open(ours))

    async def call(self, method: str, *given: Any) -> Any:
        """As `RemoteObject.call`."""
        return await self.link.call(0, method, *given)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._lost = lambda: None
        self._opening.cancel()
        self._process.kill()
        self._process.wait()
        self.link.close()
        self._socket.close()

    def _ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDS_SECONDS)
        self._process.kill()
        code = self._process.wait()
        self._lost()
        return f"the last one: {ending(code)}; if memory ran out, use fewer: --workers 1"


class _Link(asyncio.Protocol):
    """One end of a connection, on which both ends call objects of the other.

    A message is a length and the pickle of a call (number, object, method, given), of an answer (number, error,
    result), or, the first one, of what makes the object of the process (make, given).

    Args:
        objects: what the other end may call, by number.
        ended: called when the other process has ended; returns how.
    """

    def __init__(self, objects: list[Holder], ended: Callable[[], str]) -> None:
        self.objects, self._ended = objects, ended
        self._transport: asyncio.Transport | None = None
        self._unsent, self._received = list[bytes](), bytearray()
        self._numbers, self._waiting = count(), dict[int, asyncio.Future[Any]]()
        self._answering: set[asyncio.Task[None]] = set()
        self._lost: str | None = None

    async def open(self, end: socket.socket) -> None:
        """Begin to send and receive."""
        self._loop = asyncio.get_running_loop()
        await self._loop.create_connection(lambda: self, sock=end)

    async def call(self, number: int, method: str, *given: Any) -> Any:
        """Call a method of an object of the other end."""
        if self._lost is not None:
            raise NodeLost(self._lost)
        call, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._waiting[call] = answer
        self.send((call, number, method, given))
        try:
            return _result(await answer)
        finally:
            self._waiting.pop(call, None)

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message, once the connection is open."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._unsent += [_LENGTH.pack(len(data)), data]
        if self._transport is not None:
            self._flush()

    def close(self) -> None:
        """Close the connection, without what was not sent."""
        if self._transport is not None and not self._loop.is_closed():
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._received += data
        at = 0
        while len(self._received) >= at + _LENGTH.size:
            begin = at + _LENGTH.size
            end = begin + _LENGTH.unpack_from(self._received, at)[0]
            if len(self._received) < end:
                break
            message = bytes(self._received[begin:end])
            at = end
            self._take(pickle.loads(message))
        del self._received[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._ended()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(NodeLost(self._lost))

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def _take(self, message: tuple[Any, ...]) -> None:
        if len(message) == 2:
            make, given = message
            given = (_Caller(self, one.number) if isinstance(one, _Number) else one for one in given)
            self.objects.append(Holder(None, make, *given))
        elif len(message) == 4:
            answering = asyncio.create_task(self._answer(*message))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)
        else:
            number, error, result = message
            if number in self._waiting and not self._waiting[number].done():
                self._waiting[number].set_result((error, result))

    async def _answer(self, call: int, number: int, method: str, given: tuple[Any, ...]) -> None:
        self.send((call, *await self.objects[number].call(method, *given)))


class _Caller:
    """An object at the other end of a link; see `RemoteObject`."""

    def __init__(self, link: _Link, number: int) -> None:
        self.link, self.number = link, number

    async def call(self, method: str, *given: Any) -> Any:
        return await self.link.call(self.number, method, *given)


def _result(answer: tuple[bytes, Any]) -> Any:
    error, result = answer
    if error:
        raise loaded_error(error)
    return result


def _end() -> str:
    os._exit(1)


def serve(handle: int) -> None:
    """Have the object that the first message makes, for ever.

    Args:
        handle: of the socket.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    os.dup2(2, 1)  # what is printed does not get between the results of a command
    asyncio.run(_serve(socket.socket(fileno=handle)))


async def _serve(end: socket.socket) -> None:
    await _Link([], _end).open(end)
    await asyncio.Event().wait()


if __name__ == "__main__":
    from poolwright.run.engine import local_nodes  # whose classes are those of the messages

    local_nodes.serve(int(sys.argv[1]))
