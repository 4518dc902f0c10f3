"""Several processes fetch as one does: same files, and a host sees one polite client."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import PoolwrightError
from poolwright.fetch import fetcher
from poolwright.fetch.fetch import Fetched, FetchProgress, fetch_images
from poolwright.fetch.nodes import driver, remote_centre
from poolwright.fetch.nodes.coordinator import Coordinator
from poolwright.fetch.nodes.process import FetchProcess
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards.finish_shard import put_in_place
from poolwright.fetch.shards.first_rows import first_rows
from poolwright.fetch.shards.folder import FetchFolder
from tests.cases.web import RawServer, photo, response
from tests.fetch.conftest import QUICK
from tests.fetch.nodes_here import HereNodes
from tests.fetch.server import BadServer, picture, sha256
from tests.fetch.test_crash import at_once, found
from tests.run.disk import Disk


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_LOOK_SECONDS", 0.05)


def fetch(
    urls: list[str],
    to: Path,
    nodes: HereNodes | None,
    progress: Callable[[FetchProgress], None] | None = None,
    **options: Any,
) -> Fetched:
    source = to.with_suffix(".parquet")
    pq.write_table(pa.table({"url": urls}), source)
    return fetch_images(source, to, FetchOptions(**{**QUICK, **options}), progress, nodes=nodes)


def urls_of(server: BadServer, rows: int) -> list[str]:
    """Rows of which some share a URL, in one shard or in several, and some have no image."""
    numbers = [row * 7 % 23 if row % 5 else 1 for row in range(rows)]
    return [server.url("status/404" if number == 6 else f"slow/{number}") for number in numbers] + ["ftp://a.org/x"]


def assert_paced(server: BadServer, pause: float) -> None:
    """Requests came a pause apart, but for how promptly threads of a busy machine take them."""
    times = [time for _, time in server.asked]
    assert times[-1] - times[0] > pause * (len(times) - 1) - pause / 2
    assert min(later - sooner for sooner, later in pairwise(times)) > pause / 2


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_the_files_are_those_of_one_process(server: BadServer, tmp_path: Path, layout: str) -> None:
    urls, nodes = urls_of(server, 40), HereNodes("one", "two")
    here = fetch(urls, tmp_path / "here", None, shard_rows=4, format=layout)
    assert set(server.seen.values()) == {1}
    shown: list[FetchProgress] = []
    there = fetch(urls, tmp_path / "there", nodes, shown.append, shard_rows=4, format=layout)
    assert set(server.seen.values()) == {2}
    assert found(tmp_path / "here") == found(tmp_path / "there")
    assert (there.statuses, there.errors, there.bytes, there.rows_now) == (
        here.statuses, here.errors, here.bytes, 41)  # fmt: skip
    assert shown[-1].shards == shown[-1].shards_total == 11
    assert nodes.called["one", "fetch"] + nodes.called["two", "fetch"] == 11
    assert min(nodes.called["one", "fetch"], nodes.called["two", "fetch"]) >= 3
    again = fetch(urls, tmp_path / "there", HereNodes("three"), shard_rows=4, format=layout)
    assert (again.rows_now, again.failed_before, again.shards) == (0, sum(there.errors.values()), 11)


def test_one_host_sees_no_more_requests_at_once(server: BadServer, tmp_path: Path) -> None:
    urls = [server.url(f"slow/{number}") for number in range(40)]
    fetched = fetch(urls, tmp_path / "out", HereNodes("one", "two", "three"), shard_rows=4, per_host=3)
    assert fetched.succeeded == 40
    assert server.most == 3


def test_one_host_sees_its_pauses(server: BadServer, tmp_path: Path) -> None:
    urls = [server.url(f"ok/{number}") for number in range(12)]
    fetch(urls, tmp_path / "out", HereNodes("one", "two"), shard_rows=2, host_delay=0.05)
    assert_paced(server, 0.05)
    assert len(server.asked) == 12


def test_a_host_that_asks_for_a_rest_is_left_alone_by_all(server: BadServer, tmp_path: Path) -> None:
    urls = [server.url(path) for path in ("busy/1/9", *(f"slow/{number}" for number in range(12)))]
    options: dict[str, Any] = {"shard_rows": 1, "per_host": 1, "retries": 2, "max_wait": 0.3, "total": 5}
    assert fetch(urls, tmp_path / "out", HereNodes("one", "two"), **options).succeeded == 13
    rest = next(pair for pair in pairwise(server.asked) if pair[0][0] == "/busy/1/9")
    assert rest[1][1] - rest[0][1] > 0.25


def test_rules_of_a_host_are_read_once(tmp_path: Path) -> None:
    paths = [f"/{number}.jpg" for number in range(8)]
    robots = response(b"User-agent: *\nCrawl-delay: 0.05\nDisallow: /3.jpg\n")
    with RawServer({**dict.fromkeys(paths, response(photo())), "/robots.txt": robots}) as server:
        urls = [server.url(path) for path in paths]
        options: dict[str, Any] = {"robots_txt": True, "tdm": True, "shard_rows": 2, "per_host": 8}
        fetched = fetch(urls, tmp_path / "out", HereNodes("one", "two"), **options)
        assert fetched.statuses == {"success": 7, "robots": 1}
        asked = {*paths, "/robots.txt", "/.well-known/tdmrep.json"} - {"/3.jpg"}
        assert server.asked == dict.fromkeys(asked, 1)


def test_an_unreachable_host_is_down_for_all(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        urls = [f"http://127.0.0.1:{closed.getsockname()[1]}/{number}.jpg" for number in range(30)]
    options: dict[str, Any] = {"host_failures": 4, "per_host": 1, "shard_rows": 5}
    fetched = fetch(urls, tmp_path / "out", HereNodes("one", "two"), **options)
    assert fetched.errors == {"host_down": 26, "connect_failed": 4}


def test_a_shard_of_a_lost_process_goes_on_elsewhere(server: BadServer, tmp_path: Path) -> None:
    urls, nodes = urls_of(server, 60), HereNodes("one", "two")

    def kill(progress: FetchProgress) -> None:
        if progress.rows > 10 and "two" in nodes.alive:
            nodes.kill("two")

    fetch(urls, tmp_path / "here", None, shard_rows=6)
    asked = server.seen.copy()
    fetch(urls, tmp_path / "there", nodes, kill, shard_rows=6, per_host=4, concurrency=4)
    assert nodes.alive == ["one"]
    assert found(tmp_path / "there") == found(tmp_path / "here")
    twice = server.seen - asked - asked
    assert twice.total() <= 4, "only requests in flight are made again"


def test_a_node_that_joins_late_is_used(server: BadServer, tmp_path: Path) -> None:
    nodes = HereNodes("one")

    def join(progress: FetchProgress) -> None:
        if progress.shards == 1 and "two" not in nodes.alive:
            nodes.alive.append("two")

    urls = [server.url(f"slow/{number}") for number in range(60)]
    assert fetch(urls, tmp_path / "out", nodes, join, shard_rows=3, per_host=2).succeeded == 60
    assert nodes.called["two", "fetch"] > 0


def test_without_nodes_the_same_command_continues(server: BadServer, tmp_path: Path) -> None:
    nodes = HereNodes("one")

    def kill(progress: FetchProgress) -> None:
        if progress.rows > 3 and nodes.alive:
            nodes.kill("one")

    urls = urls_of(server, 30)
    with pytest.raises(PoolwrightError, match=r"no node of the cluster is left .* the same command continues"):
        fetch(urls, tmp_path / "out", nodes, kill, shard_rows=4, concurrency=2)
    with pytest.raises(PoolwrightError, match="no node"):
        fetch(urls, tmp_path / "out", HereNodes(), shard_rows=4)
    assert fetch(urls, tmp_path / "out", HereNodes("two"), shard_rows=4).rows == 31
    server.seen.clear()
    fetch(urls, tmp_path / "here", None, shard_rows=4)
    assert found(tmp_path / "out") == found(tmp_path / "here")


def test_without_a_coordinator_the_fetch_ends(server: BadServer, tmp_path: Path) -> None:
    nodes = HereNodes("one", "two")

    def kill(progress: FetchProgress) -> None:
        if progress.rows > 3:
            nodes.objects[0].end()

    with pytest.raises(PoolwrightError, match=r"that coordinates the fetch has ended .* the same command continues"):
        fetch(urls_of(server, 30), tmp_path / "out", nodes, kill, shard_rows=4, concurrency=2)


def test_an_error_of_a_process_ends_the_fetch(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "a.tar")

    monkeypatch.setattr(fetcher, "finish_shard", full)
    with pytest.raises(PoolwrightError, match=r"a\.tar: No space left on device; finished shards stay"):
        fetch(urls_of(server, 12), tmp_path / "out", HereNodes("one", "two"), shard_rows=2)


def test_a_process_that_was_taken_for_lost_finishes_no_shard(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls, nodes, real = urls_of(server, 40), HereNodes("one", "two"), fetcher.finish_shard
    work, held = tmp_path / "there/.fetch", list[int]()

    def finish(folder: FetchFolder, shard: int, *rest: Any) -> None:
        """Finish the first shard only when another process has done so, with other rows."""
        if not held:
            held.append(shard)
            nodes.cut_off(next(one.place for one in nodes.objects if shard in getattr(one.made, "_finished", ())))
            while not (work / f"{shard:05d}.json").exists():
                time.sleep(0.01)
            rest = (rest[0].slice(0, 0).append_column("odd", pa.array([], pa.int8())), *rest[1:])
        real(folder, shard, *rest)

    fetch(urls, tmp_path / "here", None, shard_rows=4)
    monkeypatch.setattr(fetcher, "finish_shard", finish)
    fetch(urls, tmp_path / "there", nodes, shard_rows=4, per_host=4, concurrency=4)
    assert held
    assert len(nodes.alive) == 1
    late = list(work.glob(f"apart-{held[0]:05d}-*"))
    assert [path.name for path in late[0].glob("*.parquet")] == [f"{held[0]:05d}.parquet"]
    fetch(urls, tmp_path / "there", HereNodes("one"), shard_rows=4)
    assert found(tmp_path / "there") == found(tmp_path / "here")


def test_a_process_that_was_taken_for_lost_is_given_nothing(server: BadServer, tmp_path: Path) -> None:
    async def work() -> None:
        nodes, folder = HereNodes("one"), FetchFolder(tmp_path, FetchOptions(**QUICK))
        coordinator = nodes.start(None, Coordinator, folder.options)
        await coordinator.call("join", "a")
        process = nodes.start("one", FetchProcess, coordinator, "a", str(tmp_path), folder.options)
        await coordinator.call("lost", "a")
        first_rows(folder.work, iter(()), 4)
        with pytest.raises(PoolwrightError, match="taken for lost"):
            await process.call("fetch", 0, pa.table({"url": [server.url("ok/1")]}), None, "a")
        assert not list(folder.work.glob("*.jsonl"))

    asyncio.run(work())


def test_files_of_another_node_may_appear_late(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last shard repeats a URL of the first, whose files are seen half a second after they are said to be there."""
    urls, timers = [server.url(f"slow/{number}") for number in (*range(7), 0)], list[threading.Timer]()

    def put_late(folder: FetchFolder, shard: int, apart: FetchFolder) -> None:
        timers.append(threading.Timer(0.0 if shard else 0.5, put_in_place, (folder, shard, apart)))
        timers[-1].start()

    fetch(urls, tmp_path / "here", None, shard_rows=2)
    server.seen.clear()
    monkeypatch.setattr(driver, "put_in_place", put_late)
    fetch(urls, tmp_path / "there", HereNodes("one", "two"), shard_rows=2, per_host=1)
    assert set(server.seen.values()) == {1}
    for timer in timers:
        timer.join()
    assert found(tmp_path / "there") == found(tmp_path / "here")


def test_files_that_never_appear_are_an_error(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_centre, "_PATIENCE", 0.3)
    monkeypatch.setattr(driver, "put_in_place", lambda *_: None)
    urls = [server.url(f"slow/{number}") for number in (*range(7), 0)]
    with pytest.raises(PoolwrightError, match=r"shard 00000: another process wrote it, and .* all nodes must share"):
        fetch(urls, tmp_path / "out", HereNodes("one", "two"), shard_rows=2)


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_a_kill_while_files_are_put_in_place(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    urls = [server.url(path) for path in ("ok/0", "ok/1", "ok/0", "status/404", "ok/2")]
    (tmp_path / "disk").mkdir()
    out, options = tmp_path / "disk/out", FetchOptions(**{**QUICK, "shard_rows": 2, "format": layout})
    known = options.model_copy(update={"placeholders": (sha256(picture(0)),), "retry": ("not_found",)})
    pq.write_table(pa.table({"url": urls}), tmp_path / "rows.parquet")

    def run(*chosen: FetchOptions) -> None:
        for one in chosen:
            fetch_images(tmp_path / "rows.parquet", out, one, nodes=HereNodes("one"))

    with monkeypatch.context() as patches, closing(Disk(tmp_path / "disk", patches)) as disk:
        patches.setattr(asyncio, "to_thread", at_once)  # one change of the disk at a time
        run(options)
        first = len(disk.killed), len(disk.cut)
        run(known)
    expected = found(out)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for begun, trees in zip(first, (disk.killed, disk.cut), strict=True):
        moves = [n for n, tree in enumerate(trees) if any("apart-" in name for name in tree)]
        assert len(moves) > 8
        for number in moves[:: 1 + len(moves) // 15]:
            disk.put_back(trees[number])
            run(*([options, known] if number < begun else [known]))
            assert found(out) == expected
