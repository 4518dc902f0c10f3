"""Check that the index arrays and class lists of subsets agree with the metadata."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from poolwright.release.checks.result import Findings
from poolwright.release.layouts.shared.geoyfcc_columns import CLASS, VOCABULARY
from poolwright.release.layouts.shared.subsets import CLASSES, INDICES, WNID, WNIDS
from poolwright.release.record import ReleasedSubset, ReleaseRecord


def check_subsets(folder: Path, release: ReleaseRecord) -> Findings:
    """Check that classes.csv and the subsets agree with the metadata. Pickles are not opened."""
    columns = [name for name in (CLASS, VOCABULARY) if any(name == column.name for column in release.columns)]
    metadata = pq.read_table(folder / release.files[0].path, columns=columns)
    numbers = metadata.column(CLASS).to_numpy()
    vocabulary = metadata.column(VOCABULARY).to_numpy() if VOCABULARY in columns else None
    with (folder / CLASSES).open(encoding="utf-8", newline="") as file:
        classes = list(csv.DictReader(file))
    wrong = list(_classes(classes, numbers, vocabulary))
    for subset in release.subsets:
        wrong += _subset(folder, subset, numbers, classes)
    counts = ", ".join(f"{subset.name} ({subset.rows:,} rows)" for subset in release.subsets) or "no subset"
    return wrong, f"{len(classes):,} classes and {counts} agree with the metadata"


def _classes(classes: list[dict[str, str]], numbers: np.ndarray, vocabulary: np.ndarray | None) -> Iterator[str]:
    found, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    listed = [int(row["label_id"]) for row in classes]
    if listed != found.tolist() or listed != list(range(len(listed))):
        yield f"'{CLASSES}' lists {len(listed):,} classes, but the metadata has {len(found):,}, or not 0 to n-1"
    elif [int(row["rows"]) for row in classes] != counts.tolist():
        yield f"'{CLASSES}' has other row counts than the metadata"
    elif vocabulary is not None:
        wanted = np.array([int(row[VOCABULARY]) for row in classes])
        if not np.array_equal(wanted[numbers], vocabulary) or not np.array_equal(vocabulary[first], wanted):
            yield f"'{CLASSES}' has other values of {VOCABULARY} than the metadata"


def _subset(folder: Path, subset: ReleasedSubset, numbers: np.ndarray, classes: list[dict[str, str]]) -> Iterator[str]:
    name = INDICES.format(subset.name)
    rows = np.load(folder / name, allow_pickle=False)
    if rows.dtype != np.int64 or rows.ndim != 1:
        yield f"'{name}' holds {rows.dtype} of shape {rows.shape}, not a list of int64"
        return
    if len(rows) != subset.rows:
        yield f"'{name}' has {len(rows):,} row numbers, but release.json has {subset.rows:,}"
    if len(rows) and (rows.min() < 0 or rows.max() >= len(numbers)):
        yield f"'{name}' has row numbers that are not in 0 to {len(numbers) - 1:,}"
        return
    if (np.diff(rows) <= 0).any():
        yield f"'{name}' is not strictly ascending"
    with (folder / WNIDS.format(subset.name)).open(encoding="utf-8", newline="") as file:
        listed = [row[WNID] for row in csv.DictReader(file)]
    known = {int(row["label_id"]): row[WNID] for row in classes}
    wanted = [known.get(number) for number in np.unique(numbers[rows]).tolist()]
    if listed != wanted or len(listed) != subset.classes:
        yield f"'{WNIDS.format(subset.name)}' lists {len(listed):,} wnids, which are not those of the subset's rows"
