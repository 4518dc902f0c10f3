"""The engine stops when nobody waits for its units any more."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from poolwright.run import engine
from poolwright.run.engine import Engine

UNITS = 24


def touch(folder: Path, unit: int) -> int:
    time.sleep(0.05)
    (folder / str(unit)).touch()
    return unit


def fail(folder: Path, unit: int) -> int:
    if touch(folder, unit) == 2:
        raise ValueError("broken")
    return unit


def interrupted(folder: Path) -> None:
    """Take results until the third unit, then leave as Ctrl-C does."""
    with closing(Engine().map(partial(touch, folder), range(UNITS))) as done:
        for unit, _ in done:
            if unit == 2:
                raise KeyboardInterrupt


def test_units_that_have_not_begun_are_left_after_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path)
    assert 3 <= len(list(tmp_path.iterdir())) < UNITS


def test_an_error_stops_the_other_units(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"):
        list(Engine().map(partial(fail, tmp_path), range(UNITS)))
    assert 3 <= len(list(tmp_path.iterdir())) < UNITS


def test_results_are_handed_over_as_they_are_and_let_go(tmp_path: Path) -> None:
    made = dict(Engine().map(partial(numbered, []), range(3)))
    assert {unit: found[-1] for unit, found in made.items()} == {0: 0, 1: 1, 2: 2}
    with pytest.raises(ValueError, match="broken"):
        list(Engine().map(partial(fail, tmp_path), range(UNITS)))
    assert not engine._HANDED_OVER


def numbered(numbers: list[int], unit: int) -> list[int]:
    return [*numbers, unit]
