"""CLEAR's retrieval as its authors state it: per prompt a sort, the best prompt wins, background from the lowest.

Written from the public description, image by image with dictionaries; shares no code with the package but the hash
that orders images of equal score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BACKGROUND = "BACKGROUND"


@dataclass(frozen=True)
class Sizes:
    """`query` nearest images a prompt, `n` kept a class, `background` a class."""

    query: int
    n: int
    background: int


def retrieve(scores: np.ndarray, ranks: np.ndarray, names: list[str], sizes: Sizes) -> dict[str, list[int]]:
    """What one bucket keeps: rows by class, the best first.

    Args:
        scores: (n, m) of every image and prompt.
        ranks: (n,) order of images with equal scores.
    """
    kept = _best_prompt_wins(scores, ranks, names, sizes.query)
    kept = {name: rows[: sizes.n] for name, rows in kept.items()}
    positives = {row for rows in kept.values() for row in rows}
    far = _best_prompt_wins(-scores, ranks, names, sizes.query)
    background = []
    for name in names:
        background += [row for row in far[name] if row not in positives][: sizes.background]
    return {**kept, BACKGROUND: background}


def _best_prompt_wins(scores: np.ndarray, ranks: np.ndarray, names: list[str], query: int) -> dict[str, list[int]]:
    found: dict[int, list[tuple[float, str]]] = {}
    by_rank = np.argsort(ranks)
    for place, name in enumerate(names):
        far = -scores[by_rank, place]
        near = np.flatnonzero(far <= np.partition(far, query - 1)[query - 1])  # with all that are as far as the last
        order = by_rank[near[np.argsort(far[near], kind="stable")]]
        for row in order[:query].tolist():
            found.setdefault(row, []).append((float(scores[row, place]), name))
    given: dict[str, list[tuple[float, int, int]]] = {name: [] for name in names}
    for row, by in found.items():
        score, name = max(by, key=lambda pair: pair[0])  # the first of equal ones
        given[name].append((-score, int(ranks[row]), row))
    return {name: [row for *_, row in sorted(rows)] for name, rows in given.items()}
