"""Measure the recall of cells: near-duplicates of some rows, searched among all, that would be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.params import percent
from poolwright.core.rows import Rows
from poolwright.kernels.clusters.cells import Cells
from poolwright.kernels.similarity.pairs import Screen, scan_pairs
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.kernels.statistics.binomial import clumped_interval
from poolwright.steps.describe.duplicates.samples import DrawnRows

WIDER = 1.5
"""What probes are multiplied by as long as recall is below the wanted one."""

MOST_PROBES = 16.0


@dataclass(frozen=True)
class Probes:
    """How far rows are compared beyond their own cell, and the recall that was measured.

    Attributes:
        probes: cells per row on average.
        margin: distance from the boundary of a cell within which rows are compared with its rows.
        found: int64 (n,) pairs of each sampled row that are compared.
        pairs: int64 (n,) its pairs by exact search.
    """

    probes: float
    margin: float
    found: np.ndarray
    pairs: np.ndarray

    @property
    def recall(self) -> float | None:
        """The share of pairs that are compared; None if there are no pairs."""
        total = int(self.pairs.sum())
        return int(self.found.sum()) / total if total else None

    def values(self) -> dict[str, Any]:
        """Return the figures for the state of the step."""
        return {"probes": self.probes, "margin": self.margin, **recall_values(self.found, self.pairs)}


def recall_values(found: np.ndarray, pairs: np.ndarray) -> dict[str, Any]:
    """Return the recall and its interval for a state.

    Args:
        found: int64 (n,) pairs of each row searched that are found.
        pairs: int64 (n,) its pairs by exact search.
    """
    low, high = clumped_interval(found, pairs)
    total = int(pairs.sum())
    return {
        "recall": round(int(found.sum()) / total, 6) if total else None,
        "recall_low": round(low, 6),
        "recall_high": round(high, 6),
        "recall_pairs": total,
        "recall_rows": len(pairs),
    }


def choose_probes(
    frame: Frame,
    column: str,
    least: float,
    cells: Cells,
    learned: DrawnRows,
    searched: DrawnRows,
    screen: Screen | None,
    asked: float,
    wanted: float,
) -> Probes:
    """Return the fewest probes, from those asked for on, whose recall is the wanted one or more.

    Near-duplicates of the rows searched are found among all rows, exactly and in one pass; which of these pairs are
    compared with each number of probes is known from the cells of both rows.

    Args:
        frame: the rows.
        column: of vectors.
        least: cosine that makes two rows a pair.
        cells: the cells.
        learned: rows that the cells are made from; they tell how many cells a margin means if none are searched.
        searched: rows to search pairs of, which tell that.
        screen: subspace that makes the search quick.
        asked: probes, 1 or more.
        wanted: recall.
    """
    ladder = [asked]
    while ladder[-1] < min(MOST_PROBES, len(cells)):
        ladder.append(min(round(ladder[-1] * WIDER, 3), MOST_PROBES, float(len(cells))))
    known = searched if len(searched) else learned  # rows that cells are made from are further from their boundaries
    margins = [cells.margin(known.unit, probes) if probes > 1 else 0.0 for probes in ladder]
    search = _Search(column, least, cells, searched, screen, margins)
    counted = frame.fold((UID, column), partial(_nothing, len(searched), len(margins)), search, _add)
    for number, (probes, margin) in enumerate(zip(ladder, margins, strict=True)):
        chosen = Probes(probes, margin, counted[:, number], counted[:, -1])
        if chosen.recall is None or chosen.recall >= wanted:
            return chosen
    return chosen


def words(values: dict[str, Any], asked: float, wanted: float) -> str:
    """Describe a recall measured, as `Probes.values` gives it."""
    cells = f"compared in {values['cells']:,} cells, {values['probes']:g} of them per row on average"
    if values["probes"] > asked:
        cells += f" (widened from {asked:g} for a recall of {percent(wanted)})"
    if values["recall"] is None:
        return f"{cells}; recall unknown, as the {values['recall_rows']:,} rows searched exactly have no pair"
    text = f"{cells}; {recall_words(values, 'pairs')}"
    return text if values["recall"] >= wanted else f"{text}, below the wanted {percent(wanted)}"


def recall_words(values: Mapping[str, Any], pairs: str) -> str:
    """Describe a recall that is known, as `recall_values` gives it; `pairs` names what is found."""
    interval = f"95% interval {values['recall_low']:.2%} to {values['recall_high']:.2%}"
    of = f"{values['recall_pairs']:,} {pairs} of {values['recall_rows']:,} rows"
    return f"recall {values['recall']:.2%} ({interval}) of {of}"


def _nothing(rows: int, margins: int) -> np.ndarray:
    return np.zeros((rows, margins + 1), np.int64)


def _add(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one += other
    return one


@dataclass(frozen=True)
class _Search:
    """Count the pairs of the rows searched with a batch: those that each margin finds, and all in the last column."""

    column: str
    least: float
    cells: Cells
    searched: DrawnRows
    screen: Screen | None
    margins: list[float]

    def __call__(self, counted: np.ndarray, rows: Rows) -> np.ndarray:
        vectors = rows.vectors(self.column)
        for i, j, _ in scan_pairs(self.searched.unit, vectors, self.least, self.screen):
            same = pc.equal(self.searched.uids.take(i), rows.column(UID).take(j).cast(self.searched.uids.type))
            others = ~same.to_numpy(zero_copy_only=False)
            self._count(counted, i[others], unit_rows(vectors[j[others]]))
        return counted

    def _count(self, counted: np.ndarray, sampled: np.ndarray, partners: np.ndarray) -> None:
        np.add.at(counted[:, -1], sampled, 1)
        ours = self.searched.unit[sampled]
        for number, margin in enumerate(self.margins):
            met = self._visits(ours, partners, margin) | self._visits(partners, ours, margin)
            np.add.at(counted[:, number], sampled[met], 1)

    def _visits(self, guests: np.ndarray, hosts: np.ndarray, margin: float) -> np.ndarray:
        """Whether each guest is compared in the nearest cell of its host."""
        met = np.zeros(len(guests), bool)
        row, cell = self.cells.visits(guests, margin)
        met[row[cell == self.cells.home(hosts)[row]]] = True
        return met
