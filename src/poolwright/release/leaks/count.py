"""Count the rows of a release that several of its splits, buckets or subsets have in common.

Parts are read from the files of the release. Hashes come from its columns; if it has none, from the released table, and
perceptual hashes, if that has none either, from the images of the release.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID, is_text, is_vector
from poolwright.core.errors import is_installed
from poolwright.core.images.image_files import Limits
from poolwright.core.images.phash import FLAT_HASHES, phash_of_file
from poolwright.core.results.leaks import HASHES, PHASH, SHA256
from poolwright.core.rows import one_array
from poolwright.core.runtime.cores import cores
from poolwright.release.data.naming import split_order
from poolwright.release.data.reading import read_rows
from poolwright.release.leaks.limit import NOT_INSTALLED
from poolwright.release.leaks.near import add_near_rows
from poolwright.release.leaks.tally import LeakTally, leak_tally
from poolwright.release.record import ReleasedFile, ReleasedLeaks, ReleaseRecord

if TYPE_CHECKING:
    from poolwright.core.table import Table
    from poolwright.release.data.reading import StoredImage
    from poolwright.release.layouts.layout import Layout

RELEASED, TABLE, IMAGES = "column", "table", "images"
"""Sources of hashes: a column of the release, one that only the table has, or the images."""
_SPLIT, _CONFIG = "split", "config"
_AT_ONCE = 64
_LIMITS = Limits(max_bytes=1_000_000_000)


def count_leaks(
    folder: Path,
    release: ReleaseRecord,
    layout: Layout,
    table: Table | None = None,
    sources: Mapping[str, str] | None = None,
) -> ReleasedLeaks | None:
    """Count the rows that several parts of a release have in common; None if it has no parts.

    Args:
        folder: folder of the release, with its data files. If `table` is given, other files are put there meanwhile.
        table: the table that is released, if it is there.
        sources: what to compare, by where it comes from; default all that there is.
    """
    divided = _Divided.of(folder, release, layout)
    if not divided.names or not release.has(UID):
        return None
    chosen, left_out = (sources, {}) if sources is not None else leak_sources(release, layout, table)
    hashes = [how for how in chosen if how in HASHES]
    with leak_tally(divided.names, folder if table is not None else None) as tally:
        _add_rows(tally, divided, [how for how in hashes if chosen[how] == RELEASED])
        if not any(len(tally.parts(name, split_order)) > 1 for name in divided.names):
            return None
        for how in hashes:
            if chosen[how] == TABLE and table is not None:
                _add_from_table(tally, how, table)
            elif chosen[how] == IMAGES:
                _add_from_images(tally, layout.read_images(folder, release))
        found = [leak for how in hashes for leak in tally.count_equal(how, split_order)]
        for how in chosen:
            if how not in HASHES:
                vectors = _table_vectors(table, how) if table is not None else divided.vectors(how)
                add_near_rows(tally, how, vectors, layout.leak_above)
                found += tally.count_near(how, split_order)
    above = layout.leak_above if set(chosen) - set(HASHES) else None
    return ReleasedLeaks(sources=dict(chosen), left_out=left_out, above=above, found=tuple(found))


def leak_sources(release: ReleaseRecord, layout: Layout, table: Table | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return where hashes and vectors come from, and why those that are not compared are not."""
    sources, left_out = {}, {}
    for how in HASHES:
        if release.has(how):
            sources[how] = RELEASED
        elif table is not None and how in table.schema.names and is_text(table.schema.field(how).type):
            sources[how] = TABLE
        elif how == SHA256 or release.images is None:
            left_out[how] = "there are none"
        elif not is_installed("imagehash"):
            left_out[how] = NOT_INSTALLED
        else:
            sources[how] = IMAGES
    column = layout.leak_vectors
    if column is None and table is not None:
        vectors = (field.name for field in table.schema if is_vector(field.type))
        column = next((name for name in vectors if "text" not in name.lower()), None)
    if column and table is not None:
        sources[column] = RELEASED if release.has(column) else TABLE
    return sources, left_out


def _add_rows(tally: LeakTally, divided: _Divided, columns: Sequence[str]) -> None:
    """Add the rows with their parts, and the hashes in columns of the release."""
    for names, parts, rows in divided.batches(columns):
        tally.add_parts(names, parts)
        for how in columns:
            tally.add_keys(how, names, hash_keys(rows.column(how)))


class _Divided:
    """The rows of a release with their parts."""

    def __init__(
        self, folder: Path, release: ReleaseRecord, columns: Sequence[str], subsets: Mapping[str, np.ndarray]
    ) -> None:
        self.folder, self.release, self.columns = folder, release, columns
        self.subsets = {
            f"subsets {one} and {other}": (subsets[one], subsets[other], one, other)
            for one, other in combinations(subsets, 2)
        }
        by_file = [name for name, several in ((_SPLIT, release.splits), (_CONFIG, release.configs)) if len(several) > 1]
        self.by_file = by_file
        self.names = [*by_file, *columns, *self.subsets]

    @classmethod
    def of(cls, folder: Path, release: ReleaseRecord, layout: Layout) -> _Divided:
        columns = [name for name in dict.fromkeys(layout.divisions(release)) if release.has(name)]
        if len(release.splits) > 1:
            columns = [name for name in columns if name != _SPLIT]
        return cls(folder, release, columns, layout.subset_rows(folder, release))

    def batches(self, more: Sequence[str]) -> Iterator[tuple[pa.Array, dict[str, pa.Array], pa.Table]]:
        """Yield the names of some rows, the part of each by division, and their columns, among them `more`."""
        start = 0
        columns = list(dict.fromkeys([UID, *self.columns, *more]))
        for file, rows in read_rows(self.folder, self.release, columns):
            parts = {name: pa.repeat(pa.scalar(self._of_file(name, file)), len(rows)) for name in self.by_file}
            parts |= {name: texts_of(rows.column(name)) for name in self.columns}
            at = np.arange(start, start + len(rows))
            for name, (one, other, first, second) in self.subsets.items():
                inside = np.isin(at, one), np.isin(at, other)
                either = np.where(inside[0], first, second)
                parts[name] = pa.array(either, pa.string(), mask=inside[0] == inside[1])
            yield texts_of(rows.column(UID)), parts, rows
            start += len(rows)

    def vectors(self, column: str) -> Iterator[tuple[pa.Array, np.ndarray]]:
        """Yield the names of rows that have a vector, and their vectors (n, d), of float16 or float32."""
        for _, rows in read_rows(self.folder, self.release, [UID, column]):
            yield from with_vectors(texts_of(rows.column(UID)), one_array(rows.column(column)))

    @staticmethod
    def _of_file(name: str, file: ReleasedFile) -> str:
        return file.split if name == _SPLIT else PurePosixPath(file.path).parts[1]


def texts_of(column: pa.ChunkedArray) -> pa.Array:
    """Return the values of a column as plain texts."""
    values = one_array(column)
    return (values.dictionary_decode() if pa.types.is_dictionary(values.type) else values).cast(pa.string())


def hash_keys(column: pa.ChunkedArray) -> pa.Array:
    """Return hashes in one spelling; null for those that say nothing about a picture."""
    texts = pc.utf8_lower(texts_of(column))
    nothing = pc.is_in(texts, value_set=pa.array(["", *FLAT_HASHES]))
    return pc.if_else(nothing, None, texts)


def _add_from_table(tally: LeakTally, how: str, table: Table) -> None:
    for rows in table.batches([UID, how]):
        tally.add_keys(how, rows.column(UID), hash_keys(rows.table.column(how)))


def _table_vectors(table: Table, column: str) -> Iterator[tuple[pa.Array, np.ndarray]]:
    for rows in table.batches([UID, column]):
        yield from with_vectors(rows.column(UID), rows.column(column))


def with_vectors(names: pa.Array, vectors: pa.Array) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """Yield the rows whose vector is not null; the vectors may be plain lists."""
    there = vectors.is_valid()
    names, vectors = names.filter(there), vectors.filter(there)
    if len(names):
        matrix = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(names), -1)
        yield names, matrix if matrix.dtype != np.float64 else matrix.astype(np.float32)


def _add_from_images(tally: LeakTally, images: Iterable[StoredImage]) -> None:
    with ThreadPoolExecutor(cores()) as threads:
        remaining = iter(images)
        while some := list(islice(remaining, _AT_ONCE)):
            found = threads.map(lambda image: phash_of_file(image.data or b"", _LIMITS)[0], some)
            tally.add_keys(PHASH, pa.array([image.uid for image in some]), pa.array(found, pa.string()))
