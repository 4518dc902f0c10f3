"""`poolwright conformance`: every reproduction at a small size, what it says of numbers, and whose folders it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from poolwright.conformance import REPRODUCTIONS, Conformance, clear, imagenet_glt, mappool
from poolwright.conformance.known import conformance
from poolwright.conformance.reproduction import parameters
from poolwright.core.errors import RecipeError
from poolwright.recipe.shipped import shipped
from tests.calling import call
from tests.conftest import REPOSITORY


def ours(found: Conformance) -> dict[str, float]:
    return {one.what: one.ours for one in found.numbers}


def test_clear_has_its_buckets_classes_and_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clear, "PREVALENCE", 0.05)
    prepare = partial(clear.prepare, "clear10", photos=110_000)
    found = replace(REPRODUCTIONS["clear10"], prepare=prepare).run(tmp_path)
    assert found.ok, found.numbers
    assert ours(found)["photos downloaded"] == 110_000
    assert 0.28 < ours(found)["test photos of a split"] < 0.32
    assert 0.98 < ours(found)["precision of the labels"] < 1


def test_imagenet_glt_has_its_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CLASSES", 20), ("_BELOW", 2), ("IMAGES", 25_309)):
        monkeypatch.setattr(imagenet_glt, name, value)

    def prepare(folder: Path) -> dict[str, Any]:
        data = imagenet_glt.prepare(folder)
        parameters(data, "imagenet-glt", "glt").update(scale="auto")
        return data

    found = replace(REPRODUCTIONS["imagenet-glt"], prepare=prepare).run(tmp_path)
    counts = ours(found)
    assert counts["Test-GBL"] == counts["Test-CBL"] == counts["GLT: Test-GLT"] == 60 * 20
    assert counts["CBL: images of the balanced rest"] == 144 * 20
    assert not found.ok, "20 classes are not the published numbers"


def test_the_command_compares_mappool_and_says_which_number_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mappool, "EXAMPLES", {"train": 60, "validation": 40})
    small = replace(REPRODUCTIONS["mappool"], prepare=partial(mappool.prepare, rows=2_000))
    monkeypatch.setitem(REPRODUCTIONS, "mappool", small)
    called = call("conformance", "mappool", folder=tmp_path)
    assert called.code == 1
    assert called.out.count("DIFFERS") == 2
    assert (tmp_path / "conformance" / "mappool" / "run" / "tables" / "maps").is_dir()
    document = json.loads(call("conformance", "mappool", "--json", folder=tmp_path).out)
    assert document["ok"] is False
    numbers = {one.pop("what"): one for one in document["conformance"]["numbers"]}
    trained = {"published": 1860, "ours": 60, "fixed": True, "note": ""}
    assert numbers["examples to train with, of either kind"] == trained
    accuracies = [one for what, one in numbers.items() if what.startswith("accuracy of ")]
    assert [one["published"] for one in accuracies] == [0.967, 0.979, 0.982, 0.985]
    assert all(0.7 < one["ours"] <= 1 for one in accuracies)
    assert numbers["rows filtered per second and CPU"]["ours"] > 100


def test_only_its_own_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RecipeError, match="holds other files; name a new folder with --to"):
        conformance("mappool", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    called = call("conformance", "mapool", folder=tmp_path)
    assert called.code == 2
    assert "did you mean 'mappool'?" in called.err


def test_reproductions_are_of_shipped_recipes_in_the_order_of_the_page() -> None:
    page = (REPOSITORY / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert {one.name for one in shipped()} >= set(REPRODUCTIONS)
    sections = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert sections == [name for name in REPRODUCTIONS if name in sections]
