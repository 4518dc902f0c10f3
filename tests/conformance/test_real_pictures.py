"""The published recipes on real pictures with a real image and text encoder: what the pages say of the examples."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from poolwright import api
from poolwright.core.table import Table
from poolwright.demo.annotators import Annotator, answer_worklist
from tests.calling import Called, call
from tests.conformance.pictures import SHARES, some_pictures
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.usefixtures("embedded_once")]

PEOPLE = (Annotator("ada", error=0.02), Annotator("ben", error=0.04), Annotator("cyd", error=0.1))
SHOWN = {
    "bridge": ("bridge",),
    "temple": ("temple", "shrine", "jinja", "palace", "mosque", "monastery", "stupa"),
    "station": ("station", "train", "locomotive"),
    "street": ("street", "market", "shop"),
}
"""Words of titles and names by the class that a picture shows."""


def run_example(name: str, data: Path, folder: Path) -> Called:
    shutil.copy(REPOSITORY / "examples" / f"{name}.yaml", folder)
    return call("run", f"{name}.yaml", "--set", f"variables.data={data}", folder=folder)


def tables(folder: Path, run: str) -> dict[str, Table]:
    return {table.name: table for table in api.show(folder / "runs" / run)}


def figures(out: str) -> dict[str, float]:
    found = [line.rpartition(" ") for line in out.splitlines()]
    return {name: float(value) for name, _, value in found if value.replace(".", "", 1).isdigit()}


def test_the_cut_by_similarity_raises_the_precision_of_labels(real_data: Path, tmp_path: Path) -> None:
    called = run_example("geo_pictures", some_pictures(real_data, tmp_path / "data"), tmp_path)
    assert called.code == 0, called.err
    measured = figures(called.out)
    assert measured["precision after the cut"] > measured["precision"] + 0.1
    made = tables(tmp_path, "geo-pictures")
    before, after = (made[name].read(["domain"])["domain"].to_pylist() for name in ("labelled", "chosen"))
    shares = {name: after.count(name) / before.count(name) for name in set(before)}
    assert shares["photo"] > shares["sketch"], "what the encoder does not know is ranked low"
    assert max(Counter(made["capped"].read(["label"])["label"].to_pylist()).values()) <= 60


def test_attributes_are_the_hidden_domains_if_features_say_how_pictures_look(real_data: Path, tmp_path: Path) -> None:
    called = run_example("glt_pictures", some_pictures(real_data, tmp_path / "data"), tmp_path)
    assert called.code == 0, called.err
    measured = figures(called.out)
    assert measured["mutual information"] > measured["mutual information by meaning"]
    rows = tables(tmp_path, "glt-pictures")["sets"].read(["label", "attribute", "split_glt"]).to_pylist()
    balanced = Counter((row["label"], row["attribute"]) for row in rows if row["split_glt"] == "test_bbl")
    assert len(set(balanced.values())) == 1
    assert len(balanced) == 7 * 3


def shown(row: dict[str, Any]) -> str:
    """The class that the title of a picture names; '' if none."""
    title = (row["title_en"] or row["name"] or "").lower()
    return next((name for name, words in SHOWN.items() if any(word in title for word in words)), "")


def test_people_verify_what_prompts_find_in_each_bucket(real_data: Path, tmp_path: Path) -> None:
    data = some_pictures(real_data, tmp_path / "data")
    waiting = run_example("clear_pictures", data, tmp_path)
    assert waiting.code == 3, waiting.err
    found = tables(tmp_path, "clear-pictures")["retrieved"].read(["uid", "bucket", "label", "title_en", "name"])
    truth = {row["uid"]: shown(row) for row in found.to_pylist()}
    answer_worklist(tmp_path / "runs" / "clear-pictures" / "verify" / "clear", PEOPLE, truth)
    done = run_example("clear_pictures", data, tmp_path)
    assert done.code == 0, done.err
    verified = tables(tmp_path, "clear-pictures")["clear"].read(["uid", "label"]).to_pylist()
    before = sum(truth[row["uid"]] == row["label"] for row in found.to_pylist()) / len(found)
    after = sum(truth[row["uid"]] == row["label"] for row in verified) / len(verified)
    assert after > 0.9 > before + 0.5
    release = tmp_path / "out" / "clear-pictures"
    certificate = json.loads((release / "certificate" / "certificate.json").read_text(encoding="utf-8"))
    assert certificate
    assert api.verify(release, full=True).ok


def test_captions_are_compared_with_images(real_data: Path, tmp_path: Path) -> None:
    data = some_pictures(real_data, tmp_path / "data", {**SHARES, "world_maps": 3})
    called = run_example("map_captions", data, tmp_path)
    assert called.code == 0, called.err
    made = tables(tmp_path, "map-captions")
    offered = made["by-both"].state(0).tables["comparison"].to_pylist()
    assert {row["features"] for row in offered} == {"image", "text", "image+text"}
    for name in ("by-image", "by-caption"):
        rows = made[name].read(["truth", "predicted"]).to_pylist()
        kept = [row["truth"] == "map" for row in rows if row["predicted"] == "map"]
        share = sum(row["truth"] == "map" for row in rows) / len(rows)
        assert sum(kept) / len(kept) > share + 0.1, "better than a draw"
