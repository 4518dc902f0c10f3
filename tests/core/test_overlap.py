"""Threads that read ahead and write behind."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest

from poolwright.core.runtime.overlap import WriteBehind, read_ahead


def _numbers(seen: list[int], count: int, broken: int = -1) -> Generator[int, None, None]:
    try:
        for number in range(count):
            if number == broken:
                raise ValueError(f"number {number}")
            seen.append(number)
            yield number
    finally:
        seen.append(-1)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_items_come_in_order_one_ahead(count: int) -> None:
    seen: list[int] = []
    for number, item in enumerate(read_ahead(_numbers(seen, count))):
        assert item == number
        assert len([one for one in seen if one >= 0]) <= number + 2
    assert seen == [*range(count), -1]


def test_an_error_comes_after_the_items_before_it() -> None:
    items: list[int] = []
    with pytest.raises(ValueError, match="number 3"):
        items.extend(read_ahead(_numbers([], 5, broken=3)))
    ahead = read_ahead(_numbers([], 5, broken=3))
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]


def test_who_stops_early_leaves_nothing_open() -> None:
    seen: list[int] = []
    ahead: Any = read_ahead(_numbers(seen, 100))
    assert next(ahead) == 0
    before = threading.active_count()
    ahead.close()
    assert seen[-1] == -1
    assert len(seen) <= 4
    assert threading.active_count() == before - 1


def test_calls_are_made_in_order_by_one_thread() -> None:
    behind, made, threads = WriteBehind(), list[int](), set[int]()

    def write(number: int) -> None:
        threads.add(threading.get_ident())
        made.append(number)

    for number in range(50):
        behind.call(write, number)
        assert len(made) >= number - 1
    behind.finish()
    behind.finish()
    assert made == list(range(50))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_an_error_is_raised_by_the_next_call_or_at_the_end() -> None:
    def fail() -> None:
        raise OSError("disk full")

    behind = WriteBehind()
    behind.call(fail)
    with pytest.raises(OSError, match="disk full"):
        behind.call(print)
    with pytest.raises(OSError, match="disk full"):
        behind.finish()
    behind.finish()
