"""Deal rows out to blocks or cells on disk, and compare them there with each other in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.spread import Spread
from poolwright.kernels.clusters.cells import Cells
from poolwright.kernels.clusters.spanning_forest import SpanningForest
from poolwright.kernels.selection.groups import local_groups
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.lookup.key_index import key_hashes
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.kernels.similarity.near_duplicates import distinct_rows
from poolwright.kernels.similarity.pairs import Screen, scan_pairs
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

PLACE, HOME, VECTOR, CLUSTER = "place", "home", "vector", "cluster"
LEFT, RIGHT, COSINE = "left", "right", "cosine"
ROWS = b"rows"
"""Metadata of the links of a partition: its rows, without guests."""


@dataclass(frozen=True)
class DealBlocks:
    """Deals rows out to blocks, by a hash of their uid; rows without a direction are left out."""

    column: str
    blocks: int

    def __call__(self, rows: Rows, places: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        usable = np.flatnonzero(has_direction(rows.vectors(self.column)))
        block = hash64(rows.column(UID), 0)[usable] % np.uint64(self.blocks)
        return _dealt(rows, self.column, places, usable, np.ones(len(usable), bool)), block.astype(np.int64)


@dataclass(frozen=True)
class DealCells:
    """Deals rows out to their cells, and as guests to those with a boundary within the margin."""

    column: str
    cells: Cells
    margin: float

    def __call__(self, rows: Rows, places: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        vectors = rows.vectors(self.column)
        usable = np.flatnonzero(has_direction(vectors))
        row, cell = self.cells.visits(unit_rows(vectors[usable]), self.margin)
        home = np.append(True, row[1:] != row[:-1])[: len(row)]
        return _dealt(rows, self.column, places, usable[row], home), cell


@dataclass(frozen=True)
class DealClusters:
    """Deals rows out by a hash of their cluster; rows without a direction or a cluster are left out."""

    column: str
    clusters: str
    partitions: int

    def __call__(self, rows: Rows, places: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        known = rows.column(self.clusters).is_valid().to_numpy(zero_copy_only=False)
        usable = np.flatnonzero(known & has_direction(rows.vectors(self.column)))
        cluster = plain(rows.column(self.clusters).take(pa.array(usable)))
        table = _dealt(rows, self.column, places, usable, np.ones(len(usable), bool))
        partition = key_hashes([cluster]) % np.uint64(self.partitions)
        return table.append_column(CLUSTER, cluster), partition.astype(np.int64)


def _dealt(rows: Rows, column: str, places: np.ndarray, taken: np.ndarray, home: np.ndarray) -> pa.Table:
    picked = rows.select([UID, column]).table.take(pa.array(taken))
    return pa.table(
        {
            PLACE: pa.array(places[taken]),
            HOME: pa.array(home),
            UID: picked.column(UID).cast(pa.large_string()),
            VECTOR: picked.column(column),
        }
    )


@dataclass(frozen=True)
class _Block:
    """Rows of a partition, each vector once.

    Attributes:
        table: all rows.
        rows: int64 (k,) of them, the first of each vector.
        vectors: (k, d).
        number: int64 (n,) of each row its vector, -1 for none.
    """

    table: pa.Table
    rows: np.ndarray
    vectors: np.ndarray
    number: np.ndarray

    @classmethod
    def of(cls, table: pa.Table) -> _Block:
        vectors = Rows(table).vectors(VECTOR)
        rows, number = distinct_rows(vectors)
        return cls(table, rows, vectors[rows], number)

    @property
    def places(self) -> np.ndarray:
        return np.asarray(self.table.column(PLACE))


@dataclass(frozen=True)
class CompareBlocks:
    """Compares each block with itself and with the half of the others that follow it, in a circle: all pairs once."""

    least: float
    screen: Screen | None

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        mine = _Block.of(spread.read(partition))
        tables, forest = [mine.table], SpanningForest()
        _link_within(forest, mine, self.least, self.screen)
        for number in _following(partition, spread.partitions):
            other = _Block.of(spread.read(number))
            _link_between(forest, mine, other, self.least, self.screen)
            tables.append(other.table)
        return _links(forest, tables, len(mine.table))


@dataclass(frozen=True)
class CompareCell:
    """Compares the rows of a cell with each other and with its guests."""

    least: float
    screen: Screen | None

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        table = spread.read(partition)
        home, forest = np.asarray(table.column(HOME)), SpanningForest()
        mine, guests = _Block.of(table.filter(pa.array(home))), _Block.of(table.filter(pa.array(~home)))
        _link_within(forest, mine, self.least, self.screen)
        _link_between(forest, mine, guests, self.least, self.screen)
        return _links(forest, [table], len(mine.table))


@dataclass(frozen=True)
class CompareClusters:
    """Compares the rows of each cluster of a partition with each other, all pairs."""

    least: float

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        table, forest = spread.read(partition), SpanningForest()
        cluster, _ = local_groups([one_array(table.column(CLUSTER))])
        order = np.argsort(cluster, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1):
            _link_within(forest, _Block.of(table.take(pa.array(rows))), self.least, None)
        return _links(forest, [table], len(table))


Compare = CompareBlocks | CompareCell | CompareClusters


def _following(partition: int, partitions: int) -> Iterator[int]:
    """Yield the partitions that one is compared with, so that any two meet once."""
    for step in range(1, partitions // 2 + 1):
        if 2 * step < partitions or partition < step:
            yield (partition + step) % partitions


def _link_within(forest: SpanningForest, block: _Block, least: float, screen: Screen | None) -> None:
    places = block.places
    order = np.argsort(block.number, kind="stable")
    equal = (np.diff(block.number[order]) == 0) & (block.number[order][1:] >= 0)
    forest.add(places[order[:-1][equal]], places[order[1:][equal]], np.ones(int(equal.sum())))
    for i, j, cosine in scan_pairs(block.vectors, None, least, screen):
        forest.add(places[block.rows[i]], places[block.rows[j]], cosine)


def _link_between(forest: SpanningForest, mine: _Block, other: _Block, least: float, screen: Screen | None) -> None:
    ours, theirs = mine.places[mine.rows], other.places[other.rows]
    for i, j, cosine in scan_pairs(mine.vectors, other.vectors, least, screen):
        forest.add(ours[i], theirs[j], cosine)
    # Of equal guests one was compared: the others go with it, as they may be compared with each other nowhere else.
    again = np.flatnonzero(other.number >= 0)
    first = other.rows[other.number[again]]
    again, first = again[again != first], first[again != first]
    forest.add(other.places[again], other.places[first], np.ones(len(again)))


def _links(forest: SpanningForest, tables: list[pa.Table], count: int) -> pa.Table:
    """Return the links of a forest by the places and uids of their rows."""
    left, right, cosine = forest.edges()
    rows = pa.concat_tables([table.select([PLACE, UID]) for table in tables])
    places = np.asarray(rows.column(PLACE))
    order = np.argsort(places, kind="stable")
    columns = {LEFT: pa.array(left), RIGHT: pa.array(right), COSINE: pa.array(cosine)}
    for name, ends in ((LEFT, left), (RIGHT, right)):
        at = order[np.searchsorted(places[order], ends)] if len(ends) else np.empty(0, np.int64)
        columns[f"{name}_{UID}"] = rows.column(UID).take(pa.array(at)).combine_chunks()
    return pa.table(columns).replace_schema_metadata({ROWS: str(count)})
