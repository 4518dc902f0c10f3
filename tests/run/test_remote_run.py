"""Run folders in S3: killed, continued on another machine, and held by one process at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from poolwright import api
from poolwright.core.errors import InputError, PoolwrightError, RecipeError
from poolwright.run.remote import folder as folders
from poolwright.run.remote import lease as leases
from poolwright.run.remote.folder import remote_url, work_folder
from poolwright.run.remote.lease import LEASE, Lease
from poolwright.run.remote.mirror import MANIFEST, Mirror
from poolwright.run.remote.store import RunStore
from poolwright.run.sources import source
from tests.run.pools import STEPS, final_files, make_recipe, make_rows, recipe_data, write_pool
from tests.stores import s3, s3_service  # noqa: F401

URL = "s3://pools/runs/x"
CODE = """
import os, signal, sys, threading
from poolwright.cli.main import main
from poolwright.run.remote import folder, lease, mirror
from poolwright.run.sources import source

source.UNIT_ROWS = 64 * 200
folder.SECONDS, lease.SETTLED = 0.01, 0.0
left, put = int(sys.argv.pop(1)), mirror.RunStore.send

def counted(self, file, name):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, file, name)

mirror.RunStore.send = counted
main()
"""


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SETTLED", 0.0)


def killed(folder: Path, sends: int) -> int:
    """Run the recipe of a folder in S3, in a process that is killed before so many files are sent; its exit status."""
    command = [sys.executable, "-c", CODE, str(sends), "run", str(folder / "recipe.yaml"), "--run", URL]
    return subprocess.run(command, capture_output=True).returncode


def mirrored(system: Any, folder: Path) -> None:
    """The store has what the local folder has, and its manifest names all of it."""
    system.invalidate_cache()
    named = json.loads(system.cat_file(f"pools/runs/x/{MANIFEST}"))["files"]
    assert {str(path).partition("runs/x/")[2] for path in system.find("pools/runs/x")} == {*named, MANIFEST}
    assert all(system.cat_file(f"pools/runs/x/{name}") == (folder / name).read_bytes() for name in named)
    assert {*made(folder)} <= {*named}


def made(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in final_files(folder).items() if not name.startswith("remote")}


def write(folder: Path) -> Path:
    write_pool(folder, make_rows(1600), parts=4)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe_data(STEPS)))
    return folder


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_and_continued_on_another_machine_the_bytes_are_those_of_a_local_run(
    s3: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = write(tmp_path / "first"), write(tmp_path / "second")
    assert killed(first, 12) == -signal.SIGKILL
    work = work_folder(api.Recipe.load(first / "recipe.yaml"), URL)
    assert json.loads(s3.cat_file(f"pools/runs/x/{MANIFEST}"))["files"]
    monkeypatch.setattr(source, "UNIT_ROWS", 64 * 200)
    monkeypatch.setattr(folders, "SECONDS", 0.01)
    there = api.run(second / "recipe.yaml", URL).folder  # the lease of a process of this machine that is gone is over
    assert there == work_folder(api.Recipe.load(second / "recipe.yaml"), URL)
    api.run(first / "recipe.yaml", first / "runs" / "local")
    assert made(there) == made(first / "runs" / "local")
    mirrored(s3, there)
    left = work / "tables" / "chosen" / "states" / "04-drop_small.groups.parquet.0a1b2c3d.partial"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"PAR1")  # what a writer leaves that is killed
    api.run(first / "recipe.yaml", URL)  # the first machine takes over what the second has made
    assert made(work) == made(there)


def test_another_process_is_refused_until_the_lease_is_over(
    s3: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, folder = RunStore(URL), write(tmp_path)
    held = Lease(store)
    with pytest.raises(PoolwrightError, match=rf"{URL}: another process is using it \(process {os.getpid()} on "):
        api.run(make_recipe(folder), URL)
    monkeypatch.setattr(leases, "VALID", 0.0)
    held._write()
    monkeypatch.undo()
    monkeypatch.setattr(leases, "SETTLED", 0.0)
    mine = Lease(store)
    with pytest.raises(PoolwrightError, match="another process"):
        held.check()
    held.end()
    mine.check()
    mine.end()
    assert not s3.exists(f"pools/runs/x/{LEASE}")


def test_a_file_counts_once_the_manifest_names_it(s3: Any, tmp_path: Path) -> None:  # noqa: F811
    store = RunStore(URL)
    lease, here = Lease(store), tmp_path / "here"
    here.mkdir()
    mirror = Mirror(store, here, lease, lambda _: False)
    (here / "part-0.parquet").write_bytes(b"rows")
    (here / "table.json").write_text("{}")
    mirror.sync()
    (here / "part-0.parquet").write_bytes(b"other")
    names: list[set[str]] = []
    write = store.write
    store.write = lambda name, content: names.append({*content.get("files", ())}) or write(name, content)  # type: ignore
    mirror.sync()
    assert names == [{"table.json"}, {"table.json", "part-0.parquet"}]
    s3.pipe_file("pools/runs/x/part-0.parquet", b"half")  # as if a process was killed while it replaced the file
    shutil.copytree(here, tmp_path / "there")
    (tmp_path / "there" / "remote.json").unlink()
    (tmp_path / "there" / "part-0.parquet").write_bytes(b"older")
    Mirror(store, tmp_path / "there", lease, lambda _: False)
    assert not (tmp_path / "there" / "part-0.parquet").exists()
    assert (tmp_path / "there" / "table.json").exists()


def test_what_is_refused(s3: Any, tmp_path: Path) -> None:  # noqa: F811
    folder = write(tmp_path)
    with pytest.raises(InputError, match="s3://none-such/x: there is no such bucket"):
        api.run(make_recipe(folder), "s3://none-such/x")
    with pytest.raises(RecipeError, match="run folders are local, or in S3"):
        api.run(make_recipe(folder), "https://example.org/x")
    with pytest.raises(RecipeError, match="only `poolwright run` works in a remote run folder"):
        api.why(URL, "row-0000001")
    assert remote_url(Path("s3://a/b/")) == "s3://a/b"
    assert remote_url("/a/b") is None
    assert remote_url("C:/a") is None
