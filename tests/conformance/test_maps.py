"""MapPool's way on real pictures: a filter for maps, its worst mistakes, and what twenty corrections change."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from poolwright import api
from poolwright.api import Estimates
from tests.calling import call

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def figures(out: str) -> dict[str, float]:
    found = re.findall(r"^(accuracy|precision|recall|precision before|recall before) ([\d.]+)$", out, re.MULTILINE)
    return {name: float(value) for name, value in found}


def audited(run: Path, sheet: Path, truth: Mapping[str, str]) -> Estimates:
    """Sample 200 rows of the table `decided`, let somebody judge them who is always right, and estimate."""
    api.audit(run, "decided", sheet, 200)
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        words = {"map": "positive", "other": "negative"}
        writer.writerows({**line, "verdict": words[truth[line["uid"]]]} for line in lines)
    return api.accuracy(sheet)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.usefixtures("embedded_once")
def test_twenty_corrected_mistakes_find_the_maps_that_were_missed(tmp_path: Path, real_data: Path) -> None:
    for name in ("maps.yaml", "maps_again.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    # Without CIFAR's 1,000 pictures, none of which looks like a map: they take a minute.
    for name in ("world_maps", "taiwan_pictures", "imagenet_photos", "pacs", "squeezenet"):
        shutil.copytree(real_data / name, tmp_path / "data" / name)
    sets = ("--set", f"variables.data={tmp_path / 'data'}")
    first = call("run", tmp_path / "maps.yaml", *sets)
    assert first.code == 0, first.err
    before = figures(first.out)
    assert before["precision"] > 0.6
    assert 0.5 < before["recall"] < 0.9
    decided = next(table for table in api.show(tmp_path / "runs" / "maps") if table.name == "decided")
    rows = decided.read(["uid", "decision", "predicted", "truth"]).to_pylist()
    truth = {row["uid"]: row["truth"] for row in rows}
    mistakes = sorted((row for row in rows if row["predicted"] != row["truth"]), key=lambda row: -abs(row["decision"]))
    kinds = [[row for row in mistakes if row["predicted"] == kind] for kind in ("map", "other")]
    # What is missed are locator maps, which no example showed; what is wrongly taken are line drawings.
    assert sum("locator" in row["uid"] for row in kinds[1]) > 0.9 * len(kinds[1])
    assert sum("sketch" in row["uid"] for row in kinds[0]) > 0.7 * len(kinds[0])
    found = audited(tmp_path / "runs" / "maps", tmp_path / "audit.csv", truth)
    assert found.missed.low <= len(kinds[1]) <= found.missed.high
    assert found.recall.low <= before["recall"] <= found.recall.high
    assert "missed" in call("accuracy", tmp_path / "audit.csv").out
    with (tmp_path / "sheet.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["uid", "verdict"])
        writer.writerows([row["uid"], row["truth"]] for kind in kinds for row in kind[:10])
    again = call("run", tmp_path / "maps_again.yaml", *sets)
    assert again.code == 0, again.err
    after = figures(again.out)
    assert after["recall"] > after["recall before"] + 0.2
    assert after["precision"] >= after["precision before"]
    later = audited(tmp_path / "runs" / "maps-again", tmp_path / "again.csv", truth)
    assert later.recall.low <= after["recall"] <= later.recall.high
    assert later.missed.value is not None
    assert later.missed.value < found.missed.low, "the improvement is seen in the samples alone"
