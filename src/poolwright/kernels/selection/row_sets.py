"""Describe and count sets of rows that a step drew, such as the sets of a long-tailed benchmark. They may overlap.

The description is metadata of the column of class numbers, and so reaches every table and release that keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.rows import Rows

_KEY = b"poolwright.row_sets"


@dataclass(frozen=True)
class RowSets:
    """Sets of rows by class and attribute.

    Attributes:
        sets: title of each set -> the column, and the value in it, of its rows.
        classes: column of the class numbers, int32 from 0.
        attributes: column of the attributes of the rows within their class, int32 from 0.
        groups: column of the groups of the classes by their size, int32 from 0.
        group_names: names of the values of `groups`.
        remarks: sentences for readers of the sets.
    """

    sets: dict[str, tuple[str, str]]
    classes: str
    attributes: str
    groups: str
    group_names: tuple[str, ...]
    remarks: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns that the description names, each once."""
        return tuple(
            dict.fromkeys([*(name for name, _ in self.sets.values()), self.classes, self.groups, self.attributes])
        )

    def mark(self, field: pa.Field) -> pa.Field:
        """Return the field of the class numbers with this description in its metadata."""
        return field.with_metadata({**(field.metadata or {}), _KEY: json.dumps(asdict(self)).encode()})


def row_sets(schema: pa.Schema) -> RowSets | None:
    """Return the sets of a table; None if it has none, or lacks one of their columns."""
    for field in schema:
        if _KEY in (field.metadata or {}):
            document = json.loads(field.metadata[_KEY])
            sets = {title: (column, value) for title, (column, value) in document.pop("sets").items()}
            found = RowSets(sets, group_names=tuple(document.pop("group_names")), **document)
            if set(found.columns) <= set(schema.names):
                return found
    return None


@dataclass(frozen=True)
class SetCounts:
    """Rows of every set.

    Attributes:
        described: the sets.
        counts: int64 (c, a) rows by class number and attribute, by the title of the set.
        groups: number of classes in each group of `described.group_names`.
    """

    described: RowSets
    counts: dict[str, npt.NDArray[np.int64]]
    groups: tuple[int, ...]

    @property
    def classes(self) -> int:
        return len(next(iter(self.counts.values())))

    @property
    def attributes(self) -> int:
        return int(next(iter(self.counts.values())).shape[1])

    def by_class(self, title: str) -> list[int]:
        """Return the rows of each class of a set, by class number."""
        return [int(rows) for rows in self.counts[title].sum(axis=1)]

    def by_attribute(self, title: str) -> list[int]:
        """Return the rows of each attribute of a set, over all classes."""
        return [int(rows) for rows in self.counts[title].sum(axis=0)]

    def document(self) -> dict[str, Any]:
        """Return the counts as plain JSON values."""
        return {
            title: {"by_class": self.by_class(title), "by_attribute": self.by_attribute(title)} for title in self.counts
        }


def count_sets(described: RowSets, batches: Iterable[Rows]) -> SetCounts:
    """Count the rows of every set.

    Args:
        described: the sets.
        batches: rows with `described.columns`.
    """
    names = list(described.columns)
    cells: dict[tuple[int, int], dict[str, int]] = {}
    group_of: dict[int, int] = {}
    for rows in batches:
        columns = [rows.table.column(name) for name in names]
        counted = pa.table(columns, names=names).group_by(names).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            number, attribute = row[described.classes], row[described.attributes]
            if number is None or attribute is None:
                continue
            group_of[number] = row[described.groups]
            cell = cells.setdefault((number, attribute), dict.fromkeys(described.sets, 0))
            for title, (column, value) in described.sets.items():
                cell[title] += row["count_all"] if row[column] == value else 0
    shape = tuple(1 + max((cell[axis] for cell in cells), default=-1) for axis in (0, 1))
    counts = {title: np.zeros(shape, np.int64) for title in described.sets}
    for index, cell in cells.items():
        for title, count in cell.items():
            counts[title][index] = count
    sizes = tuple(list(group_of.values()).count(group) for group in range(len(described.group_names)))
    return SetCounts(described, counts, sizes)
