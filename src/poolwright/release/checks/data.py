"""Check the data files of a release: schema, counts, image bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from poolwright.core.table import TableRecord
from poolwright.release.checks.result import Findings
from poolwright.release.data.reading import StoredImage, read_csv
from poolwright.release.record import ReleasedFile, ReleaseRecord, type_words


def check_schema(folder: Path, release: ReleaseRecord) -> Findings:
    """Check that every data file has the columns of release.json."""
    wanted = [(column.name, column.type) for column in release.columns]
    wrong = []
    for file in release.files:
        if file.path.endswith(".csv"):
            names, expected = read_csv(folder / file.path).schema.names, [name for name, _ in wanted]
            if names != expected:
                wrong.append(f"'{file.path}' has the columns {names}, not {expected}")
            continue
        found = [(field.name, type_words(field.type)) for field in pq.read_schema(folder / file.path)]
        wrong += [f"'{file.path}': column {name} has type {kind}" for name, kind in found if (name, kind) not in wanted]
        missing = {name for name, _ in wanted} - {name for name, _ in found}
        wrong += [f"'{file.path}': column {name} is missing" for name in sorted(missing)]
    return wrong, f"{len(release.files):,} files have the {len(wanted)} columns of release.json"


def check_rows(folder: Path, release: ReleaseRecord, table: TableRecord) -> Findings:
    """Check that files, release.json, table.json and statistics.json count the same rows."""
    wrong, total = [], 0
    for file in release.files:
        rows = _rows(folder, file)
        total += rows
        if rows != file.rows:
            wrong.append(f"'{file.path}' has {rows:,} rows, release.json says {file.rows:,}")
    statistics = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    counts = {
        "the files": total,
        "release.json": release.rows,
        "its splits": sum(release.splits.values()),
        "table.json": table.rows_kept,
        "statistics.json": statistics["rows"],
    }
    if release.images:
        counts["the images"] = release.images.count
    if len(set(counts.values())) > 1:
        wrong.append("the counts differ: " + ", ".join(f"{name} {rows:,}" for name, rows in counts.items()))
    last = table.funnel[-1].kept if table.funnel else table.rows_kept
    dropped = sum(count for row in table.funnel for count in row.dropped.values())
    if last != table.rows_kept or (table.funnel and table.rows_in - dropped != table.rows_kept):
        wrong.append("the funnel of table.json does not end at the rows it kept")
    return wrong, f"{release.rows:,} rows in files, release.json, table.json and statistics.json"


def check_images(images: Iterable[StoredImage], release: ReleaseRecord, full: bool) -> Findings:
    """Check that image bytes have the SHA-256 that is stored in their row.

    Args:
        images: images as the layout reads them back: all if `full`, else a sample.
    """
    wrong, seen = [], 0
    for image in images:
        seen += 1
        if image.data is None:
            wrong.append(f"the image of uid {image.uid!r} is missing: '{image.path}'")
        elif hashlib.sha256(image.data).hexdigest() != image.sha256:
            wrong.append(f"the bytes of the image of uid {image.uid!r} do not match its SHA-256: '{image.path}'")
    if full and seen != release.rows:
        wrong.append(f"{seen:,} images were read back, but the release has {release.rows:,} rows")
    of = "" if full or seen == release.rows else f" of {release.rows:,}, sampled over all files"
    return wrong, f"{seen:,} images{of} have the bytes their SHA-256 says"


def _rows(folder: Path, file: ReleasedFile) -> int:
    path = folder / file.path
    return int(read_csv(path).num_rows if file.path.endswith(".csv") else pq.read_metadata(path).num_rows)
