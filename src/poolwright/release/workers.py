"""Define what the files of a release can be written by: the engine of a run, or the calling process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

R = TypeVar("R")


class Workers(Protocol):
    """Calls a function in several processes, for work that holds the interpreter lock. Every engine does."""

    def map_apart(
        self, function: Callable[[int], R], units: Sequence[int], folder: Path, inputs: Callable[[], Sequence[str]]
    ) -> Generator[tuple[int, R], None, None]:
        """Call `function` with every unit; yield (unit, result) as units finish, in any order.

        Closing the generator cancels the units that have not begun and waits for those that have.

        Args:
            function: can be pickled, and so can its results.
            folder: that units write into.
            inputs: returns local files and folders that units read.

        Raises:
            Exception: the error that the function raised, with its type.
            PoolwrightError: a process ended by itself.
        """
        ...


class _Here:
    """The calling process alone."""

    def map_apart(
        self, function: Callable[[int], R], units: Sequence[int], folder: Path, inputs: Callable[[], Sequence[str]]
    ) -> Generator[tuple[int, R], None, None]:
        """As `Workers.map_apart`, one unit after the other."""
        yield from ((unit, function(unit)) for unit in units)


HERE: Workers = _Here()
"""The calling process alone."""
