"""The local engine: results as they are, errors with their type, one tree of merges, nothing left behind."""

from __future__ import annotations

import operator
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.runtime.merge_tree import MergeTree, merge_all
from poolwright.core.runtime.threads import import_torch, one_thread_per_unit, one_torch_thread
from poolwright.core.step import Resources
from poolwright.run.engine.engine import make_engine
from poolwright.run.engine.local import LocalEngine, wait_for_interrupted_units
from poolwright.run.engine.processes import _LENGTH, _Child
from tests.run.units import apart

UNITS = 24


def touch(folder: Path, unit: int) -> int:
    time.sleep(0.05)
    (folder / str(unit)).touch()
    return unit


def fail(folder: Path, unit: int) -> int:
    if touch(folder, unit) == 2:
        raise ValueError("broken")
    return unit


def interrupted(function: Callable[[int], Any], at: int) -> None:
    """Take results until unit `at`, then leave as Ctrl-C does."""
    with closing(LocalEngine(2).map(function, range(UNITS))) as done:
        for unit, _ in done:
            if unit == at:
                raise KeyboardInterrupt


def test_units_that_have_not_begun_are_left_after_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(partial(touch, tmp_path), 2)
    assert 3 <= len(list(tmp_path.iterdir())) < UNITS


def test_an_interrupt_waits_for_no_unit_but_the_next_run_does(tmp_path: Path) -> None:
    ended = threading.Event()

    def last_is_long(unit: int) -> int:
        if unit == 1:
            ended.wait(20)
            (tmp_path / "late").touch()
        return unit

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(last_is_long, 0)
    assert time.monotonic() - begun < 10
    threading.Timer(0.2, ended.set).start()
    wait_for_interrupted_units()
    assert (tmp_path / "late").exists()


def test_leaving_early_waits_for_the_units_that_run(tmp_path: Path) -> None:
    with closing(LocalEngine(4).map(partial(touch, tmp_path), range(UNITS))) as done:
        next(done)
    seen = len(list(tmp_path.iterdir()))
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == seen < UNITS


def test_an_error_stops_the_other_units_and_keeps_its_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken") as caught:
        list(LocalEngine(2).map(partial(fail, tmp_path), range(UNITS)))
    seen = len(list(tmp_path.iterdir()))
    assert 3 <= seen < UNITS
    assert "in fail" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="broken"):
        LocalEngine(2).reduce(partial(fail, tmp_path), range(UNITS), operator.add)


def test_results_are_handed_over_as_they_are() -> None:
    made = [object() for _ in range(50)]
    assert dict(LocalEngine(3).map(made.__getitem__, range(50))) == dict(enumerate(made))
    assert list(LocalEngine().map(made.__getitem__, [])) == []


def test_workers_pause_while_results_wait() -> None:
    made: list[int] = []
    with closing(LocalEngine(1).map(made.append, range(1000))) as done:
        next(done)
        time.sleep(0.2)
        assert len(made) < 20


def test_processes_give_results_and_errors(tmp_path: Path) -> None:
    run = partial(LocalEngine(2).map_apart, partial(apart, tmp_path), folder=tmp_path, inputs=list)
    found = dict(run(units=[0, 4, 5, 6]))
    assert found.keys() == {0, 4, 5, 6}
    assert os.getpid() not in found.values()
    with pytest.raises(RecipeError, match="broken"):
        dict(run(units=[0, 1]))
    with pytest.raises(PoolwrightError, match=r"ended by itself .killed by signal 9.*--workers 1"):
        dict(run(units=[0, 2]))


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    from cloudpickle import dumps

    child = _Child(dumps(partial(apart, tmp_path)))
    child._send(_LENGTH.pack(3))
    process = child._process
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    assert process.stdin is not None
    process.stdin.close()  # as the system does for a process that was killed
    assert process.wait(20) == 1
    child.end()


def slowly(unit: int) -> str:
    time.sleep(random.random() / 500)
    return str(unit)


def bracketed(one: str, other: str) -> str:
    return f"({one} {other})"


@pytest.mark.parametrize("units", [1, 2, 3, 7, 16, 45])
def test_summaries_are_merged_in_one_tree_whatever_the_timing(units: int) -> None:
    expected = merge_all([str(unit) for unit in range(units)], bracketed)
    numbers = expected.replace("(", "").replace(")", "").split()
    assert [int(number) for number in numbers] == list(range(units))
    for workers in (1, 2, 8):
        done: list[int] = []
        merged = LocalEngine(workers).reduce(slowly, range(units), bracketed, partial(done.append, 1))
        assert merged == expected
        assert len(done) == units


@given(st.integers(1, 70).flatmap(lambda count: st.permutations(range(count))))
@settings(max_examples=60, deadline=None)
def test_the_tree_depends_on_the_number_of_units_alone(order: list[int]) -> None:
    tree = MergeTree(len(order))
    for unit in order:
        tree.merge_in(unit, str(unit), bracketed)
    assert tree.root == merge_all([str(unit) for unit in range(len(order))], bracketed)
    depth = max(tree.root[:at].count("(") - tree.root[:at].count(")") for at in range(len(tree.root) + 1))
    assert depth == (len(order) - 1).bit_length()


class Summary:
    """A summary that knows how many of its kind there are."""

    lock = threading.Lock()
    alive = most = 0

    def __init__(self, unit: int) -> None:
        self.rows = 1
        with Summary.lock:
            Summary.alive += 1
            Summary.most = max(Summary.most, Summary.alive)

    def __del__(self) -> None:
        with Summary.lock:
            Summary.alive -= 1

    def merge(self, other: Summary) -> Summary:
        self.rows += other.rows
        return self


def test_few_summaries_are_held_at_once() -> None:
    assert LocalEngine(2).reduce(Summary, range(512), Summary.merge).rows == 512
    assert Summary.most <= 2 + 2 * 9  # what the workers have in hand, and one or two per level


def limits() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"}


def test_limits_of_threads_are_those_of_before_when_runs_overlap() -> None:
    torch = import_torch()
    before, torch_before = limits(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one, other = (iter(LocalEngine(2).map(in_unit, range(4))) for _ in range(2))
        assert next(one)[1] == next(other)[1] == (({1} if before else set()), 1)
        with one_thread_per_unit():
            list(one)  # the first to begin is not the last to end
            assert limits() <= {1}
            assert [seen for _, seen in LocalEngine(1).map(nested, range(1))] == [4]
            assert limits() <= {1}
            list(other)
        assert limits() == before
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(torch_before)
    with pytest.raises(ZeroDivisionError):
        list(LocalEngine(2).map(lambda unit: 1 // unit, range(4)))
    assert limits() == before


def in_unit(unit: int) -> tuple[set[int], int]:
    return limits(), import_torch().get_num_threads()


def nested(unit: int) -> int:
    with one_torch_thread():
        return len(list(LocalEngine(2).map(in_unit, range(4))))


def test_several_calls_at_once() -> None:
    engine = LocalEngine(2)
    found: dict[int, str] = {}

    def call(number: int) -> None:
        found[number] = engine.reduce(slowly, range(30), bracketed)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found.values()) == {merge_all([str(unit) for unit in range(30)], bracketed)}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("native",), "the engine 'native' is called 'local' now"),
        (("spark",), "unknown engine 'spark'; known: local, ray"),
        (("rey",), "did you mean 'ray'"),
        (("local", 0), "workers must be at least 1, not 0"),
        (("local", 1, "ray://head:10001"), "an address is for the engine 'ray'"),
    ],
)
def test_wrong_engines(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make_engine(*arguments)


def test_resources_of_several_steps() -> None:
    assert Resources(2, 0) | Resources(1, 0.5) == Resources(2, 0.5)
