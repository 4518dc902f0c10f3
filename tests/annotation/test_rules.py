"""Rules for several verdicts on a row, against plain statements of them."""

from __future__ import annotations

import numpy as np

from poolwright.annotation.deciding.rules import NONE, REJECTED, UNCLEAR, VERIFIED, Votes, decide
from poolwright.annotation.verdicts import Verdict, merge

WORDS = ("positive", "negative", "unsure")


def drawn(rows: int = 200, people: int = 5, seed: int = 0) -> tuple[list[Verdict], list[str]]:
    draw = np.random.default_rng(seed)
    uids = [f"u{row:03d}" for row in range(rows)]
    verdicts = [
        Verdict(uid, WORDS[draw.choice(3, p=[0.6, 0.3, 0.1])], f"p{person}")
        for uid in uids
        for person in draw.permutation(people)[: draw.integers(0, people)]
    ]
    return verdicts, uids


def test_majority_is_what_merge_says() -> None:
    verdicts, uids = drawn()
    code, probability = decide(Votes.of(verdicts, uids), "majority", 0.5)
    said = merge(verdicts)
    words = {VERIFIED: "positive", REJECTED: "negative", UNCLEAR: "unsure", NONE: None}
    assert [words[meaning] for meaning in code] == [said.get(uid) for uid in uids]
    assert np.isnan(probability).all()


def test_agree_wants_one_word_from_all() -> None:
    verdicts, uids = drawn()
    code, _ = decide(Votes.of(verdicts, uids), "agree", 0.5)
    for uid, found in zip(uids, code, strict=True):
        said = {verdict.verdict for verdict in verdicts if verdict.uid == uid}
        wanted = NONE if not said else UNCLEAR if len(said) > 1 else WORDS.index(said.pop())
        assert found == wanted


def test_the_order_of_verdicts_changes_nothing() -> None:
    verdicts, uids = drawn()
    shuffled = [verdicts[index] for index in np.random.default_rng(1).permutation(len(verdicts))]
    for rule in ("agree", "majority", "dawid_skene"):
        one, other = (decide(Votes.of(given, uids), rule, 0.5) for given in (verdicts, shuffled))  # type: ignore[arg-type]
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_dawid_skene_beats_the_majority_where_many_are_careless() -> None:
    draw = np.random.default_rng(2)
    truth = draw.random(400) < 0.6
    uids = [f"u{row:03d}" for row in range(400)]
    errors = [0.05, 0.05, 0.45, 0.48, 0.5]
    verdicts = [
        Verdict(uid, WORDS[int(true == (draw.random() < error))], f"p{person}")
        for uid, true in zip(uids, truth, strict=True)
        for person, error in enumerate(errors)
    ]
    votes = Votes.of(verdicts, uids)
    right = {rule: np.mean((decide(votes, rule, 0.5)[0] == VERIFIED) == truth) for rule in ("majority", "dawid_skene")}  # type: ignore[arg-type]
    assert right["dawid_skene"] > 0.93 > right["majority"]
    sure = decide(votes, "dawid_skene", 0.99)[0]
    assert truth[sure == VERIFIED].mean() > 0.99
    assert (sure == UNCLEAR).any()


def test_dawid_skene_without_any_vote_or_without_both_kinds() -> None:
    nothing = Votes.of([], ["a", "b"])
    assert decide(nothing, "dawid_skene", 0.5)[0].tolist() == [NONE, NONE]
    no = Votes.of([Verdict("a", "negative", "x"), Verdict("b", "unsure", "x")], ["a", "b", "c"])
    assert decide(no, "dawid_skene", 0.5)[0].tolist() == [REJECTED, UNCLEAR, NONE]
