"""Rows that a filter finds: counted and paged by their bits, searched by words, ordered without sorting all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from poolwright.inspect.views.finding.found import FoundRows, packed
from poolwright.inspect.views.finding.words import contains
from poolwright.inspect.views.order import first_of, order_of
from poolwright.inspect.views.store import MemoryColumn, StoredColumn

ROWS, CHUNK = 1_003, 64


def found_rows(share: float, seed: int = 0) -> tuple[np.ndarray, FoundRows]:
    mask = np.random.default_rng(seed).random(ROWS) < share
    return mask, FoundRows(None if share == 1 else packed(mask), ROWS, CHUNK)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_bits_say_what_a_mask_says(share: float) -> None:
    mask, found = found_rows(share)
    assert found.mask().tolist() == mask.tolist()
    for start in (0, 8, 64, 1_000):
        for stop in (0, 7, 8, 9, 64, 501, 1_000, ROWS):
            assert found.count(start, stop) == mask[start:stop].sum()
    positions = np.flatnonzero(mask)
    for start, size in ((0, 1), (0, 2_000), (3, 100), (64, 64), (990, 60), (5_000, 1)):
        assert found.page(start, size) == tuple(positions[start : start + size].tolist())
    values = pa.array(np.arange(ROWS))
    some = np.random.default_rng(1).random(ROWS) < 0.1
    for chunk in found.chunks:
        first, stop = found.ends(chunk)
        here = np.flatnonzero(mask[first:stop]) + first
        assert found.of(chunk, values[first:stop]).to_pylist() == found.positions(chunk).tolist() == here.tolist()
        assert found.positions(chunk, some[first:stop]).tolist() == [at for at in here if some[at]]


NUMBERS = {
    "different": np.random.default_rng(2).permutation(ROWS).astype(np.float64),
    "few": np.random.default_rng(3).integers(0, 4, ROWS).astype(np.float64),
    "equal": np.ones(ROWS),
    "rising": np.arange(ROWS, dtype=np.float64),
    "falling": -np.arange(ROWS, dtype=np.float64),
    "infinite": np.random.default_rng(4).choice([-np.inf, -0.0, 0.0, np.inf, np.nan], ROWS),
    "none": np.full(ROWS, np.nan),
    "one": np.where(np.arange(ROWS) == 700, 1.0, np.nan),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("descending", [False, True])
def test_the_first_rows_of_an_order_are_those_of_all_rows(
    name: str, in_memory: bool, descending: bool, tmp_path: Path
) -> None:
    column: StoredColumn = MemoryColumn(name, NUMBERS[name], CHUNK)
    if not in_memory:
        pieces = [column.chunk(chunk) for chunk in range(-(-ROWS // CHUNK))]
        column = StoredColumn(name, pa.float64(), tmp_path / "x", False, column.low, column.high, CHUNK)
        column.__dict__["_chunks"] = pieces
    order = np.concatenate(list(order_of(column, -(-ROWS // CHUNK), descending).walk(descending)))
    for share in (0.0, 0.02, 0.5, 1.0):
        mask, found = found_rows(share)
        wanted = order[mask[order]].tolist()
        for most in (1, 5, 60, 500, 2_000):
            assert first_of(column, found, most, descending).tolist() == wanted[:most]


TEXTS = pa.array(
    [
        *(
            "",
            "Kelvin \N{KELVIN SIGN}",
            "\N{KELVIN SIGN}itten",
            "ſtraße",
            "STRASSE",
            "kitten",
            "kit",
            "ten",
            None,
            "a.b",
            "aXb",
        ),
        *(["ax"] * 200 + ["aaa"] * 3 + ["Zürich", "ZÜRICH", "İstanbul", "ısı", "\\Q", "(a", None]),
        *(f"photo {number}" for number in range(500)),
    ],
    pa.large_string(),
)
WORDS = (
    "kitten",
    "KIT",
    "s",
    "ss",
    "k",
    "a.b",
    "aa",
    "photo",
    "photo 49",
    "PHOTO 499",
    "zürich",
    "i",
    "ı",
    "\\Q",
    "(a",
    "\0",
    "xa",
)


@pytest.mark.parametrize("words", [*WORDS, "nothing like it", "tenk", "499photo"])
def test_words_are_found_as_arrow_finds_them(words: str) -> None:
    for values in (TEXTS, TEXTS[3:], TEXTS[5:300], TEXTS[:0], TEXTS.filter(pc.is_null(TEXTS)), TEXTS[210:]):
        wanted = pc.fill_null(pc.match_substring(values, words, ignore_case=True), False)
        assert contains(values, words).tolist() == wanted.to_pylist()


def test_no_other_character_matches_a_letter_of_ascii() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    characters = pa.array(every, pa.large_string())
    for letter in "abcdefghijklmnopqrstuvwxyz":
        wanted = pc.match_substring(characters, letter, ignore_case=True).to_numpy(zero_copy_only=False)
        assert (contains(characters, letter) == wanted).all()
