"""Progress: what a run reports while it works. The run calls a listener; the CLI draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from poolwright.core.table import TableRecord


@dataclass
class TableProgress:
    """Progress of one table. `dropped` counts rows by reason, as people read it."""

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
        """Rows per second of this phase so far; 0 before it began."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the phase is done, from the pace so far; None before the first unit is done."""
        if not self.units_done or self.seconds <= 0:
            return None
        return self.seconds / self.units_done * (self.units - self.units_done)


class Listener(Protocol):
    """Receives the progress of a run, in order."""

    def table_started(self, name: str, phase: str, units: int) -> None:
        """A pass over the rows of a table begins: 'read', 'fit NN-verb', 'describe' or 'write'."""
        ...

    def progress(self, progress: TableProgress) -> None:
        """A unit is done."""
        ...

    def table_done(self, record: TableRecord, fresh: bool) -> None:
        """A table is finished; `fresh` is false if an earlier run finished it."""
        ...

    def note(self, text: str) -> None:
        """Something people should know: a shard was quarantined, an input is being hashed."""
        ...


class Silent:
    """A listener that ignores everything."""

    def table_started(self, name: str, phase: str, units: int) -> None: ...

    def progress(self, progress: TableProgress) -> None: ...

    def table_done(self, record: TableRecord, fresh: bool) -> None: ...

    def note(self, text: str) -> None: ...
