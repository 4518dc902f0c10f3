"""Runs units in processes of this machine, for work that holds the interpreter lock.

They are started by a command line of their own, not by multiprocessing, so that a caller's script needs no
`if __name__ == "__main__"`. A process ends with the one that started it, even if that is killed.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

from poolwright.core.errors import PoolwrightError
from poolwright.run.engine.errors import loaded_error, noted, pickled_error

_LENGTH = struct.Struct("<Q")


@contextmanager
def processes(function: Callable[[int], Any], count: int) -> Iterator[Callable[[int], Any]]:
    """Start processes; give a function that calls `function` in one that is idle, from as many threads as there are.

    Args:
        function: can be pickled, and so can its results.
        count: number of processes.
    """
    import cloudpickle

    pickled = bytes(cloudpickle.dumps(function))
    idle: SimpleQueue[_Child] = SimpleQueue()
    children = [_Child(pickled) for _ in range(count)]
    for child in children:
        idle.put(child)

    def call(unit: int) -> Any:
        child = idle.get()
        try:
            return child.call(unit)
        finally:
            idle.put(child)

    try:
        yield call
    finally:
        for child in children:
            child.end()


class _Child:
    """A process that calls one function."""

    def __init__(self, function: bytes) -> None:
        self._process = start_module(__name__, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._send(function)

    def call(self, unit: int) -> Any:
        """Return what the function returns for a unit, or raise its error."""
        import cloudpickle

        self._send(_LENGTH.pack(unit))
        failed, result = self._received(), self._received()
        if failed is None or result is None:
            code = self._process.wait()
            raise PoolwrightError(
                f"a process that wrote for this run ended by itself ({ending(code)}); if memory ran out, use fewer: "
                "--workers 1. Finished work is kept: the same command continues"
            )
        if failed:
            raise loaded_error(failed)
        return cloudpickle.loads(result)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _send(self, data: bytes) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):  # it has ended, which the answer shows
                _write(self._process.stdin, data)

    def _received(self) -> bytes | None:
        return _read(self._process.stdout) if self._process.stdout is not None else None


def start_module(module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Run a module in a new process, with the packages of this one."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", module, *arguments]  # -P: files of the working folder hide no module
    return subprocess.Popen(command, env=environment, **options)


def ending(code: int) -> str:
    """Return how a process ended, in words."""
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def _write(pipe: BinaryIO | Any, data: bytes) -> None:
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _read(pipe: BinaryIO | Any) -> bytes | None:
    """Return the next message; None if the other process has ended."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data: bytes = pipe.read(length)
    return data if len(data) == length else None


def _receive(pipe: BinaryIO, messages: SimpleQueue[bytes]) -> None:
    """Receive messages until the other process ends, and end this one then, whatever it is doing."""
    while (message := _read(pipe)) is not None:
        messages.put(message)
    os._exit(1)


def _serve() -> None:
    """Call the function that the first message holds with the units of the others."""
    import cloudpickle

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed does not get between the answers
    messages: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, messages), daemon=True).start()
    function = cloudpickle.loads(messages.get())
    while True:
        (unit,) = _LENGTH.unpack(messages.get())
        try:
            error, result = b"", bytes(cloudpickle.dumps(function(unit)))
        except Exception as failure:
            error, result = pickled_error(noted(failure)), b""
        _write(answers, error)
        _write(answers, result)


if __name__ == "__main__":
    _serve()
