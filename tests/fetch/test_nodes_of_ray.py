"""Fetching on a Ray cluster of two nodes, one of which dies: the files of a fetch on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.runtime.progress import Silent, TableProgress
from poolwright.fetch.options import FetchOptions
from poolwright.run.engine import sharing
from poolwright.run.run import open_run
from tests.calling import call
from tests.fetch.conftest import QUICK
from tests.fetch.server import BadServer
from tests.fetch.test_crash import found
from tests.fetch.test_nodes import assert_paced, urls_of
from tests.run.ray_cluster import TwoNodes, nodes  # noqa: F401

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def write(urls: list[str], folder: Path) -> Path:
    pq.write_table(pa.table({"url": urls}), folder / "urls.parquet")
    return folder / "urls.parquet"


def test_two_nodes_fetch_the_same_files_and_a_host_sees_one_client(
    nodes: TwoNodes,  # noqa: F811
    server: BadServer,
    tmp_path: Path,
) -> None:
    write(urls_of(server, 60), tmp_path)
    options = ["--allow-private", "--shard-rows", "4", "--per-host", "3"]
    assert call("fetch", "urls.parquet", "here", *options, folder=tmp_path).code == 0
    asked = server.seen.copy()
    assert set(asked.values()) == {1}
    assert asked["/robots.txt"] == 1
    nodes.restore()
    server.most = 0
    on_ray = ["--engine", "ray", "--address", nodes.address, "--format", "webdataset"]
    there = call("fetch", "urls.parquet", "there", *options, *on_ray, folder=tmp_path)
    assert there.code == 0, there.err
    assert found(tmp_path / "there") == found(tmp_path / "here")
    assert server.seen - asked == asked
    assert server.most == 3
    assert not list((tmp_path / "there" / ".fetch").glob("run.shared*"))


class KillsOnce(Silent):
    """A listener that kills a node after some rows."""

    def __init__(self, nodes: TwoNodes) -> None:  # noqa: F811
        self.nodes = nodes

    def progress(self, progress: TableProgress) -> None:
        if progress.rows > 8:
            self.nodes.kill()


def test_a_node_dies_and_pauses_hold(nodes: TwoNodes, server: BadServer, tmp_path: Path) -> None:  # noqa: F811
    source = write(urls_of(server, 60), tmp_path)
    options = FetchOptions(**{**QUICK, "shard_rows": 5, "host_delay": 0.1, "concurrency": 4})
    nodes.restore()
    on_ray: dict[str, Any] = {"engine": "ray", "address": nodes.address, "listener": KillsOnce(nodes)}
    api.fetch(source, tmp_path / "there", options, **on_ray)
    assert nodes.other is None
    assert_paced(server, 0.1)
    assert server.seen.total() - len(server.seen) <= 4, "only requests in flight are made again"
    api.fetch(source, tmp_path / "here", options.model_copy(update={"host_delay": 0.0}))
    assert found(tmp_path / "there") == found(tmp_path / "here")


def test_the_step_of_a_run_fetches_on_all_nodes(
    nodes: TwoNodes,  # noqa: F811
    server: BadServer,
    tmp_path: Path,
) -> None:
    write(urls_of(server, 20), tmp_path)
    step = {"fetch": {**QUICK, "shard_rows": 5, "per_host": 2}}
    tables = {"all": {"from": "urls"}, "pictures": {"from": "all", "steps": [step]}}
    pools = {"urls": {"read": "table", "path": "urls.parquet", "uid": "row"}}
    recipe = api.Recipe.from_data({"recipe": 1, "name": "r", "pools": pools, "tables": tables}, tmp_path)
    nodes.restore()
    api.run(recipe, tmp_path / "ray", engine="ray", address=nodes.address)
    assert server.most == 2
    assert set(server.seen.values()) == {1}
    api.run(recipe, tmp_path / "local")
    read = [open_run(tmp_path / to).table("pictures").read(["url", "sha256"]) for to in ("ray", "local")]
    assert read[0].equals(read[1])
    assert found(tmp_path / "ray/fetched/pictures") == found(tmp_path / "local/fetched/pictures")


def test_what_cannot_be_fetched_on_nodes_is_said_first(
    nodes: TwoNodes,  # noqa: F811
    server: BadServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, written = write([server.url("ok/1")], tmp_path), sharing.FolderProbe.write
    monkeypatch.setattr(sharing.FolderProbe, "write", lambda where: written(where)._replace(text="of another disk"))
    with pytest.raises(PoolwrightError, match=r"not on storage that all nodes of the Ray cluster share: .*Mount"):
        api.fetch(source, tmp_path / "out", FetchOptions(**QUICK), engine="ray", address=nodes.address)
    assert not server.seen
    with pytest.raises(RecipeError, match="leave out the engine"):
        api.fetch(source, tmp_path / "out", tool="img2dataset", engine="ray")
