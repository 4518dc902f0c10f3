"""Find the rows nearest to each of many queries by cells, and measure how many of these rows that finds.

Rows are dealt out to their cells on disk, once. A query is compared with the rows of the `probes` cells whose centres
are nearest to it: first with those of the nearest cell, which gives it a cosine that its nearest rows have at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.params import percent
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Spread
from poolwright.kernels.clusters.cells import Cells, train_cells, usual_cells
from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.ranks import ALL, hash_ranks
from poolwright.kernels.similarity.nearest_rows import NearestRows, RowSearch, nearest_rows
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows
from poolwright.steps.describe.duplicates.recall import WIDER, recall_values, recall_words
from poolwright.steps.describe.duplicates.samples import LEARNED_FROM, draw

SEARCHED = 1_000
"""Queries at most that are searched exactly."""

_ROWS = 16_384
"""Rows of a cell that are compared at once."""

_QUERIES = 1_024
"""Queries whose products with all centres are held at once."""


@dataclass(frozen=True)
class Queries:
    """Rows whose nearest rows are wanted.

    Attributes:
        uids: distinct uids.
        vectors: (q, d) float16 or float32, finite and not zero.
        k: rows that each of them finds.
        key: 64-bit key of the step.
    """

    uids: pa.Array
    vectors: np.ndarray
    k: int
    key: int

    def __len__(self) -> int:
        return len(self.vectors)


def search_cells(
    frame: Frame, column: str, count: int, queries: Queries, asked: int, wanted: float
) -> tuple[NearestRows, dict[str, Any]]:
    """Find the live rows nearest to each query, but for those in cells that it is not compared with.

    Some queries, drawn by a hash of their uid, are searched exactly first. The cells of the rows they find show the
    recall of every number of probes.

    Args:
        frame: the rows.
        column: of their vectors.
        count: all rows.
        queries: the queries.
        asked: probes, 1 or more; more are taken as long as the recall is below the wanted one.
        wanted: recall.

    Returns:
        What `nearest_rows` returns, and values for the state.
    """
    sample = draw(frame, column, count, LEARNED_FROM, queries.key, "cells")
    if not len(sample):
        return nearest_rows(frame, column, queries.vectors, queries.k, queries.key), {"method": "exact"}
    cells = train_cells(sample.unit, usual_cells(count, len(sample)))
    picked = np.argsort(hash_ranks(queries.uids, hash_key(queries.key, "recall")), kind="stable")[:SEARCHED]
    known = nearest_rows(frame, column, queries.vectors[picked], queries.k, queries.key)
    with frame.spread((UID, column), _Deal(column, cells), len(cells), "cells") as dealt:
        ahead = _cells_ahead(dealt, cells, unit_rows(queries.vectors[picked]), known, queries.key)
        probes = min(asked, len(cells))
        while probes < len(cells) and (ahead < probes).sum() < wanted * (ahead < len(cells)).sum():
            probes = min(ceil(probes * WIDER), len(cells))
        found = _search(dealt, column, cells, queries, probes)
    recall = recall_values((ahead < probes).sum(axis=1), (ahead < len(cells)).sum(axis=1))
    return found, {"method": "cells", "cells": len(cells), "probes": probes, **recall}


def words(values: Mapping[str, Any], asked: int, wanted: float) -> str:
    """Describe a search by cells, as `search_cells` gives it."""
    text = f"searched in {values['cells']:,} cells, for each row the {values['probes']:,} nearest"
    if values["probes"] > asked:
        text += f" (widened from {asked:,} for a recall of {percent(wanted)})"
    return text if values["recall"] is None else f"{text}; {recall_words(values, 'nearest rows')}"


def _cells_ahead(dealt: Spread, cells: Cells, unit: np.ndarray, known: NearestRows, key: int) -> np.ndarray:
    """Return how many cells are nearer to each query than that of a row it finds: int64 (q, k).

    The number of all cells where it finds no row. Rows are known by their hash rank alone.
    """
    ranks, place = np.unique(known.ranks, return_inverse=True)
    cell_of = np.zeros(len(ranks), np.int64)
    for cell in range(len(cells)):
        for table in _slices(dealt.read(cell)):
            mine = hash_ranks(Rows(table).column(UID), key)
            at = np.minimum(np.searchsorted(ranks, mine), len(ranks) - 1)
            cell_of[at[ranks[at] == mine]] = cell
        dealt.forget()
    nearness = cells.projected(unit) @ cells.centres.T
    own = np.take_along_axis(nearness, cell_of[place].reshape(known.ranks.shape), axis=1)
    nearness.sort(axis=1)
    ahead = [len(cells) - np.searchsorted(*pair, side="right") for pair in zip(nearness, own, strict=True)]
    return np.where(known.scores > -np.inf, np.stack(ahead), len(cells))


def _search(dealt: Spread, column: str, cells: Cells, queries: Queries, probes: int) -> NearestRows:
    """Compare each query with its nearest cell, then with the others."""
    found = NearestRows.none(len(queries), queries.k)
    visits = _Visits.of(cells, queries.vectors, probes)
    compare = _Compare(column, queries.vectors, queries.k, queries.key, visits, None)
    for _, table in dealt.map("nearest", compare):
        _take(found, table)
    if probes > 1:
        for _, table in dealt.map("others", replace(compare, least=found.scores[:, -1].copy())):
            _take(found, table)
    return found


def _take(found: NearestRows, table: pa.Table) -> None:
    if len(table):
        found.add(*(table.column(name).to_numpy() for name in ("query", "score", "rank", "check")))


@dataclass(frozen=True)
class _Deal:
    """Deals rows out to their cells; rows without a direction are left out."""

    column: str
    cells: Cells

    def __call__(self, rows: Rows, places: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        vectors = rows.vectors(self.column)
        usable = np.flatnonzero(has_direction(vectors))
        return rows.select([UID, self.column]).table.take(pa.array(usable)), self.cells.home(unit_rows(vectors[usable]))


@dataclass(frozen=True)
class _Visits:
    """The cells that queries are compared with: those whose centres have the highest products with them.

    Attributes:
        cells: the cells.
        projected: (q, p) float32, the queries in the directions of the cells.
        nearest: (q,) product with the centre of the nearest cell.
        last: (q,) that with the last cell that it is compared with; others of the same product count as well.
    """

    cells: Cells
    projected: np.ndarray
    nearest: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, cells: Cells, queries: np.ndarray, probes: int) -> _Visits:
        blocks = [slice(at, at + _QUERIES) for at in range(0, len(queries), _QUERIES)]
        projected = np.concatenate([cells.projected(unit_rows(queries[block])) for block in blocks])
        ends = [np.partition(projected[block] @ cells.centres.T, (-probes, -1), axis=1) for block in blocks]
        return cls(cells, projected, *(np.concatenate([some[:, -at] for some in ends]) for at in (1, probes)))

    def of_cell(self, cell: int, first: bool) -> np.ndarray:
        """Return the queries that are compared with a cell, those of which it is the nearest or the others: (v,)."""
        nearness = self.projected @ self.cells.centres[cell]
        wanted = nearness == self.nearest if first else (nearness >= self.last) & (nearness < self.nearest)
        return np.flatnonzero(wanted)


@dataclass(frozen=True)
class _Compare:
    """Finds the nearest rows of a cell for the queries that are compared with it.

    Attributes:
        column: of the vectors.
        queries: (q, d).
        k: rows that each finds.
        key: of the hash ranks.
        visits: which queries are compared with which cell.
        least: (q,) cosines below which a row is not wanted; None for the nearest cell of each query.
    """

    column: str
    queries: np.ndarray
    k: int
    key: int
    visits: _Visits
    least: np.ndarray | None

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        mine = self.visits.of_cell(partition, self.least is None)
        least = np.full(len(mine), -np.inf, np.float32) if self.least is None else self.least[mine]
        known = least > -np.inf
        table = spread.read(partition)
        parts = self._nearest(table, mine[~known], None), self._nearest(table, mine[known], least[known])
        return pa.concat_tables(parts)

    def _nearest(self, table: pa.Table, mine: np.ndarray, least: np.ndarray | None) -> pa.Table:
        found = NearestRows.none(len(mine), self.k)
        search = RowSearch(self.column, self.queries[mine], self.key, ALL, least)
        for some in _slices(table) if len(mine) else ():
            found = search(found, Rows(some))
        query, place = np.nonzero(found.scores > -np.inf)
        values: dict[str, np.ndarray] = {"score": found.scores, "rank": found.ranks, "check": found.checks}
        return pa.table({"query": mine[query], **{name: value[query, place] for name, value in values.items()}})


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(at, _ROWS) for at in range(0, len(table), _ROWS))
