"""Read lists of attributes, and find in each class the rows that make its attributes as even as they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.errors import StepError
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.group_counts import AddGroupCount, Counted, GroupCount
from poolwright.kernels.selection.groups import Groups, lacks_value, sorted_unique
from poolwright.kernels.selection.lookup.value_index import ValueIndex, plain
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.statistics.even_counts import most_even

MOST_ATTRIBUTES = 4_096
_WORD = 64
_COMPACT_AT = 1_000_000

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


def holds_lists(dtype: pa.DataType) -> bool:
    """Whether a column of this type has lists of attributes."""
    return bool(pa.types.is_list(dtype) or pa.types.is_large_list(dtype))


def listed(column: pa.Array) -> tuple[Integers, pa.Array]:
    """Return row and value of every entry of the lists that is not null: int64 (m,) and (m,)."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    parents, values = np.repeat(np.arange(len(column)), lengths), pc.list_flatten(column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    there = values.is_valid()
    return parents[there.to_numpy(zero_copy_only=False)], plain(values.filter(there))


def takes_part(rows: Rows, label: str, attribute: str) -> npt.NDArray[np.bool_]:
    """Return which rows have a class and at least one attribute: bool (n,)."""
    has = np.zeros(len(rows), np.bool_)
    has[listed(rows.column(attribute))[0]] = True
    return np.asarray(has & ~lacks_value(rows, (label,)))


@dataclass
class _Seen:
    classes: GroupCount = field(default_factory=GroupCount)
    attributes: pa.Array | None = None

    def see(self, values: pa.Array) -> None:
        known = values if self.attributes is None else pa.concat_arrays([self.attributes, values])
        self.attributes = pc.unique(known)

    def merge(self, other: _Seen) -> _Seen:
        self.classes.merge(other.classes)
        if other.attributes is not None:
            self.see(other.attributes)
        return self


@dataclass(frozen=True)
class _See:
    label: str
    attribute: str

    def __call__(self, seen: _Seen, rows: Rows) -> _Seen:
        rows = rows.filter(takes_part(rows, self.label, self.attribute))
        AddGroupCount((self.label,))(seen.classes, rows)
        seen.see(listed(rows.column(self.attribute))[1])
        return seen


def survey(frame: Frame, label: str, attribute: str) -> tuple[Counted, pa.Array]:
    """Return the classes of the rows that take part, and all attributes, in order.

    Raises:
        StepError: there are more than `MOST_ATTRIBUTES` of them.
    """
    seen = frame.fold([label, attribute], _Seen, _See(label, attribute), _Seen.merge)
    counted = seen.classes.counted(frame.schema, (label,))
    attributes = sorted_unique(seen.attributes) if seen.attributes is not None else pa.array([], pa.string())
    if len(attributes) > MOST_ATTRIBUTES:
        raise StepError(
            f"glt: the lists of '{attribute}' have {len(attributes):,} different attributes, more than "
            f"{MOST_ATTRIBUTES:,}; are they attributes of a fixed list?"
        )
    return counted, attributes


@dataclass
class _Lowest:
    """Rows as class, words of the set of attributes, and rank: uint64 (k, w + 2); of each set those of lowest rank."""

    most: int
    parts: list[Words] = field(default_factory=list)
    pending: int = 0

    def add(self, part: Words) -> None:
        self.parts.append(part)
        self.pending += len(part)
        if self.pending > max(_COMPACT_AT, 2 * len(self.parts[0])):
            self.compact()

    def merge(self, other: _Lowest) -> _Lowest:
        for part in other.parts:
            self.add(part)
        return self

    def compact(self) -> None:
        """Sort the rows by class, set and rank, and leave out those that are not among the lowest of their set."""
        if not self.parts:
            return
        rows = np.concatenate(self.parts)
        rows = rows[np.lexsort(rows.T[::-1])]
        starts = _starts(rows[:, :-1])
        place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
        self.parts, self.pending = [rows[place < self.most]], 0

    def __getstate__(self) -> dict[str, Any]:
        self.compact()
        return self.__dict__


@dataclass(frozen=True)
class _AddLowest:
    classes: Groups
    attribute: str
    attributes: pa.Array
    key: int

    def __call__(self, lowest: _Lowest, rows: Rows) -> _Lowest:
        (label,) = self.classes.columns
        rows = rows.filter(takes_part(rows, label, self.attribute))
        parents, values = listed(rows.column(self.attribute))
        ids = ValueIndex(self.attributes).find(values)
        words = np.zeros((len(rows), -(-len(self.attributes) // _WORD)), np.uint64)
        np.bitwise_or.at(words, (parents, ids // _WORD), np.uint64(1) << (ids % _WORD).astype(np.uint64))
        columns = (self.classes.ids(rows), hash_ranks(rows.column(UID), self.key))
        classes, ranks = (numbers.astype(np.uint64)[:, None] for numbers in columns)
        lowest.add(np.concatenate([classes, words, ranks], axis=1))
        return lowest


def fit_most_even(frame: Frame, classes: Groups, attribute: str, attributes: pa.Array, key: int, n: int) -> Integers:
    """Choose `n` rows of each class, which has as many, by `most_even`; ties go to the lowest hash rank.

    Memory grows with the different sets of attributes in each class.

    Returns:
        The hash ranks of the rows that are chosen, ascending: int64 (n c,).
    """
    if not n or not len(classes):
        return np.empty(0, np.int64)
    add = _AddLowest(classes, attribute, attributes, key)
    names: Sequence[str] = [*classes.columns, attribute, UID]
    lowest = frame.fold(names, _Start(n), add, _Lowest.merge)
    lowest.compact()
    (rows,) = lowest.parts
    chosen = []
    for number in range(len(classes)):
        first, last = np.searchsorted(rows[:, 0], np.array([number, number + 1], np.uint64))
        inside = rows[first:last]
        starts = _starts(inside[:, :-1])
        of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(inside))))
        ranks = inside[:, -1].astype(np.int64)
        chosen.append(ranks[most_even(_bits(inside[starts, 1:-1], len(attributes)), of, ranks, n)])
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class _Start:
    most: int

    def __call__(self) -> _Lowest:
        return _Lowest(self.most)


def _starts(rows: Words) -> Integers:
    """Return where a row differs from the one before it."""
    return np.flatnonzero(np.append(True, (rows[1:] != rows[:-1]).any(axis=1))[: len(rows)])


def _bits(words: Words, attributes: int) -> npt.NDArray[np.bool_]:
    """Return sets of attributes from their words (g, w): bool (g, a)."""
    flat = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
    return np.unpackbits(flat, axis=1, bitorder="little")[:, :attributes].astype(np.bool_)
