"""The sets of the generalized long tail (GLT), by the names that their files give them, and counts of their rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ATTRIBUTE, CLASS_INDEX, FREQUENCY, LONG_TAIL, SPLIT_CBL, SPLIT_GLT
from poolwright.core.rows import Rows

TRAIN, VAL, TEST_LT, TEST_BL, TEST_BBL = SETS = ("train", "val", "test_lt", "test_bl", "test_bbl")
"""Names of the sets in the columns `split_glt` and `split_cbl`, and in the published files."""

TITLES = {
    "Train-GLT": (SPLIT_GLT, TRAIN),
    "Val-GLT": (SPLIT_GLT, VAL),
    "Test-GLT": (SPLIT_GLT, TEST_LT),
    "Train-CBL": (SPLIT_CBL, TRAIN),
    "Val-CBL": (SPLIT_CBL, VAL),
    "Test-CBL": (SPLIT_GLT, TEST_BL),
    "Test-GBL": (SPLIT_GLT, TEST_BBL),
}
"""What the paper calls each set: the column and the value that tell it. The last two are the same in both columns."""

GROUPS = ("many", "medium", "few")
"""Names of the values of `frequency`."""


@dataclass(frozen=True)
class LongTail:
    """Rows of every set.

    Attributes:
        counts: rows by class number and attribute, int64 (c, a), by the title of the set.
        groups: classes of each group of `GROUPS`.
    """

    counts: dict[str, npt.NDArray[np.int64]]
    groups: tuple[int, ...]

    @property
    def classes(self) -> int:
        return len(self.counts["Train-GLT"])

    @property
    def attributes(self) -> int:
        return int(self.counts["Train-GLT"].shape[1])

    def by_class(self, title: str) -> list[int]:
        """Rows of each class, by its number."""
        return [int(rows) for rows in self.counts[title].sum(axis=1)]

    def by_attribute(self, title: str) -> list[int]:
        return [int(rows) for rows in self.counts[title].sum(axis=0)]

    def document(self) -> dict[str, Any]:
        """For `statistics.json`."""
        return {
            title: {"by_class": self.by_class(title), "by_attribute": self.by_attribute(title)} for title in self.counts
        }


def has_sets(schema: pa.Schema) -> bool:
    """Whether a table has the columns of the step `glt`."""
    return all(name in schema.names for name in LONG_TAIL) and all(
        pa.types.is_integer(schema.field(name).type) for name in (CLASS_INDEX, FREQUENCY, ATTRIBUTE)
    )


def count_sets(batches: Iterable[Rows]) -> LongTail:
    """Count the rows of every set.

    Args:
        batches: rows with the columns `LONG_TAIL`.
    """
    cells: dict[tuple[int, int], dict[str, int]] = {}
    group_of: dict[int, int] = {}
    for rows in batches:
        columns = [rows.table.column(name) for name in LONG_TAIL]
        counted = pa.table(columns, names=LONG_TAIL).group_by(list(LONG_TAIL)).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            if row[CLASS_INDEX] is None or row[ATTRIBUTE] is None:
                continue
            group_of[row[CLASS_INDEX]] = row[FREQUENCY]
            cell = cells.setdefault((row[CLASS_INDEX], row[ATTRIBUTE]), dict.fromkeys(TITLES, 0))
            for title, (column, name) in TITLES.items():
                cell[title] += row["count_all"] if row[column] == name else 0
    shape = tuple(1 + max((cell[place] for cell in cells), default=-1) for place in (0, 1))
    counts = {title: np.zeros(shape, np.int64) for title in TITLES}
    for place, here in cells.items():
        for title, count in here.items():
            counts[title][place] = count
    return LongTail(counts, tuple(list(group_of.values()).count(group) for group in range(len(GROUPS))))


def set_mask(rows: Rows, title: str) -> npt.NDArray[np.bool_]:
    """Which rows are in a set: bool (n,)."""
    column, name = TITLES[title]
    return np.asarray(pc.fill_null(pc.equal(rows.table.column(column), name), False).to_numpy())
