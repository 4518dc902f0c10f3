"""A filter over CommonPool that is killed, and whose shards change, break, come and go."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import api
from poolwright.core.errors import ChangedError, RecipeError, TooManyBad
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from tests.run.pools import final_files
from tests.run.test_kill import run

WIDTH, SHARDS, ROWS = 24, 8, 4_000


def vectors(labels: np.ndarray, seed: int) -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(2, WIDTH))
    made = centres[labels.astype(int)] + 0.8 * np.random.default_rng(seed).normal(size=(len(labels), WIDTH))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


def shard(folder: Path, number: int, rows: int = ROWS) -> None:
    """One shard as DataComp publishes it: metadata next to arrays, in one order."""
    folder.mkdir(parents=True, exist_ok=True)
    maps = np.random.default_rng(number).random(rows) < 0.03
    uids = [f"{number:016x}{row:016x}" for row in range(rows)]
    columns = {
        "uid": uids,
        "url": [f"https://example.org/{uid}.jpg" for uid in uids],
        "text": ["a map" if one else "a photo" for one in maps],
        "original_width": pa.array([640] * rows, pa.int64()),
        "original_height": pa.array([480] * rows, pa.int64()),
        "clip_l14_similarity_score": pa.array(np.full(rows, 0.25, np.float32)),
        "sha256": [uid * 2 for uid in uids],
    }
    pq.write_table(pa.table(columns), folder / f"{number:05d}.parquet")
    np.savez(folder / f"{number:05d}.npz", l14_img=vectors(maps, number), l14_txt=vectors(maps, number + 1_000))


def examples(folder: Path, seed: int = 99) -> None:
    labels = np.arange(240) % 2 == 0
    names = np.where(labels, "map", "other")
    table = {"uid": [f"e{row}" for row in range(240)], "class": names, "l14_img": vector_array(vectors(labels, seed))}
    pq.write_table(pa.table(table), folder / "examples.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(SHARDS):
        shard(tmp_path / "pool", number)
    examples(tmp_path)
    data = {
        "recipe": 1,
        "name": "filter",
        "max_bad": "30%",
        "pools": {
            "labelled": {"read": "table", "path": "examples.parquet"},
            "commonpool": {"read": "commonpool", "path": "pool", "vectors": ["l14_img", "l14_txt"]},
        },
        "tables": {
            "examples": {"from": "labelled"},
            "maps": {
                "from": "commonpool",
                "ledger": "counts",
                "steps": [
                    {
                        "classify": {
                            "with": "l14_img",
                            "examples": "examples",
                            "positive": "map",
                            "candidates": ["mean", "svm"],
                            "folds": 3,
                            "keep": True,
                        }
                    },
                    {"keep_columns": ["url", "text", "sha256", "l14_img", "decision"]},
                ],
            },
        },
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(data))
    return tmp_path


def table_of(folder: Path, run: str = "run") -> Table:
    return next(table for table in api.show(folder / run) if table.name == "maps")


def test_killed_again_and_again_it_ends_as_if_undisturbed(folder: Path) -> None:
    assert run(folder, "whole") == 0
    for renames in (3, 9, 5):
        assert run(folder, "killed", renames) == -signal.SIGKILL
    assert run(folder, "killed") == 0
    assert final_files(folder / "killed") == final_files(folder / "whole")


def test_every_row_is_counted_by_its_decision(folder: Path) -> None:
    api.run(folder / "recipe.yaml", folder / "run")
    record = table_of(folder).record
    assert sum(record.tallies["01-classify.decisions"]) == record.rows_in == SHARDS * ROWS
    assert 0.02 < record.rows_kept / record.rows_in < 0.05


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("change", ["vectors", "metadata", "removed", "added", "examples"])
def test_what_changes_is_named_and_nothing_is_mixed(folder: Path, change: str, half: bool) -> None:
    api.run(folder / "recipe.yaml", folder / "run")
    if half:  # as if it had been stopped before its end
        (folder / "run" / "tables" / "maps" / "table.json").unlink()
    before = final_files(folder / "run")
    first = folder / "pool" / "00003"
    match change:
        case "vectors":
            np.savez(first, l14_img=vectors(np.ones(ROWS, bool), 1), l14_txt=vectors(np.ones(ROWS, bool), 2))
            named = "00003.npz: content changed"
        case "metadata":
            rows = pq.read_table(f"{first}.parquet")
            pq.write_table(rows.set_column(2, "text", [["changed"] * ROWS]), f"{first}.parquet")
            named = "00003.parquet: content changed"
        case "removed":
            first.with_suffix(".npz").unlink()
            first.with_suffix(".parquet").unlink()
            named = "00003.parquet: gone"
        case "added":
            shard(folder / "pool", SHARDS)
            named = f"{SHARDS:05d}.parquet: new"
        case _:
            examples(folder, seed=100)
            named = "examples.parquet: content changed"
    with pytest.raises(ChangedError, match=named.replace(".", r"\.")):
        api.run(folder / "recipe.yaml", folder / "run")
    assert final_files(folder / "run") == before
    fresh = ["examples", "maps"] if change == "examples" else ["maps"]
    api.run(folder / "recipe.yaml", folder / "run", fresh=fresh)
    api.run(folder / "recipe.yaml", folder / "anew", workers=1, batch_rows=777)
    assert final_files(folder / "run") == final_files(folder / "anew")


def test_changed_examples_make_the_filter_anew(folder: Path) -> None:
    api.run(folder / "recipe.yaml", folder / "run")
    examples(folder, seed=100)
    with pytest.raises(ChangedError):
        api.run(folder / "recipe.yaml", folder / "run")
    api.run(folder / "recipe.yaml", folder / "run", fresh=["examples"])
    api.run(folder / "recipe.yaml", folder / "other")
    assert final_files(folder / "run") == final_files(folder / "other")


@pytest.mark.parametrize("fault", ["truncated", "short"])
def test_a_broken_shard_is_left_out_and_named(folder: Path, fault: str) -> None:
    npz = folder / "pool" / "00002.npz"
    if fault == "truncated":
        npz.write_bytes(npz.read_bytes()[:3_000])
    else:
        some = np.zeros(ROWS - 1, bool)
        np.savez(npz.with_suffix(""), l14_img=vectors(some, 1), l14_txt=vectors(some, 2))
    api.run(folder / "recipe.yaml", folder / "run")
    record = table_of(folder).record
    assert [part.name for part in record.quarantined if "00002" in part.name], record.quarantined
    assert record.rows_in == (SHARDS - 1) * ROWS == sum(record.tallies["01-classify.decisions"])


def test_a_shard_without_its_vectors_is_told_before_anything_runs(folder: Path) -> None:
    (folder / "pool" / "00002.npz").unlink()
    with pytest.raises(RecipeError, match=r"there is no 00002\.npz"):
        api.run(folder / "recipe.yaml", folder / "run")


def test_past_max_bad_it_stops(folder: Path) -> None:
    for number in range(4):
        (folder / "pool" / f"{number:05d}.npz").write_bytes(b"broken")
    with pytest.raises(TooManyBad, match="max_bad"):
        api.run(folder / "recipe.yaml", folder / "run")
