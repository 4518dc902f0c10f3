"""Audit the demo's filter by a sample of the shelf, and compare the estimates with the truth."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq

from poolwright.annotation.verdicts import NEGATIVE, POSITIVE
from poolwright.api import accuracy, audit
from poolwright.core.columns import UID
from poolwright.core.table import Table

LOOKED_AT = 200
"""Number of pictures of the shelf in the sample."""


def verify_maps(folder: Path) -> Path:
    """Draw a sample of the shelf and fill in the verdicts from the truth; returns the sheet."""
    sheet, maps = folder / "maps.csv", _true_maps(folder)
    audit(folder / "run", "maps", sheet, LOOKED_AT)
    with sheet.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["verdict"] = POSITIVE if row[UID] in maps else NEGATIVE
    with sheet.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return sheet


def maps_against_truth(folder: Path, found: Table, sheet: Path) -> tuple[tuple[str, str, str], ...]:
    """Compare the estimates from the verdicts with the truth: (name, value, meaning)."""
    estimates, maps = accuracy(sheet), _true_maps(folder)
    kept = set(found.read([UID])[UID].to_pylist())
    right = len(kept & maps)
    measures = (
        ("precision of maps", "found pictures that are maps", estimates.precision, right / max(len(kept), 1)),
        ("recall of maps", "maps that were found", estimates.recall, right / max(len(maps), 1)),
    )
    looked = f"estimated by looking at {LOOKED_AT} of {found.record.rows_in:,} pictures"
    figures = []
    for name, meaning, estimate, true in measures:
        figures.append((f"{name}, true", f"{true:.3f}", meaning))
        limits = "all looked at" if estimate.low == estimate.high else f"{estimate.low:.3f} to {estimate.high:.3f}"
        interval = f"{estimate.value:.3f} ({limits})"
        figures.append((f"{name}, audited", interval, looked))
    return tuple(figures)


def _true_maps(folder: Path) -> set[str]:
    truth = pq.read_table(folder / "shelf" / "truth.parquet")
    return set(truth.filter(truth["is_map"])[UID].to_pylist())
