"""classify in a run: what it learns from another table, what it counts, and what may not be mixed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, RecipeError
from poolwright.core.rows import vector_array, vectors_of
from poolwright.core.table import Table
from poolwright.kernels.classifiers.parameters import decisions
from poolwright.models.classifiers.trained import TrainedClassifier
from tests.calling import call
from tests.run.pools import final_files

WIDTH, ROWS = 16, 6_000


def labelled(count: int, share: float, seed: int) -> pa.Table:
    """Rows around two centres, `share` of them maps, with captions and a few vectors that are none."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(2, WIDTH))
    is_map = draw.random(count) < share
    vectors = centres[is_map.astype(int)] + 0.9 * draw.normal(size=(count, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors.astype(np.float16)
    if seed == 7:
        vectors[::500] = np.nan
    captions = np.where(is_map & (draw.random(count) < 0.7), "an old map", "a photo")
    return pa.table(
        {
            "uid": [f"{seed}-{row}" for row in range(count)],
            "class": np.where(is_map, "map", "other"),
            "text": captions,
            "clip": vector_array(vectors),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in range(4):
        (tmp_path / "pool").mkdir(exist_ok=True)
        rows = labelled(ROWS, 0.05, 7).slice(part * ROWS // 4, ROWS // 4)
        pq.write_table(rows, tmp_path / "pool" / f"{part}.parquet")
    pq.write_table(labelled(200, 0.5, 3), tmp_path / "examples.parquet")
    return tmp_path


def recipe(folder: Path, table: dict[str, Any] | None = None, **parameters: Any) -> Recipe:
    learn = {"with": "clip", "examples": "examples", "positive": "map", "candidates": ["mean", "svm"], "folds": 3}
    data = {
        "recipe": 1,
        "name": "maps",
        "pools": {
            "labelled": {"read": "table", "path": "examples.parquet"},
            "pool": {"read": "table", "path": "pool"},
        },
        "tables": {
            "maps": {"from": "pool", "steps": [{"classify": {**learn, **parameters}}], **(table or {})},
            "examples": {"from": "labelled"},
        },
    }
    return Recipe.from_data(data, folder)


def test_examples_come_first_and_every_decision_is_that_of_the_classifier(folder: Path) -> None:
    made = recipe(folder)
    assert made.order == ("examples", "maps")
    table = made.run(folder / "run").tables["maps"]
    assert table.record.funnel[1].dropped == {"no_vector": ROWS // 500}
    rows = table.read()
    trained = TrainedClassifier.from_state(table.state(0))
    exact = decisions(trained.classifier, vectors_of(rows["clip"].combine_chunks()))
    assert (np.asarray(rows["predicted"].to_pylist()) == np.where(exact > trained.threshold, "map", "other")).all()
    assert (np.asarray(rows["predicted"].to_pylist()) == np.asarray(rows["class"].to_pylist())).mean() > 0.95
    assert trained.comparison.num_rows == 2


def test_the_histogram_counts_every_row_whether_it_is_kept_or_not(folder: Path) -> None:
    whole, kept = (recipe(folder, keep=keep).run(folder / f"run-{keep}").tables["maps"] for keep in (False, True))
    counts = np.array(whole.record.tallies["01-classify.decisions"])
    assert counts.sum() == ROWS - ROWS // 500
    assert sum(kept.record.tallies["01-classify.decisions"]) == counts.sum()
    edges, threshold = kept.state(0).values["edges"], kept.state(0).values["threshold"]
    above = counts[int(np.searchsorted(edges, np.float32(threshold), side="right")) :]
    assert above.sum() == kept.record.rows_kept > 0
    assert kept.record.funnel[1].dropped["not_wanted"] == ROWS - ROWS // 500 - kept.record.rows_kept


def test_a_ledger_of_counts_lists_no_row_and_loses_none(folder: Path) -> None:
    full = recipe(folder, keep=True).run(folder / "full").tables["maps"]
    counts = recipe(folder, {"ledger": "counts"}, keep=True).run(folder / "counts").tables["maps"]
    assert counts.record.funnel == full.record.funnel
    assert counts.ledger().num_rows == 0 < full.ledger().num_rows
    assert counts.read().equals(full.read())
    assert counts.record.tallies == full.record.tallies
    (story,) = api.why(counts.folder.parent.parent, _dropped(full))
    assert not story.kept
    with pytest.raises(ChangedError, match="ledger"):
        recipe(folder, keep=True).run(folder / "counts")


def _dropped(table: Table) -> str:
    kept = set(table.read(["uid"])["uid"].to_pylist())
    return next(uid for uid in labelled(ROWS, 0.05, 7)["uid"].to_pylist() if uid not in kept)


def test_tallies_survive_a_stage(folder: Path) -> None:
    steps = recipe(folder).source.data["tables"]["maps"]["steps"]
    later = [{"similarity": {"of": "clip", "to": "clip", "into": "same"}}, {"top": {"by": "decision", "n": 100}}]
    staged = recipe(folder, {"steps": [*steps, *later]}).run(folder / "staged").tables["maps"]
    plain = recipe(folder).run(folder / "plain").tables["maps"]
    assert staged.record.tallies == plain.record.tallies


def test_other_examples_are_not_mixed_in(folder: Path) -> None:
    recipe(folder).run(folder / "run")
    pq.write_table(labelled(220, 0.5, 4), folder / "examples.parquet")
    with pytest.raises(ChangedError, match="examples"):
        recipe(folder).run(folder / "run")
    anew = recipe(folder).run(folder / "run", fresh=["examples"]).tables["maps"]
    whole = recipe(folder).run(folder / "other").tables["maps"]
    assert [part.digest for part in anew.record.parts] == [part.digest for part in whole.record.parts]


def test_order_of_the_input_and_workers_change_no_byte(folder: Path) -> None:
    recipe(folder).run(folder / "one")
    recipe(folder).run(folder / "two", workers=1, batch_rows=133)
    assert final_files(folder / "one") == final_files(folder / "two")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"examples": "exampels"}, "no table 'exampels'; did you mean 'examples'"),
        ({"examples": "maps"}, "in a cycle: maps -> maps"),
        ({"class": "kind"}, "the table 'examples' has no column 'kind'"),
        ({"vectors": "text"}, "column 'text' is string, not vectors"),
        ({"keep": True, "positive": None}, "'keep' needs 'positive'"),
        ({"caption": "text"}, "'caption' and 'keywords' go together"),
        ({"threshold": {"precision": 0}}, "above 0 %"),
        ({"candidates": ["forest"]}, "candidates"),
    ],
)
def test_mistakes_are_told_before_anything_runs(folder: Path, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        api.check(recipe(folder, **parameters))


def test_keywords_of_captions_are_compared_beside_the_image(folder: Path) -> None:
    words = {"caption": "text", "keywords": {"en": ["map", "chart"], "de": ["Karte"]}}
    table = recipe(folder, candidates=["logistic"], **words).run(folder / "run").tables["maps"]
    compared = TrainedClassifier.from_state(table.state(0)).comparison
    assert compared["features"].to_pylist() == ["image", "text", "image+text"]


def test_an_audit_tells_precision_and_recall_on_the_pool(folder: Path) -> None:
    table = recipe(folder, keep=True).run(folder / "run").tables["maps"]
    sheet = folder / "sheet.csv"
    api.audit(folder / "run", "maps", sheet, n=500)
    rows = list(csv.DictReader(sheet.open(encoding="utf-8-sig")))
    assert len(rows) == 500
    truth = {row["uid"]: row["class"] for part in range(4) for row in _pool(folder, part)}
    _fill(sheet, rows, truth)
    found = api.accuracy(sheet, words={"map": "positive", "other": "negative"})
    usable = {uid: kind for uid, kind in truth.items() if not _broken(uid)}
    maps = sum(kind == "map" for kind in usable.values())
    kept = table.read(["class"])["class"].to_pylist()
    for one, exact in (
        (found.precision, kept.count("map") / len(kept)),
        (found.recall, kept.count("map") / maps),
        (found.prevalence, maps / len(usable)),
    ):
        assert one.low <= exact <= one.high
        assert one.value == pytest.approx(exact, abs=0.1)
    assert sum(stratum.stratum.rows for stratum in found.strata) == len(usable)


def test_the_commands_write_a_sheet_and_read_the_verdicts(folder: Path) -> None:
    recipe(folder, keep=True).run(folder / "run")
    called = call("audit", "run", "maps", "sheet.csv", "--n", "200", folder=folder)
    assert called.code == 0, called.err
    assert "poolwright accuracy sheet.csv" in called.out
    sheet = folder / "sheet.csv"
    rows = list(csv.DictReader(sheet.open(encoding="utf-8-sig")))
    _fill(sheet, rows, {row["uid"]: row["class"] for part in range(4) for row in _pool(folder, part)})
    called = call("accuracy", "sheet.csv", "--word", "map=positive", "--word", "other=negative", folder=folder)
    assert called.code == 0, called.err
    assert all(name in called.out for name in ("precision", "recall", "prevalence"))
    called = call("accuracy", "sheet.csv", "--word", "map=yes", folder=folder)
    assert called.code == 1
    assert "cannot mean 'yes'" in called.err


def test_a_larger_audit_holds_the_smaller_one(folder: Path) -> None:
    recipe(folder, keep=True).run(folder / "run")
    for n in (100, 300):
        api.audit(folder / "run", "maps", folder / f"{n}.jsonl", n=n, format="jsonl")
    small, large = (set((folder / f"{n}.jsonl").read_text().splitlines()) for n in (100, 300))
    assert len(small - large) < 20, "strata keep their rows while their sizes grow"


def test_an_audit_needs_a_classifier_of_two_classes(folder: Path) -> None:
    recipe(folder).run(folder / "run")
    with pytest.raises(RecipeError, match="no step that decides between two classes"):
        api.audit(folder / "run", "examples", folder / "sheet.csv")


def _pool(folder: Path, part: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(
        folder / "pool" / f"{part}.parquet", columns=["uid", "class"]
    ).to_pylist()
    return found


def _broken(uid: str) -> bool:
    return int(uid.split("-")[1]) % 500 == 0


def _fill(sheet: Path, rows: list[dict[str, str]], truth: dict[str, str]) -> None:
    with sheet.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "verdict": truth[row["uid"]]} for row in rows)
