"""Progress: what a run tells while it works. The run calls a listener; the CLI draws."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol, TypeVar

from poolwright.core.step import Resources
from poolwright.core.table import TableRecord
from poolwright.run.engine.engine import Engine

R = TypeVar("R")


@dataclass
class TableProgress:
    """How far one table is. `dropped` is by reason in words."""

    name: str
    phase: str
    units: int
    units_done: int = 0
    rows_total: int | None = None
    rows: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time until the phase is done, from the pace so far; None before the first unit."""
        if not self.units_done or self.seconds <= 0:
            return None
        return self.seconds / self.units_done * (self.units - self.units_done)


class Listener(Protocol):
    """What a run tells, in order."""

    def table_started(self, name: str, phase: str, units: int) -> None:
        """A pass over the rows of a table begins: 'read', 'fit NN-verb', 'describe' or 'write'."""
        ...

    def progress(self, progress: TableProgress) -> None:
        """A unit is done."""
        ...

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        """A table is finished; `fresh` is false where it was done before."""
        ...

    def note(self, text: str) -> None:
        """Something people should know: a shard was quarantined, an input is being hashed."""
        ...


class Silent:
    """A listener that says nothing."""

    def table_started(self, name: str, phase: str, units: int) -> None: ...

    def progress(self, progress: TableProgress) -> None: ...

    def table_done(self, record: TableRecord, fresh: bool) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Phase:
    """Passes over all units of a table, with their progress.

    Attributes:
        table, name: of the table and the phase, as listeners receive them.
        units: number of units.
        resources: what a unit occupies.
    """

    engine: Engine
    listener: Listener
    table: str
    name: str
    units: int
    resources: Resources

    def map(self, function: Callable[[int], R]) -> Generator[tuple[int, R], None, None]:
        """As `Engine.map`, over all units."""
        done = self._begin()
        with closing(self.engine.map(function, range(self.units), self.resources)) as results:
            for unit, result in results:
                yield unit, result
                done()

    def reduce(self, function: Callable[[int], R], merge: Callable[[R, R], R]) -> R:
        """As `Engine.reduce`, over all units, at least one."""
        return self.engine.reduce(function, range(self.units), merge, self._begin(), self.resources)

    def _begin(self) -> Callable[[], None]:
        """Begin a pass; returns what is to be called after every unit."""
        progress = TableProgress(self.table, self.name, self.units)
        self.listener.table_started(self.table, self.name, self.units)
        begun = perf_counter()

        def done() -> None:
            progress.units_done, progress.seconds = progress.units_done + 1, perf_counter() - begun
            self.listener.progress(progress)

        return done
