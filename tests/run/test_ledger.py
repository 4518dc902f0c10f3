"""`poolwright ledger`: every dropped row once, with the step, the reason and the values that decided."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, InputError, RecipeError
from tests.calling import call
from tests.run.pools import make_recipe, make_rows, write_pool

ROWS = [
    {"uid": "a", "score": 0.9, "row": 5, "words": "=SUM(A1)", "tags": ["x", "y"]},
    {"uid": "b", "score": 0.1, "row": 6, "words": "-1 of", "tags": []},
    {"uid": "b", "score": 0.8, "row": 7, "words": "", "tags": None},
    {"uid": None, "score": 0.7, "row": 8, "words": None, "tags": ["z"]},
    {"uid": "e/007.jpg", "score": float("nan"), "row": 9, "words": "plain", "tags": None},
]


def small(folder: Path, **table: Any) -> Path:
    """A run over five rows of two files: one kept, two refused, two dropped by their score."""
    (folder / "rows").mkdir(parents=True)
    rows = pa.Table.from_pylist(ROWS)
    for number, at in enumerate((0, 3)):
        pq.write_table(rows.slice(at, 3 - number), folder / "rows" / f"{number}.parquet")
    steps = [{"derive": {"twice": "score * 2"}}, {"where": "twice > 1"}]
    data = {
        "recipe": 1,
        "name": "small",
        "max_bad": 1.0,
        "pools": {"rows": {"read": "table", "path": "rows"}},
        "tables": {"good": {"from": "rows", "steps": steps, **table}},
    }
    return Recipe.from_data(data, folder).run().folder


def test_every_row_that_entered_is_kept_or_in_the_ledger_once(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(2000))
    run = make_recipe(tmp_path).run()
    table = run.tables["chosen"]
    found = api.ledger(run.folder, "chosen")
    rows = found.to_arrow()
    kept = table.read(["uid"]).column("uid").to_pylist()
    assert sorted(kept + rows.column("uid").to_pylist()) == make_rows(2000).column("uid").to_pylist()
    counts = {(one.verb, one.reason): one.rows for one in found.summary.dropped}
    listed = rows.group_by(["verb", "reason"]).aggregate([([], "count_all")]).to_pylist()
    assert {(one["verb"], one["reason"]): one["count_all"] for one in listed} == counts
    top = api.ledger(run.folder, "chosen", step="top", columns=["similarity"]).to_arrow()
    assert top.schema.names[-2:] == ["row", "similarity"]
    assert max(top.column("similarity").to_pylist()) <= min(table.read(["similarity"]).column(0).to_pylist())


def test_rows_have_their_place_the_reason_and_the_values_that_decided(tmp_path: Path) -> None:
    rows = api.ledger(small(tmp_path), "good").to_arrow().to_pylist()
    found = {(row["part"], row["row"]): (row["uid"], row["step"], row["verb"], row["reason"]) for row in rows}
    assert found == {
        ("0.parquet", 1): ("b", 2, "where", "not_true"),
        ("0.parquet", 2): ("b", 0, "read", "duplicate_uid"),
        ("1.parquet", 0): (None, 0, "read", "missing_uid"),
        ("1.parquet", 1): ("e/007.jpg", 2, "where", "not_true"),
    }
    first = next(row for row in rows if row["reason"] == "not_true")
    assert (first["score"], first["twice"], first["source.row"], first["tags"]) == (0.1, 0.2, 6, [])
    refused = next(row for row in rows if row["reason"] == "duplicate_uid")
    assert (refused["score"], refused["twice"]) == (0.8, None)


def test_csv_json_lines_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    run = small(tmp_path)
    printed = call("ledger", run, "good", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(printed.out)))
    assert [line["words"] for line in lines] == ["'-1 of", "", "", "plain"]
    assert [line["source.row"] for line in lines] == ["6", "7", "8", "9"]
    assert lines[2]["tags"] == '["z"]'
    objects = [json.loads(line) for line in call("ledger", run, "good", "--format", "jsonl").out.splitlines()]
    assert [one["words"] for one in objects] == ["-1 of", "", None, "plain"]
    assert objects[3]["score"] is None
    assert call("ledger", run, "good", "--to", tmp_path / "gone.parquet").code == 0
    written, found = pq.read_table(tmp_path / "gone.parquet"), api.ledger(run, "good").to_arrow()
    assert repr(written.to_pylist()) == repr(found.to_pylist())  # NaN is no value that equals itself
    table = call("ledger", run, "good").out
    assert "4 of 5 rows dropped" in table
    assert "an earlier row has the same uid (bad)" in table


def test_a_quarantined_part_is_listed(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(600), parts=3)
    path = tmp_path / "rows" / "001.parquet"
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(bytes(content))
    run = make_recipe(tmp_path, [{"where": "width > 0"}], max_bad=0.9).run()
    (row,) = api.ledger(run.folder, "chosen", reason="quarantined").to_arrow().to_pylist()
    assert (row["uid"], row["part"], row["row"]) == (None, "001.parquet", None)
    assert row["because"] == run.tables["chosen"].record.quarantined[0].quarantined


def test_names_that_do_not_exist_are_refused_with_what_was_meant(tmp_path: Path) -> None:
    run = small(tmp_path)
    for options, words in (
        ({"reason": "duplicate_uids"}, "did you mean 'duplicate_uid'"),
        ({"step": "were"}, "did you mean 'where'"),
        ({"step": 3}, "no step 3; it has 2"),
        ({"columns": ["twise"]}, "did you mean 'twice'"),
        ({"uids": ["007"]}, r"'007' \(did you mean 'e/007.jpg'\?\)"),
        ({"uids": ["a"]}, r"'a' \(it was kept\)"),
    ):
        with pytest.raises((RecipeError, InputError), match=words):
            api.ledger(run, "good", **options).to_arrow()
    with pytest.raises(RecipeError, match="did you mean 'good'"):
        api.ledger(run, "goods")
    assert call("ledger", run, "good", "--uid", "b").out.count("\n") == 3
    to = tmp_path / "none.csv"
    assert call("ledger", run, "good", "--uid", "b", "--uid", "zz", "--to", to).code == 1
    assert not to.exists()


def test_what_cannot_be_listed_is_counted(tmp_path: Path) -> None:
    counted = small(tmp_path / "counted", ledger="counts")
    assert "4 of 5 rows dropped" in call("ledger", counted, "good").out
    with pytest.raises(InputError, match="'ledger: counts'"):
        api.ledger(counted, "good").to_arrow()
    run = small(tmp_path / "changed")
    rows = tmp_path / "changed" / "rows" / "1.parquet"
    pq.write_table(pq.read_table(rows).slice(1), rows)
    with pytest.raises(ChangedError, match=r"1.parquet: content changed"):
        api.ledger(run, "good").to_arrow()
    assert "4 of 5 rows dropped" in call("ledger", run, "good").out
