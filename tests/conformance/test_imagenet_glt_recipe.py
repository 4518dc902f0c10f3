"""`poolwright new imagenet-glt` from a folder of drawn classes to a verified release, on a tiny encoder."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from poolwright import api
from poolwright.core.table import Table
from poolwright.demo.demo import clip_folder
from poolwright.demo.drawing import KINDS, draw_kind
from poolwright.recipe.shipped import shipped_text
from tests.calling import call
from tests.steps.split.glt_rows import check_apart

CLASSES = [kind for kind in KINDS if " " not in kind][:6]
IMAGES = 70
TINTS = ((255, 255, 255), (255, 120, 120), (120, 140, 255))
"""What the pictures of a class are multiplied by, ever fewer: its attributes."""


def write_folder(root: Path) -> None:
    """Drawn pictures of some classes, as ImageNet's train folder has them; most of a class are of one tint."""
    draw = np.random.default_rng(4)
    for kind in CLASSES:
        (root / kind).mkdir(parents=True)
        for number in range(IMAGES):
            tint = TINTS[0 if number < 40 else 1 if number < 58 else 2]
            pixels = np.asarray(draw_kind(kind, draw).convert("RGB"), np.float64) * np.array(tint) / 255
            Image.fromarray(pixels.astype(np.uint8)).save(root / kind / f"{kind}_{number}.JPEG", "JPEG")


def recipe() -> dict[str, Any]:
    """The shipped recipe with another encoder and numbers for small classes; nothing else is changed."""
    data: dict[str, Any] = yaml.safe_load(shipped_text("imagenet-glt"))
    data["models"]["features"] = f"onnx:{clip_folder()}"
    data["tables"]["imagenet-glt"]["steps"][0]["glt"]["scale"] = "auto"
    return data


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Table]:
    """The folder it ran in, what it printed, and its last table."""
    folder = tmp_path_factory.mktemp("imagenet")
    write_folder(folder / "data" / "imagenet" / "train")
    (folder / "imagenet-glt.yaml").write_text(yaml.safe_dump(recipe(), sort_keys=False), encoding="utf-8")
    printed = ""
    for words in (["check", "imagenet-glt.yaml"], ["run", "imagenet-glt.yaml"], ["report", "runs/imagenet-glt"]):
        called = call(*words, folder=folder)
        assert called.code == 0, f"{words}: {called.err}"
        printed += called.out
    table = next(table for table in api.show(folder / "runs" / "imagenet-glt") if table.name == "imagenet-glt")
    return folder, printed, table


def test_the_sets_are_drawn_from_clusters_of_features(made: tuple[Path, str, Table]) -> None:
    rows = made[2].read()
    check_apart(rows)
    assert set(rows.column("split_glt").to_pylist()) >= {"train", "val", "test_lt", "test_bl", "test_bbl"}
    balanced = Counter(
        label
        for label, name in zip(rows.column("label").to_pylist(), rows.column("split_cbl").to_pylist(), strict=True)
        if name == "train"
    )
    assert len(balanced) == len(CLASSES)
    assert len(set(balanced.values())) == 1


def test_the_protocols_are_measured_in_run_card_and_report(made: tuple[Path, str, Table]) -> None:
    folder, printed, _ = made
    card = (folder / "out" / "imagenet-glt" / "README.md").read_text(encoding="utf-8")
    report = (folder / "runs" / "imagenet-glt" / "report.html").read_text(encoding="utf-8")
    for name in ("class-wise LT", "attribute-wise LT", "generalized LT"):
        assert name in printed
        assert f"| {name} | " in card
        assert name in report
    assert "long tail, accuracy of imagenet-glt: class-wise LT" in printed
    assert "### Long-tailed and balanced sets" in card


def test_the_release_verifies_and_names_files_of_the_folder(made: tuple[Path, str, Table]) -> None:
    folder, _, table = made
    called = call("verify", "out/imagenet-glt", "--full", folder=folder)
    assert called.code == 0, called.out
    release = folder / "out" / "imagenet-glt"
    found = json.loads((release / "imagenet_sup_intra_lt_inter_bl.json").read_text(encoding="utf-8"))
    assert sorted(found["cat2id"]) == sorted(CLASSES)
    paths = [path for kind in ("train", "val", "test_bl", "test_bbl") for path in found[kind]["label"]]
    assert all((folder / "data" / "imagenet" / "train" / path).is_file() for path in paths)
    assert set(paths) <= set(table.read(["uid"]).column("uid").to_pylist())
