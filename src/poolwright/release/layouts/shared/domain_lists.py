"""Check that lists by domain and split agree with class names and metadata."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.release.checks.result import Findings
from poolwright.release.data.features import CLASS_ID, FILE_NAME
from poolwright.release.layouts.shared.domains import list_name
from poolwright.release.record import ReleaseRecord

CLASS_NAMES = "class_names.txt"
DOMAINS = "domains.txt"
ROOT = "domain_net"
"""Folder of the domains and lists; the name that DomainBed gives it."""
_BATCH_ROWS = 65_536


def check_lists(folder: Path, release: ReleaseRecord, domain_column: str) -> Findings:
    """Check that lists and class names agree with the metadata.

    A list has the rows of its domain and split in the order of the metadata, so the two are read side by side.
    """
    wrong = [*_names(folder, CLASS_NAMES, release.classes), *_names(folder, DOMAINS, tuple(release.domains))]
    total = 0
    columns = list(dict.fromkeys([FILE_NAME, CLASS_ID, domain_column]))
    for file in release.files:
        rows = pq.read_table(folder / file.path, columns=columns)
        for inner, value in release.domains.items():
            name = f"{ROOT}/{list_name(inner, file.split)}"
            lines, found = _list(folder, release, _rows(rows, domain_column, value), name)
            wrong += found
            total += lines
    if total != release.rows:
        wrong.append(f"the lists have {total:,} lines, but release.json has {release.rows:,} rows")
    count = len(release.files) * len(release.domains)
    return wrong, f"{total:,} lines in {count:,} lists have path and class of their rows"


def _names(folder: Path, name: str, wanted: tuple[str, ...]) -> Iterator[str]:
    if not (folder / name).is_file():
        yield f"'{name}' is missing"
    elif tuple((folder / name).read_text(encoding="utf-8").split("\n")[:-1]) != wanted:
        yield f"'{name}' does not have the {len(wanted):,} names of release.json"


def _list(folder: Path, release: ReleaseRecord, rows: Iterator[tuple[str, int]], name: str) -> tuple[int, list[str]]:
    """Return the number of lines of one list, and its first problem."""
    if not (folder / name).is_file():
        return 0, [f"'{name}' is missing"]
    number = 0
    with (folder / name).open(encoding="utf-8", newline="\n") as lines:
        for number, (line, row) in enumerate(zip_longest(lines, rows), 1):
            problem = _problem(folder, release, line, row)
            if problem:
                return number, [f"'{name}', line {number:,}: {problem}"]
    return number, []


def _problem(folder: Path, release: ReleaseRecord, line: str | None, row: tuple[str, int] | None) -> str:
    if row is None:
        return "the metadata has no more rows of this domain and split"
    wanted = f"{row[0]} {row[1]}"
    if line is None:
        return f"the list ends, but '{wanted}' should follow"
    if line != f"{wanted}\n":
        return f"it is {line!r}, but the metadata says '{wanted}'"
    if not 0 <= row[1] < len(release.classes):
        return f"there is no class {row[1]}"
    return f"'{row[0]}' is missing" if release.images and not (folder / ROOT / row[0]).is_file() else ""


def _rows(rows: pa.Table, column: str, domain: str) -> Iterator[tuple[str, int]]:
    """Yield path and class of the rows of a domain."""
    part = rows.filter(pc.equal(rows.column(column).cast(pa.string()), domain))
    for batch in part.to_batches(_BATCH_ROWS):
        yield from zip(batch.column(FILE_NAME).to_pylist(), batch.column(CLASS_ID).to_pylist(), strict=True)
