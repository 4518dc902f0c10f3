"""Count what a source has but a pool cannot read, or reads otherwise than one may expect, while a unit reads its rows.

Nothing is counted outside of `watching`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Noted:
    """What was noted of the rows of a unit.

    Attributes:
        found: number of rows, and the first example, by what is said of them.
    """

    found: dict[str, tuple[int, str]] = field(default_factory=dict)
    pending: list[tuple[str, np.ndarray, str]] = field(default_factory=list)

    def settle(self, start: int, stop: int) -> None:
        """Count what was noted of the batch that was just read, in its rows from `start` to `stop` alone."""
        for words, rows, example in self.pending:
            count = int(rows[start:stop].sum())
            if count:
                known, first = self.found.get(words, (0, example))
                self.found[words] = known + count, first
        self.pending.clear()


_CURRENT: ContextVar[Noted | None] = ContextVar("noted", default=None)


@contextmanager
def watching() -> Iterator[Noted]:
    """Count what this thread notes until the context ends."""
    noted = Noted()
    token = _CURRENT.set(noted)
    try:
        yield noted
    finally:
        _CURRENT.reset(token)


def note(words: str, rows: Sequence[bool] | np.ndarray, example: str) -> None:
    """Note something about rows of a batch.

    Args:
        words: what is said after a number of rows, such as "values of 'width' could not be read".
        rows: bool (n,), the rows that it is said of.
        example: the first of them.
    """
    noted = _CURRENT.get()
    if noted is not None:
        noted.pending.append((words, np.asarray(rows, bool), example))


def note_unread(column: str, rows: Sequence[bool] | np.ndarray, example: str) -> None:
    """Note that values of a column are there but cannot be read, so that it is null."""
    note(f"values of '{column}' could not be read", rows, example)


def settle(start: int, stop: int) -> None:
    """Count what was noted of the last batch, in its rows from `start` to `stop`."""
    noted = _CURRENT.get()
    if noted is not None:
        noted.settle(start, stop)
