"""`run --extend frozen`: new shards are added to finished tables, which keep what was made."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe, RunResult
from poolwright.core.errors import ChangedError, RecipeError
from poolwright.core.table import Table
from poolwright.run import growth
from poolwright.run.run import open_run
from tests.calling import call
from tests.run.pools import STEPS, final_files, make_rows, recipe_data, write_pool

CHOSEN = {
    "chosen": {"from": "rows", "steps": STEPS[:-1]},
    "split": {"from": "chosen", "steps": [STEPS[-1]]},
}


def load(folder: Path, tables: dict[str, Any] | None = None, **more: Any) -> Recipe:
    """The recipe, read anew, so that its pool lists its shards again."""
    data = recipe_data(**more) | {"tables": tables or CHOSEN}
    (folder / "recipe.yaml").write_text(json.dumps(data))
    return Recipe.load(folder / "recipe.yaml")


def first(folder: Path, tables: dict[str, Any] | None = None, **more: Any) -> None:
    """Run over four shards."""
    write_pool(folder, make_rows(2000), parts=4)
    load(folder, tables, **more).run()


def grow(folder: Path, name: str = "0010", seed: int = 9, first_uid: int = 5000) -> pa.Table:
    """Add a shard that comes second by its name; with the uid of an old row in its first."""
    rows = make_rows(500, seed)
    uids = ["row-0000007", *(f"row-{first_uid + at:07d}" for at in range(1, 500))]
    rows = rows.set_column(0, "uid", pa.array(uids))
    pq.write_table(rows, folder / "rows" / f"{name}.parquet")
    return rows


def test_new_rows_are_decided_by_old_states_and_what_was_made_is_kept(tmp_path: Path) -> None:
    first(tmp_path)
    before = final_files(tmp_path / "runs/test")
    old = {name: Table(tmp_path / "runs/test/tables" / name).record for name in CHOSEN}
    grow(tmp_path)
    with pytest.raises(ChangedError, match=r"input rows/0010.parquet: new\n.*--extend frozen, or start"):
        load(tmp_path).run()
    result = load(tmp_path).run(extend="frozen")
    after = final_files(result.folder)
    kept = [name for name in before if "/part-" in name or ("/states/" in name and "00-admit" not in name)]
    assert kept
    assert all(after[name] == before[name] for name in kept)
    assert not (result.folder / "extending").exists()
    record = result.tables["chosen"].record
    assert [one.parts for one in record.generations] == [4, 1]
    assert record.generations[0].plan == old["chosen"].plan != record.plan
    assert record.rows_in == 2500
    assert record.funnel[0].dropped == {"duplicate_uid": 1}
    assert [part.name for part in record.inputs] == [*(f"{at:03d}.parquet" for at in range(4)), "0010.parquet"]
    new = result.tables["chosen"].read(["uid", "similarity"]).slice(old["chosen"].rows_kept)
    cut = result.tables["chosen"].state(2).tables["groups"].column("value")[0].as_py()
    assert min(new.column("similarity").to_pylist()) >= cut
    assert set(new.column("uid").to_pylist()).isdisjoint(["row-0000007"])
    split = result.tables["split"].read(["uid", "split"])
    assert split.num_rows == record.rows_kept
    assert load(tmp_path).run().tables["split"].record == result.tables["split"].record
    source = open_run(result.folder).source("chosen")
    assert pickle.loads(pickle.dumps(source)).schema == source.schema  # as Ray sends it to workers


def test_why_ledger_and_diff_know_the_rows_of_both_generations(tmp_path: Path) -> None:
    first(tmp_path)
    (tmp_path / "copy").mkdir()
    shutil.copytree(tmp_path / "runs", tmp_path / "copy/runs")
    rows = grow(tmp_path)
    run = load(tmp_path).run(extend="frozen").folder
    (story,) = api.why(run, "row-0000007")[:1]
    assert story.origin.startswith("000.parquet")
    dropped = api.ledger(run, "chosen", columns=["width"]).to_arrow()
    table = open_run(run).table("chosen")
    uids = [*make_rows(2000).column("uid").to_pylist(), *rows.column("uid").to_pylist()]
    assert sorted(dropped.column("uid").to_pylist() + table.read(["uid"]).column(0).to_pylist()) == sorted(uids)
    widths = dict(zip(rows.column("uid").to_pylist(), rows.column("width").to_pylist(), strict=True))
    new = [row for row in dropped.to_pylist() if row["part"] == "0010.parquet"]
    assert new
    assert all(widths[row["uid"]] == row["width"] for row in new)
    found = api.diff(tmp_path / "copy/runs/test/split", run / "split")
    assert (found.removed, found.changed, found.moved) == (0, 0, 0)
    assert found.added == sum(one.rows_kept for one in table.record.generations[1:])


def test_a_table_grows_more_than_once(tmp_path: Path) -> None:
    first(tmp_path)
    for name, start in (("9", 6000), ("0000", 7000)):
        grow(tmp_path, name, start, start)
        result = load(tmp_path).run(extend="frozen")
    record = result.tables["split"].record
    assert [one.parts for one in result.tables["chosen"].record.generations] == [4, 1, 1]
    assert record.rows_kept == sum(one.rows_kept for one in record.generations)
    assert load(tmp_path).run(extend="frozen").tables["split"].record == record
    result.tables["split"].check_files()
    assert "generation 3" in call("show", result.folder).out


def test_what_cannot_be_extended_is_refused_by_name_and_nothing_is_touched(tmp_path: Path) -> None:
    def refused(change: Callable[[Path], object], words: str, tables: dict[str, Any] | None = None) -> None:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        first(folder, tables)
        before = final_files(folder / "runs/test")
        grow(folder)
        change(folder)
        with pytest.raises(ChangedError, match=words):
            load(folder, tables).run(extend="frozen")
        assert final_files(folder / "runs/test") == before

    plain = {"kept": {"from": "rows", "steps": [{"where": "width > 9"}]}}
    refused(lambda folder: (folder / "rows/001.parquet").unlink(), r"rows/001.parquet: gone", plain)
    refused(
        lambda folder: pq.write_table(make_rows(500, 3), folder / "rows/002.parquet"),
        r"input rows/002.parquet: content changed",
        plain,
    )
    duplicates = {"kept": {"from": "rows", "steps": [{"near_duplicates": {"vectors": "embedding", "above": 0.99}}]}}
    refused(lambda folder: None, r"step 1 \(near_duplicates\): new rows were not compared", duplicates)
    with pytest.raises(RecipeError, match=r"no way 'refitted' to extend tables; .*'refit'"):
        load(tmp_path / "0", plain).run(extend="refitted")


def test_a_bad_new_shard_is_quarantined_and_old_units_stay(tmp_path: Path) -> None:
    first(tmp_path, max_bad=0.5)
    before = final_files(tmp_path / "runs/test")
    grow(tmp_path)
    path = tmp_path / "rows/0010.parquet"
    content = bytearray(path.read_bytes())
    content[4:3000] = bytes(2996)
    path.write_bytes(bytes(content))
    result = load(tmp_path, max_bad=0.5).run(extend="frozen")
    assert [part.name for part in result.tables["chosen"].record.quarantined] == ["0010.parquet"]
    name = "tables/chosen/part-00000.parquet"
    assert final_files(result.folder)[name] == before[name]


def test_a_kill_at_any_write_leaves_a_table_and_the_same_call_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    first(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    for folder in ("whole", "killed"):
        grow(tmp_path / folder)
    wanted = final_files(load(tmp_path / "whole").run(extend="frozen").folder)

    from poolwright.core import files as written

    class Killed(BaseException):
        pass

    done = {"calls": 0}

    def failing(real: Callable[..., Any], at: int) -> Callable[..., Any]:
        def call_it(*args: Any, **kwargs: Any) -> Any:
            done["calls"] += 1
            if done["calls"] == at:
                raise Killed
            return real(*args, **kwargs)

        return call_it

    replace = growth.os.replace

    def between_names(source: Path, target: Path) -> None:
        if Path(target).parent.name == "tables":
            raise Killed  # the old table has lost its name, and the new one has not got it yet
        replace(source, target)

    monkeypatch.setattr(written.os, "replace", between_names)
    with pytest.raises(Killed):
        load(tmp_path / "killed").run(extend="frozen")
    assert not (tmp_path / "killed/runs/test/tables/chosen").exists()
    for at in (1, 3, 6, 10, 14, 19, 24, 30, 36, 42, 48, 54, 60):
        done["calls"] = 0
        with monkeypatch.context() as patched:
            patched.setattr(written.os, "replace", failing(replace, at))
            try:
                load(tmp_path / "killed").run(extend="frozen", workers=1)
            except Killed:
                pass
            else:
                break
    assert final_files(load(tmp_path / "killed").run(extend="frozen").folder) == wanted


def test_the_release_of_a_grown_table_says_so(tmp_path: Path) -> None:
    release = {"table": "split", "layout": "huggingface", "images": "none", "to": "out", "figures": False}
    first(tmp_path, releases=[release])
    grow(tmp_path)
    result: RunResult = load(tmp_path, releases=[release]).run(extend="frozen")
    assert result.releases[0].rows == result.tables["split"].record.rows_kept
    card = (tmp_path / "out/README.md").read_text()
    assert "was extended by new parts of its source" in card
    assert call("verify", tmp_path / "out").code == 0


def test_a_union_grows_in_its_first_source_and_keeps_the_order_of_what_was_there(tmp_path: Path) -> None:
    for name, start in (("one", 0), ("two", 100)):
        (tmp_path / name).mkdir()
        rows = {"uid": [f"u{start + at}" for at in range(20)], "n": list(range(20))}
        pq.write_table(pa.table(rows), tmp_path / name / "0.parquet")
    data = {
        "recipe": 1,
        "name": "test",
        "max_bad": 0.5,
        "pools": {name: {"read": "table", "path": name} for name in ("one", "two")},
        "tables": {
            "both": {"from": {"union": ["one", "two"], "uid_prefix": True}, "steps": [{"top": {"by": "n", "n": 20}}]}
        },
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    before = Recipe.load(tmp_path / "recipe.yaml").run().tables["both"].read().to_pylist()
    pq.write_table(pa.table({"uid": ["u0", "v1"], "n": [19, 1]}), tmp_path / "one/1.parquet")
    run = Recipe.load(tmp_path / "recipe.yaml").run(extend="frozen")
    rows = run.tables["both"].read().to_pylist()
    assert rows == before  # u0 is repeated, and 1 is below the threshold
    assert run.tables["both"].record.sources == {"pools.one": 22, "pools.two": 20}
    gone = api.ledger(run.folder, "both").to_arrow().to_pylist()[-2:]
    assert [(row["uid"], row["reason"]) for row in gone] == [("one/u0", "duplicate_uid"), ("one/v1", "not_top")]
    assert api.why(run.folder, "one/v1")[0].chapters[-1].dropped == "not among the best"
