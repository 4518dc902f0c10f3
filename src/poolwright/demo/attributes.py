"""Compare the demo's attributes, the clusters inside a class, with the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from poolwright.core.columns import UID
from poolwright.core.table import Table


def attributes_against_truth(folder: Path, found: Table) -> tuple[tuple[str, str, str], ...]:
    """Measure the purity of the clusters inside classes, and that of whole classes: (name, value, meaning)."""
    truth = pq.read_table(folder / "world" / "truth.parquet", columns=[UID, "colour", "true_continent"])
    rows = found.read([UID, "label", "cluster"]).join(truth, UID).to_pylist()
    figures = []
    for name, column, meaning in (
        ("colours in clusters", "colour", "rows with the most frequent colour of their cluster"),
        ("places in clusters", "true_continent", "rows with the most frequent background and style of their cluster"),
    ):
        inside = purity((row["label"], row["cluster"], row[column]) for row in rows)
        whole = purity((row["label"], 0, row[column]) for row in rows)
        figures.append((f"{name}, purity", f"{inside:.3f}", f"{meaning}; of whole classes {whole:.3f}"))
    return tuple(figures)


def purity(rows: Iterable[tuple[str, int, str]]) -> float:
    """Return the share of rows that have the most frequent value of their class and cluster."""
    counts = Counter(rows)
    best: dict[tuple[str, int], int] = {}
    for (label, cluster, _), count in counts.items():
        best[label, cluster] = max(best.get((label, cluster), 0), count)
    return sum(best.values()) / max(counts.total(), 1)
