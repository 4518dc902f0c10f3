"""Link rows whose perceptual hashes differ in few bits, in memory that does not grow with the rows.

Exact: of d + k runs of bits, two hashes that differ in at most d bits share at least k, so only hashes that share k
runs are compared, for each choice of them (M. Norouzi, A. Punjani, D. J. Fleet, Fast exact search in Hamming space with
multi-index hashing, 2014, for k = 1). Larger k means more passes and fewer comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.errors import StepError
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.spread import Integers, Spread
from poolwright.kernels.selection.lookup.key_index import key_hashes
from poolwright.kernels.similarity.connected_components import Links
from poolwright.steps.describe.duplicates.links import LINKS, PLACE, Pairs, partitions_for

Words = npt.NDArray[np.uint64]

PHASH, PDQ = 64, 256
"""Bits of the hashes."""
MOST_DISTANCE = {PHASH: 16, PDQ: 31}
"""Bits in which linked hashes may differ at most. For PDQ, 31 is what its authors recommend."""

_FLAT = np.array([0, 1 << 63, (1 << 64) - 1], np.uint64)
"""Perceptual hashes of pictures without structure: no coefficient, or the mean alone, is above the median."""
_SORTED, _COMPARED, _LIKE_CHANCE, _MOST_RUNS = 200.0, 4.0, 0.8, 4
"""Cost of a pass, in nanoseconds for each row: to deal out and sort it, and for each other row that shares its runs of
bits; bits of a hash that are worth one of chance; and runs that are shared at most."""
_LENGTHS = (PHASH // 4, PDQ // 4)
"""Hex digits of a hash."""
_DIGITS = np.full(256, 255, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_DIGITS[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)


def parse_hashes(column: pa.Array, name: str) -> tuple[Words, npt.NDArray[np.bool_]]:
    """Return hashes as uint64 (n, w), w = 1 or 4, and which rows have one that says something about the picture.

    Args:
        column: texts of 16 hex digits, or of 64.
        name: that of the column.

    Raises:
        StepError: a value is not such a hash, or they differ in length.
    """
    texts = column.cast(pa.string()).cast(pa.large_string())
    valid = np.asarray(pc.is_valid(texts).to_numpy(zero_copy_only=False))
    known = texts.drop_null()
    if not len(known):
        return np.zeros((len(texts), 1), np.uint64), valid
    length = pc.binary_length(known[:1])[0].as_py()
    other = pc.not_equal(pc.binary_length(known), length if length in _LENGTHS else -1)
    if pc.any(other).as_py():
        raise _not_a_hash(known.filter(other), name)
    _, offsets, data = known.buffers()
    starts = np.frombuffer(offsets, np.int64)[known.offset : known.offset + len(known) + 1]
    digits = _DIGITS[np.frombuffer(data, np.uint8)[starts[0] : starts[-1]]].reshape(len(known), length)
    wrong = (digits > 15).any(axis=1)
    if wrong.any():
        raise _not_a_hash(known.filter(pa.array(wrong)), name)
    hashes = np.zeros((len(texts), length // 16), np.uint64)
    hashes[valid] = np.ascontiguousarray((digits[:, ::2] << 4) | digits[:, 1::2]).view(">u8")
    if length == PHASH // 4:
        valid = valid & ~np.isin(hashes[:, 0], _FLAT)
    return hashes, valid


def _not_a_hash(texts: pa.Array, name: str) -> StepError:
    return StepError(
        f"near_duplicates: '{texts[0].as_py()}' in '{name}' is not a 64-bit hash of 16 hex digits, nor one of "
        "256 bits in 64 digits, or it is longer or shorter than others there; compute them with `hash`"
    )


@dataclass
class HashCount:
    """Counts hashes.

    Attributes:
        rows: number of rows.
        hashed: number of those with a hash that says something.
        words: lengths of the hashes, in words of 64 bits.
    """

    rows: int = 0
    hashed: int = 0
    words: set[int] = field(default_factory=set)

    def merge(self, other: HashCount) -> HashCount:
        """Add what another has counted."""
        return HashCount(self.rows + other.rows, self.hashed + other.hashed, self.words | other.words)


@dataclass(frozen=True)
class AddHashes:
    """Counts the hashes of a batch."""

    column: str

    def __call__(self, count: HashCount, rows: Rows) -> HashCount:
        column = rows.column(self.column)
        hashes, valid = parse_hashes(column, self.column)
        words = {hashes.shape[1]} if column.null_count < len(column) else set()
        return count.merge(HashCount(len(rows), int(valid.sum()), words))


def count_hashes(frame: Frame, column: str, distance: int) -> HashCount:
    """Count rows and hashes.

    Raises:
        StepError: a value is not a hash, hashes differ in length, or are too short for the distance.
    """
    found: HashCount = frame.fold([column], HashCount, AddHashes(column), HashCount.merge)
    if len(found.words) > 1:
        raise StepError(f"near_duplicates: '{column}' has hashes of 16 hex digits and others of 64; give one kind")
    bits = 64 * max(found.words, default=1)
    if distance > MOST_DISTANCE[bits]:
        raise StepError(
            f"near_duplicates: distance is {distance}, and at most {MOST_DISTANCE[bits]} for the {bits} bits of a hash "
            f"in '{column}'"
        )
    return found


def hash_links(frame: Frame, column: str, count: HashCount, distance: int) -> Iterator[Pairs]:
    """Yield links that connect all rows whose hashes differ in at most `distance` bits.

    Args:
        frame: the live rows.
        column: column of hashes.
        count: `count_hashes` of it.
        distance: bits.
    """
    words = max(count.words, default=1)
    whole, partitions = np.full(words, np.iinfo(np.uint64).max), partitions_for(count.hashed)
    with frame.spread([column], DealHashes(column, words, partitions), partitions, "hashes") as spread:
        yield from _pairs(spread, "equal", LinkHashes((whole,), 0))
        if not distance:
            return
        rows = sum(len(table) for _, table in spread.map("distinct", distinct_hashes))
        masks = shared_runs(64 * words, distance, rows, fewest=0 if partitions == 1 else 1)
        # The hashes of one partition are compared at once; of many, those that share some runs meet in a partition.
        passes = [masks] if partitions == 1 else [(mask,) for mask in masks]
        for number, some in enumerate(passes):
            deal = DealAgain(some[0], partitions)
            with spread.then("distinct", f"near-{number}", deal, partitions) as again:
                yield from _pairs(again, "links", LinkHashes(some, distance))


def _pairs(spread: Spread, name: str, work: LinkHashes) -> Iterator[Pairs]:
    for _, links in spread.map(name, work):
        yield links.column("left").to_numpy(), links.column("right").to_numpy()


def shared_runs(bits: int, distance: int, rows: int, fewest: int) -> tuple[Words, ...]:
    """Return masks of bits, uint64 (w,) each, of which any two hashes that are close agree under at least one.

    Args:
        bits: of a hash.
        distance: bits in which close ones differ at most.
        rows: number of hashes, from which the cheapest number of runs in a mask follows.
        fewest: runs in a mask, at least; with none, all are compared with each other.
    """

    def cost(shared: int) -> float:
        met = rows / 2 ** (_LIKE_CHANCE * bits * shared / (distance + shared))
        return comb(distance + shared, shared) * (_SORTED + _COMPARED * met)

    shared = min(range(fewest, _MOST_RUNS), key=cost)
    edges = np.linspace(0, bits, distance + shared + 1).astype(int).tolist()
    runs = [(1 << high) - (1 << low) for low, high in pairwise(edges)]
    return tuple(_mask(sum(chosen), bits) for chosen in combinations(runs, shared))


def _mask(number: int, bits: int) -> Words:
    return np.frombuffer(number.to_bytes(bits // 8, "big"), ">u8").astype(np.uint64)


@dataclass(frozen=True)
class DealHashes:
    """Deals the rows that have a hash out by it."""

    column: str
    words: int
    partitions: int

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        hashes, valid = parse_hashes(rows.column(self.column), self.column)
        hashes = hashes[valid] if len(valid) and valid.any() else np.zeros((0, self.words), np.uint64)
        table = pa.table({PLACE: places[valid], **{str(index): hashes[:, index] for index in range(self.words)}})
        return table, _partition(hashes, self.partitions)


@dataclass(frozen=True)
class DealAgain:
    """Deals hashes out by those of their bits that are in a mask."""

    mask: Words
    partitions: int

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        return rows.table, _partition(hashes_of(rows.table) & self.mask, self.partitions)


def _partition(hashes: Words, partitions: int) -> Integers:
    return (_keys(hashes) % np.uint64(partitions)).astype(np.uint16)


def _keys(hashes: Words) -> Words:
    """Return one number for each hash (n, w), by which equal ones are found: uint64 (n,)."""
    return hashes[:, 0] if hashes.shape[1] == 1 else key_hashes([pa.array(hashes[:, at]) for at in range(4)])


def hashes_of(table: pa.Table) -> Words:
    """Return the hashes of dealt rows, uint64 (n, w)."""
    return np.stack([one_array(table.column(name)).to_numpy() for name in table.column_names[1:]], axis=1)


def distinct_hashes(partition: int, spread: Spread) -> pa.Table:
    """Return one row of each hash of a partition."""
    table = spread.read(partition)
    hashes = hashes_of(table)
    return table.take(pa.array(np.unique(hashes, axis=0, return_index=True)[1]))


@dataclass(frozen=True)
class LinkHashes:
    """Links the rows of a partition whose hashes agree under one of the masks and differ in few bits."""

    masks: tuple[Words, ...]
    distance: int

    def __call__(self, partition: int, spread: Spread) -> pa.Table:
        table = spread.read(partition)
        hashes, links = hashes_of(table), Links(len(table))
        for mask in self.masks:
            self._link(hashes, _keys(hashes & mask), links)
        first = links.first()
        linked = np.flatnonzero(first != np.arange(len(first)))
        places = one_array(table.column(PLACE)).to_numpy()
        return pa.table([places[first[linked]], places[linked]], schema=LINKS)

    def _link(self, hashes: Words, keys: Words, links: Links) -> None:
        """Link each row with those after it that have the same key, as far as they are close."""
        order = np.argsort(keys, kind="stable")
        keys, hashes = keys[order], hashes[order]
        at, step = np.arange(len(keys)), 1
        while len(at):
            at = at[at + step < len(keys)]
            at = at[keys[at] == keys[at + step]]
            near = at[np.bitwise_count(hashes[at] ^ hashes[at + step]).sum(axis=1) <= self.distance]
            links.add(order[near], order[near + step])
            step += 1
