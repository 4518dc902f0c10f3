"""The recipe `semdedup` removes the rows that an exact plain statement removes within given clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy.sparse.csgraph import connected_components

from poolwright import api
from poolwright.core.rows import Rows
from poolwright.recipe.shipped import shipped_text

Vectors = npt.NDArray[np.floating[Any]]


def unit(vectors: Vectors) -> Vectors:
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def stays(
    uids: list[str], vectors: Vectors, cluster: npt.NDArray[np.int64], centroids: Vectors, above: float
) -> set[str]:
    """The paper: all pairs within a cluster; of each group that they connect the row farthest from the centroid."""
    kept = set()
    for number in np.unique(cluster):
        rows = np.flatnonzero(cluster == number)
        cosine = unit(vectors[rows]) @ unit(vectors[rows]).T
        _, group = connected_components(cosine >= above - 1e-9, directed=False)
        central = np.round(unit(vectors[rows]) @ unit(centroids[number : number + 1])[0], 7)
        for one in np.unique(group):
            members = np.flatnonzero(group == one)
            kept.add(min((central[row], uids[rows[row]]) for row in members)[1])
    return kept


def run(folder: Path, uids: list[str], vectors: Vectors, changes: dict[str, Any], above: float) -> dict[str, Any]:
    """Run the shipped recipe over rows in two files, with other clusters."""
    (folder / "data").mkdir()
    half = len(uids) // 3
    for name, rows in (("a", slice(0, half)), ("b", slice(half, None))):
        pq.write_table(pa.table({"uid": uids[rows]}), folder / "data" / f"{name}.parquet")
        np.save(folder / "data" / f"{name}.npy", vectors[rows])
    data: dict[str, Any] = yaml.safe_load(shipped_text("semdedup"))
    data["tables"]["clustered"]["steps"] = [{"cluster": {"of": "clip", "metric": "cosine", **changes}}]
    data["tables"]["deduplicated"]["steps"][0]["near_duplicates"]["above"] = above
    (folder / "semdedup.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return dict(api.run(folder / "semdedup.yaml").tables)


def compared(tables: dict[str, Any], centroids: Vectors, above: float) -> tuple[int, int]:
    """Compare the rows kept with the plain statement; return how many were, and how many are kept."""
    rows = tables["clustered"].read(["uid", "clip", "cluster"])
    uids = rows.column("uid").to_pylist()
    cluster = rows.column("cluster").to_numpy().astype(np.int64)
    expected = stays(uids, Rows(rows).vectors("clip"), cluster, centroids, above)
    assert set(tables["deduplicated"].read(["uid"]).column("uid").to_pylist()) == expected
    return len(uids), len(expected)


def test_the_paper_on_generated_rows(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    centres = draw.normal(size=(40, 32))
    vectors = centres[draw.integers(0, 40, 3_000)] + 0.5 * draw.normal(size=(3_000, 32))
    copies = draw.integers(0, 2_000, 900)
    vectors[2_000:2_900] = vectors[copies] + 0.12 * draw.normal(size=(900, 32))
    vectors[2_900:] = vectors[:100]  # equal rows: of ties the smallest uid stays
    vectors = vectors.astype(np.float16)
    order = draw.permutation(3_000)
    uids = [f"{row:05d}" for row in order]
    tables = run(tmp_path, uids, vectors, {"k": 12}, 0.97)
    centroids = pq.read_table(next((tmp_path / "runs/semdedup/tables/clustered/states").glob("*centroids*.parquet")))
    (name,) = [field.name for field in centroids.schema if pa.types.is_fixed_size_list(field.type)]
    known = np.stack(centroids.column(name).to_pylist())
    rows, kept = compared(tables, known, 0.97)
    assert rows == 3_000
    assert 1_800 < kept < 2_300
    learned = tables["deduplicated"].record.steps[0].learned
    assert "compared within the clusters of cluster; one of each kept" in learned
    assert api.verify(tmp_path / "out" / "semdedup").ok


@pytest.mark.real
def test_the_paper_on_clip_rows_within_given_clusters(tmp_path: Path, real_data: Path) -> None:
    """ImageNet and Caltech-101 by CLIP ViT-B/32, in clusters around a hundred of the rows."""
    parts = []
    for name in ("imagenet", "caltech101"):
        with np.load(real_data / "clip_vitb32" / f"{name}.npz") as arrays:
            parts += [array for array in arrays.values() if array.ndim == 2 and array.shape[1] == 512]
    vectors = np.concatenate(parts)
    uids = [f"{row:05d}" for row in range(len(vectors))]
    centroids = vectors[:: len(vectors) // 100].astype(np.float32)
    np.save(tmp_path / "centroids.npy", centroids)
    tables = run(tmp_path, uids, vectors, {"centroids": "centroids.npy"}, 0.93)
    rows, kept = compared(tables, centroids, 0.93)
    print(f"{rows:,} rows, {rows - kept:,} removed at 0.93 within {len(centroids)} clusters")
    assert rows == len(vectors)
    assert 300 < rows - kept < rows // 2
