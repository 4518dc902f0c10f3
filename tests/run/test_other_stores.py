"""Pools and run folders in Google Cloud Storage and Azure Blob Storage, as their emulators speak on loopback.

That of Azure is no Python package: `npm install azurite`, start `azurite-blob --inMemoryPersistence
--skipApiVersionCheck --disableTelemetry`, and set `AZURE_STORAGE_CONNECTION_STRING` to the connection string of its
documentation; else the tests of Azure are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolwright import api
from poolwright.core.errors import PoolwrightError
from poolwright.core.remote.files import open_file
from poolwright.core.remote.listing import files_below, info_of
from poolwright.run.remote import folder as folders
from poolwright.run.remote import lease as leases
from poolwright.run.remote.folder import work_folder
from poolwright.run.remote.lease import Lease
from poolwright.run.remote.mirror import MANIFEST
from poolwright.run.remote.store import RunStore
from tests.run.pools import final_files, make_recipe, make_rows, write_pool

EMULATED = "127.0.0.1:10000"
STEPS: list[dict[str, Any]] = [{"where": "width > 2000"}, {"cap": {"group": "continent", "n": 100}}]


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of Google Cloud Storage."""
    pytest.importorskip("gcsfs")
    server = pytest.importorskip("gcp_storage_emulator.server").create_server("127.0.0.1", 0, True, "pools")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server._api._httpd.server_port}")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "tests")
    yield "gs://pools"
    server.stop()


@pytest.fixture
def az() -> str:
    """A container of Azure Blob Storage."""
    pytest.importorskip("adlfs")
    if EMULATED not in os.environ.get("AZURE_STORAGE_CONNECTION_STRING", ""):
        pytest.skip("no emulator of Azure Blob Storage")
    import fsspec

    system = fsspec.filesystem("az")
    if system.exists("pools"):
        system.rm("pools", recursive=True)
    system.mkdir("pools")
    return "az://pools"


@pytest.fixture(params=["gs", "az"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(leases, "SETTLED", 0.0)
    monkeypatch.setattr(folders, "SECONDS", 0.2)
    found: str = request.getfixturevalue(request.param)
    return found


def test_a_pool_is_listed_and_read_in_ranges_and_a_run_folder_goes_on_elsewhere(bucket: str, tmp_path: Path) -> None:
    import fsspec

    write_pool(tmp_path, make_rows(800), parts=3)
    system = fsspec.filesystem(bucket.partition(":")[0])
    system.put(str(tmp_path / "rows"), f"{bucket}/rows", recursive=True)
    assert sorted(files_below(f"{bucket}/rows")) == ["000.parquet", "001.parquet", "002.parquet"]
    data = (tmp_path / "rows/000.parquet").read_bytes()
    known = info_of(f"{bucket}/rows/000.parquet")
    assert (known.size, bool(known.state)) == (len(data), True)
    assert known.digest is not None
    with open_file(f"{bucket}/rows/000.parquet", 1 << 12) as file:
        file.seek(len(data) - 100)
        assert file.read() == data[-100:]

    pools = {"rows": {"read": "table", "path": f"{bucket}/rows"}}
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        recipe = make_recipe(tmp_path / name, STEPS, pools=pools)
        made.append(api.run(recipe, f"{bucket}/runs/x").folder)
        assert made[-1] == work_folder(recipe, f"{bucket}/runs/x")
        system.pipe_file(f"{bucket}/runs/x/tags/seen.csv", b"uid\n")
        (made[0] / "tags").mkdir(exist_ok=True)
        (made[0] / "tags/mine.csv").write_text("uid\n")
    api.run(make_recipe(tmp_path / "first", STEPS, pools=pools), f"{bucket}/runs/x")
    assert (made[1] / "tags/seen.csv").read_bytes() == system.cat_file(f"{bucket}/runs/x/tags/mine.csv") == b"uid\n"
    local = api.run(make_recipe(tmp_path, STEPS, pools=pools)).folder
    wanted = [
        {path: content for path, content in final_files(folder).items() if path.startswith("tables/")}
        for folder in (*made, local)
    ]
    assert wanted[0] == wanted[1] == wanted[2] != {}
    system.invalidate_cache()
    named = json.loads(system.cat_file(f"{bucket}/runs/x/{MANIFEST}"))["files"]
    assert all(system.cat_file(f"{bucket}/runs/x/{name}") == (made[0] / name).read_bytes() for name in named)


def test_what_is_removed_is_gone_and_a_folder_is_held_by_one(bucket: str) -> None:
    store = RunStore(f"{bucket}/runs/y")
    lease = Lease(store)
    with pytest.raises(PoolwrightError, match="another process is using it"):
        Lease(store)
    lease.end()
    assert store.names() == []
    assert store.states("verify") == {}
    assert (store.state("a.json"), store.read("a.json")) == (None, None)
    store.write("a.json", {"a": 1})
    before = store.state("a.json")
    store.write("a.json", {"a": 2})
    assert before != store.state("a.json") is not None
    store.remove("a.json")
    store.remove("a.json")
    assert store.names() == []
