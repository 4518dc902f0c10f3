"""Find the rows that are linked by their vectors, exactly or by cells, in memory that grows with linked rows alone."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.frame import Context, Frame
from poolwright.core.runtime.spread import Spread
from poolwright.kernels.clusters.cells import Cells, train_cells, usual_cells
from poolwright.kernels.clusters.spanning_forest import SpanningForest
from poolwright.kernels.selection.group_counts import count_rows
from poolwright.kernels.similarity.pairs import ROUNDING, Screen, learn_screen
from poolwright.steps.describe.duplicates.comparing import (
    COSINE,
    LEFT,
    RIGHT,
    ROWS,
    Compare,
    CompareBlocks,
    CompareCell,
    CompareClusters,
    DealBlocks,
    DealCells,
    DealClusters,
)
from poolwright.steps.describe.duplicates.recall import choose_probes
from poolwright.steps.describe.duplicates.samples import LEARNED_FROM, SEARCHED, DrawnRows, draw

Method = Literal["auto", "exact", "cells"]

EXACT_BYTES = 500_000_000
"""Most bytes of vectors that `auto` compares all with all: half a million rows of 512 float16 values."""

BLOCK_BYTES = 16 << 20
"""Bytes of the vectors of a block; a worker holds two at a time, and widens 8,192 rows of each to float32."""

_MOST_PARTITIONS = 8_192
CURVE = 20
"""Steps of the curve between the least cosine and 1."""


@dataclass(frozen=True)
class Linked:
    """Rows with at least one near-duplicate by their vectors.

    Attributes:
        uids: of these rows, in their order.
        left: int64 (e,), a row of `uids`, one end of each link that decides which rows are connected.
        right: int64 (e,), the other end.
        cosine: float64 (e,) of the two.
        values: what is known of the comparison, for the state.
    """

    uids: pa.Array
    left: np.ndarray
    right: np.ndarray
    cosine: np.ndarray
    values: dict[str, Any]


class Comparison(Protocol):
    """Parameters of `NearDuplicates` about vectors."""

    @property
    def vectors(self) -> str | None: ...
    @property
    def above(self) -> float: ...
    @property
    def method(self) -> Method: ...
    @property
    def probes(self) -> float: ...
    @property
    def recall(self) -> float: ...
    @property
    def clusters(self) -> str | None: ...


@dataclass(frozen=True)
class VectorLinks:
    """Links rows whose vectors have a cosine of `least` or more.

    Attributes:
        frame: the rows.
        context: of the fit.
        column: of vectors.
        least: cosine.
        method: see `NearDuplicates`.
        probes: likewise.
        recall: likewise.
        clusters: likewise.
    """

    frame: Frame
    context: Context
    column: str
    least: float
    method: Method
    probes: float
    recall: float
    clusters: str | None = None

    @classmethod
    def of(cls, frame: Frame, context: Context, step: Comparison) -> VectorLinks:
        """Return the links that a step asks for."""
        assert step.vectors is not None
        return cls(frame, context, step.vectors, step.above, step.method, step.probes, step.recall, step.clusters)

    @cached_property
    def count(self) -> int:
        """All rows."""
        return count_rows(self.frame)

    @cached_property
    def exact(self) -> bool:
        """Whether all pairs are compared."""
        return self.method == "exact" or (self.method == "auto" and self.bytes <= EXACT_BYTES)

    @property
    def bytes(self) -> int:
        """Of all vectors."""
        dtype = self.frame.schema.field(self.column).type
        return int(self.count * dtype.list_size * dtype.value_type.bit_width // 8)

    @cached_property
    def sample(self) -> DrawnRows:
        """Rows that the cells and the subspace of the screen are learned from."""
        return draw(self.frame, self.column, self.count, LEARNED_FROM, self.context.key, "cells")

    @cached_property
    def cells(self) -> Cells | None:
        """As many cells as the root of the number of rows, so that a row is compared with as many rows as cells."""
        wanted = usual_cells(self.count, len(self.sample))
        return train_cells(self.sample.unit, wanted) if len(self.sample) else None

    def find(self, files: ExitStack) -> Linked:
        """Find all of them.

        Args:
            files: leaving it erases the vectors on disk, and which rows they link: after the fit, so that one that is
                killed later compares no rows again.
        """
        if self.clusters is not None:
            return self._compare_clusters(files, self.clusters)
        if self.exact or self.cells is None:
            return self._compare_all(files)
        searched = draw(self.frame, self.column, self.count, SEARCHED, self.context.key, "recall")
        chosen = choose_probes(
            self.frame,
            self.column,
            self.least,
            self.cells,
            self.sample,
            searched,
            self._screen([self.sample.unit]),
            self.probes,
            self.recall,
        )
        deal = DealCells(self.column, self.cells, chosen.margin)
        homes = self.cells.home(self.sample.unit)
        order = np.argsort(homes, kind="stable")
        groups = np.split(self.sample.unit[order], np.flatnonzero(np.diff(homes[order])) + 1)
        compare = CompareCell(self.least, self._screen(groups[:256]))
        dealt = files.enter_context(self.frame.spread((UID, self.column), deal, len(self.cells), "cells"))
        found = _gathered(dealt, compare, self.least, self.count)
        found.values.update({"method": "cells", "cells": len(self.cells), **chosen.values()})
        return found

    def _compare_clusters(self, files: ExitStack, clusters: str) -> Linked:
        partitions = min(max(1, -(-self.bytes // BLOCK_BYTES)), _MOST_PARTITIONS)
        deal = DealClusters(self.column, clusters, partitions)
        dealt = files.enter_context(self.frame.spread((UID, self.column, clusters), deal, partitions, "clusters"))
        found = _gathered(dealt, CompareClusters(self.least), self.least, self.count)
        found.values["method"] = "clusters"
        return found

    def _compare_all(self, files: ExitStack) -> Linked:
        blocks = max(1, -(-self.bytes // BLOCK_BYTES))
        screen = self._screen([self.sample.unit]) if blocks > 1 else None
        deal = DealBlocks(self.column, blocks)
        dealt = files.enter_context(self.frame.spread((UID, self.column), deal, blocks, "blocks"))
        found = _gathered(dealt, CompareBlocks(self.least, screen), self.least, self.count)
        found.values["method"] = "exact"
        return found

    def _screen(self, groups: Iterable[np.ndarray]) -> Screen | None:
        """Return the subspace for comparing rows of the same group, as far as the sample shows."""
        halves = [(group[: len(group) // 2][:256], group[len(group) // 2 :][:256]) for group in groups]
        trials = [(left, right) for left, right in halves if len(left) and len(right)]
        return learn_screen(self.sample.unit[:2_048], trials, self.least) if trials else None


def _gathered(dealt: Spread, compare: Compare, least: float, count: int) -> Linked:
    """Compare the rows of every partition, and keep the links that connect rows."""
    forest, places, uids = SpanningForest(), [np.empty(0, np.int64)], [pa.array([], pa.large_string())]
    directed = 0
    for _, links in dealt.map("links", compare):
        directed += int(links.schema.metadata[ROWS])
        ends = [np.asarray(links.column(name)) for name in (LEFT, RIGHT)]
        forest.add(ends[0].copy(), ends[1].copy(), np.asarray(links.column(COSINE)).copy())
        for name, end in zip((LEFT, RIGHT), ends, strict=True):
            few, first = np.unique(end, return_index=True)
            places.append(few)
            uids += links.column(f"{name}_{UID}").take(pa.array(first)).chunks
    left, right, cosine = forest.edges()
    known, first = np.unique(np.concatenate(places), return_index=True)
    names = pa.chunked_array(uids).take(pa.array(first)).combine_chunks()
    order = pc.sort_indices(names).to_numpy()
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    one, other = (row[np.searchsorted(known, some)] for some in (left, right))
    ladder = least + (1 - least) * np.arange(CURVE + 1) / CURVE
    curve = [[round(float(at), 6), int((cosine >= at - ROUNDING).sum())] for at in ladder]
    return Linked(names.take(pa.array(order)), one, other, cosine, {"curve": curve, "undirected": count - directed})
