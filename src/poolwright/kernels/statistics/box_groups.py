"""Match boxes that several people drew on one picture: one to one, by their overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]
"""Boxes, float64 (n, 4): left, top, width, height, in pixels."""


def overlaps(boxes: Boxes) -> npt.NDArray[np.float64]:
    """Return the intersection over union of all pairs of boxes, float64 (n, n); 0 for boxes without extent."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    sides = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    both: npt.NDArray[np.float64] = np.clip(sides, 0, None).prod(axis=2)
    areas = boxes[:, 2:].prod(axis=1)
    either = areas[:, None] + areas[None] - both
    shares = np.zeros_like(both)
    np.divide(both, either, out=shares, where=either > 0)
    return shares


@dataclass(frozen=True)
class BoxGroup:
    """Boxes that are of one object.

    Attributes:
        members: indices of the boxes, sorted.
        overlap: mean intersection over union of their pairs; 0 for a box on its own.
    """

    members: tuple[int, ...]
    overlap: float


def group_boxes(boxes: Boxes, person: npt.NDArray[np.int64], least: float) -> list[BoxGroup]:
    """Group boxes: a group has at most one box of each person, and every two of its boxes overlap by `least` or more.

    Pairs are taken in the order of their overlap, largest first, and join the groups of their boxes if the result is
    such a group. Of equal overlaps the pair whose boxes are first, by their coordinates, comes first. So the groups
    depend neither on the order of the boxes nor on that of the people: equal boxes of different people are in one group
    from the beginning, as they overlap by 1 and overlap all others alike.

    Args:
        boxes: float64 (n, 4), of one class and with some extent; no two of one person are equal.
        person: int64 (n,), who drew each.
        least: smallest intersection over union, above 0.

    Returns:
        The groups, by the coordinates of their first boxes.
    """
    place = np.empty(len(boxes), np.int64)
    place[np.lexsort(boxes.T[::-1])] = np.arange(len(boxes))
    found = overlaps(boxes)
    ones, others = np.nonzero(np.triu((found >= least) & (person[:, None] != person[None]), 1))
    ends = np.sort(np.stack([place[ones], place[others]]), axis=0)
    groups = {index: [index] for index in range(len(boxes))}
    of = list(range(len(boxes)))
    for pair in np.lexsort((ends[1], ends[0], -found[ones, others])).tolist():
        one, other = of[ones[pair]], of[others[pair]]
        if one != other and _fits(groups[one], groups[other], person, found, least):
            for index in groups[other]:
                of[index] = one
            groups[one] += groups.pop(other)
    members = sorted((sorted(group) for group in groups.values()), key=lambda group: min(place[group]))
    return [BoxGroup(tuple(group), _mean_overlap(group, found)) for group in members]


def _fits(
    one: list[int], other: list[int], person: npt.NDArray[np.int64], found: npt.NDArray[np.float64], least: float
) -> bool:
    return not set(person[one]) & set(person[other]) and bool((found[np.ix_(one, other)] >= least).all())


def _mean_overlap(group: list[int], found: npt.NDArray[np.float64]) -> float:
    return float(found[np.ix_(group, group)][np.triu_indices(len(group), 1)].mean()) if len(group) > 1 else 0.0
