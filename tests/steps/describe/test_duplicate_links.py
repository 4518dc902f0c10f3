"""Links of equal rows and of close hashes, by partitions: those of all pairs, whatever the cuts and partitions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import StepError
from poolwright.core.frame import MemoryFrame
from poolwright.kernels.similarity.connected_components import Links
from poolwright.steps.describe.duplicates import links as link_module
from poolwright.steps.describe.duplicates.hashes import count_hashes, hash_links, parse_hashes, shared_runs
from poolwright.steps.describe.duplicates.same import AlikeRows, equal_links
from poolwright.testing.steps import Sent

MINUTE = 60_000_000


def groups(frame: MemoryFrame, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """The first row of the group of each row."""
    edges = list(zip(frame.edges, frame.edges[1:], strict=False))
    places = np.concatenate([np.arange(last - first) + (unit << 40) for unit, (first, last) in enumerate(edges)])
    links = Links(len(places))
    for left, right in pairs:
        links.add(np.searchsorted(places, left), np.searchsorted(places, right))
    return [int(row) for row in links.first()]


def frames(table: pa.Table) -> list[MemoryFrame]:
    return [MemoryFrame(table), Sent(table, (5, 5, 200), 50)]


@pytest.mark.parametrize("within", [0, 1, 300 * MINUTE, 10**14])
@pytest.mark.parametrize("columns", [("author",), (), ("author", "day")])
def test_rows_of_one_author_and_time_are_linked(
    monkeypatch: pytest.MonkeyPatch, within: int, columns: tuple[str, ...]
) -> None:
    """Through rows in between, times may be further apart; bins and partitions of times change nothing."""
    monkeypatch.setattr(link_module, "_AT_ONCE", 60)
    generator = np.random.default_rng(3)
    author, time = generator.integers(0, 5, 300), generator.integers(0, 50_000, 300) * MINUTE - 10_000 * MINUTE
    time[:20] = time[20:40] + 1
    day = time // (1_440 * MINUTE)
    values = {
        "author": pa.array([f"a{one}" if one else None for one in author]),
        "time": pa.array(time, pa.timestamp("us")),
    }
    table = pa.table({**values, "day": pa.array(day.astype(np.int32), pa.date32())})
    key = np.where(author > 0, author, -1 - np.arange(300)) * ("author" in columns)
    alike = (key[:, None] == key) & ((day[:, None] == day) | ("day" not in columns))
    left, right = np.nonzero(alike & (np.abs(time[:, None] - time) <= within))
    wanted = Links(300)
    wanted.add(left, right)
    for frame in frames(table):
        assert (
            groups(frame, equal_links(frame, AlikeRows(columns, "time", within), 300, "x")) == wanted.first().tolist()
        )


def test_equal_values_link_rows_without_a_hash() -> None:
    """Values are compared as they are, nulls are no values, and rows with a hash that says something are left out."""
    table = pa.table(
        {"file": ["a", "b", "a", None, None, "b", "a"], "hash": [None, None, "0" * 16, None, None, "1" * 16, None]}
    )
    alike = AlikeRows(("file",), unhashed="hash")
    for frame in (MemoryFrame(table), Sent(table, (3,), 2)):
        assert groups(frame, equal_links(frame, alike, 7, "x")) == [0, 1, 0, 3, 4, 5, 0]


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize(("distance", "at_once"), [(0, 100), (2, 100), (4, 1_000), (16, 1_000)])
def test_hashes_are_linked_as_by_all_pairs(
    monkeypatch: pytest.MonkeyPatch, words: int, distance: int, at_once: int
) -> None:
    monkeypatch.setattr(link_module, "_AT_ONCE", at_once)
    generator = np.random.default_rng(words)
    hashes = generator.integers(0, 2**63, (20, words), dtype=np.uint64)[generator.integers(0, 20, 300)]
    for _ in range(3 * words):
        row, bit = np.arange(300), generator.integers(0, 64, 300).astype(np.uint64)
        hashes[row, generator.integers(0, words, 300)] ^= np.uint64(1) << bit
    known = generator.random(300) < 0.9
    texts = ["".join(f"{word:016x}" for word in one) for one in hashes.tolist()]
    table = pa.table({"hash": pa.array(texts, mask=~known)})
    near = np.bitwise_count(hashes[:, None] ^ hashes).sum(axis=2) <= distance
    wanted = Links(300)
    wanted.add(*np.nonzero(near & known[:, None] & known))
    for frame in frames(table):
        count = count_hashes(frame, "hash", distance)
        assert (count.rows, count.hashed, count.words) == (300, known.sum(), {words})
        assert groups(frame, hash_links(frame, "hash", count, distance)) == wanted.first().tolist()


@pytest.mark.parametrize(("distance", "rows"), [(4, 10**9), (16, 10**6), (1, 10**4)])
def test_close_hashes_agree_under_one_of_the_masks(distance: int, rows: int) -> None:
    """Whichever bits differ; and the more rows there are, the more bits are shared by those that are compared."""
    masks = np.array([mask[0] for mask in shared_runs(64, distance, rows, 1)])
    generator = np.random.default_rng(0)
    for _ in range(500):
        flipped = sum(1 << int(bit) for bit in generator.choice(64, distance, replace=False))
        assert (masks & np.uint64(flipped) == 0).any()
    fewer = shared_runs(64, distance, 100, 1)
    assert np.bitwise_count(masks).mean() >= np.bitwise_count(fewer[0][0])


def test_hashes_are_read_as_hex_digits() -> None:
    hashes, valid = parse_hashes(pa.array(["00000000000000Ff", None, "8000000000000000", "f0" * 8]), "phash")
    assert valid.tolist() == [True, False, False, True]  # the third is that of any flat picture
    assert hashes[valid].tolist() == [[255], [0xF0F0F0F0F0F0F0F0]]
    for bad in (["00000000000000fg"], ["00"], ["0" * 16, "0" * 64]):
        with pytest.raises(StepError, match="is not a 64-bit hash of 16 hex digits"):
            parse_hashes(pa.array(bad), "phash")
    with pytest.raises(StepError, match="at most 16 for the 64 bits"):
        count_hashes(MemoryFrame(pa.table({"phash": ["0" * 15 + "1"]})), "phash", 20)
