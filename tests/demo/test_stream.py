"""The demo's attributes and stream: clusters that mean something, and labels that people made right."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.conftest import MadeDemo

from poolwright import api
from poolwright.core.table import Table
from poolwright.demo.attributes import purity
from poolwright.demo.stream import CLASSES, PEOPLE, true_kinds


def table(made_demo: MadeDemo, name: str) -> Table:
    return Table(made_demo.folder / "demo" / "run" / "tables" / name)


def test_purity() -> None:
    rows = [("a", 0, "red"), ("a", 0, "red"), ("a", 0, "blue"), ("a", 1, "blue"), ("b", 0, "red"), ("b", 0, "blue")]
    assert purity(rows) == pytest.approx(4 / 6)


def test_clusters_inside_classes_share_colour_and_place(made_demo: MadeDemo) -> None:
    truth = pq.read_table(made_demo.folder / "demo" / "world" / "truth.parquet")
    rows = table(made_demo, "attributes").read(["uid", "label", "cluster"]).join(truth, "uid").to_pylist()
    for column in ("colour", "true_continent"):
        inside = purity((row["label"], row["cluster"], row[column]) for row in rows)
        shuffled = np.random.default_rng(0).permutation([row["cluster"] for row in rows])
        chance = purity((row["label"], int(cluster), row[column]) for row, cluster in zip(rows, shuffled, strict=True))
        assert inside > chance + 0.05


def test_verified_labels_are_right(made_demo: MadeDemo) -> None:
    kinds = true_kinds(made_demo.folder / "demo")
    kept = table(made_demo, "looked-at").read(["uid", "label", "bucket"]).to_pylist()
    right = sum(kinds[row["uid"]] == row["label"] for row in kept)
    assert right / len(kept) >= 0.99
    assert {row["bucket"] for row in kept} == set(range(1, 11))
    assert {row["label"] for row in kept} == set(CLASSES)


def test_the_careless_one_is_seen(made_demo: MadeDemo) -> None:
    with (made_demo.folder / "demo" / "run" / "verify" / "looked-at" / "people.csv").open(
        newline="", encoding="utf-8-sig"
    ) as file:
        people = {row["name"]: float(row["kappa"]) for row in csv.DictReader(file)}
    assert set(people) == {person.name for person in PEOPLE}
    assert min(people, key=lambda name: people[name]) == "cyd"


def test_the_releases_of_attributes_and_stream_verify(made_demo: MadeDemo) -> None:
    folder = made_demo.folder / "demo"
    for name in ("release-glt", "release-clear"):
        verification = api.verify(folder / name)
        assert verification.ok, verification.words
    sets = json.loads((folder / "release-glt" / "imagenet_sup_intra_lt_inter_lt.json").read_text())
    assert sets["train"]["label"]
    assert (folder / "release-clear" / "training_folder" / "bucket_indices.json").exists()
    assert "stream" in made_demo.out
