"""Boxes of several people: matched one to one, in whatever order they come."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from poolwright.kernels.statistics.box_groups import group_boxes, overlaps

SIDE = st.integers(0, 12)
BOX = st.tuples(SIDE, SIDE, st.integers(1, 8), st.integers(1, 8))
DRAWN = st.lists(st.tuples(BOX, st.integers(0, 3)), max_size=14, unique=True)


def arrays(drawn: list[tuple[tuple[int, ...], int]]) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array([box for box, _ in drawn], np.float64).reshape(-1, 4)
    return boxes, np.array([person for _, person in drawn], np.int64)


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [2, 2, 5, 5], [3, 3, 0, 4]], np.float64)
    found = overlaps(boxes)
    assert found[0].tolist() == pytest.approx([1, 50 / 150, 0, 25 / 100, 0])
    assert np.array_equal(found, found.T)


@given(DRAWN, st.sampled_from([0.1, 0.3, 0.5, 1.0]))
def test_groups_have_one_box_of_each_person_and_overlap(drawn: list[tuple[tuple[int, ...], int]], least: float) -> None:
    boxes, person = arrays(drawn)
    groups = group_boxes(boxes, person, least)
    assert sorted(index for group in groups for index in group.members) == list(range(len(boxes)))
    found = overlaps(boxes)
    for group in groups:
        assert len(set(person[list(group.members)])) == len(group.members)
        pairs = [found[pair] for pair in combinations(group.members, 2)]
        assert min(pairs, default=1.0) >= least
        assert group.overlap == pytest.approx(np.mean(pairs) if pairs else 0.0)


@given(DRAWN, st.permutations(range(4)), st.randoms(use_true_random=False))
def test_neither_the_order_of_boxes_nor_that_of_people_matters(
    drawn: list[tuple[tuple[int, ...], int]], names: list[int], random: object
) -> None:
    boxes, person = arrays(drawn)
    shuffled = random.sample(range(len(boxes)), len(boxes))  # type: ignore[attr-defined]
    other = group_boxes(boxes[shuffled], np.array(names, np.int64)[person[shuffled]], 0.3)

    def coordinates(of: np.ndarray, groups: list) -> list:
        return [sorted(of[list(group.members)].tolist()) for group in groups]

    mine = coordinates(boxes, group_boxes(boxes, person, 0.3))
    assert sorted(mine) == sorted(coordinates(boxes[shuffled], other))


@given(st.lists(BOX, max_size=7, unique=True), st.lists(BOX, max_size=7, unique=True))
def test_two_people_are_matched_until_no_pair_is_left(one: list[tuple[int, ...]], other: list[tuple[int, ...]]) -> None:
    """Best first finds at least half of the most pairs, as any maximal matching does."""
    boxes, person = arrays([*((box, 0) for box in one), *((box, 1) for box in other)])
    found = overlaps(boxes)[: len(one), len(one) :]
    rows, columns = linear_sum_assignment(-(found >= 0.5).astype(float))
    most = int((found[rows, columns] >= 0.5).sum())
    matched = sum(len(group.members) == 2 for group in group_boxes(boxes, person, 0.5))
    assert matched <= most <= 2 * matched


def test_a_chain_is_no_object() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 0, 10, 10], [8, 0, 10, 10]], np.float64)
    groups = group_boxes(boxes, np.arange(3), 0.4)
    assert [group.members for group in groups] == [(0, 1), (2,)]


def test_nothing_is_no_group() -> None:
    assert group_boxes(np.empty((0, 4)), np.empty(0, np.int64), 0.5) == []
