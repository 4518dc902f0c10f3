"""`check` tries the keys of joins and lists on the first rows, and says so where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import RecipeError
from poolwright.steps.describe.columns import other_rows
from tests.calling import call


def recipe(folder: Path, *steps: dict[str, Any]) -> Recipe:
    pq.write_table(pa.table({"uid": [f"{at}.jpg" for at in range(2000)]}), folder / "rows.parquet")
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{at},cat\n" for at in range(900)))
    data = {
        "recipe": 1,
        "name": "keys",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"all": {"from": "rows", "steps": list(steps)}},
    }
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return Recipe.load(folder / "recipe.yaml")


def join(here: str = "uid", **more: Any) -> dict[str, Any]:
    return {"join": {"with": "./labels.csv", "on": {here: "id"}, "columns": ["label"], **more}}


TEXT = {"types": {"id": "string"}}


def test_keys_that_meet_and_those_that_never_do(tmp_path: Path) -> None:
    steps = [{"keep": {"ids": ["5.jpg", "1500.jpg"]}}, {"derive": {"k": "replace(uid, '.jpg', '')"}}, join("k", **TEXT)]
    notes = api.check(recipe(tmp_path, *steps))["all"].foreseen
    assert notes[0] == "step 1 (keep): of the first 1,000 rows of pools.rows, 1 are on the list of 2"
    assert (
        notes[1] == "step 3 (join): how many keys are found is not known before the run: 'k' is made by a step before"
    )
    wrong = recipe(tmp_path, join(**TEXT), {"remove": {"ids": ["5"]}})
    notes = api.check(wrong)["all"].foreseen
    assert notes[0].endswith("0 have their key in labels.csv, which has 900, such as '0'; a row has '0.jpg'")
    assert notes[1].endswith("0 are on the list of 1, such as '5'; a row has '0.jpg'")
    assert notes[0] in " ".join(call("check", tmp_path / "recipe.yaml").out.split())


def test_what_is_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_rows, "_FEW_BYTES", 10)
    monkeypatch.setattr(other_rows, "_FEW_ROWS", 10)
    (note,) = api.check(recipe(tmp_path, join(**TEXT)))["all"].foreseen
    assert note.endswith("what they are looked up in is large, remote or not made yet, and not read for a check")


def test_keys_of_two_kinds_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'uid' is text \(string\) and 'id' of labels.csv is an integer"):
        api.check(recipe(tmp_path, join()))
