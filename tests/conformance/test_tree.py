"""The recipe `tree` from four generated sources: what goes, by a plain statement, and counts by source."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
import yaml
from PIL import Image

from poolwright import api
from poolwright.core.table import Table
from poolwright.demo.demo import clip_folder
from poolwright.demo.drawing import draw_kind
from poolwright.recipe.shipped import shipped_text
from tests.calling import call

ORGANISMS, OTHERS = ("tree", "fish", "flower"), ("car", "house", "key")
PER_SOURCE, TESTS = 40, 12
RANKS = {
    "gbif": {
        "kingdom": "Plantae",
        "phylum": "Tracheophyta",
        "family": "Fagaceae",
        "genus": "Quercus",
        "verbatimScientificName": "Quercus robur",
    },
    "eol": {"class": "Aves", "order": "Passeriformes", "family": "Paridae", "canonical_name": "Parus major"},
    "bioscan": {"order": "Diptera", "family": "Cecidomyiidae"},
    "fathomnet": {"concept": "Octopodidae"},
}
"""The ranks that each source has, by its own names."""
IDS = {"gbif": "gbifID", "eol": "eol_content_id", "bioscan": "processid", "fathomnet": "uuid"}
URLS = {"gbif": "identifier", "eol": "eol_full_size_copy_url", "bioscan": "", "fathomnet": "url"}
FAMILY = {"fathomnet": "concept"}


def draw_all(kinds: tuple[str, ...], count: int, draw: np.random.Generator) -> list[Image.Image]:
    return [draw_kind(kinds[place % len(kinds)], draw).convert("RGB").resize((64, 64)) for place in range(count)]


def write_world(folder: Path) -> None:
    """Four sources: pictures of organisms and others, copies of test pictures, some without a family, some gone."""
    draw = np.random.default_rng(5)
    tests = draw_all(ORGANISMS, TESTS, draw)
    (folder / "tests" / "rare").mkdir(parents=True)
    for place, image in enumerate(tests):
        image.save(folder / "tests" / "rare" / f"{place:02d}.png")
    for kind, names in (("organism", ORGANISMS), ("other", OTHERS)):
        (folder / "support" / kind).mkdir(parents=True)
        for place, image in enumerate(draw_all(names, 45, draw)):
            image.save(folder / "support" / kind / f"{place:02d}.png")
    for number, source in enumerate(IDS):
        (folder / source).mkdir()
        images = [*draw_all(ORGANISMS, PER_SOURCE - 12, draw), *draw_all(OTHERS, 8, draw), *tests[number::4][:2]]
        images += [tests[number + 8].resize((150, 150), Image.Resampling.BICUBIC), images[0].resize((128, 128))]
        rows = []
        for place, image in enumerate(images):
            name = f"{place}.png"
            if place != 3:
                image.save(folder / source / name)
            ranks = dict(RANKS[source])
            if place == 5:
                ranks[FAMILY.get(source, "family")] = ""
            url = {URLS[source]: f"https://example.org/{source}/{place}"} if URLS[source] else {}
            rows.append({IDS[source]: str(1_000 + place), "file": name, **ranks, **url})
        with (folder / f"{source}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Table]]:
    """The folder, and the tables of the shipped recipe with the tiny CLIP of the demo."""
    folder = tmp_path_factory.mktemp("tree")
    write_world(folder / "data")
    assert call("new", "tree", folder=folder).code == 0
    data: dict[str, Any] = yaml.safe_load(shipped_text("tree"))
    assert (folder / "tree.yaml").read_text(encoding="utf-8") == shipped_text("tree")
    data["models"]["features"] = f"onnx:{clip_folder()}"
    (folder / "tree.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    called = call("run", "tree.yaml", folder=folder)
    assert called.code == 0, called.err
    return folder, {table.name: table for table in api.show(folder / "runs" / "tree")}


def plain(folder: Path) -> dict[str, str]:
    """Why each row goes before its picture is looked at by the examples: by uid, '' for those that stay."""
    tests = sorted((folder / "tests").glob("*/*"))
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tests}
    hashes = [imagehash.phash(Image.open(path)) for path in tests]
    why: dict[str, str] = {}
    seen: dict[str, str] = {}
    for source, name in IDS.items():
        with (folder / f"{source}.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            uid, path = f"{source}/{row[name]}", folder / source / row["file"]
            if not path.exists():
                why[uid] = "missing_file"
            elif not row[FAMILY.get(source, "family")]:
                why[uid] = "not_true"
            elif hashlib.sha256(path.read_bytes()).hexdigest() in digests:
                why[uid] = "equal_file"
            else:
                found = imagehash.phash(Image.open(path))
                near = min(found - other for other in hashes) <= 4
                why[uid] = "equal_look" if near else ""
                if not near:
                    seen[uid] = str(found)
    first: dict[str, str] = {}
    for uid in sorted(seen):
        why[uid] = "near_duplicate" if first.setdefault(seen[uid], uid) != uid else ""
    return why


def dropped(folder: Path, table: str) -> list[tuple[str, str]]:
    """The uid and reason of each row that a table dropped."""
    rows = api.ledger(folder / "runs" / "tree", table).to_arrow()
    return list(zip(rows.column("uid").to_pylist(), rows.column("reason").to_pylist(), strict=True))


def test_rows_go_for_the_reason_that_a_plain_statement_gives(made: tuple[Path, dict[str, Table]]) -> None:
    folder, tables = made
    expected = plain(folder / "data")
    found = {**dict(dropped(folder, "all")), **dict(dropped(folder, "clean"))}
    assert set(expected.values()) >= {"equal_file", "equal_look", "near_duplicate"}
    for uid, reason in expected.items():
        assert found.get(uid, "") == reason, uid
    assert set(tables["clean"].read(["uid"]).column("uid").to_pylist()) == {u for u, r in expected.items() if not r}


def test_counts_by_source_reconcile_through_the_ledgers(made: tuple[Path, dict[str, Table]]) -> None:
    folder, tables = made
    left = Counter(dict.fromkeys(IDS, PER_SOURCE))
    for name in ("all", "clean", "tree"):
        gone = Counter(uid.partition("/")[0] for uid, _ in dropped(folder, name))
        left -= gone
        rows = tables[name].read(["uid", "source"])
        assert Counter(rows.column("source").to_pylist()) == left
        assert all(uid.startswith(f"{source}/") for uid, source in zip(*rows.to_pydict().values(), strict=True))
        assert tables[name].record.rows_kept == left.total()
    assert min(left.values()) > 10


def test_rows_are_what_their_nearest_examples_are(made: tuple[Path, dict[str, Table]]) -> None:
    folder, tables = made
    places = [int(uid.partition("/")[2]) - 1_000 for uid in tables["tree"].read(["uid"]).column("uid").to_pylist()]
    others = [place for place in places if PER_SOURCE - 12 <= place < PER_SOURCE - 4]
    assert len(others) <= 4  # of 32
    assert len(places) > 0.9 * (tables["clean"].record.rows_kept - 32)
    ranks = tables["tree"].read(["source", "kingdom", "order", "family", "species"]).to_pylist()
    assert {row["family"] for row in ranks} == {"Fagaceae", "Paridae", "Cecidomyiidae", "Octopodidae"}
    assert {row["order"] for row in ranks if row["source"] == "gbif"} == {None}
    assert api.verify(folder / "out" / "tree").ok
