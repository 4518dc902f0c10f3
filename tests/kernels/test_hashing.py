"""hash64: the documented hash, for every way that Arrow holds strings; good enough to sample by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.kernels.selection import hashing, xxh3
from poolwright.kernels.selection.hashing import hash64, hash_key

TRICKY = [
    "",
    "a",
    "a\0",
    "\0a",
    "000000000001",
    "é",
    "图像",
    "🙂" * 9,
    "x" * 8,
    "x" * 16,
    "x" * 17,
    "y" * 129,
    "z" * 5000,
]


VECTORS = [
    3_350_379_979_204_894_753,
    15_850_939_519_330_640_072,
    4_618_849_547_606_785_613,
    13_594_274_768_335_737_310,
    14_422_581_190_559_141_580,
]
KEY = 16_093_910_599_622_243_086


GOLDEN = pq.read_table(Path(__file__).parent / "golden_hashes.parquet")
"""Strings of every length from 0 to 300 bytes, ASCII and not, and nulls, with their hashes by seed, as an independent
library (Daft 0.7.26) computed them."""
SEEDS = GOLDEN.column_names[1:]


def reference(text: str, key: int) -> int:
    return xxhash.xxh3_64_intdigest(text.encode(), seed=key)


def test_vectors_that_never_change() -> None:
    hashes = hash64(pa.array(["", "a", "000000000001", "图像", None]), 2023)
    assert hashes.tolist() == VECTORS
    assert hash_key(2023, "clip-geoyfcc", "cap") == KEY


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_is_xxh3_of_the_utf8_bytes(kind: pa.DataType) -> None:
    for key in (0, 1, 2**63 + 5, 2**64 - 1):
        assert hash64(pa.array(TRICKY, kind), key).tolist() == [reference(t, key) for t in TRICKY]


@pytest.fixture(params=["together", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Strings of one length are hashed together, however few; or one by one."""
    way: str = request.param
    monkeypatch.setattr(hashing, "_FEW", 0 if way == "together" else 1 << 40)
    monkeypatch.setattr(hashing, "_FEW_PER_BYTE", 0)
    return way


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_golden_hashes(way: str, seed: str, kind: pa.DataType) -> None:
    text, expected = GOLDEN["text"].combine_chunks().cast(kind), GOLDEN[seed].to_numpy()
    assert np.array_equal(hash64(text, int(seed)), expected)
    assert np.array_equal(hash64(text.slice(13, 500), int(seed)), expected[13:513])
    plain = text.cast(pa.string())
    assert np.array_equal(hash64(plain.dictionary_encode().slice(5), int(seed)), expected[5:])
    assert {len(one.encode()) for one in text.to_pylist() if one is not None} >= set(range(301))


@given(st.lists(st.binary(max_size=260), max_size=12), st.integers(0, 2**64 - 1), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_strings_of_one_length_are_hashed_as_the_reference_does(parts: list[bytes], seed: int, block: int) -> None:
    length = min((len(part) for part in parts), default=0)
    parts = [part[: min(length, xxh3.LONGEST)] for part in parts]
    data = np.frombuffer(b"".join(parts), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xxh3, "_BLOCK", block)
        found = xxh3.hash_equal_lengths(data, len(parts[0]) if parts else 0, len(parts), seed)
    assert found.tolist() == [xxhash.xxh3_64_intdigest(part, seed) for part in parts]


def test_many_strings_of_many_lengths() -> None:
    draw = np.random.default_rng(3)
    lengths = draw.choice([0, 1, 3, 4, 7, 8, 9, 16, 17, 33, 130, 240, 241, 700], 20_000)
    texts = ["".join(map(chr, draw.integers(32, 127, length))) for length in lengths]
    assert hash64(pa.array(texts), 17).tolist() == [reference(text, 17) for text in texts]


@given(st.lists(st.none() | st.text(max_size=40), max_size=30), st.integers(0, 2**64 - 1), st.data())
@settings(max_examples=40, deadline=None)
def test_layout_does_not_matter(values: list[str | None], key: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values)))
    array = pa.array(values, pa.string())
    whole = hash64(array, key)
    assert whole.dtype == np.uint64
    expected = [reference(v, key) for v in values if v is not None]
    assert whole[array.is_valid().to_numpy(zero_copy_only=False)].tolist() == expected
    assert np.array_equal(hash64(array.slice(start), key), whole[start:])
    assert np.array_equal(hash64(array.dictionary_encode().slice(start), key), whole[start:])
    assert np.array_equal(hash64(pa.chunked_array([array[:start], array[start:]]), key), whole)


def test_nulls_have_a_hash_of_their_own() -> None:
    first, empty, second = hash64(pa.array([None, "", None], pa.string()), 7).tolist()
    assert first == second != empty


def test_long_arrays_are_hashed_in_parts() -> None:
    array = pa.array([str(i) for i in range(300_001)])
    hashes = hash64(array, 3)
    assert hashes[[0, 131_071, 131_072, 299_999]].tolist() == [
        reference(str(i), 3) for i in (0, 131_071, 131_072, 299_999)
    ]


def test_sequential_ids_are_spread_evenly_and_independently() -> None:
    ids = pa.array([f"{i:07d}" for i in range(200_000)])
    one, other = hash64(ids, hash_key(0, "a")), hash64(ids, hash_key(0, "b"))
    counts = np.bincount((one >> np.uint64(56)).astype(int), minlength=256)
    assert ((counts - 781.25) ** 2 / 781.25).sum() < 360  # chi-square, 255 degrees: p < 1e-5
    both = (one >> np.uint64(60)) * np.uint64(16) + (other >> np.uint64(60))
    joint = np.bincount(both.astype(int), minlength=256)
    assert ((joint - 781.25) ** 2 / 781.25).sum() < 360
    assert abs(np.corrcoef(one[:-1].astype(float), one[1:].astype(float))[0, 1]) < 0.012


def test_every_input_bit_changes_half_of_the_hash() -> None:
    ids = [f"{i:012d}" for i in range(2000)]
    before = hash64(pa.array(ids), 5)
    for at in range(12):
        after = hash64(pa.array([t[:at] + chr(ord(t[at]) ^ 1) + t[at + 1 :] for t in ids]), 5)
        bits = np.unpackbits((before ^ after).view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
        assert bits.min() > 0.43
        assert bits.max() < 0.57


def test_key_depends_on_every_part() -> None:
    parts: list[tuple[str, ...]] = [(), ("",), ("ab", "c"), ("a", "bc"), ("abc",)]
    keys = [hash_key(2), *(hash_key(1, *names) for names in parts)]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)


def test_only_strings() -> None:
    with pytest.raises(TypeError, match="int64"):
        hash64(pa.array([1]), 0)
    with pytest.raises(TypeError, match="int64"):
        hash64(pa.array([1]).dictionary_encode(), 0)
    with pytest.raises(ValueError, match="64-bit"):
        hash64(pa.array(["a"]), 2**64)
