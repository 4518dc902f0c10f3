"""Several processes of this machine fetch as one does, whichever of them are killed, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.errors import PoolwrightError
from poolwright.core.runtime.progress import Silent, TableProgress
from poolwright.fetch import fetch as fetching
from poolwright.fetch.nodes import driver
from poolwright.fetch.options import FetchOptions
from poolwright.run.engine import local, local_nodes
from poolwright.run.engine.processes import start_module
from tests.calling import call
from tests.fetch.conftest import QUICK
from tests.fetch.server import BadServer
from tests.fetch.test_crash import found
from tests.fetch.test_nodes import urls_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="one process there")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
        processes.append(start_module(*given, **options))
        return processes[-1]

    monkeypatch.setattr(local_nodes, "start_module", start)
    monkeypatch.setattr(driver, "_LOOK_SECONDS", 0.05)
    return processes


def write(urls: list[str], folder: Path) -> Path:
    pq.write_table(pa.table({"url": urls}), folder / "urls.parquet")
    return folder / "urls.parquet"


class Calls(Silent):
    """A listener that calls a function once there are some rows."""

    def __init__(self, rows: int, function: Callable[[], None]) -> None:
        self.rows, self.function = rows, function

    def progress(self, progress: TableProgress) -> None:
        if progress.rows >= self.rows:
            self.rows = 1 << 60
            self.function()


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_any_number_of_processes_has_the_same_files(
    server: BadServer, tmp_path: Path, started: list[subprocess.Popen[bytes]], layout: str
) -> None:
    source = write(urls_of(server, 60), tmp_path)
    options = FetchOptions(**{**QUICK, "robots_txt": True, "shard_rows": 5, "per_host": 6, "format": layout})
    results = []
    for workers in (1, 3):
        server.seen.clear()
        server.most = 0
        results.append(api.fetch(source, tmp_path / f"out-{workers}", options, workers=workers))
        assert set(server.seen.values()) == {1}, "each URL and robots.txt once"
        assert server.most <= 6
    assert len(started) == 3
    assert all(process.poll() is not None for process in started)
    assert found(tmp_path / "out-1") == found(tmp_path / "out-3")
    assert len({(str(one.statuses), str(one.errors), one.bytes, one.rows_now) for one in results}) == 1
    again = api.fetch(source, tmp_path / "out-1", options, workers=2)
    assert (again.rows_now, again.rows) == (0, 61)
    retried = api.fetch(source, tmp_path / "out-3", options.model_copy(update={"retry": ("all",)}), workers=2)
    assert retried.rows_now == sum(retried.errors.values())
    assert found(tmp_path / "out-1") == found(tmp_path / "out-3")


def test_requests_at_once_are_those_of_the_machine(
    server: BadServer, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    source = write([server.url(f"slow/{number}") for number in range(60)], tmp_path)
    options = FetchOptions(**{**QUICK, "shard_rows": 10, "per_host": 50, "concurrency": 5})
    assert api.fetch(source, tmp_path / "out", options, workers=2).succeeded == 60
    assert server.most == 5
    assert len(started) == 2


def test_a_process_that_is_killed_costs_requests_in_flight(
    server: BadServer, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    source = write(urls_of(server, 60), tmp_path)
    options = FetchOptions(**{**QUICK, "shard_rows": 6, "per_host": 4, "concurrency": 4})
    api.fetch(source, tmp_path / "here", options, workers=1)
    asked = server.seen.copy()
    kill = Calls(8, lambda: started[1].kill())
    api.fetch(source, tmp_path / "there", options, listener=kill, workers=2)
    assert len(started) == 2
    assert found(tmp_path / "there") == found(tmp_path / "here")
    assert (server.seen - asked - asked).total() <= 4, "only requests in flight are made again"


def test_without_processes_the_same_command_continues(
    server: BadServer, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    source = write(urls_of(server, 60), tmp_path)
    options = FetchOptions(**{**QUICK, "shard_rows": 6, "per_host": 4, "concurrency": 4})
    kill = Calls(8, lambda: [process.kill() for process in started] and None)
    with pytest.raises(PoolwrightError, match=r"no process is left .*killed by signal 9.* the same command continues"):
        api.fetch(source, tmp_path / "there", options, listener=kill, workers=2)
    api.fetch(source, tmp_path / "there", options, workers=2)
    api.fetch(source, tmp_path / "here", options, workers=1)
    assert found(tmp_path / "there") == found(tmp_path / "here")


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_the_command_is_killed_at_any_time(server: BadServer, tmp_path: Path, layout: str) -> None:
    write(urls_of(server, 60), tmp_path)
    options = ["--allow-private", "--shard-rows", "5", "--per-host", "2", "--format", layout]
    options += ["--set", "robots_txt=false", "--set", "tdm=false", "--retries", "0"]
    there = [sys.executable, "-m", "poolwright", "fetch", "urls.parquet", "there", *options, "--workers", "2"]
    for stop in (1, 13):
        server.seen.clear()
        command = subprocess.Popen(there, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.seen.total() < stop and command.poll() is None:
            time.sleep(0.01)
        command.send_signal(signal.SIGKILL)
        command.wait()
    assert call("fetch", *there[4:], folder=tmp_path).code == 0
    assert call("fetch", "urls.parquet", "here", *options, "--workers", "1", folder=tmp_path).code == 0
    assert found(tmp_path / "there") == found(tmp_path / "here")


def test_processes_are_started_if_they_pay(
    server: BadServer, tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "cores", lambda: 4)
    source = write([server.url(f"ok/{number}") for number in range(20)], tmp_path)
    options = FetchOptions(**{**QUICK, "shard_rows": 8})
    assert api.fetch(source, tmp_path / "little", options).succeeded == 20
    assert not started
    monkeypatch.setattr(fetching, "_LITTLE", 15)
    assert api.fetch(source, tmp_path / "more", options).succeeded == 20
    assert len(started) == 3, "one for each shard at most"
    assert api.fetch(source, tmp_path / "more", options).rows_now == 0
    assert len(started) == 3
