"""Validate croissant.json with `mlcroissant`, and read the records that it describes."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from poolwright.release.card.croissant.document import CROISSANT
from poolwright.release.card.croissant.nodes import ROWS, SPLITS
from poolwright.release.checks.loaders.loader import importing
from poolwright.release.checks.loaders.sampling import SMALL
from poolwright.release.checks.result import Findings
from poolwright.release.record import ReleaseRecord

LARGEST = 1_000_000_000
"""Bytes of a data file that is not read any more, since `mlcroissant` reads files whole."""
RECORDS = 20
"""Records of each record set, and of each split, that are read of a larger release."""


def load(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    """Validate croissant.json and read records of every record set.

    Of a release of at most `SMALL` bytes all records are read and counted, of a larger one the first `RECORDS`, unless
    its files are larger than `LARGEST`.

    Args:
        full: whether all records are read, whatever their size.
    """
    with importing():
        import mlcroissant

    try:
        dataset = mlcroissant.Dataset(jsonld=folder / CROISSANT)
    except mlcroissant.ValidationError as error:
        return [line.strip() for line in str(error).splitlines() if line.strip().startswith("-")] or [str(error)], ""
    warnings = sorted(dataset.metadata.ctx.issues.warnings)
    noted = f"{len(warnings)} warnings: {'; '.join(warnings)}" if warnings else "without warnings"
    sizes = [(folder / file.path).stat().st_size for file in release.files]
    if max(sizes) > LARGEST and not full:
        return [], f"reads it {noted}; it reads files whole, and of {max(sizes):,} bytes only with --full"
    every = full or sum(sizes) <= SMALL
    counts = _counts(dataset, release, None if every else RECORDS)
    wrong = []
    if every and counts[ROWS] != release.rows:
        wrong.append(f"the record set '{ROWS}' has {counts[ROWS]:,} records, the release {release.rows:,} rows")
    read = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
    return wrong, f"reads it {noted}; {'records' if every else 'first records'}: {read}"


def _counts(dataset: Any, release: ReleaseRecord, most: int | None) -> Counter[str]:
    """Count the records of each record set, up to a number.

    Records that have a split are read split by split: `mlcroissant` reads all files at once otherwise.
    """
    counts: Counter[str] = Counter()
    for known in dataset.metadata.record_sets:
        split = next((field.id for field in known.fields if field.references.uuid == f"{SPLITS}/name"), None)
        for filters in [{split: name} for name in release.splits] if split else [None]:
            counts[known.id] += sum(1 for _ in islice(dataset.records(known.id, filters), most))
    return counts
