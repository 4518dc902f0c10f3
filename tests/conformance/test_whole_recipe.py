"""`poolwright new clip-geoyfcc` from the published pickle to verified releases: on drawn pictures, and on PACS."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.random import Generator
from pydantic import TypeAdapter

from poolwright import api
from poolwright.core.table import Table
from poolwright.demo.demo import clip_folder, survivors
from poolwright.demo.drawing import KINDS, draw_kind
from poolwright.models.encoders.load import load_encoder
from poolwright.models.encoders.spec import Model
from tests.calling import call
from tests.conformance.mini import Picture, recipe, row_id, write

PACS_COUNTRIES = {
    "photo": ("France", "Germany", "Italy"),
    "art_painting": ("Japan", "India"),
    "cartoon": ("United States", "Canada"),
    "sketch": ("Brazil", "Chile"),
}
"""Countries that PACS's domains are said to be of: so continents differ as its domains do."""

MANIFEST = {
    "name": "squeezenet1_0",
    "image": {
        "input": "image",
        "output": "embedding",
        "resize": 256,
        "resize_mode": "shortest",
        "crop": 227,
        "interpolation": "bilinear",
    },
}


def write_vocabulary(folder: Path, names: list[str]) -> None:
    lines = ["id,name", *(f"n{place:08d},{name}" for place, name in enumerate(names))]
    (folder / "classes.csv").write_text("\n".join(lines) + "\n")


def drawn(generator: Generator, kinds: list[str], count: int) -> list[Picture]:
    """Drawn pictures of some kinds from many countries, few of them in Oceania; some are gone, some are broken."""
    countries = ["France", "Germany", "Italy", "Japan", "India", "Brazil", "Peru", "Kenya", "Canada", "Mexico"]
    pictures = []
    for place in range(count):
        kind = kinds[place % len(kinds)]
        country = "Australia" if place % 37 == 5 else str(generator.choice(countries))
        out = io.BytesIO()
        draw_kind(kind, generator).save(out, "PNG")
        data = None if place % 50 == 7 else b"broken" if place % 50 == 9 else out.getvalue()
        pictures.append(Picture(data, kind, country))
    return pictures


def pacs(real_data: Path) -> list[Picture]:
    """All of PACS, its domains in invented countries, and a few of its photos in Oceania."""
    pictures = []
    for place, path in enumerate(sorted((real_data / "pacs").glob("*/*/*"))):
        domain, truth = path.parts[-3:-1]
        countries = PACS_COUNTRIES[domain]
        country = "New Zealand" if place % 40 == 3 else countries[place % len(countries)]
        pictures.append(Picture(path.read_bytes(), truth, country))
    return pictures


def precision(table: Table, truth: dict[str, str], keep: np.ndarray | None = None) -> float:
    rows = table.read(["uid", "label"])
    right = np.array([truth[uid] == label for uid, label in zip(*map(list, _lists(rows)), strict=True)])
    return float(right.mean() if keep is None else right[keep].mean())


def _lists(rows: Any) -> list[list[Any]]:
    return [rows[name].to_pylist() for name in rows.column_names]


def convert_and_run(folder: Path, path: Path) -> dict[str, Table]:
    """What a researcher types: convert the pickle, check, run, look, verify."""
    for words in (
        ["convert", "geoyfcc", "GeoYFCC.pkl", "GeoYFCC.parquet"],
        ["check", path.name],
        ["run", path.name],
        ["report", "runs/clip-geoyfcc"],
        *(["verify", str(release.relative_to(folder)), "--full"] for release in _releases(folder)),
    ):
        called = call(*words, folder=folder)
        assert called.code == 0, f"{words}: {called.err}"
    for release in _releases(folder):
        called = call("verify", str(release), "--full", folder=folder)
        assert called.code == 0, f"{release}: {called.out}"
    return {table.name: table for table in api.show(folder / "runs" / "clip-geoyfcc")}


def _releases(folder: Path) -> list[Path]:
    return sorted((folder / "out").glob("*")) if (folder / "out").exists() else []


def told(folder: Path, uid: str) -> str:
    called = call("why", "runs/clip-geoyfcc", uid, folder=folder)
    assert called.code == 0, called.err
    return called.out


def dropped_at(tables: dict[str, Table], name: str, verb: str, continent: str | None = None) -> str:
    """The uid of a row that a step of a table dropped."""
    table = tables[name]
    parent = tables[table.record.source.removeprefix("tables.")]
    codes = {reason.code for reason in table.record.reasons if reason.verb == verb}
    ledger = table.ledger().to_pylist()
    places = [(entry["part"], entry["row"]) for entry in ledger if entry["code"] in codes]
    for part, row in places:
        rows = pq.read_table(parent.folder / parent.record.parts[part].file, columns=["uid", "continent"])
        found = rows.slice(row, 1).to_pylist()[0]
        if continent in (None, found["continent"]):
            return str(found["uid"])
    raise AssertionError(f"{verb} of {name} dropped no such row")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Table], dict[str, str]]:
    """The recipe run over drawn pictures: folder, tables, truth by uid."""
    folder = tmp_path_factory.mktemp("mini")
    kinds = [kind for kind in KINDS if " " not in kind][:8]
    pictures = drawn(np.random.default_rng(8), kinds, 600)
    write(folder, pictures)
    write_vocabulary(folder, list(KINDS))
    numbers = {"top": 500, "classes": 6, "at_least": 40, "cap": 60, "few": 3}
    path = recipe(folder, f"onnx:{clip_folder()}", {"vocabulary": "classes.csv"}, numbers)
    tables = convert_and_run(folder, path)
    return folder, tables, {str(row_id(place)): picture.truth for place, picture in enumerate(pictures)}


@pytest.mark.slow
def test_drawn_pictures_become_the_three_datasets(
    world: tuple[Path, dict[str, Table], dict[str, str]],
) -> None:
    _, tables, truth = world
    whole, large, small = (tables[f"clip-geoyfcc{name}"] for name in ("", "-350", "-45"))
    assert whole.record.funnel[2].dropped == {"missing_file": 12, "not_an_image": 12}
    assert whole.record.rows_kept == 576
    cut = survivors(whole, tables["clip-geoyfcc-classes"], 1)
    assert precision(whole, truth, cut) >= precision(whole, truth) > 0.9
    rows = large.read(["uid", "class_index", "continent", "split"])
    assert max(Counter(rows["class_index"].to_pylist()).values()) <= 60
    assert "Oceania" not in rows["continent"].to_pylist()
    assert set(rows["split"].to_pylist()) == {"train", "test"}
    assert set(small.read(["uid"])["uid"].to_pylist()) < set(rows["uid"].to_pylist()), "the small set is nested"


@pytest.mark.slow
def test_the_published_files_can_be_read_as_they_are_published(
    world: tuple[Path, dict[str, Table], dict[str, str]],
) -> None:
    folder, tables, _ = world
    out = folder / "out" / "clip-geoyfcc"
    metadata = pd.read_parquet(out / "metadata.parquet")
    assert len(metadata) == tables["clip-geoyfcc"].record.rows_kept
    for number, name in ((6, "-350"), (3, "-45")):
        indices = np.load(out / f"{number}_sample_indices.npy")
        wnids = pd.read_csv(out / f"{number}_label_wnids.csv")["wnid"]
        assert len(wnids) == number
        rows = tables[f"clip-geoyfcc{name}"].read(["uid", "label"])
        subset = metadata.iloc[indices]
        assert subset["yfcc_row_id"].astype(str).tolist() == rows["uid"].to_pylist()
        kinds = {str(KINDS[int(wnid[1:])]) for wnid in wnids}
        assert set(rows["label"].to_pylist()) == kinds
    lists = [path.name for path in (folder / "out" / "clip-geoyfcc-350-domainnet" / "domain_net").glob("*_*.txt")]
    assert "europe_train.txt" in lists
    assert "south_america_test.txt" in lists


@pytest.mark.slow
def test_why_tells_of_every_way_out(world: tuple[Path, dict[str, Table], dict[str, str]]) -> None:
    folder, tables, _ = world
    oceania = told(folder, dropped_at(tables, "clip-geoyfcc-classes", "drop_small", "Oceania"))
    assert "its group is too small" in oceania
    assert "Oceania" in oceania
    threshold = told(folder, dropped_at(tables, "clip-geoyfcc-classes", "top"))
    assert "kept similarity >= " in threshold
    cap = told(folder, dropped_at(tables, "clip-geoyfcc-350", "cap"))
    assert "clip-geoyfcc-classes: " in cap
    assert "not drawn into the sample" in cap
    assert "60 of the " in cap


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.usefixtures("embedded_once")
def test_pacs_in_invented_countries(tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = pacs(real_data)
    write(tmp_path, pictures)
    names = sorted({picture.truth for picture in pictures})
    write_vocabulary(tmp_path, names)
    model = {"model": f"onnx:{(real_data / 'squeezenet' / 'squeezenet1_0.onnx').resolve()}", "manifest": MANIFEST}
    np.save(tmp_path / "texts.npy", prototypes(pictures, names, model))
    label = {"vocabulary": "classes.csv", "features": "texts.npy", "model": None, "template": None, "names": None}
    path = recipe(tmp_path, model, label, {"top": 450, "classes": 6, "at_least": 30, "cap": 70, "few": 4})
    tables = convert_and_run(tmp_path, path)
    truth = {str(row_id(place)): picture.truth for place, picture in enumerate(pictures)}
    whole, large = tables["clip-geoyfcc"], tables["clip-geoyfcc-350"]
    before, after = (
        precision(whole, truth),
        precision(whole, truth, survivors(whole, tables["clip-geoyfcc-classes"], 1)),
    )
    with capsys.disabled():
        print(f"\nPACS: precision of labels {before:.3f}, after the cut {after:.3f}, {large.record.rows_kept} rows")
    assert whole.record.rows_kept == 700
    assert after > before > 0.4
    assert set(large.read(["continent"])["continent"].to_pylist()) == {
        "Asia",
        "Europe",
        "North America",
        "South America",
    }


def prototypes(pictures: list[Picture], names: list[str], model: dict[str, Any]) -> np.ndarray:
    """Mean vectors of the classes over every fifth picture: SqueezeNet has no text features."""
    encoder = load_encoder(TypeAdapter(Model).validate_python(model))
    some = pictures[::5]
    vectors, _ = encoder.images([picture.data for picture in some])
    means = [vectors[[picture.truth == name for picture in some]].mean(axis=0) for name in names]
    return np.stack(means).astype(np.float32)
