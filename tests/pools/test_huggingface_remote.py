"""Datasets read by their id, from a stand-in for the Hub that speaks its HTTP API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import RecipeError
from poolwright.pools.huggingface.huggingface import HuggingFacePool
from poolwright.pools.release import ReleasePool
from tests.calling import call
from tests.hub.conftest import make_release, use_hub
from tests.hub.hub_server import HubServer
from tests.models.making import encoded, picture
from tests.pools.reading import column, read_all
from tests.pools.tars import jpeg, write_tar

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        use_hub(server, monkeypatch, tmp_path)
        yield server


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_birds(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    for split in ("train", "test"):
        rows = pa.table({"label": [0, 1, 1], "caption": [f"{split} {number}" for number in range(3)]})
        pq.write_table(rows, folder / f"data/{split}-00000-of-00001.parquet")
    names = "{class_label: {names: [auk, owl]}}"
    (folder / "README.md").write_text(f"---\ndataset_info: {{features: [{{name: label, dtype: {names}}}]}}\n---\n")


def write_pictures(folder: Path) -> None:
    for number in range(4):
        file = folder / ("train", "test")[number % 2] / ("auk", "owl")[number // 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(picture(number, 20, 20)))


def write_tars(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        write_tar(folder / split / "0.tar", [(f"{split}{n}.{kind}", data) for n in (0, 1) for kind, data in sample(n)])
    names = "{class_label: {names: [auk, owl]}}"
    (folder / "README.md").write_text(f"---\ndataset_info: {{features: [{{name: cls, dtype: {names}}}]}}\n---\n")


def sample(number: int) -> Any:
    return {"jpg": jpeg(number), "cls": str(number).encode(), "txt": b"a bird"}.items()


@pytest.mark.parametrize("write", [write_birds, write_pictures, write_tars])
def test_rows_are_those_of_the_folder(write: Any, hub: HubServer, tmp_path: Path) -> None:
    write(tmp_path / "birds")
    hub.put("me/birds", files_of(tmp_path / "birds"), private=True)
    remote, local = (HuggingFacePool(path=path) for path in ("hf://datasets/me/birds", str(tmp_path / "birds")))
    assert read_all(remote).to_pylist() == read_all(local).to_pylist()
    assert sorted(column(local, "split"), key=str) == sorted(["train", "test"] * (len(column(local, "split")) // 2))
    assert len(column(local, "uid")) >= 4
    names = {*column(local, "cls" if write is write_tars else "label")}
    assert names == {"auk", "owl"}


def test_a_run_records_commit_and_digests_and_notices_another_commit(hub: HubServer, tmp_path: Path) -> None:
    write_birds(tmp_path / "birds")
    files = files_of(tmp_path / "birds")
    hub.put("me/birds", files)
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\npools: {p: {read: huggingface, path: 'hf://datasets/me/birds', splits: [train]}}\n"
        "tables: {t: {from: p, steps: [where: \"label = 'owl'\"]}}\n"
    )
    called = call("run", "r.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    record = json.loads((tmp_path / "runs/r/tables/t/table.json").read_text())
    (file,) = record["files"]
    stored = hub.repos["me/birds"].commits[hub.repos["me/birds"].branches["main"]]["data/train-00000-of-00001.parquet"]
    assert file["digest"] == f"sha256:{stored.oid}"
    assert record["remarks"] == [f"hf://datasets/me/birds is read at commit {hub.repos['me/birds'].branches['main']}"]
    table = pq.read_table(tmp_path / "birds/data/train-00000-of-00001.parquet").slice(1)
    pq.write_table(table, tmp_path / "birds/data/train-00000-of-00001.parquet")
    hub.put("me/birds", files_of(tmp_path / "birds"))
    forget()
    again = call("run", "r.yaml", folder=tmp_path)
    assert again.code == 1
    assert "train-00000-of-00001.parquet" in again.err


def forget() -> None:
    """Another process lists the files anew."""
    from huggingface_hub import HfFileSystem

    HfFileSystem.clear_instance_cache()


def test_only_what_is_needed_is_fetched(hub: HubServer, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    images = [{"bytes": noise.bytes(2 << 20), "path": None} for _ in range(16)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.table({"caption": ["a bird"] * 16, "image": pa.array(images, kind)})
    (tmp_path / "birds").mkdir()
    pq.write_table(rows, tmp_path / "birds" / "train.parquet", row_group_size=16, compression="none")
    hub.put("me/birds", files_of(tmp_path / "birds"))
    assert column(HuggingFacePool(path="hf://datasets/me/birds"), "caption") == ["a bird"] * 16
    asked = [one.headers.get("range", "") for one in hub.requests("GET", "/cdn/")]
    ranges = [re.fullmatch(r"bytes=(\d+)-(\d+)", one) for one in asked]
    assert all(ranges)
    fetched = sum(int(one[2]) - int(one[1]) + 1 for one in ranges if one)
    assert fetched < (32 << 20) / 2, f"{fetched:,} bytes of {32 << 20:,}"


@pytest.mark.parametrize("how", [503, "drop"])
def test_a_server_that_fails_stops_the_run_and_loses_no_rows(
    how: Any, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolwright.core.remote.failures._WAITS", (0.0,))
    write_birds(tmp_path / "birds")
    hub.put("me/birds", files_of(tmp_path / "birds"))
    hub.fail("GET", "/resolve/.*parquet", how, times=1_000)
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\npools: {p: {read: huggingface, path: 'hf://datasets/me/birds'}}\ntables: {t: {from: p}}\n"
    )
    called = call("run", "r.yaml", folder=tmp_path)
    assert called.code == 1
    words = "the server answers 503" if how == 503 else "disconnected"
    assert re.search(rf"error: hf://datasets/me/birds/data/\S+: cannot be reached: .*{words}", called.err)
    assert not (tmp_path / "runs/r/tables/t").exists()


def test_what_is_not_there_is_named(hub: HubServer) -> None:
    for path in ("hf://datasets/me/none", "hf://datasets/me"):
        with pytest.raises(RecipeError, match=path):
            HuggingFacePool(path=path).arrow_schema()


def test_a_release_is_read_and_its_large_files_are_not_read_for_their_digests(hub: HubServer, tmp_path: Path) -> None:
    folder = make_release(tmp_path, 40)
    hub.put("me/squares", files_of(folder))
    pool = ReleasePool(path="hf://datasets/me/squares")
    pool.parts()
    assert not [one for one in hub.requests("GET", "/cdn/") if not one.headers.get("range")]
    assert read_all(pool).equals(read_all(ReleasePool(path=str(folder))))
