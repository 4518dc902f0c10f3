"""join: columns of files, pools and tables on the rows with the same key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.core.table import Table
from tests.calling import call

SHEET = "image_id,species,weight\n007,crow,0.5\n8,gull,0.25\n9,,\n8,gull,0.25\n99,owl,1\n,kite,2\n"
JOIN: dict[str, Any] = {"with": "sheet.csv", "on": {"uid": "image_id"}, "columns": {"class": "species"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    uids = ["7", "007", "8", "9", "10"]
    years = pa.array([1, 2, 3, None, 5], pa.int16())
    pq.write_table(pa.table({"uid": uids, "year": years, "label": list("abcde")}), tmp_path / "rows.parquet")
    (tmp_path / "sheet.csv").write_text(SHEET)
    return tmp_path


def recipe(folder: Path, *joins: dict[str, Any], pools: dict[str, Any] | None = None, **tables: Any) -> Recipe:
    data = {
        "recipe": 1,
        "name": "joined",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}, **(pools or {})},
        "tables": {**tables, "joined": {"from": "rows", "steps": [{"join": one} for one in joins]}},
        "releases": [{"table": "joined", "layout": "huggingface", "images": "none", "figures": False, "to": "out"}],
    }
    return Recipe.from_data(data, folder)


def run(folder: Path, *joins: dict[str, Any], **more: Any) -> Table:
    return api.run(recipe(folder, *joins, **more), folder / "run", release=False).tables["joined"]


def error(folder: Path, *joins: dict[str, Any], **more: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        api.check(recipe(folder, *joins, **more))
    return str(caught.value)


def test_rows_get_the_values_of_a_file_and_what_has_no_match_is_counted(folder: Path) -> None:
    table = run(folder, JOIN)
    assert table.read(["class"]).column(0).to_pylist() == [None, "crow", "gull", None, None]
    assert table.record.steps[0].learned == (
        "3 of 5 rows found in sheet.csv by uid, 2 not: kept with nulls; 1 of its 6 rows met none, "
        "1 repeat a key with the same values, 1 have no key"
    )
    assert [file.path for file in table.record.files] == ["rows.parquet", "sheet.csv"]
    (folder / "sheet.csv").write_text(SHEET.replace("crow", "rook"))
    with pytest.raises(ChangedError, match=r"sheet\.csv: content changed"):
        run(folder, JOIN)


def test_rows_without_a_match_are_dropped_with_a_reason_and_explained(folder: Path) -> None:
    table = run(folder, {**JOIN, "missing": "drop"})
    assert table.read(["uid"]).column(0).to_pylist() == ["007", "8", "9"]
    assert table.record.funnel[-1].dropped == {"no_match": 2}
    words = {uid: api.why(folder / "run", uid)[0].chapters[0] for uid in ("7", "8")}
    assert words["7"].dropped == "no row that is joined has its key"
    assert words["7"].explanation == "uid = 7: not in sheet.csv"
    assert words["8"].explanation == "uid = 8: in sheet.csv"


def test_a_key_with_two_values_is_an_error_that_names_their_places(folder: Path) -> None:
    with (folder / "sheet.csv").open("a") as file:
        file.write("99,hawk,1\n")
    with pytest.raises(
        InputError, match=r"1 row of sheet\.csv repeats a key with other values: image_id '99' with "
    ) as caught:
        run(folder, JOIN)
    assert "species 'owl' (sheet.csv, row 4) and 'hawk' (sheet.csv, row 6)" in str(caught.value)
    other = {**JOIN, "columns": ["weight"]}
    assert api.run(recipe(folder, other), folder / "other", release=False).tables["joined"].record.rows_kept == 5


def test_pools_and_tables_of_the_recipe_are_joined_on_several_keys(folder: Path) -> None:
    other = pa.table({"uid": ["8", "x", "7"], "id": ["8", "7", "7"], "year": [3, 1, 2], "score": [0.5, 0.25, 1.0]})
    pq.write_table(other, folder / "scores.parquet")
    pools = {"scores": {"read": "table", "path": "scores.parquet"}}
    best = {"from": "scores", "steps": [{"where": "score < 1"}]}
    joins = [
        {"with": "scores", "on": {"uid": "id", "year": "year"}, "columns": ["score"]},
        {"with": "best", "columns": {"other": "score", "year": "year"}, "replace": ["year"]},
    ]
    table = run(folder, *joins, pools=pools, best=best)
    rows = table.read(["uid", "score", "other", "year"]).to_pydict()
    assert rows["score"] == [0.25, None, 0.5, None, None]
    assert rows["other"] == [None, None, 0.5, None, None]
    assert rows["year"] == [None, None, 3, None, None]
    assert [file.path for file in table.record.files] == ["rows.parquet", "scores.parquet", "best/part-00000.parquet"]


def test_a_column_called_image_of_a_file_is_a_name(folder: Path) -> None:
    (folder / "names.csv").write_text("image,by\n7,ann\n007,ben\n")
    table = run(folder, {"with": "names.csv", "on": {"uid": "image"}, "columns": ["by"], "types": {"image": "string"}})
    assert table.read(["by"]).column(0).to_pylist() == ["ann", "ben", None, None, None]


def test_classes_come_by_name(folder: Path) -> None:
    features = {"info": {"features": {"kind": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    named = pa.table({"uid": ["7", "8"], "kind": [1, 0]}).replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(named, folder / "c.parquet")
    table = run(folder, {"with": "c.parquet", "columns": {"class": "kind"}})
    assert table.read(["class"]).column(0).to_pylist() == ["dog", None, "cat", None, None]


def test_mistakes_are_found_before_anything_runs(folder: Path) -> None:
    assert "have label already" in error(folder, {**JOIN, "columns": {"label": "species"}})
    assert "no column 'specis' for 'specis'; did you mean 'species'" in error(folder, {**JOIN, "columns": ["specis"]})
    assert "no pool, table or file 'sheets'; did you mean" in error(
        folder, {**JOIN, "with": "sheets"}, sheet={"from": "rows"}
    )
    assert "no column 'uid'" in error(folder, {"with": "sheet.csv", "columns": ["species"]})
    assert "no such file" in error(folder, {**JOIN, "with": "lost.csv"})
    typed = {**JOIN, "types": {"image_id": "int64"}}
    assert "'uid' is text (string) and 'image_id' of sheet.csv is an integer (int64)" in error(folder, typed)
    assert "'year' is an integer (int16)" in error(folder, {**JOIN, "on": {"year": "image_id"}})
    assert "choose another name" in error(folder, {**JOIN, "columns": {"taken_at": "weight"}})
    assert "'types' are about a file" in error_of_parameters(folder, {**JOIN, "with": "rows", "types": {"a": "string"}})
    assert "twice" in error_of_parameters(folder, {**JOIN, "columns": ["weight", "weight"]})


def error_of_parameters(folder: Path, join: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(folder, join)
    return str(caught.value)


def test_a_line_that_cannot_be_read_stops_the_join(folder: Path) -> None:
    with (folder / "sheet.csv").open("a") as file:
        file.write("100,jay,1,more\n")
    with pytest.raises(InputError, match=r"sheet\.csv, row 6 cannot be read: .*join a table of the recipe"):
        run(folder, JOIN)


def test_a_release_joins_new_rows_without_the_file(folder: Path) -> None:
    api.run(recipe(folder, {**JOIN, "missing": "drop"}), folder / "run")
    pq.write_table(pa.table({"uid": ["99", "new"]}), folder / "new.parquet")
    (folder / "sheet.csv").unlink()
    api.apply(folder / "out", [folder / "new.parquet"], folder / "again")
    assert api.show(folder / "again")[0].read(["uid", "class"]).to_pylist() == [{"uid": "99", "class": "owl"}]


def test_the_command_line_reads_on_as_a_text_and_describes_the_step(folder: Path) -> None:
    steps = "[{join: {with: sheet.csv, on: {uid: image_id}, columns: [species]}}]"
    text = "recipe: 1\nname: a\npools: {rows: {read: table, path: rows.parquet}}\n"
    text += f"tables: {{a: {{from: rows, steps: {steps}}}}}"
    (folder / "a.yaml").write_text(text)
    assert call("check", "a.yaml", folder=folder).code == 0
    assert "3 of 5 rows found in sheet.csv" in call("run", "a.yaml", folder=folder).out
    assert "on: uid" in call("steps", "join").out
