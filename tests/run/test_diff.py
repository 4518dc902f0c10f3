"""`poolwright diff`: rows added, removed, moved, relabelled and changed, with the step and reason that did it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import InputError, RecipeError, ReleaseError
from poolwright.core.results.changes import Because, ColumnChange, GroupChange, ValueChange
from tests.calling import call

BEFORE: list[dict[str, Any]] = [
    {"uid": f"r{at}", "label": "cat" if at < 6 else "dog", "score": at / 10, "split": "train", "words": f"w{at}"}
    for at in range(10)
]


def changed_rows() -> list[dict[str, Any]]:
    """Rows of which one is gone, one new, one relabelled, one moved and one has other words."""
    rows = [dict(row) for row in BEFORE if row["uid"] != "r9"]
    rows[3]["label"] = "dog"
    rows[4]["split"] = "test"
    rows[5]["words"] = "=other"
    return [*rows, {"uid": "s0", "label": "cat", "score": 0.9, "split": "train", "words": "new"}]


def made(folder: Path, rows: list[dict[str, Any]], least: float, layout: str | None = None, parent: Any = None) -> Path:
    """A run over some rows, of which those of at least that score are kept, and its release."""
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    release = {"table": "good", "layout": layout, "to": "out", "figures": False}
    release |= {"class_label": "label", "images": "none"} if layout == "huggingface" else {}
    release |= {"parent": parent} if parent else {}
    data = {
        "recipe": 1,
        "name": "small",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"all": {"from": "rows"}, "good": {"from": "all", "steps": [{"where": f"score >= {least}"}]}},
        "releases": [release] if layout else [],
    }
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return Recipe.load(folder / "recipe.yaml").run().folder


def test_a_diff_names_every_row_that_differs_and_what_did_it(tmp_path: Path) -> None:
    one, other = made(tmp_path / "one", BEFORE, 0.1), made(tmp_path / "other", changed_rows(), 0.25)
    found = api.diff(one / "good", other / "good")
    assert found.counts == {"same": 3, "added": 1, "removed": 3, "moved": 1, "relabelled": 1, "changed": 1}
    dropped = Because("good", 1, "where", "not_true", "the expression is not true", 2)
    there = "not among the rows that the {} version read"
    absent, new = (Because("", 0, "", "not_in_source", there.format(which), 1) for which in ("second", "first"))
    assert found.removed_because == (dropped, absent)
    assert found.added_because == (new,)
    assert (found.splits, found.classes) == ((ValueChange("train", "test", 1),), (ValueChange("cat", "dog", 1),))
    where = "read from the source in both versions; its values there differ"
    assert found.columns[-1] == ColumnChange("words", 1, where)
    assert GroupChange("cat", 5, 3, 1, 2, 1, 0, 1) in found.by_class
    assert GroupChange("train", 9, 6, 1, 3, 0, 1, 1) in found.by_split
    assert any("score >= 0.1" in line and "score >= 0.25" in line for line in found.recipe)
    uids = {(one.uid, one.what) for one in found.examples}
    assert uids == {
        ("r1", "removed"), ("r2", "removed"), ("r9", "removed"), ("s0", "added"), ("r3", "relabelled"),
        ("r4", "moved"), ("r5", "changed"),
    }  # fmt: skip
    same = api.diff(one / "good", one / "good")
    assert (same.same, len(same.examples), same.recipe) == (9, 0, ())


def test_releases_and_tables_are_compared_by_the_same_values(tmp_path: Path) -> None:
    one = made(tmp_path / "one", BEFORE, 0.1, "huggingface")
    other = made(tmp_path / "other", changed_rows(), 0.25, "huggingface")
    table = api.diff(tmp_path / "one/out", one / "good")
    assert (table.same, table.examples, table.notes) == (9, (), ())
    found = api.diff(tmp_path / "one/out", tmp_path / "other/out")
    assert found.counts == api.diff(one / "good", other / "good").counts
    assert [row.reason for row in found.removed_because] == ["unknown"]
    assert "does not list them" in found.notes[0]


def test_removed_uids_are_a_list_that_remove_reads_and_rows_a_file(tmp_path: Path) -> None:
    one, other = made(tmp_path / "one", BEFORE, 0.1), made(tmp_path / "other", changed_rows(), 0.25)
    for ending in ("txt", "csv", "parquet"):
        to: list[str | Path] = [
            "--removed",
            tmp_path / f"gone.{ending}",
            "--rows",
            tmp_path / "d.csv",
            "--html",
            tmp_path / "d.html",
        ]
        called = call("diff", one / "good", other / "good", *to)
        assert called.code == 0, called.err
        data = {
            "recipe": 1,
            "name": ending,
            "pools": {"rows": {"read": "table", "path": "one/rows.parquet"}},
            "tables": {"left": {"from": "rows", "steps": [{"remove": {"file": f"gone.{ending}", "strict": True}}]}},
        }
        left = Recipe.from_data(data, tmp_path).run().tables["left"].read(["uid"])
        assert left.column("uid").to_pylist() == ["r0", *(f"r{at}" for at in range(3, 9))]
    assert "3 same, 1 added, 3 removed, 1 moved, 1 relabelled, 1 changed" in called.out
    assert (tmp_path / "d.csv").read_text().count("\n") == 1 + 7
    found = json.loads(call("diff", one / "good", other / "good", "--json").out)
    assert found["changes"]["removed_because"][0]["verb"] == "where"
    page = (tmp_path / "d.html").read_text()
    assert "the expression is not true" in page
    assert "good: 1. where" in page


def test_a_row_dropped_in_a_table_above_a_prefixed_union_is_found(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(BEFORE), tmp_path / "rows.parquet")

    def run(name: str, least: float) -> Path:
        data = {
            "recipe": 1,
            "name": name,
            "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
            "tables": {
                "high": {"from": "rows", "steps": [{"where": f"score >= {least}"}]},
                "both": {"from": {"union": ["rows", "high"], "uid_prefix": True}},
            },
        }
        return Recipe.from_data(data, tmp_path).run().folder

    found = api.diff(run("one", 0.0) / "both", run("two", 0.8) / "both")
    (because,) = found.removed_because
    assert (because.table, because.verb, because.rows) == ("high", "where", 8)
    assert GroupChange("high", 10, 2, 0, 8, 0, 0, 0) in found.by_source


def test_what_is_no_version_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path / "one", BEFORE, 0.1)
    with pytest.raises(InputError, match="did you mean 'good'"):
        api.diff(run / "goods", run / "good")
    with pytest.raises(RecipeError, match="name one of its tables"):
        api.diff(run, run / "good")
    with pytest.raises(RecipeError, match=r"\.xls"):
        api.diff(run / "all", run / "good", rows=tmp_path / "d.xls")


def test_a_release_names_its_parent_and_its_card_what_changed(tmp_path: Path) -> None:
    made(tmp_path / "one", BEFORE, 0.1, "huggingface")
    made(tmp_path / "other", changed_rows(), 0.25, "huggingface", "../one/out")
    out = tmp_path / "other/out"
    parent = json.loads((out / "release.json").read_text())["parent"]
    sums = hashlib.sha256((tmp_path / "one/out/SHA256SUMS").read_bytes()).hexdigest()
    assert parent == {"name": "out", "url": "", "table": "good", "version": "1.0.0", "rows": 9, "digest": sums}
    card = (out / "README.md").read_text()
    assert "## Changes since out 1.0.0" in card
    assert "3 same, 1 added, 3 removed, 1 moved, 1 relabelled, 1 changed" in card
    assert "| 2 | good: 1. `where` | the expression is not true |" in card
    assert "| cat | 5 | 3 | 1 | 2 | 1 | 0 | 1 |" in card
    assert json.loads((out / "croissant.json").read_text())["isBasedOn"][0]["identifier"] == f"sha256:{sums}"
    assert json.loads((out / "changes.json").read_text())["relabelled"] == 1
    assert call("verify", out).code == 0
    assert str(tmp_path) not in card
    again = call("run", tmp_path / "other/recipe.yaml")
    assert "unchanged and verified" in again.out, again.err


def test_a_parent_at_a_url_is_fetched_and_checked(tmp_path: Path) -> None:
    made(tmp_path / "one", BEFORE, 0.1, "huggingface")
    url = f"file://{tmp_path}/one/out"
    made(tmp_path / "other", changed_rows(), 0.25, "huggingface", url)
    record = json.loads((tmp_path / "other/out/release.json").read_text())["parent"]
    assert (record["url"], record["name"]) == (url, "out")
    (data,) = (tmp_path / "one/out").rglob("*.parquet")
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    with pytest.raises(ReleaseError, match="not what SHA256SUMS says"):
        made(tmp_path / "third", changed_rows(), 0.25, "huggingface", url)
    for wrong, words in (("../none", "no release in this folder"), ("out", "would replace"), (7, "7")):
        with pytest.raises(RecipeError, match=words):
            made(tmp_path / f"w{wrong}".replace("/", ""), BEFORE, 0.1, "huggingface", wrong)
