"""near_duplicates by cells in a run: interrupted at every phase, with other workers, and on real embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.steps.describe.test_near_duplicates import copies

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.steps.describe.duplicates import comparing, members, near_duplicates, recall, vectors
from poolwright.steps.describe.duplicates.near_duplicates import NearDuplicates

STEP = {"vectors": "clip", "above": 0.93, "method": "cells", "keep": "far", "probes": 1.1}


def made(folder: Path, run: str, **options: Any) -> Table:
    pools = {"rows": {"read": "table", "path": "rows-*.parquet"}}
    tables = {"made": {"from": "rows", "steps": [{"near_duplicates": STEP}]}}
    recipe = Recipe.from_data({"recipe": 1, "name": "near", "pools": pools, "tables": tables}, folder)
    return api.run(recipe, folder / run, **options).tables["made"]


def pool(folder: Path) -> None:
    table = copies(600)
    for number in range(3):
        pq.write_table(table.slice(number * 200, 200), folder / f"rows-{number}.parquet")


def written(table: Table) -> dict[str, bytes]:
    files = sorted(path for path in table.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(table.folder)): path.read_bytes() for path in files if path.name != "timings.json"}


@pytest.mark.parametrize(
    ("module", "name", "calls"),
    [
        (recall._Search, "__call__", 1),
        (comparing.DealCells, "__call__", 3),
        (comparing.CompareCell, "__call__", 4),
        (members._DealTwins, "__call__", 2),
        (near_duplicates, "as_state", 0),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: int
) -> None:
    pool(tmp_path)
    expected = written(made(tmp_path, "whole"))
    assert not [path for path in expected if "spread" in path]
    function, left = getattr(module, name), [calls]

    def stop(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("stopped")
        return function(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, stop)
        with pytest.raises(RuntimeError, match="stopped"):
            made(tmp_path, "run")
    if module in (members._DealTwins, near_duplicates):  # what was compared is not compared again
        monkeypatch.setattr(comparing.CompareCell, "__call__", pytest.fail)
    assert written(made(tmp_path, "run")) == expected


@pytest.mark.real
def test_real_pairs_across_splits(real_data: Path) -> None:
    """Of all rows of Caltech-101 and ImageNet, cells find the pairs of all products; some are across splits."""
    files = {name: np.load(real_data / "clip_vitb32" / f"{name}.npz") for name in ("caltech101", "imagenet")}
    parts = {f"{name}/{key}": file[key] for name, file in files.items() for key in file if key.endswith("_emb")}
    uids = [f"{name}-{row:05d}" for name, vectors in parts.items() for row in range(len(vectors))]
    vectors = np.concatenate(list(parts.values()))
    table = pa.table({"uid": uids, "clip": vector_array(vectors)})
    unit, pairs = unit_rows(vectors), []
    for start in range(0, len(unit), 2_048):
        one, other = np.nonzero(unit[start : start + 2_048] @ unit[: start + 2_048].T >= 0.951)
        pairs += [(uids[row + start], uids[col]) for row, col in zip(one, other, strict=True) if row + start > col]
    state = NearDuplicates(vectors="clip", above=0.95, method="cells").fit(MemoryFrame(table, [3_000]), Context())
    found = state.mapped["members"].select(["uid", "group"]).to_pylist()
    group = {row["uid"]: row["group"] for row in found}
    assert np.mean([group.get(one, one) == group.get(other, other) for one, other in pairs]) >= 0.99
    near = NearDuplicates(vectors="clip", above=0.995).fit(MemoryFrame(table), Context())
    assert near.values["method"] == "exact"
    across = [row for row in near.mapped["members"].to_pylist() if row["uid"][:-6] != row["twin"][:-6]]
    assert sorted(row["uid"][:-6] for row in across if "caltech" in row["uid"]) == ["caltech101/val_emb"] * 3
    assert len(across) >= 12


def test_probes_are_the_cells_of_a_row_that_the_cells_were_not_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows of the sample are where K-means begins: they lie in the middle of their cells."""
    monkeypatch.setattr(vectors, "usual_cells", lambda rows, sampled: 1_200)
    table = copies(12_000)
    deal, dealt = comparing.DealCells.__call__, [0]

    def counted(*arguments: Any) -> Any:
        found = deal(*arguments)
        dealt[0] += len(found[0])
        return found

    monkeypatch.setattr(comparing.DealCells, "__call__", counted)
    step = NearDuplicates(vectors="clip", above=0.9, method="cells", probes=2, recall=0.01)
    assert step.fit(MemoryFrame(table), Context()).values["probes"] == 2
    assert 1.8 < dealt[0] / len(table) < 2.2
