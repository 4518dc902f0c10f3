"""Objects with lists of attributes, and a plain statement of how the sets of MSCOCO-GLT are drawn from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.ranks import hash_ranks

LOOPED = 800
"""Rows of a class up to which a loop over all of them takes no time."""


def objects(sizes: Mapping[str, int], attributes: int, seed: int = 0) -> pa.Table:
    """Objects of classes of these sizes; a few attributes are frequent, most are rare, and differently by class."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(list(sizes), list(sizes.values()))
    lists = np.empty(len(labels), object)
    for label in sizes:
        chance = 0.6 / np.arange(1, attributes + 1)[draw.permutation(attributes)] ** 0.8
        for at in np.flatnonzero(labels == label):
            has = np.flatnonzero(draw.random(attributes) < chance)
            lists[at] = [f"attribute {number}" for number in draw.permutation(has)]
    order = draw.permutation(len(labels))
    uids = [f"train2014/{number}" for number in range(len(labels))]
    return pa.table({"uid": uids, "label": labels[order], "attributes": lists[order].tolist()})


def most_even_plainly(lists: Sequence[Collection[str]], n: int) -> list[int]:
    """Indices of the rows that a loop over all rows chooses, one after another; the first of equal ones."""
    names = sorted({name for one in lists for name in one})
    has = np.array([[name in one for name in names] for one in lists], np.int64)
    counts, left, chosen = np.zeros(len(names), np.int64), list(range(len(lists))), []
    for _ in range(n):
        after = counts + has[left]
        squares, totals = (after**2).sum(axis=1), after.sum(axis=1)
        # The variance of counts / total is squares / total ** 2 / attributes less a constant.
        near = np.flatnonzero(squares / totals**2 <= (squares / totals**2).min() * (1 + 1e-9))
        at = min(near, key=lambda index: (Fraction(int(squares[index]), int(totals[index]) ** 2), index))
        counts += has[left[at]]
        chosen.append(left.pop(at))
    return chosen


def expected_sets(
    rows: Iterable[Mapping[str, Any]],
    numbers: Mapping[str, int],
    rest_of: Callable[[list[int]], list[int]],
    key: int,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The set of each row that is in one.

    Args:
        numbers: test_bbl, test_bl, test_lt, val.
        rest_of: sizes of the classes in the rest, given what the tests leave, the largest class first.
        known: sets from which Test-GBL of large classes is taken, as a loop over them takes long.
    """
    by_class: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["label"] is not None and any(name is not None for name in row["attributes"] or ()):
            by_class[row["label"]].append(row)
    order = sorted(by_class, key=lambda label: (-len(by_class[label]), label))
    tests = numbers["test_bbl"] + numbers["test_bl"]
    sizes = dict(zip(order, rest_of([len(by_class[label]) - tests for label in order]), strict=True))
    found: dict[str, str] = {}
    rest: list[str] = []

    def ranked(of: Sequence[Mapping[str, Any]], key: int) -> list[Mapping[str, Any]]:
        ranks = hash_ranks(pa.array([row["uid"] for row in of], pa.string()), key)
        return [of[at] for at in np.argsort(ranks)]

    for label in order:
        of_class = ranked(by_class[label], key)
        if known is None or len(of_class) <= LOOPED:
            lists = [set(filter(None, row["attributes"])) for row in of_class]
            picked = [of_class[at]["uid"] for at in most_even_plainly(lists, numbers["test_bbl"])]
        else:
            picked = [row["uid"] for row in of_class if known.get(row["uid"]) == "test_bbl"]
        assert len(picked) == numbers["test_bbl"]
        found |= dict.fromkeys(picked, "test_bbl")
        others = [row for row in of_class if row["uid"] not in found]
        second = [row["uid"] for row in ranked(others, hash_key(key, "test_bl"))]
        found |= dict.fromkeys(second[: numbers["test_bl"]], "test_bl")
        rest += second[numbers["test_bl"] :][: sizes[label]]
    third = [row["uid"] for row in ranked([{"uid": uid} for uid in rest], hash_key(key, "test_lt"))]
    test_lt, val = numbers["test_lt"] * len(order), numbers["val"] * len(order)
    found |= dict.fromkeys(third[:test_lt], "test_lt")
    found |= dict.fromkeys(third[test_lt : test_lt + val], "val")
    return found | dict.fromkeys(third[test_lt + val :], "train")


def exponential(left: list[int]) -> list[int]:
    """Sizes that fall to the 0.005th part of the largest, each cut to what is there."""
    last = max(len(left) - 1, 1)
    return [min(int(left[0] * 0.005 ** (at / last) + 1e-9), there) for at, there in enumerate(left)]


def as_the_smallest(left: list[int]) -> list[int]:
    return [min(left)] * len(left)


def shares_deviation(lists: Iterable[Iterable[str]], attributes: int) -> float:
    """Standard deviation of the attributes' shares."""
    counts = Counter(name for one in lists for name in set(one))
    shares = np.array([*counts.values(), *[0] * (attributes - len(counts))]) / counts.total()
    return float(shares.std())
