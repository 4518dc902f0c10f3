"""Measures where the time of a unit went: reading, each step, writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

READ, WRITE = "read", "write"


class Spent:
    """Seconds of wall time by what they were spent on: `read`, the names of steps, `write`.

    A unit runs on one thread, so that these add up to its time.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Add seconds to a name."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Add the time of a block to a name."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.add(name, perf_counter() - begun)

    def drawn(self, name: str, items: Iterator[T]) -> Iterator[T]:
        """Yield the items, and add the time that it takes to get each."""
        while True:
            with self.on(name):
                item = next(items, None)
            if item is None:
                return
            yield item

    def closed(self, total: float) -> dict[str, float]:
        """Return rounded seconds in flow order; the part of `total` that was not measured is writing."""
        spent = {READ: self.seconds.get(READ, 0.0)} | {
            name: self.seconds[name] for name in sorted(self.seconds) if name != READ
        }
        spent[WRITE] = max(0.0, total - sum(spent.values()))
        return {name: round(seconds, 4) for name, seconds in spent.items()}
