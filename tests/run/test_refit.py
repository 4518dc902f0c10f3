"""`run --extend refit`: tables are made anew over old and new shards next to the finished ones, and compared first."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Changes
from poolwright.core.errors import ChangedError, RecipeError
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Outcome
from poolwright.run import growth
from poolwright.steps.describe.label import Label
from tests.calling import call
from tests.run.pools import STEPS, final_files, make_rows
from tests.run.test_extend import first, grow, load

TABLES = {
    "described": {"from": "rows", "steps": STEPS[:1]},
    "chosen": {"from": "described", "steps": STEPS[1:]},
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run over four shards, to which a fifth came; copy it."""
    folder = tmp_path_factory.mktemp("grown")
    first(folder, TABLES)
    grow(folder)
    return folder


def copied(grown: Path, folder: Path) -> Path:
    return Path(shutil.copytree(grown, folder, dirs_exist_ok=True))


def tables_of(run: Path) -> dict[str, Any]:
    return {name: data for name, data in final_files(run).items() if name.startswith("tables/")}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The vectors of the rows that the costly step is applied to, while it is patched."""
    seen: list[bytes] = []
    apply = Label.apply

    def counting(self: Label, rows: Rows, state: State) -> Outcome:
        seen.extend(vector.tobytes() for vector in rows.vectors("embedding"))
        return apply(self, rows, state)

    monkeypatch.setattr(Label, "apply", counting)
    return seen


def test_the_tables_are_those_of_a_run_over_all_shards_and_no_kept_row_is_labelled_again(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(grown, tmp_path)
    wanted = tables_of(load(tmp_path, TABLES).run(tmp_path / "runs/anew").folder)
    before = tables_of(tmp_path / "runs/test")
    seen = counted(monkeypatch)
    shown: list[tuple[Changes, ...]] = []

    def accept(differences: tuple[Changes, ...]) -> bool:
        assert tables_of(tmp_path / "runs/test") == before
        shown.append(differences)
        return True

    result = load(tmp_path, TABLES).run(extend="refit", accept=accept, batch_rows=97)
    assert result.accepted
    assert tables_of(result.folder) == wanted != before
    assert not list(result.folder.glob("*ting"))
    assert len(seen) == 499  # of the new shard; its first row is that of the first shard
    ((first_table, second),) = shown
    assert (first_table.added, first_table.removed) == (499, 0)
    assert second.removed > 0
    assert {one.verb for one in second.removed_because} <= {"where", "top", "drop_small", "largest", "cap"}
    assert not second.notes
    assert load(tmp_path, TABLES).run(extend="refit", accept=True).differences == ()
    with pytest.raises(RecipeError, match="'fresh' makes tables anew"):
        load(tmp_path, TABLES).run(extend="refit", fresh=["chosen"])


def test_without_a_yes_nothing_is_replaced_and_the_command_with_yes_goes_on(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(grown, tmp_path)
    release = {"table": "chosen", "layout": "huggingface", "images": "none", "to": "out", "figures": False}
    (tmp_path / "rows/0010.parquet").rename(tmp_path / "new")
    load(tmp_path, TABLES, releases=[release]).run()
    (tmp_path / "new").rename(tmp_path / "rows/0010.parquet")
    load(tmp_path, TABLES, releases=[release])
    before, card = tables_of(tmp_path / "runs/test"), (tmp_path / "out/README.md").read_text()
    asked = call("run", tmp_path / "recipe.yaml", "--extend", "refit")
    assert asked.code == 3
    assert "removed" in asked.out
    assert "nothing was replaced" in asked.out
    assert tables_of(tmp_path / "runs/test") == before
    assert (tmp_path / "out/README.md").read_text() == card
    old, new = (tmp_path / "runs/test" / name for name in ("chosen", "refitting/chosen"))
    assert api.diff(old, new).counts == api.diff(old, new).counts
    found = json.loads(call("run", tmp_path / "recipe.yaml", "--extend", "refit", "--json").out)
    assert found["differences"][1]["added"] == api.diff(old, new).added > 0
    assert not found["accepted"]
    seen = counted(monkeypatch)
    yes = call("run", tmp_path / "recipe.yaml", "--extend", "refit", "--yes")
    assert yes.code == 0
    assert seen == []
    assert "released" in yes.out
    assert (tmp_path / "out/README.md").read_text() != card
    assert call("verify", tmp_path / "out").code == 0


def test_a_table_that_was_extended_by_what_it_had_learned_is_fitted_anew(grown: Path, tmp_path: Path) -> None:
    copied(grown, tmp_path)
    wanted = tables_of(load(tmp_path, TABLES).run(tmp_path / "runs/anew").folder)
    load(tmp_path, TABLES).run(extend="frozen")
    result = load(tmp_path, TABLES).run(extend="refit", accept=True)
    assert tables_of(result.folder) == wanted
    assert result.tables["chosen"].record.generations == ()


def test_another_change_than_new_shards_is_refused_and_nothing_is_touched(grown: Path, tmp_path: Path) -> None:
    copied(grown, tmp_path)
    before = final_files(tmp_path / "runs/test")
    other = {**TABLES, "chosen": {"from": "described", "steps": [{"where": "similarity > 0.2"}, *STEPS[2:]]}}
    with pytest.raises(ChangedError, match=r"(?s)table 'chosen' cannot be fitted anew.*recipe: step 1 \(where\)"):
        load(tmp_path, other).run(extend="refit", accept=True)
    pq.write_table(make_rows(500, 3), tmp_path / "rows/002.parquet")
    with pytest.raises(ChangedError, match=r"input rows/002.parquet: content changed"):
        load(tmp_path, TABLES).run(extend="refit", accept=True)
    assert tables_of(tmp_path / "runs/test") == {name: data for name, data in before.items() if "tables/" in name}


def test_rows_that_were_dropped_after_a_costly_step_are_computed_again(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(grown, tmp_path)
    (tmp_path / "rows/0010.parquet").rename(tmp_path / "new")
    one = {"chosen": {"from": "rows", "steps": STEPS}}
    shutil.rmtree(tmp_path / "runs")
    vectors = load(tmp_path, one).run().tables["chosen"].read(["embedding"]).column(0).to_numpy()
    kept = {vector.tobytes() for vector in vectors}
    (tmp_path / "new").rename(tmp_path / "rows/0010.parquet")
    wanted = tables_of(load(tmp_path, one).run(tmp_path / "runs/anew").folder)
    seen = counted(monkeypatch)
    assert tables_of(load(tmp_path, one).run(extend="refit", accept=True).folder) == wanted
    assert kept.isdisjoint(seen)
    assert len(set(seen)) == 2499 - len(kept)


def test_stages_that_were_kept_spare_all_old_rows(grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(grown, tmp_path)
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "rows/0010.parquet").rename(tmp_path / "new")
    one = {"chosen": {"from": "rows", "steps": STEPS}}
    load(tmp_path, one).run(keep_stages=True)
    stage = tmp_path / "runs/test/tables/chosen/stages/02"
    assert stage.is_dir()
    (tmp_path / "new").rename(tmp_path / "rows/0010.parquet")
    wanted = tables_of(load(tmp_path, one).run(tmp_path / "runs/anew", batch_rows=700).folder)
    shutil.copytree(tmp_path / "runs/test", tmp_path / "runs/damaged")
    seen = counted(monkeypatch)
    result = load(tmp_path, one).run(extend="refit", accept=True)
    assert tables_of(result.folder) == wanted
    assert len(set(seen)) == 499
    file = tmp_path / "runs/damaged/tables/chosen/stages/02/unit-00000.arrow"
    file.write_bytes(file.read_bytes()[::-1])
    assert tables_of(load(tmp_path, one).run(tmp_path / "runs/damaged", extend="refit", accept=True).folder) == wanted


def test_a_kill_at_any_write_ends_with_the_same_bytes(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = copied(grown, tmp_path / "whole"), copied(grown, tmp_path / "killed")
    wanted = final_files(load(whole, TABLES).run(extend="refit", accept=True).folder)

    from poolwright.core import files as written

    class Killed(BaseException):
        pass

    replace, calls = growth.os.replace, {"done": 0}

    def failing(at: int) -> Callable[..., None]:
        def call_it(source: Path, target: Path) -> None:
            calls["done"] += 1
            if calls["done"] == at:
                raise Killed
            replace(source, target)

        return call_it

    at, kills = 1, 0
    while True:
        calls["done"] = 0
        with monkeypatch.context() as patched:
            patched.setattr(written.os, "replace", failing(at))
            try:
                load(killed, TABLES).run(extend="refit", accept=True, workers=1)
            except Killed:
                kills += 1
                at = at + 3 if at < 40 else 1 + kills % 3
                continue
        break
    assert kills > 5
    assert final_files(killed / "runs/test") == wanted


def test_a_kill_between_the_names_of_two_tables_is_made_up_for(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(grown, tmp_path)
    wanted = tables_of(load(tmp_path, TABLES).run(tmp_path / "runs/anew").folder)

    class Killed(BaseException):
        pass

    replace, seen = growth.os.replace, []

    def between(source: Path, target: Path) -> None:
        if Path(target).parent.name == "tables":
            seen.append(target)
            if len(seen) == 2:
                raise Killed
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(growth.os, "replace", between)
        with pytest.raises(Killed):
            load(tmp_path, TABLES).run(extend="refit", accept=True)
    assert tables_of(load(tmp_path, TABLES).run().folder) == wanted


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_there_is_a_question(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    copied(grown, tmp_path)
    before = tables_of(tmp_path / "runs/test")
    load(tmp_path, TABLES)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    asked = call("run", tmp_path / "recipe.yaml", "--extend", "refit")
    assert "Replace the finished tables? [y/N]" in asked.out
    assert asked.code == (0 if answer == "y" else 3)
    assert (tables_of(tmp_path / "runs/test") == before) is (answer == "n")
