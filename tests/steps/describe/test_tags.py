"""Tags that people gave in the studio, as columns of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, PoolwrightError
from poolwright.inspect.views.tags import TaggedRow, add_tag, remove_tag


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six rows, a run with two tags, one of them on a row that is not there."""
    pq.write_table(pa.table({"uid": list("abcdef"), "size": range(6)}), tmp_path / "rows.parquet")
    rows = {"good": "ace", "odd": "bz", "size": "a"}
    add_tag(tmp_path / "runs" / "x", (TaggedRow(uid, word, by="Ann") for word, uids in rows.items() for uid in uids))
    return tmp_path


def recipe(folder: Path, tags: Any, *more: Any) -> Recipe:
    data = {
        "recipe": 1,
        "name": "tagged",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"t": {"from": "rows", "steps": [{"tags": tags}, *more]}},
    }
    return Recipe.from_data(data, folder)


def test_tags_are_columns(folder: Path) -> None:
    remove_tag(folder / "runs" / "x", "size", ["a"])
    table = api.run(recipe(folder, "runs/x", {"where": "good and not odd"}), folder / "run").tables["t"]
    assert table.to_arrow().select(["uid", "good", "odd"]).to_pydict() == {
        "uid": ["a", "c", "e"],
        "good": [True] * 3,
        "odd": [False] * 3,
    }
    (step, _) = table.record.steps
    assert step.learned == "good: 3 rows, odd: 2 rows; 1 row with a tag not in the table: z"
    add_tag(folder / "runs" / "x", [TaggedRow("b", "good")])
    with pytest.raises(ChangedError, match="good"):
        api.run(recipe(folder, "runs/x", {"where": "good and not odd"}), folder / "run")


def test_tags_that_are_named_stay_what_they_are(folder: Path) -> None:
    named = {"of": "runs/x", "columns": {"fine": "good"}}
    before = api.run(recipe(folder, named), folder / "run").tables["t"]
    assert before.to_arrow()["fine"].to_pylist() == [True, False] * 3
    add_tag(folder / "runs" / "x", [TaggedRow("a", "new")])
    again = api.run(recipe(folder, named), folder / "run").tables["t"]
    assert again.record == before.record, "another tag is no change"
    (story,) = api.why(folder / "run", "a")
    assert "tagged fine" in str(story.chapters)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ("runs/x", r"there is a column 'size'; give the tag another: columns: \{is_size: size\}"),
        ({"of": "runs/x", "columns": ["god"]}, "has no tag 'god'; did you mean 'good'"),
        ({"of": "runs/x", "columns": {"label": "good"}}, r"tables have a column of their own 'label'"),
        ("runs/y", "runs/y is no run with tags; name a run whose rows were tagged in the studio"),
    ],
)
def test_errors_say_what_to_do(folder: Path, tags: Any, words: str) -> None:
    with pytest.raises(PoolwrightError, match=words):
        api.check(recipe(folder, tags))
