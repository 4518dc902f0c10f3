"""Search: the query to a table, and the cosines of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.encoder import EncoderSpec

Float32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_DEEPER = (3, 10, 30, 100, 300, 1000)
_EACH_DEEPER = 8


@dataclass(frozen=True)
class Query:
    """A query, as the CLI, the API and the studio pose it.

    Attributes:
        prompt: a text, or the name of a class of the run's vocabularies; None if only `like` is given.
        against: a second text, which competes with the first.
        like: uid of a row whose neighbours are wanted; None takes the nearest row to the prompt.
        bucket: only rows of this bucket.
        column: of the vectors; None takes the first that the run has a text encoder for, or the first.
        model: encoder of the texts; None takes the one that the recipe names for the vectors.
        features: ready text features of the prompts, one row each, instead of an encoder.
        n: rows that `SearchResult.nearest` gives.
        neighbours: rows that `SearchResult.neighbours` gives; 0 spares the pass over the vectors that they may take.
    """

    prompt: str | None = None
    against: str | None = None
    like: str | None = None
    bucket: str | None = None
    column: str | None = None
    model: EncoderSpec | None = None
    features: Path | None = None
    n: int = 50
    neighbours: int = 0


@dataclass(frozen=True)
class Ranked:
    """Some rows, the nearest first.

    Attributes:
        positions: numbers of the rows in the table.
        scores: their cosines.
        first: rank of the first of them, from 1.
    """

    positions: tuple[int, ...]
    scores: tuple[float, ...]
    first: int = 1


@dataclass(frozen=True)
class Contest:
    """The competition of two prompts for images.

    Attributes:
        other: the second prompt.
        everywhere: of all rows searched, those nearer to the first and those nearer to the second.
        alone: rows among the nearest of only the first, and of only the second.
        both: rows among the nearest of both.
        won: of those, the rows that go to the first and to the second.
        positions: numbers of the rows among the nearest of either; those with the smallest difference first.
        scores: their cosines to the first and to the second prompt.
    """

    other: str
    everywhere: tuple[int, int]
    alone: tuple[int, int]
    both: int
    won: tuple[int, int]
    positions: tuple[int, ...]
    scores: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The rows of a table with their cosines to what was searched for.

    Scores are those that the step `similarity` gives, bit for bit. Rows are ranked by descending score, equal ones in
    the order of the table. A row without a usable vector, or of another bucket, has the score NaN and no rank.

    Attributes:
        table: its name.
        column: of the vectors.
        query: what was asked.
        feature: (d,) float32, unit length: what rows were compared with.
        model: the encoder of the prompt as the recipe writes it; None if the feature is not from an encoder.
        given: (d,) the feature as it was given, of any length, if it is not from an encoder.
        scores: float32 (rows,).
        rival: float32 (rows,), the scores of the second prompt; None without one.
        like: uid of the row whose neighbours were looked for; empty if none were.
        near: float32 (rows,), the cosines to that row's vector; None without one.
    """

    table: str
    column: str
    query: Query
    feature: Float32
    model: Any
    given: npt.NDArray[np.floating]
    scores: Float32
    rival: Float32 | None = None
    like: str = ""
    near: Float32 | None = None

    @property
    def words(self) -> str:
        """A description of the query, for people."""
        return self.prompt or f"like {self.query.like}"

    @property
    def prompt(self) -> str:
        """The text that was searched for; empty if only an image was."""
        return self.query.prompt or ""

    @property
    def within(self) -> str:
        """The rows that were searched, as text: 'bucket 3'; empty for all."""
        return "" if self.query.bucket is None else f"bucket {self.query.bucket}"

    @cached_property
    def rows(self) -> int:
        """Rows that have a score."""
        return int(np.isfinite(self.scores).sum())

    @cached_property
    def order(self) -> Integers:
        """Numbers (rows,) of the rows that have a score, the nearest first."""
        return _order(self.scores)

    @property
    def all_scores(self) -> Float32:
        """Cosines (rows,) of all rows searched, descending."""
        return np.asarray(self.scores[self.order])

    @property
    def nearest(self) -> Ranked:
        """The nearest rows."""
        return self._ranked(1, self.query.n)

    @property
    def deeper(self) -> tuple[Ranked, ...]:
        """A few rows at ever lower ranks, and the last of all: they show how far down the results stay relevant."""
        n = self.query.n
        ranks = [times * n for times in _DEEPER if times * n + _EACH_DEEPER < self.rows]
        if self.rows > n + _EACH_DEEPER:
            ranks.append(self.rows - _EACH_DEEPER + 1)
        return tuple(self._ranked(rank, _EACH_DEEPER) for rank in ranks)

    @property
    def neighbours(self) -> Ranked:
        """The rows nearest to the row `like`, itself first."""
        if self.near is None:
            return Ranked((), ())
        rows = _order(self.near)[: self.query.neighbours]
        return Ranked(tuple(rows.tolist()), tuple(self.near[rows].tolist()))

    @property
    def named(self) -> tuple[int, ...]:
        """Numbers of the rows that `nearest`, `deeper` and `neighbours` name, ascending."""
        return tuple(sorted({row for one in (self.nearest, *self.deeper, self.neighbours) for row in one.positions}))

    @cached_property
    def contest(self) -> Contest | None:
        """How the two prompts compete; None without a second prompt."""
        return None if self.rival is None else _contest(self.order, self.scores, self.rival, self.query)

    def _ranked(self, first: int, count: int) -> Ranked:
        rows = self.order[first - 1 : first - 1 + count]
        return Ranked(tuple(rows.tolist()), tuple(self.scores[rows].tolist()), first)


def _order(scores: Float32) -> Integers:
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    return np.asarray(order[: int(np.isfinite(scores).sum())])


def _contest(order: Integers, first: Float32, second: Float32, query: Query) -> Contest:
    near = [set(order[: query.n].tolist()), set(_order(second)[: query.n].tolist())]
    both, either = sorted(near[0] & near[1]), np.array(sorted(near[0] | near[1]), np.int64)
    closest = either[np.argsort(np.abs(first[either] - second[either]), kind="stable")]
    # A draw goes to the first, as in `retrieve`.
    won = int((first[both] >= second[both]).sum())
    everywhere = int((first[order] >= second[order]).sum())
    return Contest(
        other=query.against or "",
        everywhere=(everywhere, len(order) - everywhere),
        alone=(len(near[0] - near[1]), len(near[1] - near[0])),
        both=len(both),
        won=(won, len(both) - won),
        positions=tuple(closest.tolist()),
        scores=tuple(zip(first[closest].tolist(), second[closest].tolist(), strict=True)),
    )
