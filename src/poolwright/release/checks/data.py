"""Checks of the data files of a release: schema, counts, image bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, SHA256, UID
from poolwright.core.table import TableRecord
from poolwright.release.record import ReleasedFile, ReleaseRecord, type_words

_SAMPLED_GROUPS = 8
_SAMPLED_ROWS = 200


def check_schema(folder: Path, release: ReleaseRecord) -> tuple[list[str], str]:
    """Whether every data file has the columns that release.json says."""
    wanted = [(column.name, column.type) for column in release.columns]
    wrong = []
    for file in release.files:
        if file.path.endswith(".csv"):
            names, expected = _csv(folder / file.path).schema.names, [name for name, _ in wanted]
            if names != expected:
                wrong.append(f"'{file.path}' has the columns {names}, not {expected}")
            continue
        found = [(field.name, type_words(field.type)) for field in pq.read_schema(folder / file.path)]
        wrong += [f"'{file.path}': column {name} has type {kind}" for name, kind in found if (name, kind) not in wanted]
        missing = {name for name, _ in wanted} - {name for name, _ in found}
        wrong += [f"'{file.path}': column {name} is missing" for name in sorted(missing)]
    return wrong, f"{len(release.files):,} files have the {len(wanted)} columns of release.json"


def check_rows(folder: Path, release: ReleaseRecord, table: TableRecord) -> tuple[list[str], str]:
    """Whether files, release.json, table.json and statistics.json count the same rows."""
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


def check_images(folder: Path, release: ReleaseRecord, full: bool) -> tuple[list[str], str]:
    """Whether image bytes have the SHA-256 that their row says; a sample of them, or all."""
    wrong, seen = [], 0
    for file in release.files:
        for uid, data, digest in _images(folder, release, file, full):
            seen += 1
            if data is None:
                wrong.append(f"the image of uid {uid!r} is missing")
            elif hashlib.sha256(data).hexdigest() != digest:
                wrong.append(f"the image of uid {uid!r} has other bytes than its SHA-256 says")
    of = "" if full or seen == release.rows else f" of {release.rows:,}, sampled over all files"
    return wrong, f"{seen:,} images{of} have the bytes their SHA-256 says"


def _rows(folder: Path, file: ReleasedFile) -> int:
    path = folder / file.path
    return int(_csv(path).num_rows if file.path.endswith(".csv") else pq.read_metadata(path).num_rows)


def _csv(path: Path) -> pa.Table:
    return pacsv.read_csv(path, parse_options=pacsv.ParseOptions(newlines_in_values=True))


def _images(
    folder: Path, release: ReleaseRecord, file: ReleasedFile, full: bool
) -> Iterator[tuple[str, bytes | None, str]]:
    embedded = release.layout == "huggingface"
    columns = [UID, SHA256, IMAGE if embedded else "file_name"]
    root = folder if release.domains else (folder / file.path).parent
    for batch in _batches(folder / file.path, columns, full, embedded):
        for row in batch.to_pylist():
            if embedded:
                data = (row[IMAGE] or {}).get("bytes")
            else:
                path = root / row["file_name"]
                data = path.read_bytes() if path.is_file() else None
            yield str(row[UID]), data, row[SHA256]


def _batches(path: Path, columns: list[str], full: bool, embedded: bool) -> Iterator[Any]:
    if path.suffix == ".csv":
        text = {name: pa.string() for name in columns}
        options = pacsv.ConvertOptions(include_columns=columns, column_types=text)
        table = pacsv.read_csv(path, convert_options=options, parse_options=pacsv.ParseOptions(newlines_in_values=True))
        yield from (table if full else table.slice(0, _SAMPLED_ROWS)).to_batches()
        return
    with pq.ParquetFile(path) as file:
        groups = file.num_row_groups
        step = 1 if full else max(1, -(-groups // _SAMPLED_GROUPS))
        for batch in file.iter_batches(64, row_groups=list(range(0, groups, step)), columns=columns):
            yield batch
            if not full and not embedded:
                break
