"""Pools known only by how many positives and negatives there are in each bin of the decision value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from poolwright.kernels.statistics.accuracy import Answers
from poolwright.kernels.statistics.strata import Stratum, design

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """A pool with a filter: positives ~ N(distance, 1), negatives ~ N(0, 1), kept from the threshold on."""

    edges: npt.NDArray[np.float64]
    positives: Ints
    negatives: Ints
    threshold: float

    @property
    def counts(self) -> Ints:
        return self.positives + self.negatives

    def within(self, strata: tuple[Stratum, ...]) -> Ints:
        """Positives truly in each stratum."""
        lows = np.array([stratum.low for stratum in strata])
        highs = np.array([stratum.high for stratum in strata])
        starts, ends = np.searchsorted(self.edges, lows), np.searchsorted(self.edges, highs)
        return np.array([self.positives[start:end].sum() for start, end in zip(starts, ends, strict=True)])

    def measures(self) -> dict[str, float]:
        kept = self.edges[:-1] >= self.threshold
        found, both = self.positives[kept].sum(), self.positives.sum()
        return {
            "precision": found / self.counts[kept].sum(),
            "recall": found / both,
            "prevalence": both / self.counts.sum(),
        }


def made(rows: int, prevalence: float, recall: float, distance: float = 4.0) -> Truth:
    grid = np.linspace(-5.0, distance + 5.0, 300)
    threshold = float(grid[np.abs(norm.sf(grid - distance) - recall).argmin()])
    edges = np.concatenate([[-np.inf], grid, [np.inf]])
    positives = np.rint(np.diff(norm.cdf(edges - distance)) * rows * prevalence).astype(np.int64)
    negatives = np.rint(np.diff(norm.cdf(edges)) * rows * (1 - prevalence)).astype(np.int64)
    return Truth(edges, positives, negatives, threshold)


def designed(truth: Truth, n: int) -> tuple[Stratum, ...]:
    return design(truth.edges, truth.counts, truth.threshold, n)


def seen(truth: Truth, strata: tuple[Stratum, ...], repetitions: int, seed: int = 0) -> Ints:
    """Positives in repeated samples: (repetitions, k)."""
    random = np.random.default_rng(seed)
    columns = [
        random.hypergeometric(inside, stratum.rows - inside, stratum.sample, repetitions)
        if stratum.rows < 900_000_000
        else random.binomial(stratum.sample, inside / stratum.rows, repetitions)
        for stratum, inside in zip(strata, truth.within(strata), strict=True)
    ]
    return np.stack(columns, axis=1)


def answers(strata: tuple[Stratum, ...], positives: Ints) -> list[Answers]:
    return [Answers(int(count), stratum.sample - int(count)) for stratum, count in zip(strata, positives, strict=True)]
