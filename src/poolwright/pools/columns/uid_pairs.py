"""128-bit uids as pairs of 64-bit numbers, as DataComp writes them, and subsets of a pool as lists of them.

A subset file is an .npy of dtype `[('f0', '<u8'), ('f1', '<u8')]`, sorted: the first 16 hex digits of a uid, and the
last (https://github.com/mlfoundations/datacomp).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.errors import InputError, RecipeError
from poolwright.core.remote.schemes import is_url
from poolwright.pools.columns.casting import plain
from poolwright.pools.readers.numpy_files import ArrayHeader, ArrayReader, read_headers
from poolwright.pools.readers.paths import Unreadable

Pairs = npt.NDArray[np.uint64]
"""(n, 2): high and low half of each uid."""

DIGITS = 32
_PAIR = np.dtype("<u8,<u8")
_LOOKED_AT = 65_536  # entries of a subset whose order is checked: a file that is not sorted shows it at once

_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789", np.uint8)] = np.arange(10)
_HEX[np.frombuffer(b"abcdef", np.uint8)] = _HEX[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)


def pairs_of_hex(uids: pa.Array) -> tuple[Pairs, npt.NDArray[np.bool_]]:
    """Return the pairs of uids, and a mask of the uids that are 32 hex digits; the pairs of others are 0."""
    uids = plain(uids)
    valid = pc.fill_null(pc.equal(pc.binary_length(uids), DIGITS), False).to_numpy(zero_copy_only=False)
    texts = uids.filter(pa.array(valid)).cast(pa.binary())
    digits = np.frombuffer(b"".join(texts.to_pylist()), np.uint8).reshape(-1, DIGITS)
    values = _HEX[digits]
    good = (values < 16).all(axis=1)
    values[~good] = 0
    halves = (values[:, ::2] << 4 | values[:, 1::2]).astype(np.uint8)
    pairs = np.zeros((len(uids), 2), np.uint64)
    pairs[valid] = np.ascontiguousarray(halves).view(">u8")
    valid = valid.copy()
    valid[valid] = good
    return pairs, valid


def pairs_of_array(values: np.ndarray) -> Pairs | None:
    """Return the pairs of an array of uids: structured pairs, or strings of 32 hex digits; None for neither."""
    if values.dtype.names and len(values.dtype.names) == 2 and values.dtype.itemsize == 16:
        return np.stack([values[name].astype(np.uint64) for name in values.dtype.names], axis=1)
    if values.dtype.kind in "SU" and values.ndim == 1:
        pairs, valid = pairs_of_hex(pa.array([str(uid) for uid in values.astype(f"U{DIGITS + 1}")], pa.string()))
        return pairs if valid.all() else None
    return None


class UidArray:
    """The uids in an array next to a table, to compare with the uids of the table. A context manager.

    Raises:
        Unreadable: the array holds no uids.
    """

    def __init__(self, file: str, key: str, table: str) -> None:
        self._file, self._key, self._table = file, key, table
        header: ArrayHeader = read_headers(file, [key])[key]
        self._reader = ArrayReader(file, header)

    def __enter__(self) -> UidArray:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.__exit__(*exception)

    def check(self, uids: pa.Array, row: int) -> None:
        """Compare the uids of rows from `row` on with those of the array.

        Raises:
            Unreadable: they differ, so the vectors are of other rows.
        """
        theirs = pairs_of_array(self._reader.rows(row, len(uids)))
        if theirs is None:
            raise Unreadable(self._file, f"the array '{self._key}' holds no uids of {DIGITS} hex digits")
        ours, valid = pairs_of_hex(uids)
        differ = np.flatnonzero((ours != theirs).any(axis=1) | ~valid)
        if len(differ):
            first = int(differ[0])
            there = "{:016x}{:016x}".format(*theirs[first].tolist())
            raise Unreadable(
                self._table,
                f"has uid '{uids[first].as_py()}' in row {row + first:,} but '{self._key}' of {self._file} has "
                f"'{there}': the vectors are of other rows",
            )


class Subset:
    """A sorted file of uids, looked up on disk: it is memory-mapped, so only the pages needed are read.

    Raises:
        RecipeError: it does not exist, is not local, or not a sorted array of pairs.
        InputError: it is cut off.
    """

    def __init__(self, file: str) -> None:
        self._pairs = _mapped(file)
        some = self._pairs[np.unique(np.linspace(0, len(self) - 1, min(len(self), _LOOKED_AT)).astype(np.int64))]
        if len(some) > 1 and _before(some[1:], some[:-1]).any():
            raise RecipeError(f"{file}: the uids are not sorted; sort them with numpy.sort and save them again")

    def __len__(self) -> int:
        return len(self._pairs)

    def holds(self, pairs: Pairs) -> npt.NDArray[np.bool_]:
        """Return which pairs (n, 2) are in the subset; one binary search for all at once."""
        low = np.zeros(len(pairs), np.int64)
        high = np.full(len(pairs), len(self), np.int64)
        if not len(self):
            return np.zeros(len(pairs), bool)
        for _ in range(len(self).bit_length()):
            middle = (low + high) // 2
            below = _before(self._pairs[np.minimum(middle, len(self) - 1)], pairs) & (low < high)
            low, high = np.where(below, middle + 1, low), np.where(below | (low >= high), high, middle)
        found = self._pairs[np.minimum(low, len(self) - 1)]
        return np.asarray((found == pairs).all(axis=1))


def _before(one: Pairs, other: Pairs) -> npt.NDArray[np.bool_]:
    """Whether each pair comes before the other one."""
    return np.asarray((one[:, 0] < other[:, 0]) | ((one[:, 0] == other[:, 0]) & (one[:, 1] < other[:, 1])))


def _mapped(file: str) -> Pairs:
    if is_url(file):
        raise RecipeError(f"{file}: a subset is looked up on disk; download it first")
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise RecipeError(f"{file}: no such file; 'subset' is an .npy of uids as DataComp writes them") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{file}: is no .npy file, or cut off: {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype != _PAIR or array.ndim != 1:
        kind = f"{array.dtype} of {array.shape}" if isinstance(array, np.ndarray) else "an .npz"
        raise RecipeError(f"{file}: a subset is a 1-d array of dtype 'u8,u8', as DataComp writes it; this is {kind}")
    return array.view(np.uint64).reshape(-1, 2) if len(array) else np.zeros((0, 2), np.uint64)
