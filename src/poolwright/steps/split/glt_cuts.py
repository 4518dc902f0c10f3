"""Find the thresholds of hash ranks by which rows go into the sets of the two GLT protocols.

Rows of one class and attribute, a cell, are ordered by a first hash rank: Test-GBL is the beginning, Test-CBL
follows, then the long-tailed rest. Of all rows of that rest, Test-GLT are the first by a second hash rank, and the val
of GLT follows. The class-balanced rest and its val begin, in each cell, after Test-CBL, and skip the rows of Test-GLT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.counters import Counters
from poolwright.kernels.selection.groups import Groups
from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.reference.glt_sets import SETS, TEST_BBL, TEST_BL, TEST_LT, TRAIN, VAL
from poolwright.steps.split.glt_draws import Counts, Draws, draw_balanced

NOWHERE = len(SETS)
SIZES = ("test_bbl", "test_bl", "glt.test_lt", "glt.val", "glt.train", "cbl.val", "cbl.train")
"""Names of the sets in the state; the balanced tests are those of both protocols."""
_GLT_SETS = (SETS.index(TEST_LT), SETS.index(VAL))
_CUTS = ("test_bbl", "test_bl", "rest", "balanced_val", "balanced_rest")

SetIndices = npt.NDArray[np.int64]
"""The set of each row, as index in `SETS`; NOWHERE for none."""


@dataclass(frozen=True)
class SetCuts:
    """Greatest ranks of the sets.

    Attributes:
        key: 64-bit key of the hash ranks.
        cells: the cells: classes and attributes.
        test_bbl, test_bl, rest: greatest first rank in each cell, int64 (k,).
        test_lt, val: greatest second rank of Test-GLT and of the val of GLT.
        balanced_val, balanced_rest: greatest first rank in each cell, int64 (k,).
    """

    key: int
    cells: Groups
    test_bbl: Counts
    test_bl: Counts
    rest: Counts
    test_lt: int
    val: int
    balanced_val: Counts
    balanced_rest: Counts

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are read, with the uid."""
        return self.cells.columns

    def table(self, figures: dict[str, np.ndarray]) -> pa.Table:
        """Return the cells with their cuts and other figures, for a state."""
        return self.cells.table({**{f"cut.{name}": getattr(self, name) for name in _CUTS}, **figures})

    @classmethod
    def of(cls, key: int, cells: Groups, table: pa.Table, test_lt: int, val: int) -> SetCuts:
        cuts = {name: table.column(f"cut.{name}").to_numpy() for name in _CUTS}
        return cls(key=key, cells=cells, test_lt=test_lt, val=val, **cuts)

    def sets_of(self, ids: np.ndarray, uids: pa.Array) -> tuple[SetIndices, SetIndices]:
        """Return the set of each row in GLT and in CBL, given its cell (-1 for none)."""
        rank, second = hash_ranks(uids, self.key), hash_ranks(uids, _second(self.key))

        def within(cut: Counts) -> npt.NDArray[np.bool_]:
            return np.asarray(rank <= np.append(cut, -1)[ids])

        tests = [within(self.test_bbl), within(self.test_bl)]
        rest = within(self.rest)
        long_tailed = [rest & (second <= self.test_lt), rest & (second <= self.val), rest]
        glt = np.select([*tests, *long_tailed], [*map(SETS.index, (TEST_BBL, TEST_BL, TEST_LT, VAL, TRAIN))], NOWHERE)
        apart = glt == SETS.index(TEST_LT)
        balanced = [apart, within(self.balanced_val), within(self.balanced_rest)]
        sets = [*map(SETS.index, (TEST_BBL, TEST_BL)), NOWHERE, *map(SETS.index, (VAL, TRAIN))]
        return glt, np.select([*tests, *balanced], sets, NOWHERE)


def fit_cuts(
    frame: Frame, cells: Groups, flat: tuple[np.ndarray, np.ndarray], draws: Draws, key: int
) -> tuple[SetCuts, dict[str, Counts]]:
    """Return the cuts of all sets, and the rows of each set in every cell.

    Args:
        flat: class and attribute of each cell, by which it is found in `draws`.

    Raises:
        StepError: Test-GLT leaves too few rows for CBL.
    """
    cuts = _cut_long_tailed(frame, cells, flat, draws, key)
    test_lt, val = _count_drawn(frame, cuts)
    taken = np.zeros_like(draws.there)
    taken[flat] = test_lt
    balanced, balanced_val = (counts[flat] for counts in draw_balanced(draws, taken))
    ends = draws.tests[flat] + np.stack([balanced_val, balanced])
    low, high = cut_ranks(frame, cells, draws.there[flat] - test_lt, key, ends, _NotInTestLt(cuts))
    rows = {
        "test_bbl": draws.test_bbl[flat],
        "test_bl": draws.test_bl[flat],
        "glt.test_lt": test_lt,
        "glt.val": val,
        "glt.train": draws.rest[flat] - test_lt - val,
        "cbl.val": balanced_val,
        "cbl.train": balanced - balanced_val,
    }
    return replace(cuts, balanced_val=low, balanced_rest=high), rows


def no_cuts(cells: Groups) -> tuple[SetCuts, dict[str, Counts]]:
    """Return the cuts and counts of a table without rows."""
    none = np.empty(0, np.int64)
    return SetCuts(0, cells, none, none, none, -1, -1, none, none), dict.fromkeys(SIZES, none)


def _cut_long_tailed(
    frame: Frame, cells: Groups, flat: tuple[np.ndarray, np.ndarray], draws: Draws, key: int
) -> SetCuts:
    """Return the cuts of the tests, the rest and the sets of GLT; those of CBL take nothing yet."""
    there, bbl, bl, rest = (counts[flat] for counts in (draws.there, draws.test_bbl, draws.test_bl, draws.rest))
    ranks = cut_ranks(frame, cells, there, key, np.cumsum([bbl, bl, rest], axis=0))
    in_rest = _InRest(cells, key, ranks[1], ranks[2])
    ends = np.cumsum([draws.wanted.test_lt, draws.wanted.val])[:, None] * len(draws.there)
    counts = np.array([rest.sum()], dtype=np.int64)
    test_lt, val = cut_ranks(frame, Groups([], ()), counts, _second(key), ends, in_rest)[:, 0].tolist()
    none = np.full(len(there), -1, dtype=np.int64)
    return SetCuts(key, cells, ranks[0], ranks[1], ranks[2], test_lt, val, none, none)


def _count_drawn(frame: Frame, cuts: SetCuts) -> Counts:
    """Count the rows of Test-GLT and of the val of GLT in every cell: int64 (2, k)."""
    size = len(cuts.cells)
    drawn = frame.fold([*cuts.columns, UID], _Start(len(_GLT_SETS) * size), _AddDrawn(cuts), Counters.merge)
    return drawn.counts.reshape(len(_GLT_SETS), size)


def _second(key: int) -> int:
    return hash_key(key, TEST_LT)


@dataclass(frozen=True)
class _InRest:
    """Limit a draw to the long-tailed rest."""

    cells: Groups
    key: int
    above: Counts
    cut: Counts

    @property
    def columns(self) -> Sequence[str]:
        return self.cells.columns

    def __call__(self, rows: Rows, ids: np.ndarray) -> np.ndarray:
        cells = self.cells.ids(rows)
        rank = hash_ranks(rows.column(UID), self.key)
        return np.asarray((rank > np.append(self.above, -1)[cells]) & (rank <= np.append(self.cut, -1)[cells]))


@dataclass(frozen=True)
class _NotInTestLt:
    """Leave the rows of Test-GLT out of a draw."""

    cuts: SetCuts

    @property
    def columns(self) -> Sequence[str]:
        return self.cuts.columns

    def __call__(self, rows: Rows, ids: np.ndarray) -> np.ndarray:
        return np.asarray(self.cuts.sets_of(ids, rows.column(UID))[0] != SETS.index(TEST_LT))


@dataclass(frozen=True)
class _Start:
    size: int

    def __call__(self) -> Counters:
        return Counters(self.size)


@dataclass(frozen=True)
class _AddDrawn:
    cuts: SetCuts

    def __call__(self, bins: Counters, rows: Rows) -> Counters:
        ids = self.cuts.cells.ids(rows)
        glt, _ = self.cuts.sets_of(ids, rows.column(UID))
        for line, index in enumerate(_GLT_SETS):
            bins.add(line * len(self.cuts.cells) + ids[glt == index])
        return bins
