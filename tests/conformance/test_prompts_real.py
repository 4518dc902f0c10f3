"""Real text features as prompts over real image vectors: the precision of what each class keeps, against true labels.

Run with `pytest -s` to see it class by class.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.steps.describe.retrieve import Retrieve
from tests.calling import call
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.real

ALIKE = {
    "motorbike": "motorcycle",
    "binocular": "binoculars",
    "butterfly": "buttefly",  # as Objects365 spells it
    "barrel": "barrel/bucket",
    "cellphone": "cell phone",
    "grand piano": "piano",
    "electric guitar": "guitar",
    "headphone": "head phone",
    "soccer ball": "soccer",
}


def rows_of(folder: Path, source: str) -> tuple[pa.Table, list[str]]:
    """The rows of ImageNet (two shots of a class and more) or Caltech-101 (validation and test), and their classes."""
    parts = {"imagenet": ("train4shot", "train2shot"), "caltech101": ("val", "test")}[source]
    with np.load(folder / f"{source}.npz") as arrays:
        vectors = np.concatenate([arrays[f"{part}_emb"] for part in parts])
        truth = np.concatenate([arrays[f"{part}_label"] for part in parts]).astype(np.int32)
        names = [name.lower().replace("_", " ") for name in arrays["class_names"].tolist()]
    uids = [f"{source}-{row}" for row in range(len(truth))]
    return pa.table({"uid": uids, "clip": vector_array(vectors), "truth": truth}), names


def features_of(folder: Path, texts: str) -> tuple[np.ndarray, list[str]]:
    """Text features (m, 512) with their names."""
    if texts == "imagenet":
        names = json.loads((folder / "imagenet1000_names.json").read_text())
        return np.load(folder / "imagenet1000_80templates.npy").T.astype(np.float32), [name.lower() for name in names]
    names = json.loads((folder / "o365_names.json").read_text())
    return np.load(folder / "o365_clip_a+cnamefix.npy").astype(np.float32), [name.lower() for name in names]


@pytest.mark.parametrize(
    ("source", "texts", "query", "n", "classes", "precision"),
    [
        ("imagenet", "imagenet", 60, 5, 996, 0.7),
        ("caltech101", "imagenet", 60, 10, 26, 0.9),
        ("caltech101", "objects365", 60, 10, 30, 0.9),
        ("imagenet", "objects365", 60, 5, 81, 0.5),
    ],
)
def test_precision_of_what_prompts_keep(
    real_data: Path,
    tmp_path: Path,
    source: str,
    texts: str,
    query: int,
    n: int,
    classes: int,
    precision: float,
) -> None:
    folder = real_data / "clip_vitb32"
    table, names = rows_of(folder, source)
    features, known = features_of(folder, texts)
    pairs = {}  # class of the rows -> feature; some names of ImageNet are those of two classes
    for name in names:
        wanted = ALIKE.get(name, name) if texts == "objects365" else name
        if wanted in known and names.count(name) == known.count(wanted) == 1:
            pairs[name] = known.index(wanted)
    np.save(tmp_path / "features.npy", features[list(pairs.values())])
    step = Retrieve.model_validate(
        {
            "with": "clip",
            "prompts": list(pairs),
            "features": str(tmp_path / "features.npy"),
            "query": query,
            "n": n,
            "short": "take",
        }
    )
    state = step.fit(MemoryFrame(table, cuts=[1000]), Context())
    outcome = step.apply(Rows(table.select(["uid", "clip"])), state)
    assert outcome.drop is not None
    kept = np.flatnonzero(outcome.drop == 0)
    labels = np.array(outcome.columns["label"].to_pylist())[kept]
    right = labels == np.array(names)[table["truth"].to_numpy()[kept]]
    print(f"\n{source} by {texts}: precision of {len(kept):,} rows {right.mean():.3f}, {len(pairs)} classes")
    of_class = {name: right[labels == name] for name in pairs}
    for name, one in sorted(of_class.items(), key=lambda pair: pair[1].mean() if len(pair[1]) else 0):
        print(f"  {name}: {one.sum()}/{len(one)}")
    assert len(pairs) >= classes
    assert right.mean() > precision


def test_the_example(real_data: Path, tmp_path: Path) -> None:
    recipe = Path(shutil.copy(REPOSITORY / "examples" / "retrieve.yaml", tmp_path))
    called = call("run", str(recipe), "--set", f"variables.data={real_data.resolve()}")
    assert called.code == 0, called.err
    last = called.out.rstrip().splitlines()[-1].split()
    assert last[0] == "precision"
    assert 0.7 < float(last[1]) < 0.9
