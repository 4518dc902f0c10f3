"""The demo's filter: maps among everything else, and the estimates from a sample of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tests.conftest import MadeDemo

from poolwright.core.table import Table
from poolwright.demo.atlas import EXAMPLES, PREVALENCE, draw_map, draw_shelf, is_map
from poolwright.demo.maps import maps_against_truth


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


def test_the_shelf_is_the_same_from_run_to_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_shelf(tmp_path / name, 12, seed=3)
    found = files(tmp_path / "one")
    assert found == files(tmp_path / "two")
    assert len(found) == 12 + sum(EXAMPLES.values())
    before = (tmp_path / "one" / "shelf" / "images" / "00003.jpg").stat().st_mtime_ns
    draw_shelf(tmp_path / "one", 12, seed=3)
    assert (tmp_path / "one" / "shelf" / "images" / "00003.jpg").stat().st_mtime_ns == before


def test_maps_are_rare_and_differ() -> None:
    share = np.mean([is_map(number, seed=2024) for number in range(4000)])
    assert abs(share - PREVALENCE) < 0.008
    drawn = [draw_map(np.random.default_rng(number)) for number in range(6)]
    assert len({image.tobytes() for image in drawn}) == 6
    assert all(min(image.size) > 40 and image.mode == "RGB" for image in drawn)


def test_the_filter_finds_maps_and_its_audit_holds_the_truth(made_demo: MadeDemo) -> None:
    folder = made_demo.folder / "demo"
    truth = pq.read_table(folder / "shelf" / "truth.parquet")
    maps = set(truth.filter(truth["is_map"])["uid"].to_pylist())
    found = Table(folder / "run" / "tables" / "maps")
    kept = set(found.read(["uid"])["uid"].to_pylist())
    precision, recall = len(kept & maps) / len(kept), len(kept & maps) / len(maps)
    assert min(precision, recall) > 0.5
    figures = {name: value for name, value, _ in maps_against_truth(folder, found, folder / "maps.csv")}
    for name, true in (("precision", precision), ("recall", recall)):
        assert figures[f"{name} of maps, true"] == f"{true:.3f}"
        value, _, interval = figures[f"{name} of maps, audited"].rstrip(")").partition(" (")
        ends = [value, value] if interval == "all looked at" else interval.split(" to ")
        low, high = map(float, ends)
        assert low - 0.001 <= true <= high + 0.001
        assert f"{name} of maps, audited" in made_demo.out
    measured = json.loads((folder / "run" / "figures.json").read_text())
    assert "maps" in json.dumps(measured)
