"""What a search found, as rows of a table by their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranked:
    """Some rows, the nearest first.

    Attributes:
        places: numbers of the rows in the table.
        scores: their cosines.
        first: rank of the first of them, from 1.
    """

    places: tuple[int, ...]
    scores: tuple[float, ...]
    first: int = 1


@dataclass(frozen=True)
class Contest:
    """How two prompts compete for images.

    Attributes:
        other: the second prompt.
        everywhere: rows that are nearer to the first, and to the second, of all rows searched.
        alone: rows that only the first has among its nearest, and only the second.
        both: rows that both have.
        won: of those, rows that go to the first and to the second.
        places: numbers of the rows that either has; those with the smallest difference first.
        scores: their cosines to the first and to the second prompt.
    """

    other: str
    everywhere: tuple[int, int]
    alone: tuple[int, int]
    both: int
    won: tuple[int, int]
    places: tuple[int, ...]
    scores: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class SearchResult:
    """What was searched for in a table, and found.

    Attributes:
        table: its name.
        column: of the vectors.
        within: which rows were searched, in words: 'bucket 3'; empty for all.
        prompt: what was searched for; empty where only an image was.
        rows: rows searched.
        nearest: the nearest rows.
        deeper: rows at ranks further down: how long what is found stays right.
        all_scores: float32 (rows,) cosines of all rows searched, descending.
        like: uid of the image whose neighbours were looked for.
        neighbours: rows near that image, itself first.
        contest: with a second prompt.
    """

    table: str
    column: str
    within: str
    prompt: str
    rows: int
    nearest: Ranked
    deeper: tuple[Ranked, ...]
    all_scores: np.ndarray
    like: str
    neighbours: Ranked
    contest: Contest | None = None
