"""Write subsets of a release: the rows that other tables of the run have, as row numbers in its metadata.

<n>_sample_indices.npy   row numbers, int64 (rows,), ascending; n is the number of classes
<n>_label_wnids.csv      one column `wnid`: the classes, by class number
classes.csv              all classes: number, index in the vocabulary, WordNet id, name, rows

Names and formats as published at https://github.com/lilyjiayi/CLIP-GeoYFCC; classes.csv is our own.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.errors import ReleaseError
from poolwright.core.table import Table
from poolwright.core.wording import guarded
from poolwright.release.record import OtherFile, ReleasedSubset

CLASSES = "classes.csv"
WNID = "wnid"
INDICES = "{}_sample_indices.npy"
WNIDS = "{}_label_wnids.csv"


class Classes:
    """The classes of a table, identified by their numbers. The rows are added batch by batch.

    Args:
        table: name of the table, for errors.
        columns: column of classes.csv that describes a class -> column of the table, for errors.
    """

    def __init__(self, table: str, columns: Mapping[str, str]) -> None:
        self.table, self.columns = table, dict(columns)
        self.known: dict[int, tuple[Any, ...]] = {}
        self.rows: dict[int, int] = {}

    def add(self, numbers: pa.Array, about: Sequence[pa.Array]) -> None:
        """Add rows: their class numbers, and the columns that describe the class."""
        keys = [f"k{index}" for index in range(len(about) + 1)]
        counted = pa.table([numbers, *about], names=keys).group_by(keys).aggregate([([], "count_all")])
        for row in zip(*(counted.column(name).to_pylist() for name in (*keys, "count_all")), strict=True):
            number, values, rows = row[0], row[1:-1], row[-1]
            was = self.known.setdefault(number, values)
            if was != values:
                self._conflict(number, was, values)
            self.rows[number] = self.rows.get(number, 0) + rows

    def check(self, column: str) -> None:
        """Check that the numbers have no gaps.

        Raises:
            ReleaseError: they are not 0 to n-1.
        """
        gap = next((number for number in range(len(self.known)) if number not in self.known), None)
        if gap is not None:
            raise ReleaseError(
                f"table '{self.table}': no row has class {gap} in '{column}', and {len(self.known):,} classes are "
                f"numbered 0 to {len(self.known) - 1:,}; number them with `renumber` in this table"
            )

    def wnids(self, numbers: Sequence[int]) -> list[str]:
        """Return the WordNet ids of classes.

        Raises:
            ReleaseError: a class has no id.
        """
        index = list(self.columns).index(WNID)
        found = [self.known[number][index] for number in numbers]
        if None in found:
            raise ReleaseError(
                f"table '{self.table}': '{self.columns[WNID]}' is null for class {numbers[found.index(None)]}; "
                "every class of a subset needs its WordNet id"
            )
        return found

    def write(self, folder: Path) -> OtherFile:
        """Write classes.csv."""
        lines = [(number, *self.known[number], self.rows[number]) for number in sorted(self.known)]
        with (folder / CLASSES).open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["label_id", *self.columns, "rows"])
            writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in line] for line in lines)
        return OtherFile(path=CLASSES, type="text/csv", words=f"the {len(lines):,} classes by number")

    def _conflict(self, number: int, was: Sequence[Any], values: Sequence[Any]) -> None:
        name, one, other = next(
            (name, one, other) for name, one, other in zip(self.columns, was, values, strict=True) if one != other
        )
        raise ReleaseError(
            f"table '{self.table}': class {number} has two values of '{self.columns[name]}', {one!r} and {other!r}; "
            "is the class number taken from the right column?"
        )


def positions(subset: Table, uids: pa.ChunkedArray, base: str) -> np.ndarray:
    """Return the row numbers of a subset's rows in the base table, ascending, int64.

    Args:
        subset: table of the subset.
        uids: uids of the base table, strings, in order.
        base: name of the base table.

    Raises:
        ReleaseError: a row is not in the base table, or a uid occurs twice.
    """
    wanted = subset.read([UID]).column(UID).cast(pa.string())
    found = pc.index_in(wanted, value_set=uids.combine_chunks())
    if found.null_count:
        uid = wanted[pc.index(found.is_null(), True).as_py()].as_py()
        raise ReleaseError(
            f"table '{subset.name}' has {found.null_count:,} rows that '{base}' does not have, such as uid {uid!r}; "
            f"a subset comes from '{base}' and has only rows of it"
        )
    rows = np.sort(found.to_numpy().astype(np.int64))
    twice = np.flatnonzero(np.diff(rows) == 0)
    if len(twice):
        raise ReleaseError(f"table '{subset.name}' has uid {uids[int(rows[twice[0]])].as_py()!r} twice")
    return rows


def write_subset(
    folder: Path, name: str, table: str, rows: np.ndarray, numbers: np.ndarray, classes: Classes
) -> tuple[ReleasedSubset, list[OtherFile]]:
    """Write the two files of a subset.

    Args:
        folder: folder of the release.
        name: prefix of the names of the files.
        table: name of the subset's table.
        rows: row numbers, ascending.
        numbers: class of every row of the base table.
        classes: classes of the base table.
    """
    found = np.unique(numbers[rows]).tolist()
    indices, wnids = INDICES.format(name), WNIDS.format(name)
    np.save(folder / indices, rows, allow_pickle=False)
    text = "".join(f"{guarded(wnid)}\n" for wnid in [WNID, *classes.wnids(found)])
    (folder / wnids).write_text(text, encoding="utf-8", newline="\n")
    files = [
        OtherFile(path=indices, type="application/octet-stream", words=f"Row numbers of {table}, int64, from 0"),
        OtherFile(path=wnids, type="text/csv", words=f"WordNet ids of the classes of {table}, by class number"),
    ]
    return ReleasedSubset(name=name, table=table, rows=len(rows), classes=len(found)), files
