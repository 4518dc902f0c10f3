"""Curation of training data: a tree of clusters, an even sample from it, and rows retrieved by other rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.api import Recipe
from poolwright.core.errors import RecipeError
from poolwright.core.rows import Rows, vector_array
from poolwright.kernels.similarity import nearest_rows
from poolwright.steps.describe import cluster
from tests.run.pools import final_files

WIDTH, ROWS = 16, 3_000


def vectors(rows: int, seed: int) -> np.ndarray:
    """Unit vectors around 30 centres, most of them around few."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(30, WIDTH))
    made = centres[(30 * draw.random(rows) ** 3).astype(int)] + 0.4 * draw.normal(size=(rows, WIDTH))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pool").mkdir()
    made = vectors(ROWS, 7)
    made[::300] = np.nan
    table = pa.table({"uid": [f"p{row:04d}" for row in range(ROWS)], "clip": vector_array(made)})
    for part in range(3):
        pq.write_table(table.slice(part * 1_000, 1_000), tmp_path / "pool" / f"{part}.parquet")
    liked = pa.table({"uid": [f"q{row:02d}" for row in range(40)], "clip": vector_array(vectors(40, 8))})
    pq.write_table(liked, tmp_path / "liked.parquet")
    return tmp_path


def recipe(folder: Path, *steps: dict[str, Any], pool: str = "pool") -> Recipe:
    data = {
        "recipe": 1,
        "name": "curation",
        "pools": {"pool": {"read": "table", "path": pool}, "other": {"read": "table", "path": "liked.parquet"}},
        "tables": {"liked": {"from": "other"}, "kept": {"from": "pool", "steps": list(steps)}},
    }
    return Recipe.from_data(data, folder)


TREE = {"cluster": {"of": "clip", "levels": [120, 20, 5], "metric": "cosine"}}


def test_a_sample_is_even_from_the_top_of_the_tree_down(folder: Path) -> None:
    steps = (TREE, {"sample": {"n": 500, "balance": "cluster", "levels": 3}})
    table = recipe(folder, *steps).run(folder / "run").tables["kept"]
    assert table.record.rows_kept == 500
    assert [row.dropped for row in table.record.funnel[1:]] == [{"no_vector": 10}, {"not_drawn": 2_490}]
    counts = np.bincount(table.read(["cluster_3"]).column(0).to_numpy(), minlength=5)
    whole = np.bincount(_clusters(table, "cluster_3"), minlength=5)
    cut = counts < whole
    assert cut.any()
    assert np.ptp(counts[cut]) <= 1
    assert counts.max() <= counts[cut].max()


def _clusters(table: Any, column: str) -> np.ndarray:
    """The clusters of all rows that were clustered: from the counts of the sampling step."""
    groups = table.state(1).tables["groups"]
    return np.repeat(groups.column(f"group.{column}").to_numpy(), groups.column("rows").to_numpy())


def test_a_run_that_was_stopped_in_the_fit_gives_the_same_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe(folder, TREE)
    made.run(folder / "whole")
    train = cluster.train_centroids
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "train_centroids", _stop)
        with pytest.raises(KeyboardInterrupt):
            made.run(folder / "stopped")
    assert train is cluster.train_centroids
    made.run(folder / "stopped", workers=1)
    assert final_files(folder / "whole") == final_files(folder / "stopped")


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_changed_file_of_centroids_is_named(folder: Path) -> None:
    np.save(folder / "centroids.npy", vectors(9, 2).astype(np.float32))
    step = {"cluster": {"of": "clip", "centroids": "centroids.npy", "metric": "cosine", "into": "near"}}
    table = recipe(folder, step).run(folder / "run").tables["kept"]
    kept = Rows(table.read(["clip", "near_cluster"]))
    centroids = np.load(folder / "centroids.npy").astype(np.float64)
    products = kept.vectors("clip").astype(np.float64) @ (centroids.T / np.linalg.norm(centroids, axis=1))
    np.testing.assert_array_equal(kept.numbers("near_cluster"), products.argmax(axis=1))
    np.save(folder / "centroids.npy", vectors(9, 3).astype(np.float32))
    with pytest.raises(Exception, match=r"centroids\.npy"):
        recipe(folder, step).run(folder / "run")


@pytest.mark.parametrize("sampled", [65_536, 300])
def test_rows_are_retrieved_by_the_rows_of_a_table(folder: Path, sampled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The k rows of highest cosine to any of them, once each, with the one it is nearest to; in one pass or two."""
    monkeypatch.setattr(nearest_rows, "_SAMPLED", sampled)
    monkeypatch.setattr(nearest_rows, "_PER_PLACE", 16)
    table = recipe(folder, {"retrieve": {"with": "clip", "like": "liked", "k": 4}}).run(folder / "run").tables["kept"]
    kept = {row["uid"]: row for row in table.read(["uid", "query", "similarity"]).to_pylist()}
    pool, liked = vectors(ROWS, 7), vectors(40, 8)
    unit = pool.astype(np.float64) / np.linalg.norm(pool.astype(np.float64), axis=1, keepdims=True)
    queries = liked.astype(np.float64) / np.linalg.norm(liked.astype(np.float64), axis=1, keepdims=True)
    cosines = queries @ unit.T
    cosines[:, ::300] = -2
    best = np.argsort(-cosines, axis=1)[:, :4]
    assert {f"p{row:04d}" for row in best.ravel()} == set(kept)
    for row in np.unique(best):
        finders = np.flatnonzero((best == row).any(axis=1))
        nearest = finders[cosines[finders, row].argmax()]
        assert kept[f"p{row:04d}"]["query"] == f"q{nearest:02d}"
        assert kept[f"p{row:04d}"]["similarity"] == pytest.approx(cosines[nearest, row], abs=1e-6)
    dropped = table.record.funnel[1].dropped
    assert dropped == {"no_vector": 10, "not_like": ROWS - 10 - len(kept)}
    assert f"{len(kept)} rows retrieved as the 4 nearest of 40 rows of 'liked'" in table.record.steps[0].learned


def test_vectors_of_another_width_are_refused_before_the_run(folder: Path) -> None:
    wide = pa.table({"uid": ["a"], "clip": vector_array(np.ones((1, 3), np.float32))})
    pq.write_table(wide, folder / "liked.parquet")
    with pytest.raises(RecipeError, match="has width 3"):
        recipe(folder, {"retrieve": {"with": "clip", "like": "liked", "k": 4}}).run(folder / "run")
