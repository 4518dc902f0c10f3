"""Makes passes over all units of a table and reports their progress."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.core.step import Resources
from poolwright.run.engine.engine import Engine

R = TypeVar("R")


@dataclass(frozen=True)
class Phase:
    """Runs functions over all units of a table on an engine.

    Attributes:
        table, name: names of the table and of the phase, as listeners receive them.
        units: number of units.
        resources: the resources that a unit occupies.
    """

    engine: Engine
    listener: Listener
    table: str
    name: str
    units: int
    resources: Resources

    def map(self, function: Callable[[int], R]) -> Generator[tuple[int, R], None, None]:
        """Run a function over all units, as `Engine.map`."""
        done = self._begin()
        with closing(self.engine.map(function, range(self.units), self.resources)) as results:
            for unit, result in results:
                yield unit, result
                done()

    def reduce(self, function: Callable[[int], R], merge: Callable[[R, R], R]) -> R:
        """Run a function over all units, at least one, and merge the results, as `Engine.reduce`."""
        return self.engine.reduce(function, range(self.units), merge, self._begin(), self.resources)

    def _begin(self) -> Callable[[], None]:
        """Begin a pass; return the function to call after every unit."""
        progress = TableProgress(self.table, self.name, self.units)
        self.listener.table_started(self.table, self.name, self.units)
        begun = perf_counter()

        def done() -> None:
            progress.units_done, progress.seconds = progress.units_done + 1, perf_counter() - begun
            self.listener.progress(progress)

        return done
