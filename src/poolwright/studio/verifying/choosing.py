"""Ask people for the class of a row: rows of all classes in turns, and the verdict that a chosen class is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from secrets import SystemRandom

from poolwright.annotation.queue.queue import Queue
from poolwright.annotation.verdicts import NEGATIVE, POSITIVE
from poolwright.core.errors import InputError


def in_turns(lines: Iterable[Iterator[int]]) -> Iterator[int]:
    """Iterate over several lines of rows in turns, in an order that changes: it must not give the class away."""
    left = list(lines)
    while left:
        SystemRandom().shuffle(left)
        ended = []
        for line in left:
            row = next(line, None)
            if row is None:
                ended.append(line)
            else:
                yield row
        left = [line for line in left if line not in ended]


def verdict_of(queue: Queue, about: str, verdict: str, chosen: str) -> str:
    """Return the verdict on a row.

    Args:
        queue: the queue.
        about: class of the row.
        verdict: the verdict as it was sent.
        chosen: the class that the person chose, or ''.

    Raises:
        InputError: the class is none of the queue.
    """
    if not chosen:
        return verdict
    if chosen not in queue.choices:
        raise InputError(f"'{chosen[:60]}' is not a class of the queue '{queue.name}'; reload the page")
    return POSITIVE if chosen == about else NEGATIVE
