"""Choose a few pictures of a table for its card: one of each of the largest classes, by a hash of the uid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import AUTHOR, IMAGE, IMAGE_PATH, LABEL, LICENSE, UID
from poolwright.core.images.image import open_image
from poolwright.core.images.image_files import read_bytes
from poolwright.core.table import Table
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.release.card.markdown import grid, plain
from poolwright.release.statistics import Statistics

FOLDER = "figures/examples"
MOST = 12
_EDGE, _ACROSS = 160, 4


@dataclass(frozen=True)
class Example:
    """A picture on the card: its file, its class or '', and whom it is by."""

    file: str
    label: str
    credit: str


def write_examples(folder: Path, table: Table, statistics: Statistics) -> tuple[Example, ...]:
    """Write thumbnails of some rows into a release; none of images that cannot be decoded."""
    names = table.schema.names
    source = next((name for name in (IMAGE, IMAGE_PATH) if name in names), None)
    if source is None:
        return ()
    classes = [str(value) for value, _ in statistics.counts(LABEL) if value is not None][:MOST]
    columns = [source, *(name for name in (LABEL, AUTHOR, LICENSE) if name in names)]
    found = []
    for number, position in enumerate(_chosen(table, classes), 1):
        row = _row(table, position, columns)
        picture = open_image(_image(table, row[source]), wanted=_EDGE)
        if isinstance(picture, str):
            continue
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        file = f"{FOLDER}/{number:02}.jpg"
        picture.thumbnail((_EDGE, _EDGE))
        picture.convert("RGB").save(folder / file, "JPEG", quality=80)
        credit = ", ".join(str(row[name]) for name in (AUTHOR, LICENSE) if row.get(name))
        found.append(Example(file, str(row[LABEL]) if classes else "", credit))
    return tuple(found)


def examples_section(examples: Sequence[Example]) -> str:
    """Return the pictures as Markdown; '' if there are none."""
    if not examples:
        return ""
    lines = [examples[at : at + _ACROSS] for at in range(0, len(examples), _ACROSS)]
    tables = []
    for line in lines:
        pictures = [f"![{plain(one.label) or 'example'}]({one.file})" for one in line]
        words = ["<br>".join(plain(text) for text in (one.label, one.credit) if text) for one in line]
        tables.append(grid(pictures, [words]))
    return "\n\n".join(["## Examples", "Rows chosen by a hash of their uid.", *tables])


def _chosen(table: Table, classes: Sequence[str]) -> list[int]:
    """Return the number of the row with the least hash of each class, or those with the least hashes of all rows."""
    key = hash_key(table.record.seed, "examples")
    best: dict[str, tuple[int, int]] = {}
    least: list[tuple[int, int]] = []
    start = 0
    for rows in table.batches([UID, LABEL] if classes else [UID]):
        hashes = hash64(rows.table.column(UID).cast(pa.string()), key)
        labels = np.array(rows.strings(LABEL), object) if classes else hashes
        for name in classes:
            here = np.flatnonzero(labels == name)
            if len(here):
                at = here[np.argmin(hashes[here])]
                best[name] = min(best.get(name, (2**64, 0)), (int(hashes[at]), start + int(at)))
        if not classes:
            few = np.argsort(hashes, kind="stable")[:MOST]
            least = sorted([*least, *((int(hashes[at]), start + int(at)) for at in few)])[:MOST]
        start += len(rows)
    return [best[name][1] for name in classes if name in best] if classes else [row for _, row in least]


def _row(table: Table, position: int, columns: list[str]) -> dict[str, object]:
    ends = list(accumulate(part.rows for part in table.record.parts))
    number = next(at for at, end in enumerate(ends) if position < end)
    part = table.record.parts[number]
    with table.reading(part.file) as path, pq.ParquetFile(path) as file:
        for group, at in _groups(file, position - (ends[number] - part.rows)):
            values: dict[str, object] = file.read_row_group(group, columns).slice(at, 1).to_pylist()[0]
            return values
    raise IndexError(position)


def _groups(file: pq.ParquetFile, row: int) -> Iterator[tuple[int, int]]:
    """Yield the row group that holds a row of a file, and the row's place in it."""
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < rows:
            yield group, row
            return
        row -= rows


def _image(table: Table, value: object) -> bytes | None:
    if isinstance(value, str):
        found = read_bytes(table.image_root, value)
        return found if isinstance(found, bytes) else None
    inner = value.get("bytes") if isinstance(value, dict) else value
    return inner if isinstance(inner, bytes) else None
