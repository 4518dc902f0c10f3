"""The report shows near-duplicates: the largest groups, pairs near the threshold, and the curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.rows import Rows, vector_array
from poolwright.report.images.near_duplicates import duplicate_groups
from poolwright.report.sheets import Budget
from poolwright.report.view import TableView


@pytest.mark.parametrize("keep", ["all", "first"])
def test_groups_pairs_and_curve(tmp_path: Path, keep: str) -> None:
    draw = np.random.default_rng(2)
    vectors = np.repeat(draw.normal(size=(20, 16)), [4, 3, *[2] * 6, *[1] * 12], axis=0)
    vectors += 0.1 * draw.normal(size=vectors.shape)
    uids = [f"r{number:02d}" for number in range(len(vectors))]
    table = pa.table({"uid": uids, "clip": vector_array(vectors.astype(np.float16))})
    pq.write_table(table, tmp_path / "rows.parquet")
    pools = {"rows": {"read": "table", "path": "rows.parquet"}}
    step = {"near_duplicates": {"vectors": "clip", "above": 0.9, "keep": keep}}
    data = {"recipe": 1, "name": "near", "pools": pools, "tables": {"made": {"from": "rows", "steps": [step]}}}
    made = api.run(Recipe.from_data(data, tmp_path), tmp_path / "run").tables["made"]
    kept = made.read(["uid"]).column("uid").combine_chunks()
    dropped = Rows(table.select(["uid"]).filter(pc.invert(pc.is_in(table.column("uid"), value_set=kept))))
    (found,) = duplicate_groups(TableView(made, dropped_sample=lambda code, limit: dropped), Budget(96, 9_000))
    assert found.curve is not None
    assert found.curve.numbers[0] == ("above 0.9", "11 go, 64.52% stay")
    *groups, pairs = found.sheets
    assert [(sheet.title, sheet.rows) for sheet in groups[:2]] == [("group of r00", 4), ("group of r04", 3)]
    assert [card.uid for card in groups[0].cards] == ["r00", "r01", "r02", "r03"]
    assert pairs.title == "pairs near the threshold"
    assert all(card.notes[0][1].startswith("cosine 0.9") for card in pairs.cards)
    api.report(tmp_path / "run", tmp_path / "report.html")
    assert "Rows that go, by the threshold of step 1" in (tmp_path / "report.html").read_text()
