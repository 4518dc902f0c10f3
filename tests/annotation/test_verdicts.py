"""What words mean, and what several people say together."""

from __future__ import annotations

import itertools

import pytest

from poolwright.annotation.verdicts import Verdict, Words, check_known, merge, standing
from poolwright.core.errors import InputError


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("Positive", "positive"), (" YES ", "positive"), ("0", "negative"), ("?", "unsure"), (" ", None)],
)
def test_usual_words_are_understood(word: str, meaning: str | None) -> None:
    assert Words().meaning(word) == meaning


def test_own_words_add_to_the_usual_ones() -> None:
    words = Words({"Map": "positive", "other": "negative"})
    assert [words.meaning(word) for word in ("map", "OTHER", "unsure")] == ["positive", "negative", "unsure"]
    with pytest.raises(ValueError, match="'mop' is not known; use Map, negative, other"):
        words.meaning("mop")
    with pytest.raises(InputError, match="did you mean 'positive'"):
        Words({"map": "positve"})


@pytest.mark.parametrize(
    ("said", "together"),
    [
        (["positive"], "positive"),
        (["positive", "negative"], "unsure"),
        (["positive", "positive", "negative"], "positive"),
        (["unsure", "unsure", "negative"], "unsure"),
        (["unsure", "negative"], "unsure"),
        (["positive", "negative", "unsure", "negative"], "negative"),
    ],
)
def test_the_majority_decides_and_ties_are_unsure(said: list[str], together: str) -> None:
    verdicts = [Verdict("a", word, f"person {number}") for number, word in enumerate(said)]
    for order in itertools.permutations(verdicts):
        assert merge(order) == {"a": together}


def test_an_annotator_has_one_vote_and_may_change_it() -> None:
    first = Verdict("a", "positive", "ada", "2026-03-01T10:00:00Z")
    second = Verdict("a", "negative", "ada", "2026-03-01T11:30:00+01:00")
    assert merge([first, second]) == merge([second, first]) == {"a": "negative"}
    undated = [Verdict("a", "positive", "ada"), Verdict("a", "unsure", "ada", "yesterday")]
    assert merge(undated) == {"a": "unsure"}


def test_unknown_rows_are_named() -> None:
    verdicts = [Verdict("ABC", "positive"), Verdict("1.2E+11", "negative")]
    with pytest.raises(InputError, match=r"2 verdicts .* 'ABC'.*as text") as caught:
        check_known(verdicts, ["abc", "d"])
    assert "'1.2E+11'" in str(caught.value)
    check_known(verdicts[:1], ["ABC"])


@pytest.mark.parametrize(
    ("lines", "answer", "skips"),
    [
        ("skipped", None, 1),
        ("skipped@1 skipped@2 skipped@2", None, 2),
        ("skipped positive", "positive", 0),
        ("positive skipped", "positive", 0),
        ("positive@2 negative@1", "positive", 0),
        ("positive@2 negative", "negative", 0),
        ("positive@1 withdrawn@2", None, 0),
        ("positive@3 withdrawn@2", "positive", 0),
        ("skipped@1 skipped@3 withdrawn@2", None, 1),
        ("positive withdrawn@2 skipped@3", None, 1),
    ],
)
def test_what_one_person_says_of_a_row(lines: str, answer: str | None, skips: int) -> None:
    said = [line.partition("@") for line in lines.split()]
    times = {"": ""} | {str(hour): f"2026-03-01T0{hour}:00:00Z" for hour in (1, 2, 3)}
    found = standing(Verdict("a", verdict, "ada", times[hour]) for verdict, _, hour in said)
    assert (found.answer.verdict if found.answer else None, found.skips) == (answer, skips)
    assert {word: Words.with_skips().meaning(word) for word in ("skip", "?")} == {"skip": "skipped", "?": "unsure"}
    assert Words().meaning("skip") == "unsure", "in the sample of an audit"
