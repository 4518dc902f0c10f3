"""The judge against plain statements of its rules: sampling, the first right rows, skips, rows that are given up."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from poolwright.annotation.deciding.judging import JudgedGroup, RowState, Terms, judge_group, judge_groups
from poolwright.annotation.deciding.rules import NONE, REJECTED, UNCLEAR, VERIFIED
from poolwright.kernels.statistics.acceptance_sampling import judge, plan

OPEN, SKIPPED, RIGHT, WRONG, UNSURE, GIVEN_UP, UNSEEN, NOT_NEEDED, NO_VERDICT = RowState


def judged(terms: Terms, code: Any, given: Any, skips: Any = None) -> JudgedGroup:
    code, given = np.array(code, np.int64), np.array(given, np.int64)
    skips = np.zeros(len(code), np.int64) if skips is None else np.array(skips, np.int64)
    return judge_group(terms, "cat", code, given, skips)


def plain(code: int) -> RowState:
    return {VERIFIED: RIGHT, REJECTED: WRONG, UNCLEAR: UNSURE}[code]


def test_the_first_right_rows_are_those_of_a_loop() -> None:
    draw = np.random.default_rng(3)
    for _ in range(600):
        code = draw.integers(0, 4, draw.integers(1, 9))
        answered = (code != NONE) & (draw.random(len(code)) < 0.8)
        skips = np.where(answered, 0, draw.choice(3, len(code), p=[0.5, 0.25, 0.25]))
        keep, partial = int(draw.integers(1, 4)), bool(draw.random() < 0.3)
        if partial:
            answered = code != NONE
            skips[answered] = 0
        found = judged(Terms(keep=keep, partial=partial), code, answered, skips)
        verified, waiting, done, states = 0, False, False, []
        for row in range(len(code)):
            done = done or (verified >= keep and not waiting)
            enough, given_up = verified >= keep, not answered[row] and skips[row] > 1
            if answered[row]:
                states.append(NOT_NEEDED if code[row] == VERIFIED and enough else plain(code[row]))
                verified += code[row] == VERIFIED
            elif given_up:
                states.append(NOT_NEEDED if enough else GIVEN_UP)
            elif partial:
                states.append(NOT_NEEDED if enough else NO_VERDICT)
            else:
                states.append(NOT_NEEDED if done else SKIPPED if skips[row] else OPEN)
            waiting = waiting or not (answered[row] or given_up)
        assert found.states.tolist() == states
        assert found.done == (not {OPEN, SKIPPED} & set(states))
        assert partial or found.done == (found.judgement.conclusion in ("enough", "complete"))


@pytest.mark.parametrize("seed", range(6))
def test_acceptance_group_by_group(seed: int) -> None:
    """A group that is met keeps what nobody speaks against; another waits for all its rows."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(0, 120, 8)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    code = draw.choice([VERIFIED, REJECTED, UNCLEAR], int(starts[-1]), p=[0.97, 0.02, 0.01])
    answered = np.concatenate([np.arange(size) < size * draw.uniform(0.3, 1.3) for size in sizes] or [[]]).astype(bool)
    answered &= draw.random(len(code)) < 0.999
    code[~answered] = draw.choice([NONE, VERIFIED, REJECTED], int((~answered).sum()), p=[0.8, 0.1, 0.1])
    skips = np.where(answered, 0, draw.choice(3, len(code), p=[0.96, 0.03, 0.01]))
    terms = Terms(precision=0.9, annotators=1)
    groups = judge_groups(terms, starts, [str(at) for at in range(8)], code, answered.astype(np.int64), skips)
    for first, group in zip(starts.tolist(), groups, strict=False):
        here = slice(first, first + group.rows)
        unknown = [at for at in range(here.start, here.stop) if not answered[at] and not skips[at]]
        end = unknown[0] if unknown else here.stop
        wrong = [not (answered[at] and code[at] == VERIFIED) for at in range(here.start, end)]
        sampled = judge(plan(group.rows, 0.9), wrong)
        assert (group.judgement.conclusion == "met") == (sampled.conclusion == "met")
        assert (group.judgement.verified, group.judgement.bound) == (sampled.verified, sampled.bound)
        errors = sum(answered[at] and code[at] != VERIFIED for at in range(here.start, here.start + sampled.verified))
        assert group.judgement.errors == errors, "a skip is no error"
        met = sampled.conclusion == "met"
        for at, state in zip(range(here.start, here.stop), group.states.tolist(), strict=True):
            if answered[at]:
                assert state == plain(code[at])
            elif skips[at] > 1:
                assert state == GIVEN_UP
            elif met:
                assert state == (WRONG if code[at] == REJECTED else UNSEEN)
            else:
                assert state == (SKIPPED if skips[at] else OPEN)
        assert group.done == (met or all(answered[at] or skips[at] > 1 for at in range(here.start, here.stop)))


def test_nothing_and_groups_of_nothing() -> None:
    assert judge_groups(Terms(), np.zeros(1, np.int64), [], *[np.empty(0, np.int64)] * 3) == []
    for terms in (Terms(), Terms(keep=1), Terms(precision=0.9)):
        assert judged(terms, [], []).done


def test_a_group_that_is_met_with_skips_is_met_whatever_the_skipped_rows_are() -> None:
    """So sampling needs no answers on them; replacing them by the next rows would be another sample."""
    draw = np.random.default_rng(5)
    terms, met = Terms(precision=0.8, confidence=0.9), 0
    for _ in range(400):
        code = draw.choice([VERIFIED, REJECTED], 40, p=[0.9, 0.1])
        skipped = draw.permutation(40)[: draw.integers(1, 5)]
        end = int(draw.integers(10, 41))
        skips, given = np.zeros(40, np.int64), (np.arange(40) < end).astype(np.int64)
        skips[skipped], given[skipped] = 1, 0
        code[given == 0] = NONE
        found = judged(terms, code, given, skips)
        if found.judgement.conclusion != "met":
            continue
        met += 1
        for truth in product((VERIFIED, REJECTED), repeat=len(skipped)):
            guessed, answered = code.copy(), given.copy()
            guessed[skipped], answered[skipped] = truth, 1
            assert judged(terms, guessed, answered).judgement.conclusion == "met"
    assert met > 100


def test_a_skip_is_counted_and_is_no_error() -> None:
    terms = Terms(precision=0.9)
    stops = plan(400, 0.9).stops
    code, given, skips = np.full(400, NONE), np.zeros(400, np.int64), np.zeros(400, np.int64)
    code[: stops[0]], given[: stops[0]] = VERIFIED, 1
    assert judged(terms, code, given).judgement.conclusion == "met"
    code[3], given[3], skips[3] = NONE, 0, 1
    found = judged(terms, code, given, skips)
    assert (found.judgement.conclusion, found.done) == ("open", False)
    assert (found.judgement.errors, found.skipped, found.verified) == (0, 1, stops[0] - 1)
    code[: stops[1]], given[: stops[1]] = VERIFIED, 1
    code[3], given[3] = NONE, 0
    found = judged(terms, code, given, skips)
    assert (found.judgement.conclusion, found.judgement.verified, found.judgement.errors) == ("met", stops[1], 0)
    assert (found.passed_over, found.wrong, found.unsure, found.states[3]) == (1, 0, 0, UNSEEN)


@pytest.mark.parametrize(("annotators", "skips"), [(1, 2), (2, 3), (3, 4)])
def test_a_row_is_given_up_when_skipped_more_often_than_people_are_wanted(annotators: int, skips: int) -> None:
    """It is as unsure ones are: not kept, and nothing waits for it. A verdict that comes later still counts."""
    terms = Terms(annotators=annotators)
    code, given = [VERIFIED, NONE, VERIFIED], [annotators, 0, annotators]
    assert judged(terms, code, given, [0, skips - 1, 0]).states.tolist() == [RIGHT, SKIPPED, RIGHT]
    found = judged(terms, code, given, [0, skips, 0])
    assert found.states.tolist() == [RIGHT, GIVEN_UP, RIGHT]
    assert (found.done, found.judgement.conclusion, found.judgement.errors, found.skipped) == (True, "complete", 0, 1)
    assert found.judgement.bound == 2 / 3, "at least so many of all rows are right"
    assert judged(terms, [VERIFIED] * 3, [annotators] * 3, [0, skips, 0]).states.tolist() == [RIGHT] * 3


def test_the_next_rows_take_the_place_of_one_that_is_given_up() -> None:
    terms = Terms(keep=2)
    code, given = [NONE, VERIFIED, VERIFIED, NONE], [0, 1, 1, 0]
    assert judged(terms, code, given, [1, 0, 0, 0]).states.tolist() == [SKIPPED, RIGHT, RIGHT, OPEN]
    found = judged(terms, code, given, [2, 0, 0, 0])
    assert found.states.tolist() == [GIVEN_UP, RIGHT, RIGHT, NOT_NEEDED]
    assert (found.judgement.conclusion, found.judgement.errors, found.passed_over) == ("enough", 0, 1)
