"""match: the same entries as MetaCLIP's own statement finds, a substring of a spaced text."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.lookup.exact_table import ExactTable
from poolwright.kernels.selection.lookup.phrase_index import PhraseIndex
from poolwright.steps.describe.texts.match import Match

PARTS = ["a", "b", "ab", "dog", "red", "extraordinarily", "extraordinarilx", "straße", "犬", "u.s.", ",", ".", "",
         "abcdefgh", "abcdefghi", "abcdefgh\0", "\0"]  # fmt: skip
BETWEEN = [" ", " ", " ", "  ", ", ", ",", "\t", "\n", "\r\n", "! ", "..", "\u00a0", "`"]


def spaced(text: str) -> str:
    """A text as MetaCLIP prepares it: spaces around it and around some marks, and instead of tabs and line breaks."""
    text = f" {text} "
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def plain(texts: list[str | None], phrases: list[str]) -> set[tuple[int, int]]:
    there = [None if text is None else spaced(text) for text in texts]
    return {
        (row, number)
        for row, text in enumerate(there)
        if text is not None
        for number, phrase in enumerate(phrases)
        if f" {phrase} " in text
    }


def test_phrases_are_found_as_by_a_plain_statement() -> None:
    draw = random.Random(3)

    def text() -> str:
        pieces = [draw.choice(PARTS) + draw.choice(BETWEEN) for _ in range(draw.randrange(8))]
        return "".join(pieces) + draw.choice(PARTS)

    texts = [None if draw.random() < 0.05 else text() for _ in range(700)]
    phrases = [" ".join(draw.choice(PARTS) for _ in range(draw.randrange(1, 5))) for _ in range(400)]
    index = PhraseIndex(phrases)
    for array in (
        pa.array(texts),
        pa.array([*"xyz", *texts], pa.large_string())[3:],
        pa.array(texts).dictionary_encode(),
    ):
        rows, found = index.find(array)
        pairs = list(zip(rows.tolist(), found.tolist(), strict=True))
        assert pairs == sorted(set(pairs))
        wanted = {pair for pair in plain(texts, phrases) if pair[1] not in {*index.repeated, *index.impossible}}
        assert set(pairs) == wanted
    for number in index.repeated:
        assert phrases.index(phrases[number]) < number
    # Such phrases are met after all only if they have a space too many.
    found_after_all = {number for _, number in plain(texts, phrases)} & set(index.impossible)
    assert all("" in phrases[number].split(" ") for number in found_after_all)


def test_more_texts_than_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poolwright.kernels.selection.lookup.phrase_index._TEXTS_AT_ONCE", 3)
    rows, found = PhraseIndex(["b", "a b"]).find(pa.array(["a b", "b", None, "", "c", "x a b", "a", "b"]))
    assert list(zip(rows.tolist(), found.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (5, 0), (5, 1), (7, 0)]
    assert [len(part) for part in PhraseIndex([]).find(pa.array(["a", ""]))] == [0, 0]


def test_a_table_finds_its_keys_alone() -> None:
    draw = np.random.default_rng(5)
    numbers = np.unique(draw.integers(0, 2**63, 3_000, dtype=np.uint64))
    first, rest = numbers[::2], numbers[::2] % np.uint64(7)
    table = ExactTable(first, rest)
    np.testing.assert_array_equal(table.find(first, rest), np.arange(len(first)))
    assert (table.find(first, rest + np.uint64(1)) == -1).all()
    assert (table.find(first + np.uint64(1), rest) == -1).all()
    np.testing.assert_array_equal(ExactTable(first).find(first[::3]), np.arange(len(first))[::3])


def test_lists_counts_and_words(tmp_path: Path) -> None:
    (tmp_path / "entries.json").write_text(json.dumps(["dog", "red dog", "dog", "St. Ives", "cat", "St", ""]))
    texts = ["A red dog, asleep", "Dogs", None, "", "dog dog: St. Ives"]
    table = pa.table({"uid": list("abcde"), "text": texts})
    step = Match(of="text", entries=str(tmp_path / "entries.json"))
    step.check_files(table.schema)
    state = step.fit(MemoryFrame(table), Context())
    (lists,) = step.apply(Rows(table), state).columns.values()
    assert lists.type == step.gives(table.schema)[0].type
    assert lists.to_pylist() == [[0, 1], [], None, [], [0, 5]]
    assert step.learned(state) == "7 entries; 1 repeat an earlier one: 'dog'; 2 no text can have: 'St. Ives', ''"
    assert step.explain({"matches": [0, 1]}, state) == "2 of 7 entries: 'dog', 'red dog'"
    assert step.explain({"matches": None}, state) == "0 of 7 entries: none"
    with pytest.raises(StepError, match="there is no file"):
        Match(of="text", entries=str(tmp_path / "gone.txt")).check_files(table.schema)
