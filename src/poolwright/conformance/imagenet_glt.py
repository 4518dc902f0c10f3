"""Generate rows of ImageNet's size: its classes, and attributes of six uneven clusters per class, merged in pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.api import RunResult
from poolwright.conformance.reproduction import Reproduction, shipped_data, without_steps
from poolwright.core.files import write_atomically
from poolwright.core.results.conformance import PublishedNumber

NAME, ATTRIBUTES = "imagenet-glt", "imagenet-attributes"
IMAGES, CLASSES, LARGEST, SMALLEST = 1_281_167, 1_000, 1_300, 732
_BELOW = 105
"""Classes with fewer images than the largest; the others have 1,300."""


def class_sizes() -> np.ndarray:
    """Return the images of each class, int64 (1000,).

    As many classes as in ImageNet are below 1,300, down to 732, and the sum is ImageNet's.
    """
    missing = ((LARGEST - SMALLEST) * (np.arange(_BELOW, 0, -1) / _BELOW) ** 2.2).astype(np.int64)
    missing[1 : 1 + abs(CLASSES * LARGEST - IMAGES - missing.sum())] += np.sign(
        CLASSES * LARGEST - IMAGES - missing.sum()
    )
    return LARGEST - np.concatenate([np.zeros(CLASSES - _BELOW, np.int64), missing])


def imagenet(seed: int) -> pa.Table:
    """Return uid, label and attribute of all images, in random order."""
    draw = np.random.default_rng(seed)
    sizes = draw.permutation(class_sizes())
    shares = draw.dirichlet([9, 6, 5, 4, 3, 2], CLASSES)
    clusters = np.maximum((shares * sizes[:, None]).astype(np.int64), 41)
    clusters.sort(axis=1)
    clusters[:, -1] += sizes - clusters.sum(axis=1)
    attributes = np.sort(clusters, axis=1)[:, ::-1].reshape(CLASSES, 3, 2).sum(axis=2)
    cells = np.repeat(np.arange(3 * CLASSES), attributes.reshape(-1))
    order = draw.permutation(IMAGES)
    names = pa.array([f"n{number:08d}" for number in draw.permutation(CLASSES)])
    label = pa.DictionaryArray.from_arrays(pa.array((cells[order] // 3).astype(np.int32)), names)
    uids = pa.array(order).cast(pa.string())
    return pa.table({"uid": uids, "label": label, "attribute": pa.array((cells[order] % 3).astype(np.int32))})


def prepare(folder: Path) -> dict[str, Any]:
    """Write the rows; the recipe without features and clusters, which need images."""
    path = folder / "rows.parquet"
    if not path.exists():
        rows = imagenet(0)
        rows = rows.append_column("image_path", pc.binary_join_element_wise(rows["uid"], "JPEG", "."))
        write_atomically(path, lambda file: pq.write_table(rows, file))
    data = shipped_data(NAME)
    data["pools"] = {"imagenet": {"read": "table", "path": path.name}}
    del data["models"], data["figures"]
    without_steps(data, ATTRIBUTES, "embed", "cluster")
    return data


def compare(result: RunResult) -> tuple[PublishedNumber, ...]:
    """Count the images of each set, in both files."""
    rows = result.tables[NAME].read(["split_glt", "split_cbl"])
    glt, cbl = (_sizes(rows, column) for column in rows.column_names)
    train, rest = glt["train"], sum(glt[name] for name in ("train", "val", "test_lt"))
    balanced = cbl["train"] + cbl["val"]
    return (
        PublishedNumber("Test-GBL", 60_000, glt["test_bbl"], fixed=True),
        PublishedNumber("Test-CBL", 60_000, glt["test_bl"], fixed=True),
        PublishedNumber("GLT: images of the long-tailed rest", 203_460, rest, note=_CLUSTERS),
        PublishedNumber("GLT: Test-GLT", 60_000, glt["test_lt"], fixed=True),
        PublishedNumber("GLT: val", 30_000, glt["val"], fixed=True),
        PublishedNumber("GLT: train", 113_460, train, note=_CLUSTERS),
        PublishedNumber("CBL: images of the balanced rest", 144_000, balanced, fixed=True),
        PublishedNumber("CBL: val", 30_000, cbl["val"], fixed=True),
        PublishedNumber("CBL: train", 114_000, cbl["train"], fixed=True),
    )


_CLUSTERS = "depends on the sizes of the clusters"


def _sizes(rows: pa.Table, column: str) -> dict[str, int]:
    counts = pc.value_counts(rows[column].drop_null()).to_pylist()
    return {str(one["values"]): one["counts"] for one in counts}


REPRODUCTION = Reproduction(
    NAME,
    "arXiv 2207.09504 and its code",
    "1,281,167 rows in ImageNet's classes, each with its attribute, stand for the train folder after `embed` and "
    "`cluster`. Class sizes follow the shipped curve, not the authors' list.",
    prepare,
    compare,
)
