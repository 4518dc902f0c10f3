"""Look rows up among those of other sets: by equal digests, by near hashes, by near vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.rows import one_array, vectors_of
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.kernels.selection.lookup.key_index import KeyIndex
from poolwright.kernels.similarity.hash_search import HashSearch
from poolwright.kernels.similarity.pairs import Screen, learn_screen, scan_pairs
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows
from poolwright.steps.choose.contamination.other_sets import HASH, KEY, SET, VECTOR

WORDS = {"phash": 1, "pdq": 4}
"""Words of 64 bits of the hashes of pictures, each of 16 hex digits."""

_LEARN_FROM = 4_096
"""Rows that a screen is learned from."""


@dataclass(frozen=True)
class NearRows:
    """The row of another set that each row is near.

    Attributes:
        others: the rows of the sets, with `set` and `uid`.
        row: which of them, int64 (n,), -1 for none.
        value: bits or cosine, (n,).
    """

    others: pa.Table
    row: npt.NDArray[np.int64]
    value: npt.NDArray[Any]

    def uid_of(self, at: int) -> str:
        """Return the uid that row `at` is near."""
        return str(self.others.column(UID)[int(self.row[at])].as_py())

    def set_of(self, at: int, state: State) -> str:
        """Return the name of its set."""
        return str(state.values["sets"][self.others.column(SET)[int(self.row[at])].as_py()])


def meet(
    how: str, values: Any, wanted: npt.NDArray[np.bool_], others: pa.Table, distance: int, above: float
) -> NearRows:
    """Find for each row one of the others that it is near.

    Args:
        how: 'sha256', 'phash', 'pdq' or 'vectors'.
        values: the digests or hashes, as texts, or the vectors (n, d).
        wanted: bool (n,), rows to look at.
        others: the rows of the sets, as `OtherSets` returns them.
        distance: most bits in which near hashes differ.
        above: least cosine of near vectors.
    """
    places = np.flatnonzero(wanted)
    row, value = np.full(len(wanted), -1, np.int64), np.zeros(len(wanted))
    if how == "sha256":
        row[places] = once("digests", others, _index_of).find([values.take(pa.array(places))])
    elif how in WORDS:
        places = places[values.is_valid().to_numpy(zero_copy_only=False)[places]]
        search = once(f"hashes {distance}", others, partial(_search_of, WORDS[how], distance))
        row[places], value[places] = search.nearest(_numbers(values.take(pa.array(places)), WORDS[how]))
    else:
        _nearest_vectors(values, places, others, above, row, value)
    return NearRows(others, row, value)


def _index_of(table: pa.Table) -> KeyIndex:
    return KeyIndex(table.column(HASH), [table.column(KEY)])


def _search_of(words: int, distance: int, table: pa.Table) -> HashSearch:
    return HashSearch(_numbers(table.column(KEY), words), distance)


def _numbers(texts: pa.Array | pa.ChunkedArray, words: int) -> npt.NDArray[np.uint64]:
    """Return hashes as numbers (n, words)."""
    data = b"".join(bytes.fromhex("".join(texts[at : at + 4096].to_pylist())) for at in range(0, len(texts), 4096))
    return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, words)


def _nearest_vectors(
    vectors: npt.NDArray[Any],
    places: npt.NDArray[np.int64],
    others: pa.Table,
    above: float,
    row: npt.NDArray[np.int64],
    value: npt.NDArray[Any],
) -> None:
    """Note the nearest of the others within the cosine; of equally near ones, the first by set and uid."""
    mine, start = vectors[places], 0
    (screen,) = once(f"screen {above}", others, lambda table: (screen_of(table, above),))
    for chunk in others.column(VECTOR).chunks:
        theirs = vectors_of(chunk)
        for i, j, cosine in scan_pairs(mine, theirs, above, screen):
            before = np.unique(places[i])
            before = before[row[before] >= 0]
            at, there = np.append(places[i], before), np.append(j + start, row[before])
            near = np.append(cosine, value[before])
            names = others.select([SET, UID]).take(pa.array(there))
            found = pa.table({"at": at, "near": -near, **dict(zip(names.column_names, names.columns, strict=True))})
            keys = [(name, "ascending") for name in ("at", "near", SET, UID)]
            order = pc.sort_indices(found, sort_keys=keys).to_numpy()
            order = order[np.append(True, np.diff(at[order]) > 0)[: len(at)]]
            row[at[order]], value[at[order]] = there[order], near[order]
        start += len(theirs)


def screen_of(others: pa.Table, above: float) -> Screen | None:
    """Learn a screen from some of the others, once for all batches of rows; None if they are few."""
    if len(others) < _LEARN_FROM:
        return None
    picked = np.linspace(0, len(others) - 1, _LEARN_FROM).astype(np.int64)
    vectors = vectors_of(one_array(others.column(VECTOR).take(pa.array(picked))))
    some = unit_rows(vectors[has_direction(vectors)])
    return learn_screen(some[::2], [(some[1::8], some[3::8])], above)
