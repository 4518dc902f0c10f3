"""Show the worst mistakes of a table with known truth: wrongly predicted rows, the most confident first."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from poolwright.core.columns import SIMILARITY, UID
from poolwright.core.rows import Rows
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.report.charts.distributions import BATCH_ROWS
from poolwright.report.sheets import Budget, Sheet, sheets_of
from poolwright.report.view import TableView

KINDS, PER_KIND = 6, 16
_SURENESS = ("decision", "probability", SIMILARITY)
"""Columns that measure confidence: the further from zero, the worse a mistake. The first that exists is used."""


@dataclass
class _Found:
    """The worst of each kind of mistake so far: heaps of (confidence, rank by hash, row number)."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    worst: dict[tuple[str, str], list[tuple[float, int, int]]] = field(default_factory=dict)


def mistake_sheets(view: TableView, predicted: str, truth: str, budget: Budget) -> list[Sheet]:
    """Return a sheet for each of the most frequent kinds of mistakes; none if a column is missing or all is right.

    Args:
        predicted, truth: columns that an `accuracy` figure of the recipe compares.
    """
    table, names = view.table, view.table.schema.names
    if not {predicted, truth} <= set(names) or not table.record.rows_kept:
        return []
    by = next((name for name in _SURENESS if name in names), None)
    found, start, key = _Found(), 0, hash_key(table.record.seed, table.name, "mistakes")
    for rows in table.batches([UID, predicted, truth, *([by] if by else [])], BATCH_ROWS):
        _look(found, rows, start, (predicted, truth, by), key)
        start += len(rows)
    kinds = sorted(found.counts, key=lambda kind: (-found.counts[kind], kind))[:KINDS]
    each = max(1, min(PER_KIND, budget.pictures // (2 * max(1, len(kinds)))))
    picked = [[row for *_, row in sorted(found.worst[kind], reverse=True)[:each]] for kind in kinds]
    titles = [f"taken for {said}, is {true}" for said, true in kinds]
    shown = [name for name in (by, predicted, truth) if name]
    return sheets_of(view, titles, [found.counts[kind] for kind in kinds], picked, budget, shown)


def _look(found: _Found, rows: Rows, start: int, columns: tuple[str, str, str | None], key: int) -> None:
    predicted, truth, by = columns
    said, true = (np.array([value or "nothing" for value in rows.strings(name)]) for name in (predicted, truth))
    wrong = np.flatnonzero(said != true)
    sure = np.abs(np.nan_to_num(rows.column(by).to_numpy(zero_copy_only=False))) if by else np.zeros(len(rows))
    ranks = hash64(rows.column(UID), key)
    for row in wrong:
        kind = (str(said[row]), str(true[row]))
        found.counts[kind] += 1
        heap = found.worst.setdefault(kind, [])
        heapq.heappush(heap, (float(sure[row]), -int(ranks[row]), start + int(row)))
        if len(heap) > PER_KIND:
            heapq.heappop(heap)
