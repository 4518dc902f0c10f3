"""retrieve by cells against exact search: the same rows in any order and cuts, the recall as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import RecipeError
from poolwright.core.frame import MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.core.table import Table
from poolwright.kernels.clusters.cells import Cells
from poolwright.kernels.similarity.nearest_rows import NearestRows, nearest_rows
from poolwright.steps.describe.retrieval import cells, like
from poolwright.steps.describe.retrieval.cells import Queries, search_cells

WIDTH, ROWS = 24, 1_200


def vectors(rows: int, seed: int) -> np.ndarray:
    """Rows around 60 centres, some of them equal, of any length."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(60, WIDTH))
    made = centres[(60 * draw.random(rows) ** 2).astype(int)] + 0.8 * draw.normal(size=(rows, WIDTH))
    made[::9] = made[0]
    return np.asarray(made * draw.uniform(0.5, 2, (rows, 1)), np.float16)


def pool() -> pa.Table:
    made = vectors(ROWS, 7)
    made[::400] = 0
    made[::500] = np.nan
    return pa.table({"uid": [f"p{row:04d}" for row in range(ROWS)], "clip": vector_array(made)})


def queries(k: int, rows: int = 90) -> Queries:
    return Queries(pa.array([f"q{row:03d}" for row in range(rows)]), vectors(rows, 8), k, key=5)


def search(frame: MemoryFrame, wanted: Queries, probes: int, recall: float) -> tuple[NearestRows, dict[str, Any]]:
    return search_cells(frame, "clip", ROWS, wanted, probes, recall)


def same(one: NearestRows, other: NearestRows) -> bool:
    pairs = ((one.scores, other.scores), (one.ranks, other.ranks), (one.checks, other.checks))
    return all(np.array_equal(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize("k", [1, 6, 300])
def test_all_cells_find_what_exact_search_finds(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the nearest cell has fewer than k rows, and a cell is compared in several slices."""
    monkeypatch.setattr(cells, "_ROWS", 50)
    wanted, frame = queries(k), MemoryFrame(pool(), [500], 333)
    found, values = search(frame, wanted, 1, 1.0)
    assert same(found, nearest_rows(frame, "clip", wanted.vectors, k, wanted.key))
    assert values["recall"] == 1
    assert values["recall_pairs"] == k * 90


def test_rows_do_not_depend_on_their_order_or_on_cuts() -> None:
    wanted, table = queries(5), pool()
    expected, values = search(MemoryFrame(table), wanted, 2, 0.1)
    order = np.random.default_rng(3).permutation(ROWS)
    for frame in (MemoryFrame(table.take(order), [600]), MemoryFrame(table, [0, 700], 97)):
        found, theirs = search(frame, wanted, 2, 0.1)
        assert same(found, expected)
        assert theirs == values
    back = np.arange(90)[::-1]
    turned = Queries(wanted.uids.take(pa.array(back)), wanted.vectors[back], 5, wanted.key)
    found, theirs = search(MemoryFrame(table), turned, 2, 0.1)
    assert np.array_equal(found.ranks[back], expected.ranks)
    assert theirs == values


@pytest.mark.parametrize("probes", [1, 2, 3])
def test_the_recall_is_that_of_the_rows_found(probes: int) -> None:
    """All queries are searched exactly here, so that the recall must be exact."""
    wanted, frame = queries(5), MemoryFrame(pool(), [500])
    found, values = search(frame, wanted, probes, 0.01)
    exact = nearest_rows(frame, "clip", wanted.vectors, 5, wanted.key)
    hits = sum(len(np.intersect1d(mine, theirs)) for mine, theirs in zip(found.ranks, exact.ranks, strict=True))
    assert values["probes"] == probes
    assert values["recall"] == pytest.approx(hits / (5 * 90), abs=1e-6)
    assert values["recall"] < 1
    assert values["recall_low"] < values["recall"] < values["recall_high"]


def test_more_cells_are_searched_until_the_recall_is_reached() -> None:
    narrow, wide = (search(MemoryFrame(pool()), queries(5), 2, recall)[1] for recall in (0.5, 0.97))
    assert (narrow["probes"], narrow["cells"]) == (2, wide["cells"])
    assert 2 < wide["probes"] < wide["cells"]
    assert wide["recall"] >= 0.97
    text = cells.words(wide, 2, 0.97)
    of = f"searched in {wide['cells']} cells, for each row the {wide['probes']} nearest"
    assert text.startswith(f"{of} (widened from 2 for a recall of 97%); recall ")
    assert f"recall {wide['recall']:.2%} (95% interval" in text
    assert "widened" not in cells.words(narrow, 2, 0.5)


def test_without_a_usable_row_nothing_is_found() -> None:
    table = pa.table({"uid": ["a", "b"], "clip": vector_array(np.zeros((2, WIDTH), np.float16))})
    found, values = search(MemoryFrame(table), queries(5), 2, 0.9)
    assert (found.scores == -np.inf).all()
    assert values == {"method": "exact"}


STEP = {"with": "clip", "like": "liked", "k": 4, "method": "cells", "probes": 2, "recall": "80%"}


def made(folder: Path, run: str, step: dict[str, Any], **options: Any) -> Table:
    pools = {"pool": {"read": "table", "path": "pool-*.parquet"}, "other": {"read": "table", "path": "liked.parquet"}}
    tables = {"liked": {"from": "other"}, "kept": {"from": "pool", "steps": [{"retrieve": step}]}}
    recipe = Recipe.from_data({"recipe": 1, "name": "near", "pools": pools, "tables": tables}, folder)
    return api.run(recipe, folder / run, **options).tables["kept"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        pq.write_table(pool().slice(400 * number, 400), tmp_path / f"pool-{number}.parquet")
    liked = pa.table({"uid": queries(4).uids, "clip": vector_array(queries(4).vectors)})
    pq.write_table(liked, tmp_path / "liked.parquet")
    return tmp_path


def written(table: Table) -> dict[str, bytes]:
    files = sorted(path for path in table.folder.rglob("*") if path.is_file() and path.name != "timings.json")
    return {str(path.relative_to(table.folder)): path.read_bytes() for path in files}


def test_an_interrupted_run_goes_on_to_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(folder, "whole", STEP)
    expected = written(whole)
    assert not [path for path in expected if "spread" in path]
    assert "nearest; recall" in whole.record.steps[0].learned.replace(" (widened from 2 for a recall of 80%)", "")
    for number, (owner, name, calls) in enumerate(
        [(cells._Deal, "__call__", 2), (cells._Compare, "__call__", 3), (cells, "_take", 9), (like, "_found", 0)]
    ):
        function, left = getattr(owner, name), [calls]

        def stop(*arguments: Any, function: Any = function, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise RuntimeError("stopped")
            return function(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, stop)
            with pytest.raises(RuntimeError, match="stopped"):
                made(folder, f"run-{number}", STEP)
        assert written(made(folder, f"run-{number}", STEP, workers=1)) == expected


def test_many_pairs_are_searched_by_cells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"with": "clip", "like": "liked", "k": 4}
    assert made(folder, "exact", usual).state(0).values["method"] == "exact"
    monkeypatch.setattr(like, "EXACT_QUERIES", 89)
    monkeypatch.setattr(like, "EXACT_PAIRS", 90 * ROWS - 1)
    assert made(folder, "cells", usual).state(0).values["method"] == "cells"
    assert made(folder, "forced", {**usual, "method": "exact"}).state(0).values["method"] == "exact"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({**STEP, "method": "exact"}, "no effect with 'method: exact'"),
        ({"with": "clip", "prompts": ["a"], "features": "f.npy", "n": 2, "query": 2, "probes": 2}, "'probes' is about"),
        ({**STEP, "probes": 0}, "probes"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder: Path, step: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        made(folder, "run", step)


def test_queries_of_one_cell_meet_those_next_to_it() -> None:
    """Cells of equally near centres are all searched, so that their order does not matter."""
    basis, centres = np.eye(2, dtype=np.float32), np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    visits = cells._Visits.of(Cells(basis, centres, centres), np.array([[1, 1], [3, 0], [0, 2]], np.float32), 2)
    assert [visits.of_cell(cell, True).tolist() for cell in range(3)] == [[0, 1], [0, 2], []]
    assert [visits.of_cell(cell, False).tolist() for cell in range(3)] == [[2], [1], [2]]


def test_a_cell_gives_rows_once(folder: Path) -> None:
    table = made(folder, "run", {**STEP, "recall": "100%"})
    exact = made(folder, "exact", {"with": "clip", "like": "liked", "k": 4})
    names = ["uid", "query", "similarity"]
    assert table.read(names).equals(exact.read(names))
    assert Rows(table.read(["similarity"])).numbers("similarity").min() > 0
