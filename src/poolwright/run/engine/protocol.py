"""Define the protocol of an engine: what runs a function over the units of a table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from poolwright.core.runtime.nodes import Nodes
from poolwright.core.step import Resources
from poolwright.release.workers import Workers

R = TypeVar("R")

ONE_CPU = Resources()


class Engine(Workers, Protocol):
    """Runs a function over units of work.

    The result or error of a function for a unit depends on the unit alone, so no result depends on the engine, the
    number of workers or the order in which units finish. Several engines, and several calls of one, may run at once
    in a process.

    Attributes:
        name: 'local' or 'ray'.
        workers: units that run at a time, as far as that is known.
    """

    name: str

    @property
    def workers(self) -> int: ...

    def sharing(self, folder: Path, inputs: Callable[[], Sequence[str]]) -> AbstractContextManager[None]:
        """Check, before the first unit and while the block runs, that all machines share a run folder.

        Args:
            inputs: returns local files that units read.

        Raises:
            PoolwrightError: a machine has another folder there, may not write to it, or lacks an input.
        """
        ...

    def nodes(self, folder: Path) -> AbstractContextManager[Nodes | None]:
        """Give the places for objects that live in other processes while the block runs; None if there is one process.

        Args:
            folder: that the objects write into.

        Raises:
            PoolwrightError: a machine has another folder there, or may not write to it.
        """
        ...

    def map(
        self, function: Callable[[int], R], units: Sequence[int], resources: Resources = ONE_CPU
    ) -> Generator[tuple[int, R], None, None]:
        """Call `function` with every unit; yield (unit, result) as units finish, in any order.

        Closing the generator cancels the units that have not begun and waits for those that have, except on an
        interrupt such as Ctrl-C, which does not wait.

        Args:
            resources: the resources that one unit occupies while it runs.

        Raises:
            Exception: the error that the function raised, with its type.
        """
        ...

    def reduce(
        self,
        function: Callable[[int], R],
        units: Sequence[int],
        merge: Callable[[R, R], R],
        done: Callable[[], None] = lambda: None,
        resources: Resources = ONE_CPU,
    ) -> R:
        """Call `function` with every unit, and merge the results in the order of `units`.

        The workers merge neighbours as they finish, in a tree whose shape depends on the number of units alone, so the
        calling process never holds a result per unit.

        Args:
            units: at least one.
            merge: associative; may change its first argument and return it.
            done: called in the calling thread after every unit.
            resources: as in `map`.

        Raises:
            Exception: the error that a function raised, with its type.
        """
        ...
