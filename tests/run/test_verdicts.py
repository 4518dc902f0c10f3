"""The figure `verdicts`: a filter's accuracy on its pool, measured by people, in the card of its release."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from poolwright import Recipe, api, verify
from tests.calling import call
from tests.run.test_classify import ROWS, labelled

FIGURE = {"name": "accuracy", "table": "maps", "measure": "verdicts", "sheet": "sheet.csv"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(labelled(ROWS, 0.05, 7), tmp_path / "pool.parquet")
    pq.write_table(labelled(200, 0.5, 3), tmp_path / "examples.parquet")
    return tmp_path


def recipe(folder: Path, seed: int = 1, **figure: Any) -> Recipe:
    learn = {"with": "clip", "examples": "examples", "positive": "map", "candidates": ["mean"], "folds": 3}
    data = {
        "recipe": 1,
        "name": "maps",
        "seed": seed,
        "pools": {
            "labelled": {"read": "table", "path": "examples.parquet"},
            "pool": {"read": "table", "path": "pool.parquet"},
        },
        "tables": {
            "examples": {"from": "labelled"},
            "maps": {"from": "pool", "steps": [{"classify": {**learn, "keep": True}}]},
        },
        "figures": [{**FIGURE, **figure}],
        "releases": [{"table": "maps", "layout": "huggingface", "images": "none", "figures": False, "to": "out"}],
    }
    return Recipe.from_data(data, folder)


def fill(sheet: Path, words: tuple[str, str] = ("positive", "negative")) -> None:
    pool = pq.read_table(sheet.parent / "pool.parquet", columns=["uid", "class"])
    truth = dict(zip(*pool.to_pydict().values(), strict=True))
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "verdict": words[truth[row["uid"]] != "map"]} for row in rows)


def test_without_verdicts_the_run_says_what_to_do_and_releases(folder: Path) -> None:
    result = recipe(folder).run(folder / "run")
    assert result.figures == ()
    assert "## Measured" not in (folder / "out" / "README.md").read_text()
    api.audit(folder / "run", "maps", folder / "sheet.csv", n=60)
    assert recipe(folder).run(folder / "run").figures == ()


def test_verdicts_come_into_the_card_with_their_intervals(folder: Path) -> None:
    recipe(folder).run(folder / "run", release=False)
    api.audit(folder / "run", "maps", folder / "sheet.csv", n=300)
    fill(folder / "sheet.csv")
    result = recipe(folder).run(folder / "run")
    found = {one.name: one for one in result.figures}
    assert set(found) == {"accuracy: precision", "accuracy: recall", "accuracy: prevalence"}
    pool = pq.read_table(folder / "pool.parquet", columns=["uid", "class"])
    positive = {uid for uid, kind in zip(*pool.to_pydict().values(), strict=True) if kind == "map"}
    kept = set(result.tables["maps"].read(["uid"])["uid"].to_pylist())
    assert found["accuracy: precision"].low <= len(kept & positive) / len(kept) <= found["accuracy: precision"].high
    estimates = api.accuracy(folder / "sheet.csv")
    assert found["accuracy: recall"].value == estimates.recall.value
    card = (folder / "out" / "README.md").read_text()
    assert found["accuracy: recall"].number in card
    assert "300 verdicts" in card
    assert "## Classifier" in card
    assert "| **mean** |" in card
    report = api.report(folder / "run").read_text("utf-8")
    assert 'id="t2-classifier"' in report
    assert "-classifier-title" in report
    assert verify(folder / "out").ok


def test_how_many_more_verdicts_an_interval_needs(folder: Path) -> None:
    recipe(folder).run(folder / "run", release=False)
    api.audit(folder / "run", "maps", folder / "sheet.csv", n=100)
    fill(folder / "sheet.csv")
    called = call("accuracy", folder / "sheet.csv", "--want", "recall=2%", "--want", "precision=0.04")
    assert called.code == 0, called.err
    (line,) = [line for line in called.out.splitlines() if "more verdicts" in line]
    assert int(line.split()[0].replace(",", "")) > 50
    assert "recall ± " in line
    wrong = call("accuracy", folder / "sheet.csv", "--want", "recall")
    assert wrong.code == 1
    assert "such as recall=5%" in wrong.err


def test_words_and_changed_verdicts_are_measured_anew(folder: Path) -> None:
    recipe(folder).run(folder / "run", release=False)
    api.audit(folder / "run", "maps", folder / "sheet.csv", n=100)
    fill(folder / "sheet.csv", ("map", "other"))
    mine = recipe(folder, words={"map": "positive", "other": "negative"})
    before = mine.run(folder / "run", release=False).figures
    fill(folder / "sheet.csv", ("other", "map"))
    after = mine.run(folder / "run", release=False).figures
    assert {one.name: one.value for one in before} != {one.name: one.value for one in after}


def test_a_sheet_of_another_state_of_the_table_is_not_taken(folder: Path) -> None:
    recipe(folder).run(folder / "run", release=False)
    api.audit(folder / "run", "maps", folder / "sheet.csv", n=100)
    fill(folder / "sheet.csv")
    assert recipe(folder).run(folder / "run", release=False).figures
    assert recipe(folder, seed=2).run(folder / "other", release=False).figures == ()
