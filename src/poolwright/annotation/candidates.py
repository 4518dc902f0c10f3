"""Collect candidates: the rows that people may be asked about, in the order in which they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import iadd

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import IMAGE_PATH, TEXT, UID, URL
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.groups import lacks_value
from poolwright.kernels.selection.ranks import ALL, Ranking, hash_ranks

SHOWN = (URL, IMAGE_PATH, TEXT)
"""Columns that are shown to people, if present."""

_KEY, _RANK = "key", "rank"


def group_name(name: str, bucket: str) -> str:
    """Return the name of a class, or of its part in a bucket."""
    return f"{name} · {bucket}" if bucket else name


@dataclass(frozen=True)
class Candidates:
    """Rows in order of their group, the best of each group first.

    Attributes:
        table: `uid`, one column per column of the group (`group.0`, ..., as text), and those of SHOWN that are present.
        grouped: number of columns of the group.
    """

    table: pa.Table
    grouped: int

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def uids(self) -> list[str]:
        """Uid of each row."""
        return self._texts(UID)

    @cached_property
    def groups(self) -> list[tuple[str, ...]]:
        """Values of the group's columns for each row; the first, if there is one, is the class."""
        columns = [self._texts(f"group.{index}") for index in range(self.grouped)]
        return list(zip(*columns, strict=True)) if columns else [()] * len(self)

    @cached_property
    def classes(self) -> list[str]:
        """Class of each row; '' if rows have no class."""
        return [group[0] if group else "" for group in self.groups]

    @cached_property
    def buckets(self) -> list[str]:
        """Bucket of each row; '' if rows have no bucket."""
        return ["".join(group[1:]) for group in self.groups]

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Row offsets of the groups, followed by the number of rows: int64 (g + 1,)."""
        changes = [at for at in range(1, len(self)) if self.groups[at] != self.groups[at - 1]]
        return np.array([0, *changes, len(self)] if len(self) else [0], np.int64)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(uid, class) of each row: the pairs that are asked about."""
        return list(zip(self.uids, self.classes, strict=True))

    def shown(self, name: str) -> list[str]:
        """Return a column of SHOWN as text, with '' for missing values."""
        return self._texts(name) if name in self.table.column_names else [""] * len(self)

    def _texts(self, name: str) -> list[str]:
        texts: list[str] = pc.fill_null(self.table.column(name).cast(pa.string()), "").to_pylist()
        return texts


def is_one_of(values: pa.ChunkedArray, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which values (n,) are, as text, among some names: bool (n,)."""
    texts = values.cast(pa.string())
    return np.asarray(pc.is_in(texts, value_set=pa.array(names, pa.string())).to_numpy(zero_copy_only=False), np.bool_)


def collect(frame: Frame, group: Sequence[str], by: str | None, key: int, unasked: Sequence[str] = ()) -> Candidates:
    """Collect all live rows that have a value in every column of `group`.

    Args:
        unasked: values of the first column of the group whose rows are left out.
        by: column of numbers or times, the highest first; rows without a value come last. Ties, and all rows if
            there is no such column, are in order of the hash of (key, uid).
    """
    shown = tuple(name for name in SHOWN if frame.schema.get_field_index(name) >= 0)
    columns = list(dict.fromkeys([UID, *group, *([by] if by else []), *shown]))
    batches: list[pa.Table] = frame.fold(columns, list, _Add(tuple(group), by, key, shown, tuple(unasked)), iadd)
    names = [f"group.{index}" for index in range(len(group))]
    texts = [(name, pa.large_string()) for name in (UID, *names, *shown)]
    schema = pa.schema([*texts, (_KEY, pa.int64()), (_RANK, pa.int64())])
    table = pa.concat_tables([schema.empty_table(), *batches])
    order = [(name, "ascending") for name in (*names, _KEY, _RANK, UID)]
    return Candidates(table.take(pc.sort_indices(table, sort_keys=order)).drop_columns([_KEY, _RANK]), len(group))


@dataclass(frozen=True)
class _Add:
    """Adds the candidates of a batch to a list of tables."""

    group: tuple[str, ...]
    by: str | None
    key: int
    shown: tuple[str, ...]
    unasked: tuple[str, ...]

    def __call__(self, found: list[pa.Table], rows: Rows) -> list[pa.Table]:
        rows = rows.filter(~lacks_value(rows, self.group)) if self.group else rows
        rows = rows.filter(~is_one_of(rows.column(self.group[0]), self.unasked)) if self.unasked else rows
        keys = np.zeros(len(rows), np.int64)
        if self.by:
            ranked, valid = Ranking(self.by, False, self.key).keys(rows)
            keys = np.where(valid, ranked, ALL)
        columns = {UID: rows.column(UID), **{f"group.{at}": rows.column(name) for at, name in enumerate(self.group)}}
        columns |= {name: rows.column(name) for name in self.shown}
        texts = {name: values.cast(pa.string()).cast(pa.large_string()) for name, values in columns.items()}
        found.append(pa.table({**texts, _KEY: keys, _RANK: hash_ranks(rows.column(UID).cast(pa.string()), self.key)}))
        return found
