"""The Ray engine on a cluster of two nodes, one of which dies now and then: same bytes and errors as locally."""

from __future__ import annotations

import operator
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import api
from poolwright.core.errors import BadPart, PoolwrightError
from poolwright.core.runtime.merge_tree import merge_all
from poolwright.core.runtime.progress import Silent, TableProgress
from poolwright.core.step import Resources
from poolwright.run.engine.engine import make_engine
from poolwright.run.engine.local import LocalEngine
from poolwright.run.engine.protocol import Engine
from poolwright.run.run import open_run
from tests.run.pools import final_files, make_recipe, make_rows, recipe_data, write_pool
from tests.run.ray_cluster import TwoNodes, nodes  # noqa: F401

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def engine(nodes: TwoNodes) -> Engine:  # noqa: F811
    nodes.restore()
    return make_engine("ray", address=nodes.address)


class KillsOnce(Silent):
    """A listener that kills a node after the first unit of a phase."""

    def __init__(self, nodes: TwoNodes, phase: str) -> None:  # noqa: F811
        self.nodes, self.phase, self.seen = nodes, phase, set[str]()

    def progress(self, progress: TableProgress) -> None:
        self.seen.add(progress.phase)
        if progress.phase.startswith(self.phase):
            self.nodes.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    write_pool(folder, make_rows(120_000), parts=12, row_group=2500)
    api.run(make_recipe(folder), folder / "local")
    return folder


@pytest.mark.parametrize("phase", ["fit 03", "write"])
def test_a_node_dies_during_a_run(nodes: TwoNodes, folder: Path, phase: str) -> None:  # noqa: F811
    nodes.restore()
    listener, to = KillsOnce(nodes, phase), folder / phase.replace(" ", "-")
    api.run(make_recipe(folder), to, engine="ray", address=nodes.address, listener=listener)
    assert {"read", "write"} <= listener.seen
    assert nodes.other is None
    assert final_files(to) == final_files(folder / "local")


def late(unit: int) -> np.ndarray:
    time.sleep(0.2)
    return np.full(200_000, 1 / (unit + 1))  # too large to travel with the reply


def added(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one += other
    return one


def test_summaries_of_a_node_that_dies_are_made_again(nodes: TwoNodes, engine: Engine) -> None:  # noqa: F811
    done: list[int] = []

    def kill_in_between() -> None:
        done.append(1)
        if len(done) == 5:
            nodes.kill()

    merged = engine.reduce(late, range(12), added, kill_in_between)
    expected = merge_all([np.full(200_000, 1 / (unit + 1)) for unit in range(12)], added)
    assert merged.tobytes() == expected.tobytes()  # to the last bit: one tree of merges
    assert len(done) == 12


def bracketed(one: str, other: str) -> str:
    return f"({one} {other})"


def test_results_and_merges_are_those_of_the_local_engine(engine: Engine) -> None:
    for units in (1, 2, 11):
        local = LocalEngine(2).reduce(str, range(units), bracketed)
        assert engine.reduce(str, range(units), bracketed) == local
    assert dict(engine.map(str, range(5, 9))) == {unit: str(unit) for unit in range(5, 9)}
    assert list(engine.map(str, [])) == []
    with closing(engine.map(str, range(1000))) as results:
        next(results)


class Odd(Exception):
    """An error that cannot travel."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)


def bad_part(unit: int) -> int:
    raise BadPart(unit, "rows-3", "cut short")


def odd(unit: int) -> int:
    raise Odd("one", "other")


def key_error(unit: int) -> int:
    return {}[unit]  # type: ignore[no-any-return]


def test_errors_keep_their_type(engine: Engine) -> None:
    with pytest.raises(BadPart) as caught:
        list(engine.map(bad_part, [3]))
    assert (caught.value.part, caught.value.reason) == (3, "cut short")
    with pytest.raises(KeyError) as key:
        engine.reduce(key_error, range(3), operator.add)
    assert "in key_error" in key.value.__notes__[0]
    with pytest.raises(PoolwrightError, match="Odd: one"):
        list(engine.map(odd, range(3)))
    with pytest.raises(TypeError):
        engine.reduce(str, range(4), lambda one, other: one + 1)
    with pytest.raises(PoolwrightError, match="no node of the Ray cluster has one"):
        list(engine.map(str, range(3), Resources(gpus=1)))


def test_a_broken_shard_gives_the_same_error(nodes: TwoNodes, tmp_path: Path) -> None:  # noqa: F811
    write_pool(tmp_path, make_rows(4000), parts=4)
    path = tmp_path / "rows" / "002.parquet"
    path.write_bytes(path.read_bytes()[:-500])
    nodes.restore()
    said = []
    for options in ({}, {"engine": "ray", "address": nodes.address}):
        with pytest.raises(PoolwrightError) as caught:
            api.run(make_recipe(tmp_path), tmp_path / f"run-{len(options)}", **options)  # type: ignore[arg-type]
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


def test_runs_on_two_engines_in_two_threads(nodes: TwoNodes, folder: Path) -> None:  # noqa: F811
    nodes.restore()
    errors: list[BaseException] = []

    def run(to: str, **options: Any) -> None:
        try:
            api.run(make_recipe(folder), folder / to, **options)
        except BaseException as error:
            errors.append(error)

    jobs: list[Callable[[], None]] = [
        lambda: run("beside-ray", engine="ray", address=nodes.address),
        lambda: run("beside-local"),
        lambda: run("beside-ray-too", engine="ray", workers=1),
    ]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not errors
    for to in ("beside-ray", "beside-local", "beside-ray-too"):
        assert final_files(folder / to) == final_files(folder / "local")


def test_united_and_joined_rows_are_the_same_bytes(nodes: TwoNodes, tmp_path: Path) -> None:  # noqa: F811
    numbers = range(3000)
    (tmp_path / "old").mkdir()
    for part in range(3):
        lines = [f"{i},{i % 7}.5" for i in numbers if i % 3 == part]
        (tmp_path / "old" / f"{part}.csv").write_text("\n".join(["uid,score", *lines]))
    pq.write_table(pa.table({"uid": list(map(str, numbers)), "score": list(numbers)}), tmp_path / "new.parquet")
    labels = "\n".join(["key,label", *(f"old/{i},{'cat' if i % 2 else 'dog'}" for i in numbers if i % 5)])
    (tmp_path / "labels.csv").write_text(labels)
    steps = [
        {"join": {"with": "labels", "on": {"uid": "key"}, "columns": ["label"], "missing": "keep"}},
        {"cap": {"group": ["source"], "n": 2000}},
    ]
    data = {
        "recipe": 1,
        "name": "united",
        "seed": 3,
        "pools": {
            "old": {"read": "table", "path": "old"},
            "new": {"read": "table", "path": "new.parquet"},
            "labels": {"read": "table", "path": "labels.csv", "uid": "row"},
        },
        "tables": {"all": {"from": {"union": ["old", "new"], "uid_prefix": True}, "steps": steps}},
    }
    nodes.restore()
    recipe = api.Recipe.from_data(data, tmp_path)
    table = api.run(recipe, tmp_path / "ray", engine="ray", address=nodes.address).tables["all"]
    api.run(recipe, tmp_path / "local")
    assert final_files(tmp_path / "ray") == final_files(tmp_path / "local")
    assert table.record.rows_kept == 4000
    assert table.schema.field("score").type == pa.float64()


@pytest.mark.parametrize("extend", ["frozen", "refit"])
def test_a_table_grows_to_the_same_bytes(nodes: TwoNodes, tmp_path: Path, extend: str) -> None:  # noqa: F811
    nodes.restore()
    write_pool(tmp_path, make_rows(1500), parts=3)
    engines: dict[str, dict[str, Any]] = {"ray": {"engine": "ray", "address": nodes.address}, "local": {}}
    for to in engines:
        api.run(make_recipe(tmp_path, max_bad=0.1), tmp_path / to)
    pq.write_table(make_rows(1800, 9).slice(1400), tmp_path / "rows/0005.parquet")
    for to, engine in engines.items():
        api.run(make_recipe(tmp_path, max_bad=0.1), tmp_path / to, extend=extend, accept=True, **engine)
    assert final_files(tmp_path / "ray") == final_files(tmp_path / "local")
    record = open_run(tmp_path / "ray").table("chosen").record
    assert (record.rows_in, len(record.generations)) == (1900, 2 * (extend == "frozen"))


SLOW_UNITS = """
import sys, time
from poolwright.run import table_run

class Slow(table_run.WriteUnit):
    def __call__(self, unit):
        if unit:
            time.sleep(300)
        return super().__call__(unit)

if "--engine" in sys.argv and {slow}:
    Slow.__module__ = "__main__"  # travels by value
    table_run.WriteUnit = Slow
from poolwright.cli.main import main
main()
"""


def begun(nodes: TwoNodes, folder: Path, to: str) -> tuple[subprocess.Popen[str], list[str]]:  # noqa: F811
    """Start a run of which only the first unit gets done; the process, and the command that continues it."""
    nodes.restore()
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe_data(), sort_keys=False))
    options = ["run", "recipe.yaml", "--run", to, "--engine", "ray", "--address", nodes.address]
    command = [sys.executable, "-c", SLOW_UNITS.format(slow=True), *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    done = folder / to / "tables" / "chosen" / "work" / "done" / "unit-00000.json"
    deadline = time.monotonic() + 100
    while not done.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    return process, [*command[:2], SLOW_UNITS.format(slow=False), *options]


def test_ctrl_c_ends_at_once(nodes: TwoNodes, folder: Path) -> None:  # noqa: F811
    process, command = begun(nodes, folder, "stopped")
    interrupted = time.monotonic()
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert errors.endswith("stopped; the same command continues\n")
    assert "Traceback" not in errors
    assert time.monotonic() - interrupted < 15
    again = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stderr
    assert final_files(folder / "stopped") == final_files(folder / "local")


def test_a_run_whose_driver_was_killed_goes_on(nodes: TwoNodes, folder: Path) -> None:  # noqa: F811
    process, _ = begun(nodes, folder, "killed")
    process.kill()
    process.communicate(timeout=60)
    assert not (folder / "killed" / "tables" / "chosen" / "table.json").exists()
    before = (folder / "killed" / "tables" / "chosen" / "part-00000.parquet").stat().st_mtime_ns
    api.run(make_recipe(folder), folder / "killed", engine="ray", address=nodes.address)
    assert final_files(folder / "killed") == final_files(folder / "local")
    assert (folder / "killed" / "tables" / "chosen" / "part-00000.parquet").stat().st_mtime_ns == before
