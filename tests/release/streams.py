"""A finished table of a stream of time buckets, and readers of its release written from what others document.

The readers follow the documentation of Avalanche's CLEAR benchmark and of CLEAR's own repository: lists of
`path label` lines, `(tensors, targets)` pairs, and JSON files that lead to each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from poolwright.core.columns import vector_field
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from tests.release.build import WEIGHTS, pictures, toy_rows, write_table

CLASSES = ("laptop", "ice cream", "BACKGROUND")
BUCKETS = (1, 2, 10)
Samples = list[tuple[str, int]]


def stream_rows(count: int) -> pa.Table:
    """Rows of three buckets and three classes with two splits, and columns of YFCC100M."""
    rows = toy_rows(count).drop_columns(["split"])
    draw = np.random.default_rng(5)
    made: dict[str, Any] = {
        "label": pa.array([CLASSES[number % 3] for number in range(count)]).dictionary_encode(),
        "bucket": pa.array([BUCKETS[number % 7 % 3] for number in range(count)], pa.int32()),
        "taken": [f"2008-06-{1 + number % 28:02d} 11:13:23.0" for number in range(count)],
        "uploaded_at": pa.array([1_200_000_000 + number for number in range(count)], pa.timestamp("s", tz="UTC")),
        "latitude": [None if number % 5 else 47.5 for number in range(count)],
        "extension": ["jpeg"] * count,
        "media": ["photo"] * count,
        "split_0": ["test" if number % 10 in (0, 3, 6) else "train" for number in range(count)],
        "split_1": ["test" if number % 10 in (1, 5, 8) else "train" for number in range(count)],
    }
    for name, values in made.items():
        values = values if isinstance(values, pa.Array) else pa.array(values)
        index = rows.schema.get_field_index(name)
        rows = rows.append_column(name, values) if index < 0 else rows.set_column(index, name, values)
    moco = draw.normal(size=(count, 5)).astype(np.float16)
    return rows.append_column(vector_field("moco", 5, "timm:resnet50", WEIGHTS), vector_array(moco))


def stream_table(folder: Path, count: int = 63, change: Callable[[pa.Table], pa.Table] = lambda rows: rows) -> Table:
    rows = change(stream_rows(count))
    pictures(folder / "images", toy_rows(count).column("image_path").to_pylist())
    return write_table(folder / "tables" / "toy", rows, cuts=(11,) if count > 11 else (), image_root=folder / "images")


def whole_stream(folder: Path, table: Table) -> Table:
    """The rows of the table among others, some of a bucket to pre-train on."""
    rows = table.read()
    more = rows.slice(0, 20)
    for name, values in (
        ("uid", [f"more-{number}" for number in range(20)]),
        ("bucket", [0] * 20),
        ("label", [None] * 20),
    ):
        field = rows.schema.field(name)
        made = pa.array(values).cast(field.type.value_type if name == "label" else field.type)
        made = made.dictionary_encode() if name == "label" else made
        more = more.set_column(rows.schema.get_field_index(name), field, made)
    return write_table(folder / "tables" / "all", pa.concat_tables([rows, more]).unify_dictionaries())


def read_list(path: Path) -> Samples:
    """A Caffe-style list as Avalanche's reader of lists takes it: two words a line."""
    samples = []
    with path.open() as lines:
        for line in lines:
            image, label = line.strip().split()
            samples.append((image, int(label)))
    return samples


def benchmark_of_images(root: Path, split: str, seed: int | None = None) -> list[Samples]:
    """What CLEAR gives Avalanche for images: (path, target) lists, one per bucket, every image of which opens."""
    training = root / "training_folder"
    buckets = json.loads((training / "bucket_indices.json").read_text())
    folder = training / "filelists" if split == "all" else training / "testset_ratio_0.3" / f"split_{seed}"
    found = [read_list(folder / str(bucket) / f"{split}.txt") for bucket in buckets]
    for samples in found:
        for path, _ in samples:
            with Image.open(root / path) as image:
                assert image.convert("RGB").size > (1, 1)
    return found


def benchmark_of_tensors(root: Path, feature: str, split: str, seed: int | None = None) -> list[tuple[Any, list[int]]]:
    """What CLEAR gives Avalanche for features: (tensors, targets), one per bucket."""
    import torch

    training = root / "training_folder"
    found = []
    for bucket in json.loads((training / "bucket_indices.json").read_text()):
        path = training / "features" / feature / str(bucket) / "all.pth"
        tensors, targets = torch.load(path, weights_only=True)
        if split != "all":
            of_split = training / "testset_ratio_0.3" / f"split_{seed}" / str(bucket) / f"{split}_indices.json"
            chosen = json.loads(of_split.read_text())
            tensors, targets = torch.stack([tensors[index] for index in chosen]), [targets[index] for index in chosen]
        found.append((tensors, targets))
    return found


def by_metadata(root: Path) -> list[tuple[int, str, str, int]]:
    """(bucket, id, image, class) of each labelled image, by way of the JSON files, as the later releases are read."""
    names = (root / "class_names.txt").read_text(encoding="utf-8").split("\n")
    found = []
    for bucket, classes in json.loads((root / "labeled_metadata.json").read_text(encoding="utf-8")).items():
        for index, name in enumerate(names):
            metadata = json.loads((root / classes[name]).read_text(encoding="utf-8"))
            found += [(int(bucket), key, value["IMG_PATH"], index) for key, value in metadata.items()]
    return found
