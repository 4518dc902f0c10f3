"""Fetching on three nodes of a cluster from a process outside of it, by Ray Client; a node dies meanwhile."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.calling import call
from tests.fetch.server import BadServer
from tests.fetch.test_crash import found
from tests.fetch.test_nodes import urls_of
from tests.run.ray_cluster import NODE, TwoNodes

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_a_client_of_three_nodes_of_which_one_dies(server: BadServer, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    pytest.importorskip("grpc")
    pq.write_table(pa.table({"url": urls_of(server, 60)}), tmp_path / "urls.parquet")
    options = ["--allow-private", "--shard-rows", "4", "--per-host", "3"]
    assert call("fetch", "urls.parquet", "here", *options, "--workers", "1", folder=tmp_path).code == 0
    asked = server.seen.copy()
    server.most = 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = TwoNodes(ray_client_server_port=port)
    try:
        nodes.cluster.add_node(**NODE)
        on_ray = [*options, "--set", "host_delay=0.1", "--engine", "ray", "--address", f"ray://127.0.0.1:{port}"]
        command = [sys.executable, "-m", "poolwright", "fetch", "urls.parquet", "there", *on_ray]
        fetching = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while (server.seen - asked).total() < 8 and fetching.poll() is None:
            time.sleep(0.05)
        nodes.kill()
        _, said = fetching.communicate(timeout=200)
        assert fetching.returncode == 0, said
    finally:
        nodes.end()
    assert found(tmp_path / "there") == found(tmp_path / "here")
    assert server.most <= 3
    assert (server.seen - asked - asked).total() <= 3, "only requests in flight are made again"
