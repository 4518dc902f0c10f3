"""Draws the rows that a linear probe of a group, such as a domain or a time bucket, is trained and tested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.errors import RecipeError
from poolwright.core.table import Table
from poolwright.core.wording import natural_order
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.kernels.similarity.unit_length import has_direction
from poolwright.recipe.figures import Figure

SPLITS = ("train", "test")
MOST_GROUPS = 50
_BLOCK = 4_096

Numbers = npt.NDArray[np.int64]
SetKey = tuple[str, int]
"""A split and the index of a group."""


@dataclass(frozen=True)
class Drawn:
    """The rows that were drawn.

    Attributes:
        groups, classes: names, in order; classes are those of all rows of both splits.
        vectors: (n, d) of all drawn rows, of the table's float type.
        class_of: class of each, as index into `classes`.
        sets: rows of `vectors` by split and group, in order of the hash of their uid.
        unusable: number of drawn rows left out as their vector is missing, zero or not finite.
        nameless: number of rows of both splits left out as they have no group or no class.
    """

    groups: tuple[str, ...]
    classes: tuple[str, ...]
    vectors: npt.NDArray[np.floating]
    class_of: Numbers
    sets: Mapping[SetKey, Numbers]
    unusable: int
    nameless: int


def draw(figure: Figure, table: Table) -> Drawn:
    """Draw the first rows of every group and split by a hash of the uid: the same rows, whatever their order.

    There are two passes: over uid, class, group and split of all rows, then over the vectors, of which only those of
    drawn rows stay in memory.

    Raises:
        RecipeError: there are not two groups, too many, or one has no rows to train or to test on.
    """
    keys = _read_keys(figure, table)
    if not 2 <= len(keys.groups) <= MOST_GROUPS:
        raise error(
            figure,
            f"column '{figure.groups}' has {len(keys.groups):,} values with a class in the splits train and test; "
            f"2 to {MOST_GROUPS} {'buckets' if figure.measure == 'stream' else 'domains'} can be compared",
        )
    sets = {
        (split, group): keys.first(split, group, figure.rows) for split in SPLITS for group in range(len(keys.groups))
    }
    check_rows(figure, keys.groups, sets)
    wanted = np.sort(np.concatenate(list(sets.values())))
    vectors = read_vectors(table, str(figure.vectors), wanted)
    good = has_direction(vectors)
    read = {key: np.searchsorted(wanted, rows) for key, rows in sets.items()}
    return Drawn(
        groups=keys.groups,
        classes=keys.classes,
        vectors=vectors,
        class_of=keys.kind[wanted],
        sets={key: rows[good[rows]] for key, rows in read.items()},
        unusable=int((~good).sum()),
        nameless=keys.nameless,
    )


def check_rows(figure: Figure, groups: tuple[str, ...], sets: Mapping[SetKey, Numbers], which: str = "") -> None:
    """Check that every group has rows to train and to test on.

    Raises:
        RecipeError: a group has none.
    """
    for (split, group), rows in sets.items():
        if not len(rows):
            raise error(
                figure,
                f"{figure.groups} '{groups[group]}' has no rows{which} of the split '{split}' in column "
                f"'{figure.split}'; drop it from the table, or give it such rows",
            )


def error(figure: Figure, message: str) -> RecipeError:
    """Make an error about a figure."""
    return RecipeError(f"figure '{figure.name}' of table '{figure.table}': {message}")


@dataclass(frozen=True)
class _Keys:
    """Keys of every row. `group` and `kind` are indices into the names; -1 for rows that do not take part."""

    hashes: npt.NDArray[np.uint64]
    split: npt.NDArray[np.int64]
    group: Numbers
    kind: Numbers
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    nameless: int

    def first(self, split: str, group: int, most: int) -> Numbers:
        rows = np.flatnonzero((self.split == SPLITS.index(split)) & (self.group == group))
        return rows[np.argsort(self.hashes[rows], kind="stable")[:most]]


class _Coder:
    """Numbers the values of a column as they come, -1 for null."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def add(self, column: pa.ChunkedArray) -> Numbers:
        coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        codes = [self.numbers.setdefault(value, len(self.numbers)) for value in coded.dictionary.to_pylist()]
        indices = coded.indices.cast(pa.int64()).fill_null(len(codes)).to_numpy(zero_copy_only=False)
        return np.asarray(np.array([*codes, -1], np.int64)[indices])


def _read_keys(figure: Figure, table: Table) -> _Keys:
    groups, classes, key = _Coder(), _Coder(), hash_key(table.record.seed, figure.measure)
    hashes, split, group, kind = [], [], [], []
    for rows in table.batches([UID, *dict.fromkeys((str(figure.truth), figure.groups, figure.split))]):
        hashes.append(hash64(rows.table.column(UID), key))
        values = rows.table.column(figure.split).cast(pa.string()).to_numpy()
        split.append(np.select([values == name for name in SPLITS], range(len(SPLITS)), -1))
        group.append(groups.add(rows.table.column(figure.groups)))
        kind.append(classes.add(rows.table.column(str(figure.truth))))
    splits, all_groups, all_kinds = np.concatenate(split), np.concatenate(group), np.concatenate(kind)
    nameless = (splits >= 0) & ((all_groups < 0) | (all_kinds < 0))
    splits[nameless] = -1
    order = natural_order if figure.measure == "stream" else str
    group_names, group_of = _sorted(all_groups, list(groups.numbers), splits >= 0, order)
    class_names, kind_of = _sorted(all_kinds, list(classes.numbers), splits >= 0)
    return _Keys(np.concatenate(hashes), splits, group_of, kind_of, group_names, class_names, int(nameless.sum()))


def _sorted(
    codes: Numbers, names: list[str], inside: npt.NDArray[np.bool_], order: Callable[[str], Any] = str
) -> tuple[tuple[str, ...], Numbers]:
    """Return the names of the values of rows inside, in order, and the index of each row's value among them."""
    present = sorted({names[code] for code in np.unique(codes[inside]).tolist()}, key=order)
    number = {name: index for index, name in enumerate(present)}
    renumbered = np.array([*(number.get(name, -1) for name in names), -1], np.int64)
    return tuple(present), np.where(inside, renumbered[codes], -1)


def read_vectors(table: Table, column: str, wanted: Numbers) -> npt.NDArray[np.floating]:
    """Read the vectors of some rows, by number of the row in the table, ascending."""
    kind = table.schema.field(column).type
    found = np.empty((len(wanted), kind.list_size), kind.value_type.to_pandas_dtype())
    start = 0
    for rows in table.batches([column], _BLOCK):
        first, last = np.searchsorted(wanted, (start, start + len(rows)))
        if last > first:
            found[first:last] = rows.vectors(column)[wanted[first:last] - start]
        start += len(rows)
    return found
