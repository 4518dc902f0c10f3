"""Runs on a Ray cluster of two and three nodes that lose nodes, processes and objects: the bytes of a local run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import PoolwrightError
from poolwright.core.rows import vector_array
from poolwright.core.runtime.progress import Silent, TableProgress
from poolwright.run.engine import sharing
from poolwright.run.engine.engine import make_engine
from poolwright.run.engine.sharing import FolderProbe
from poolwright.run.sources import source
from poolwright.testing.tiny_clip import write_clip
from tests.calling import call
from tests.models.making import encoded, picture
from tests.run.pools import final_files
from tests.run.ray_cluster import NODE, TwoNodes, nodes  # noqa: F401

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROWS, WIDTH = 400, 16


def rows(count: int, seed: int) -> pa.Table:
    """Rows of two classes, with near-duplicates among them."""
    generator = np.random.default_rng(seed)
    is_map = generator.random(count) < 0.4
    vectors = generator.standard_normal((count, WIDTH)) + np.where(is_map, 1.5, 0.0)[:, None]
    vectors[1::10] = vectors[::10] + 0.01
    return pa.table(
        {
            "uid": [f"{seed}-{row:04d}" for row in range(count)],
            "class": np.where(is_map, "map", "other"),
            "clip": vector_array((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)),
        }
    )


def recipe(folder: Path) -> Recipe:
    embed = {"image": "clip", "model": "tiny"}
    label = {"with": "clip", "vocabulary": ["dog", "boat"], "model": "tiny", "template": "a {name}"}
    learn = {"with": "clip", "examples": "examples", "positive": "map", "candidates": ["mean"], "folds": 3}
    data = {
        "recipe": 1,
        "name": "cluster",
        "models": {"tiny": "onnx:clip"},
        "pools": {
            "photos": {"read": "image_folder", "path": "photos"},
            "rows": {"read": "table", "path": "rows"},
            "labelled": {"read": "table", "path": "examples.parquet"},
        },
        "tables": {
            "embedded": {"from": "photos", "steps": [{"embed": embed}, {"label": label}]},
            "examples": {"from": "labelled"},
            "chosen": {
                "from": "rows",
                "steps": [
                    {"near_duplicates": {"vectors": "clip", "above": 0.99, "keep": "first", "method": "cells"}},
                    {"classify": {**learn, "keep": True}},
                    {"cluster": {"of": "clip", "k": 3}},
                    {"split": {"ratios": {"train": 0.8, "test": 0.2}}},
                ],
            },
        },
        "releases": [{"table": "chosen", "layout": "parquet", "to": "release", "figures": False}],
    }
    return Recipe.from_data(data, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pools, a model, and a local run of the recipe, in units of 100 rows."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "photos").mkdir()
    (folder / "rows").mkdir()
    for number in range(8):
        (folder / "photos" / f"{number}.jpg").write_bytes(encoded(picture(number, 40, 30)))
    for part in range(4):
        piece = rows(ROWS, 3).slice(part * ROWS // 4, ROWS // 4)
        pq.write_table(piece, folder / "rows" / f"{part}.parquet", row_group_size=50)
    pq.write_table(rows(100, 5), folder / "examples.parquet")
    write_clip(folder / "clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "UNIT_ROWS", 64 * 100)
        table = api.run(recipe(folder), folder / "local").tables["chosen"]
        assert len(table.record.parts) == 4
        (folder / "release").rename(folder / "local-release")
        yield folder


def same_as_local(folder: Path, name: str) -> None:
    assert final_files(folder / name) == final_files(folder / "local")
    files = {path.name: path.read_bytes() for path in (folder / "release").rglob("*.parquet")}
    assert files == {path.name: path.read_bytes() for path in (folder / "local-release").rglob("*.parquet")}
    assert files


class Accidents(Silent):
    """A listener that has something happen after the first unit of certain phases, once each."""

    def __init__(self, accidents: dict[tuple[str, str], Any]) -> None:
        self.left = dict(accidents)

    def progress(self, progress: TableProgress) -> None:
        for table, phase in list(self.left):
            if (table, phase) == (progress.name, progress.phase.partition(" ")[0]):
                self.left.pop((table, phase))()


def kill_workers(nodes: TwoNodes) -> None:  # noqa: F811
    """Kill the processes that run units, as the memory monitor of Ray or the kernel does."""
    import psutil

    for node in nodes.cluster.list_all_nodes():
        for started in node.all_processes.get("raylet", ()):
            for process in psutil.Process(started.process.pid).children(recursive=True):
                with suppress(psutil.Error):  # it has ended
                    if process.name().startswith("ray::_run"):
                        process.send_signal(signal.SIGKILL)


def test_three_nodes_lose_one_while_they_fit_and_processes_while_they_write(
    nodes: TwoNodes,  # noqa: F811
    folder: Path,
) -> None:
    third = nodes.cluster.add_node(**NODE)
    listener = Accidents(
        {
            ("embedded", "write"): nodes.kill,
            ("chosen", "fit"): lambda: nodes.cluster.remove_node(third, allow_graceful=False),
            ("chosen", "write"): lambda: kill_workers(nodes),
        }
    )
    options: dict[str, Any] = {"engine": "ray", "address": nodes.address}
    api.run(recipe(folder), folder / "ray", listener=listener, **options)
    assert not listener.left
    same_as_local(folder, "ray")
    assert not list((folder / "ray").glob("run.shared*"))


def test_lost_objects_are_made_again(nodes: TwoNodes) -> None:  # noqa: F811
    nodes.restore()
    engine = make_engine("ray", address=nodes.address)
    results = engine.map(large, range(4))
    found = dict([next(results)])  # the others wait in the object stores
    time.sleep(0.5)
    nodes.kill()
    found |= dict(results)
    assert {unit: int(array[0]) for unit, array in found.items()} == {unit: unit for unit in range(4)}


def large(unit: int) -> np.ndarray:
    return np.full(300_000, unit)


def test_a_folder_that_nodes_do_not_share_is_found_before_the_first_unit(
    nodes: TwoNodes,  # noqa: F811
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = FolderProbe.write

    def elsewhere(where: Path) -> FolderProbe:
        return written(where)._replace(text="what the driver wrote on its own disk")

    monkeypatch.setattr(sharing.FolderProbe, "write", elsewhere)
    with pytest.raises(PoolwrightError) as caught:
        api.run(recipe(folder), folder / "apart", engine="ray", address=nodes.address)
    assert f"{folder / 'apart'}: this folder is not on storage that all nodes" in str(caught.value)
    assert "--run FOLDER" in str(caught.value)
    assert not (folder / "apart" / "tables").exists()
    assert not list((folder / "apart").glob("run.shared*"))


EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "cluster"


def test_the_ray_job_runs_the_recipe(nodes: TwoNodes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    job = yaml.safe_load((EXAMPLES / "rayjob.yaml").read_text())["spec"]
    program, *words = job["entrypoint"].replace("/shared", str(folder)).split()
    assert program == "poolwright"
    workers = job["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    assert workers["containers"][0]["volumeMounts"][0]["mountPath"] == "/shared"
    data: dict[str, Any] = {"recipe": 1, "name": "job", "pools": {"rows": {"read": "table", "path": "rows"}}}
    data["tables"] = {"all": {"from": "rows"}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(data))
    nodes.restore()
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)  # as in a pod
    called = call(*words)
    assert called.code == 0, called.err
    assert api.show(folder / "runs" / "recipe")[0].record.rows_kept == ROWS
