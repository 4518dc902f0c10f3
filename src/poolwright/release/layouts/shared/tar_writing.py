"""Write the shards of all splits of a table, on several workers; the same bytes for any number of them.

The workers write whole shards. Where a shard of `shard_rows` samples begins follows from the rows alone. One that is
closed by its bytes before is found out by writing it: shards of its split that were begun elsewhere meanwhile are then
written again, one after the other, from the row at which it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import IMAGE, SHA256, SPLIT
from poolwright.core.files import ImageRoot
from poolwright.core.rows import Rows, in_row_groups, text_array
from poolwright.core.table import Table
from poolwright.release.data.class_names import ClassNames
from poolwright.release.data.image_changes import ImageChanges
from poolwright.release.data.image_counts import ImageCounts
from poolwright.release.data.image_files import released_rows
from poolwright.release.data.images import ImageReader
from poolwright.release.data.splits import by_split, split_values
from poolwright.release.layouts.shared.tar_output import flush
from poolwright.release.layouts.shared.tar_samples import CLS, NO_CLASS, picture_extension
from poolwright.release.layouts.shared.tar_shards import ShardForm, TarShards, WrittenShard
from poolwright.release.workers import HERE, Workers

_FEW = 4_000
"""Rows that are written here: processes take as long to start."""


@dataclass(frozen=True)
class SampleSource:
    """Where samples come from.

    Attributes:
        table: folder of the table.
        column: with the images, or the paths that they are read from.
        root: folder or URL that paths are relative to.
        changes: what is done to images.
        read: columns to read.
        named: column of the table by released column, where the names differ.
        classes: of the samples, if they have any.
    """

    table: Path
    column: str
    root: ImageRoot
    changes: ImageChanges | None
    read: tuple[str, ...]
    named: Mapping[str, str]
    classes: ClassNames | None

    def released(self, rows: Rows, schema: pa.Schema, digests: Sequence[str]) -> pa.Table:
        """Return released rows without their keys, which follow from their places in shards."""
        given: dict[str, pa.Array] = {SHA256: text_array(digests)}
        given |= {name: rows.column(source) for name, source in self.named.items() if source in rows.schema.names}
        if self.classes:
            classes = np.array([self._numbers.get(name, NO_CLASS) for name in self.classes.of_rows(rows)], np.int64)
            given[CLS] = pa.Array.from_buffers(pa.int64(), len(classes), [None, pa.py_buffer(classes)])
        return released_rows(rows, schema.remove(0), given)

    @cached_property
    def _numbers(self) -> dict[str | None, int]:
        """The number of each class."""
        return {name: number for number, name in enumerate(self.classes.names if self.classes else ())}


@dataclass(frozen=True)
class Stretch:
    """Rows that one worker writes.

    Attributes:
        start: the first row of the table.
        splits: name of each split that is written, by its value.
        first: number of the first shard.
        most: shards to write; None for all rows from `start` on.
        rows: samples that the shard has unless it is closed by its bytes, if it is one.
    """

    start: int
    splits: Mapping[str | None, str]
    first: int = 0
    most: int | None = None
    rows: int = 0


@dataclass(frozen=True)
class WrittenStretch:
    """What a worker has written: shards, the counts of their images, and how many rows they have."""

    shards: list[WrittenShard]
    counts: ImageCounts
    rows: int


@dataclass(frozen=True)
class ShardWriter:
    """Writes stretches of a table, by their number."""

    source: SampleSource
    form: ShardForm
    stretches: Sequence[Stretch]

    def __call__(self, unit: int) -> WrittenStretch:
        """Write the shards of one stretch.

        Raises:
            ReleaseError: an image cannot be read, or has changed since the table was made.
        """
        stretch, source = self.stretches[unit], self.source
        reader = ImageReader(Table(source.table), source.column, source.root, source.changes)
        rows_of = _StretchRows(reader.table, stretch)
        shards = {name: TarShards(self.form, name, stretch.first, stretch.most) for name in stretch.splits.values()}
        rows = 0
        with ExitStack() as stack:
            for one in shards.values():
                stack.callback(one.abandon)
            batches = stack.enter_context(closing(reader.uncounted(source.read, rows_of)))
            for batch in batches:
                released = source.released(batch.rows, self.form.schema, batch.digests)
                images, values = batch.images, split_values(batch.rows)
                added = 0
                for name, part, places in by_split(released, range(len(images)), values, stretch.splits):
                    added += shards[name].add(part, [images[place] for place in places])
                reader.note(batch, added)
                rows += added
                if all(one.full for one in shards.values()):
                    break
            return WrittenStretch([shard for one in shards.values() for shard in one.finish()], reader.counts, rows)


class _StretchRows:
    """The rows of a stretch, in batches."""

    def __init__(self, table: Table, stretch: Stretch) -> None:
        self._table, self._stretch = table, stretch
        self._all = SPLIT not in table.schema.names or len(stretch.splits) > 1

    def __call__(self, columns: Sequence[str], batch_rows: int) -> Iterator[Rows]:
        left = self._stretch.rows if self._stretch.most else self._table.record.rows_kept
        for table in in_row_groups(self._tables(columns, batch_rows), batch_rows):
            yield Rows(table.slice(0, left))
            left -= len(table)
            if left <= 0:
                return

    def _tables(self, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        (value,) = self._stretch.splits if not self._all else (None,)
        for rows in self._table.batches(columns, batch_rows, self._stretch.start):
            yield rows.table if self._all else rows.table.filter(_has_split(rows, value))


def _has_split(rows: Rows, value: str | None) -> pa.Array:
    """Return which rows are of a split. A comparison with the value would import pandas if it is installed."""
    values = rows.column(SPLIT).cast(pa.string())
    return values.is_null() if value is None else pc.is_in(values, value_set=text_array([value]))


def write_tars(
    source: SampleSource, form: ShardForm, splits: Mapping[str | None, str], workers: Workers
) -> tuple[list[WrittenShard], ImageCounts]:
    """Write the shards of all splits.

    Args:
        source: the samples.
        form: of the shards.
        splits: name of each split by its value in the table.
        workers: what writes the shards.

    Returns:
        The shards, and the counts of their images.

    Raises:
        ReleaseError: an image cannot be read, or has changed since the table was made.
    """
    apart = workers if Table(source.table).record.rows_kept >= _FEW else HERE
    plan = _Plan(source, form, splits)
    with ThreadPoolExecutor(1, "flush-tar") as threads:
        while units := plan.left():
            write = ShardWriter(source, form, plan.stretches)
            with closing(apart.map_apart(write, units, form.folder, lambda: _inputs(source))) as results:
                for unit, written in results:
                    for shard in written.shards:
                        threads.submit(flush, form.path(shard.split, shard.number, ".tar"))
                    if plan.changes_with(unit, written):
                        break
    done = list(plan.found.values())
    counts = ImageCounts()
    for written in done:
        counts.add(written.counts)
    return _named([shard for written in done for shard in written.shards], counts, form), counts


class _Plan:
    """The stretches of a table: those that were written, and those that are left.

    Attributes:
        stretches: all, those that turned out to be wrong among them.
        found: what was written, by the number of the stretch.
    """

    def __init__(self, source: SampleSource, form: ShardForm, splits: Mapping[str | None, str]) -> None:
        self._table, self._most_rows = Table(source.table), form.most_rows
        self.stretches = _stretches(self._table, source, form, splits)
        self.found: dict[int, WrittenStretch] = {}
        self._wrong: set[int] = set()

    def left(self) -> list[int]:
        """Return the stretches that are not written."""
        return [unit for unit in range(len(self.stretches)) if unit not in self.found and unit not in self._wrong]

    def changes_with(self, unit: int, written: WrittenStretch) -> bool:
        """Take what was written; return whether that changes the stretches that are left."""
        self.found[unit] = written
        mine = [at for at, one in enumerate(self.stretches) if one.splits == self.stretches[unit].splits]
        if not any(self._is_short(at) for at in mine) or any(self.stretches[at].most is None for at in mine):
            return False
        short = next(at for at in mine if at not in self.found or self._is_short(at))
        if short not in self.found:  # it may be short too
            return False
        ended = self.stretches[short]
        later = [at for at in mine if self.stretches[at].first > ended.first]
        self._wrong.update(later)
        for at in later:
            self.found.pop(at, None)
        (value,) = ended.splits
        start = _nth_row(self._table, value, ended.first * self._most_rows + self.found[short].rows)
        self.stretches.append(Stretch(start, ended.splits, ended.first + 1))
        return True

    def _is_short(self, unit: int) -> bool:
        """Whether a shard was closed by its bytes before it had all its rows."""
        return unit in self.found and self.found[unit].rows < self.stretches[unit].rows


def _stretches(table: Table, source: SampleSource, form: ShardForm, splits: Mapping[str | None, str]) -> list[Stretch]:
    """Return a stretch for each shard, as far as it is known where they begin."""
    if source.column == IMAGE and len(splits) > 1:  # each stretch would read the bytes of all splits
        return [Stretch(0, splits)]
    found, every = [], form.most_rows
    starts: dict[str | None, list[int]] = {value: [] for value in splits}
    counts = dict.fromkeys(splits, 0)
    for value, rows in _rows_by_split(table):
        starts[value] += rows[-counts[value] % every :: every]
        counts[value] += len(rows)
    for value, name in splits.items():
        for shard, start in enumerate(starts[value]):
            found.append(Stretch(start, {value: name}, shard, 1, min(every, counts[value] - shard * every)))
    return found


def _rows_by_split(table: Table) -> Iterator[tuple[str | None, Sequence[int]]]:
    """Yield rows of the table by the value of their split, in order."""
    if SPLIT not in table.schema.names:
        yield None, range(table.record.rows_kept)
        return
    at = 0
    for rows in table.batches([SPLIT]):
        values = np.array(split_values(rows), object)
        for value in dict.fromkeys(values):
            yield value, (np.flatnonzero(values == value) + at).tolist()
        at += len(rows)


def _nth_row(table: Table, value: str | None, number: int) -> int:
    """Return the row of the table that is row `number` of a split."""
    for one, rows in _rows_by_split(table):
        if one == value:
            if number < len(rows):
                return rows[number]
            number -= len(rows)
    raise IndexError(number)


def _inputs(source: SampleSource) -> list[str]:
    roots = source.root.values() if isinstance(source.root, Mapping) else [source.root]
    return [str(source.table), *(root for root in roots if root and "://" not in root)]


def _named(shards: list[WrittenShard], counts: ImageCounts, form: ShardForm) -> list[WrittenShard]:
    """Give all pictures one extension; a shard that is changed by that loses its digest."""
    ending = picture_extension(counts.formats)
    changed = [shard for shard in shards if shard.endings != {ending}]
    for shard in changed:
        form.rename(shard, ending)
    return [replace(shard, digest="") if shard in changed else shard for shard in shards]
