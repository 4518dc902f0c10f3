"""Overlap reading, computing and writing in one thread each: Parquet is decoded and encoded without the GIL."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_END: Any = object()


def read_ahead(items: Generator[_Item, None, None]) -> Iterator[_Item]:
    """Yield items, each of which a thread makes while the one before it is used; one more is in memory than is used."""
    with closing(items), ThreadPoolExecutor(1, "read-ahead") as thread:
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item


class WriteBehind:
    """A thread that makes one call after the other; at most one is not begun when `call` returns."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._last: Future[Any] | None = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Make a call once those before it have ended.

        Raises:
            Exception: what the call before raised.
        """
        if self._last is not None:
            self._last.result()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "write-behind")
        self._last = self._thread.submit(function, *arguments)

    def finish(self) -> None:
        """Wait for the last call, and end the thread.

        Raises:
            Exception: what the call raised.
        """
        thread, last = self._thread, self._last
        self._thread = self._last = None
        if thread is not None:
            thread.shutdown()
        if last is not None:
            last.result()
