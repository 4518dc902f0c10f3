"""The recipe `self-supervised` against plain statements: copies, evaluation sets, nearest rows, even samples."""

from __future__ import annotations

from collections import Counter
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
from poolwright.core.table import Table
from poolwright.recipe.shipped import shipped_text

ROWS, WANTED, SAMPLED = 6_000, 150, 480
Vectors = npt.NDArray[np.floating[Any]]


def write(folder: Path, name: str, uids: list[str], copies: Vectors, features: Vectors) -> None:
    (folder / name).mkdir(parents=True)
    half = len(uids) // 2
    for stem, rows in (("a", slice(0, half)), ("b", slice(half, None))):
        pq.write_table(pa.table({"uid": uids[rows]}), folder / name / f"{stem}.parquet")
        for column, vectors in (("copies", copies), ("features", features)):
            unit = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
            np.save(folder / name / f"{stem}.{column}.npy", unit.astype(np.float16))


def write_world(folder: Path) -> None:
    """A pool in which few subjects have most of the rows, with copies, also of rows of the evaluation set."""
    draw = np.random.default_rng(8)
    subjects = draw.normal(size=(60, 48))
    shares = 1 / np.arange(1, 61) ** 1.3
    subject = draw.choice(60, ROWS, p=shares / shares.sum())
    copies, features = draw.normal(size=(ROWS, 128)), subjects[subject] + 0.6 * draw.normal(size=(ROWS, 48))
    again = draw.integers(0, ROWS // 2, 700)
    copies[-700:] = copies[again] + 0.4 * draw.normal(size=(700, 128))
    features[-700:] = features[again] + 0.1 * draw.normal(size=(700, 48))
    order = draw.permutation(ROWS)
    write(folder, "pool", [f"p{row:05d}" for row in order], copies, features)
    leaked = copies[1_000:1_100] + 0.6 * draw.normal(size=(100, 128))
    write(folder, "evaluation", [f"e{row:03d}" for row in range(100)], leaked, draw.normal(size=(100, 48)))
    chosen = subjects[draw.integers(0, 60, WANTED)] + 0.6 * draw.normal(size=(WANTED, 48))
    write(folder, "chosen", [f"c{row:03d}" for row in range(WANTED)], draw.normal(size=(WANTED, 128)), chosen)


def run_recipe(folder: Path) -> dict[str, Table]:
    """Run the shipped recipe with numbers for a small pool, and return its tables."""
    write_world(folder / "data")
    data: dict[str, Any] = yaml.safe_load(shipped_text("self-supervised"))
    data["tables"]["clustered"]["steps"][0]["cluster"]["levels"] = [240, 80, 30, 12]
    data["tables"]["sampled"]["steps"][0]["sample"]["n"] = SAMPLED
    (folder / "self-supervised.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return dict(api.run(folder / "self-supervised.yaml").tables)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Table]]:
    """The folder that the recipe ran in, and its tables."""
    folder = tmp_path_factory.mktemp("curated")
    return folder, run_recipe(folder)


def read(folder: Path, name: str, column: str) -> tuple[list[str], Vectors]:
    """The uids and vectors at unit length of a pool, from its files."""
    files = sorted((folder / "data" / name).glob("*.parquet"))
    uids = [uid for file in files for uid in pq.read_table(file).column("uid").to_pylist()]
    vectors = np.concatenate([np.load(file.with_suffix(f".{column}.npy")) for file in files]).astype(np.float64)
    return uids, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def kept(table: Table) -> set[str]:
    return set(table.read(["uid"]).column("uid").to_pylist())


def test_of_copies_one_stays_and_none_that_is_near_the_evaluation_set(made: tuple[Path, dict[str, Table]]) -> None:
    folder, tables = made
    uids, vectors = read(folder, "pool", "copies")
    _, group = connected_components(vectors @ vectors.T >= 0.6, directed=False)
    first: dict[int, str] = {}
    for uid, number in zip(uids, group, strict=True):
        first[number] = min(uid, first.get(number, uid))
    _, others = read(folder, "evaluation", "copies")
    nearest = (vectors @ others.T).max(axis=1)
    leaked = {uid: cosine >= 0.45 for uid, cosine in zip(uids, nearest, strict=True)}
    assert kept(tables["clean"]) == {uid for uid in first.values() if not leaked[uid]}
    dropped = Counter({(one.verb, one.reason): one.rows for one in api.ledger(run_of(folder), "clean").summary.dropped})
    assert dropped["near_duplicates", "near_duplicate"] == ROWS - len(first)
    assert dropped["decontaminate", "near_vector"] == sum(leaked[uid] for uid in first.values()) > 30


def run_of(folder: Path) -> Path:
    return folder / "runs" / "self-supervised"


def test_the_nearest_four_of_each_chosen_row_are_retrieved(made: tuple[Path, dict[str, Table]]) -> None:
    folder, tables = made
    rows = tables["clean"].read(["uid", "features"])
    uids, vectors = np.array(rows.column("uid").to_pylist()), Rows(rows).vectors("features").astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, chosen = read(folder, "chosen", "features")
    nearest = np.argsort(-(chosen @ vectors.T), axis=1, kind="stable")[:, :4]
    assert kept(tables["retrieved"]) == set(uids[nearest.ravel()])


def even(total: int, sizes: list[int]) -> list[int]:
    """Share out a total one by one, each to the part that has least and has room: sorted."""
    shares = [0] * len(sizes)
    for _ in range(min(total, sum(sizes))):
        _, part = min((share, at) for at, share in enumerate(shares) if share < sizes[at])
        shares[part] += 1
    return sorted(shares)


def test_the_sample_is_even_from_the_top_of_the_tree_down(made: tuple[Path, dict[str, Table]]) -> None:
    _, tables = made
    names = [f"cluster_{level}" for level in (4, 3, 2, 1)]
    both = [tables[name].read(names).to_pydict() for name in ("clustered", "sampled")]
    paths = [list(zip(*columns.values(), strict=True)) for columns in both]
    assert len(paths[1]) == SAMPLED
    for depth in range(4):
        counts = [Counter(path[: depth + 1] for path in of) for of in paths]
        for branch in {path[:depth] for path in paths[0]}:
            children = [path for path in counts[0] if path[:depth] == branch]
            total = sum(counts[1][path] for path in children)
            shares = sorted(min(counts[1][path], counts[0][path]) for path in children)
            assert shares == even(total, [counts[0][path] for path in children])
            assert all(counts[1][path] <= counts[0][path] for path in children)


def test_balance_is_on_the_card(made: tuple[Path, dict[str, Table]]) -> None:
    folder, tables = made
    tops = [tables[name].read(["cluster_4"]).column("cluster_4").to_pylist() for name in ("clustered", "sampled")]
    clustered, sampled = (Counter(top) for top in tops)
    before, after = (min(counts.values()) / max(counts.values()) for counts in (clustered, sampled))
    assert before < 0.1
    assert after > 10 * before
    assert all(sampled[top] >= min(rows, max(sampled.values()) - 1) for top, rows in clustered.items())
    card = (folder / "out" / "sampled" / "README.md").read_text(encoding="utf-8")
    assert all(text in card for text in ("top after", "leaves after", f"{after:.3f}"))
    assert api.verify(folder / "out" / "retrieved").ok
