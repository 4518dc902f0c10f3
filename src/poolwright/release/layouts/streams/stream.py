"""Order the rows of a table by time bucket and class, as the layouts of streams list them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.errors import ReleaseError
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.core.wording import natural_order
from poolwright.release.data.class_names import ClassNames
from poolwright.release.data.naming import safe_names, unspaced
from poolwright.release.layouts.shared.domains import file_stem, shown_names

MOST_BUCKETS = 1_000
SIDES = ("train", "test")
IMAGES = "labeled_images"

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stream:
    """The rows of a table of n rows by bucket and class.

    They are listed by bucket, then by class, then in the order of the table.

    Attributes:
        buckets: folder of each bucket by its value, in natural order: numbers in it count as numbers.
        classes: name of each class by index, in alphabetical order.
        class_folders: folder of each class by index.
        bucket_of, class_of: bucket and class of each row of the table, as index: int64 (n,).
        position: position in the list of each row of the table: int64 (n,), from 0.
        sides: side of each row of the table, as index into SIDES, by column of a split: int64 (n,).
        uids: uid of each row of the table.
        stems: name of the image file of each row of the table, without extension.
    """

    buckets: dict[str, str]
    classes: tuple[str, ...]
    class_folders: tuple[str, ...]
    bucket_of: Numbers
    class_of: Numbers
    position: Numbers
    sides: dict[str, Numbers]
    uids: list[str]
    stems: list[str]

    @classmethod
    def of(cls, table: Table, bucket: str, by: str, splits: Sequence[str]) -> Stream:
        """Read the buckets, classes and splits of a table. Holds every uid in memory.

        Raises:
            ReleaseError: a row has no bucket, no class, or is on neither side of a split.
        """
        named = ClassNames.of(table, by, alphabetical=True)
        names = list(dict.fromkeys([UID, bucket, *named.columns, *splits]))
        rows = Rows(table.read(names))
        for column, what in ((bucket, "bucket"), (by, "class")):
            _check_present(table.name, rows, column, what)
        buckets, bucket_of = _coded(rows.strings(bucket))
        number_of = {name: number for number, name in enumerate(named.names)}
        class_of = np.array([number_of[str(name)] for name in named.of_rows(rows)], np.int64)
        sides = {name: _sides(table.name, rows, name) for name in splits}
        order = np.lexsort((class_of, bucket_of))
        position = np.empty(len(rows), np.int64)
        position[order] = np.arange(len(rows))
        classes = shown_names(named.names)
        folders = safe_names(classes, unspaced)
        return cls(
            buckets=bucket_folders(table.name, bucket, buckets),
            classes=classes,
            class_folders=tuple(folders[name] for name in classes),
            bucket_of=bucket_of,
            class_of=class_of,
            position=position,
            sides=sides,
            uids=[str(uid) for uid in rows.strings(UID)],
            stems=_stems(rows.strings(UID), bucket_of * len(classes) + class_of),
        )

    def __len__(self) -> int:
        return len(self.position)

    def listed(self, bucket: int) -> Numbers:
        """Return the row numbers of a bucket's rows, in the order of the list."""
        rows = np.flatnonzero(self.bucket_of == bucket)
        return np.asarray(rows[np.argsort(self.position[rows])])

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Folder of each bucket by index."""
        return tuple(self.buckets.values())

    def image_folder(self, row: int) -> str:
        """Return the folder of a row's image in the release."""
        return f"{IMAGES}/{self.folders[self.bucket_of[row]]}/{self.class_folders[self.class_of[row]]}"


def bucket_folders(table: str, column: str, values: Sequence[str]) -> dict[str, str]:
    """Return a folder for each bucket, in order.

    Raises:
        ReleaseError: there are too many buckets.
    """
    if len(values) > MOST_BUCKETS:
        raise ReleaseError(
            f"table '{table}': '{column}' has {len(values):,} values, and a stream has at most {MOST_BUCKETS:,} "
            "buckets; is it the column you mean?"
        )
    folders = safe_names(values, unspaced)
    return {value: folders[value] for value in sorted(values, key=natural_order)}


def write_names(folder: Path, name: str, names: Sequence[str]) -> None:
    """Write names, one per line. No line end follows the last, as readers of CLEAR split the text at line ends."""
    (folder / name).write_text("\n".join(names), encoding="utf-8", newline="\n")


def _check_present(table: str, rows: Rows, column: str, what: str) -> None:
    if rows.table.column(column).null_count:
        at = rows.strings(column).index(None)
        raise ReleaseError(
            f"table '{table}': the row of uid {rows.strings(UID)[at]!r} has no {what}, as '{column}' is null; "
            f"drop such rows in a step: `where: {column} is not null`"
        )


def _coded(values: Sequence[str | None]) -> tuple[list[str], Numbers]:
    """Return the distinct values in natural order, and the index of each row's value among them."""
    coded = pa.array(values, pa.string()).dictionary_encode()
    distinct: list[str] = coded.dictionary.to_pylist()
    ordered = sorted(distinct, key=natural_order)
    number_of = {value: number for number, value in enumerate(ordered)}
    numbers = np.array([number_of[value] for value in distinct], np.int64)
    return ordered, numbers[coded.indices.to_numpy()]


def _sides(table: str, rows: Rows, column: str) -> Numbers:
    _check_present(table, rows, column, "side")
    side = pc.index_in(pa.array(rows.strings(column), pa.string()), value_set=pa.array(SIDES))
    if side.null_count:
        at = pc.index(side.is_null(), True).as_py()
        raise ReleaseError(
            f"table '{table}': '{column}' is {rows.strings(column)[at]!r} for uid {rows.strings(UID)[at]!r}; layouts "
            f"of streams know the splits {' and '.join(SIDES)}. `splits` selects other columns, [] none"
        )
    return np.asarray(side.to_numpy().astype(np.int64))


def _stems(uids: Sequence[str | None], cells: Numbers) -> list[str]:
    """Return a name for each row, unique in its bucket and class."""
    members: dict[int, list[str]] = defaultdict(list)
    for cell, uid in zip(cells.tolist(), uids, strict=True):
        members[cell].append(str(uid))
    named = {cell: safe_names(inside, file_stem) for cell, inside in members.items()}
    return [named[cell][str(uid)] for cell, uid in zip(cells.tolist(), uids, strict=True)]
