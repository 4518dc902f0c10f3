"""Ask people for the class of a row: rows of all classes in turns, and the verdict that a chosen class is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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


def verdict_of(queue: Queue, about: str, verdict: str, chosen: Sequence[str]) -> str:
    """Return the verdict on a row.

    Args:
        queue: the queue.
        about: class of the row.
        verdict: the verdict as it was sent.
        chosen: the classes that the person chose, if they chose any.

    Raises:
        InputError: a class is none of the queue, or there are several where one is wanted.
    """
    if not chosen:
        return verdict
    if wrong := [name for name in chosen if name not in queue.choices]:
        raise InputError(f"'{wrong[0][:60]}' is not a class of the queue '{queue.name}'; reload the page")
    if len(chosen) > 1 and not queue.several:
        raise InputError(f"the queue '{queue.name}' wants one class, not {len(chosen)}; reload the page")
    return POSITIVE if about in chosen else NEGATIVE
