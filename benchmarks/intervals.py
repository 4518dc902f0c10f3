"""Coverage and width of intervals for precision, recall and prevalence, by simulation.

The table of docs/verification.md.

    python -m benchmarks.intervals [--repetitions 400]

Positives have decision values from N(distance, 1), some of them ("hidden") from N(0, 1) as the negatives have; the
threshold is put where the filter has the wanted recall. Pools are counted in bins, so their size costs nothing.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.kernels.statistics.melded_intervals import meld
from poolwright.kernels.statistics.strata import Stratum, design

Floats = npt.NDArray[np.float64]
Limits = tuple[Floats, Floats]
MEASURES = ("precision", "recall", "prevalence")
DRAWS = 1_500


@dataclass(frozen=True)
class World:
    """A pool as it is: its strata, and how many positives each truly has."""

    strata: tuple[Stratum, ...]
    positives: npt.NDArray[np.int64]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        return np.array([stratum.rows for stratum in self.strata])

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        return np.array([stratum.kept for stratum in self.strata])

    def truth(self) -> dict[str, float]:
        found, missed = self.positives[self.kept].sum(), self.positives[~self.kept].sum()
        precision = found / self.rows[self.kept].sum()
        return dict(
            zip(MEASURES, (precision, found / (found + missed), (found + missed) / self.rows.sum()), strict=True)
        )

    def sampled(self, repetitions: int, seed: int) -> tuple[Floats, Floats]:
        """Positives and negatives seen in each stratum, (repetitions, k) each."""
        random = np.random.default_rng(seed)
        sizes = np.array([stratum.sample for stratum in self.strata])
        seen = [
            random.hypergeometric(true, rows - true, size, repetitions)
            if rows < 900_000_000
            else random.binomial(size, true / rows, repetitions)
            for true, rows, size in zip(self.positives, self.rows, sizes, strict=True)
        ]
        positive = np.stack(seen, axis=1).astype(np.float64)
        return positive, sizes - positive


def world(rows: int, prevalence: float, recall: float, n: int, hidden: float = 0.0, distance: float = 4.0) -> World:
    from scipy.special import ndtr
    from scipy.stats import norm

    grid = np.linspace(-5, distance + 5, 400)
    above = (1 - hidden) * norm.sf(grid - distance) + hidden * norm.sf(grid)
    nearest = int(np.abs(above - recall).argmin())
    threshold = float(grid[nearest])
    edges = np.concatenate([[-np.inf], grid, [np.inf]])
    positive = np.diff((1 - hidden) * ndtr(edges - distance) + hidden * ndtr(edges)) * rows * prevalence
    positive = np.rint(positive).astype(np.int64)
    negative = np.rint(np.diff(ndtr(edges)) * rows * (1 - prevalence)).astype(np.int64)
    strata = design(edges, positive + negative, threshold, n)
    starts = np.searchsorted(edges, [stratum.low for stratum in strata])
    starts = np.maximum(starts, 0)
    return World(strata, np.add.reduceat(positive, starts))


def melded(pool: World, positive: Floats, negative: Floats) -> dict[str, Limits]:
    limits = meld(pool.rows, pool.kept, positive, negative, draws=DRAWS)
    return {name: getattr(limits, name) for name in MEASURES}


def normal(pool: World, positive: Floats, negative: Floats) -> dict[str, Limits]:
    """Horvitz-Thompson variances and 1.96 standard errors, the ratio by the delta method."""
    rows, kept, n = pool.rows, pool.kept, positive + negative
    rates = positive / n
    spread = rows**2.0 * (1 - n / rows) * rates * (1 - rates) / np.maximum(n - 1, 1)
    found, missed = (rates * rows)[:, kept].sum(1), (rates * rows)[:, ~kept].sum(1)
    of_found, of_missed = spread[:, kept].sum(1), spread[:, ~kept].sum(1)
    passed, both = rows[kept].sum(), np.maximum(found + missed, 1e-9)
    errors = {
        "precision": (found / passed, np.sqrt(of_found) / passed),
        "recall": (found / both, np.sqrt(missed**2 * of_found + found**2 * of_missed) / both**2),
        "prevalence": (both / rows.sum(), np.sqrt(of_found + of_missed) / rows.sum()),
    }
    return {name: (value - 1.96 * error, value + 1.96 * error) for name, (value, error) in errors.items()}


def bootstrap(pool: World, positive: Floats, negative: Floats) -> dict[str, Limits]:
    """Percentiles of samples drawn again from the sample, stratum by stratum."""
    n = (positive + negative).astype(np.int64)
    again = np.random.default_rng(1).binomial(n, positive / n, (DRAWS, *n.shape)) / n * pool.rows
    return _percentiles(pool, again, again)


def jeffreys(pool: World, positive: Floats, negative: Floats) -> dict[str, Limits]:
    """Posterior with the prior Beta(1/2, 1/2) in each stratum; recall reaches 1 where no missed positive was seen."""
    drawn = _posterior(pool, positive, negative, positive + 0.5, negative + 0.5, 1)
    limits = _percentiles(pool, drawn, drawn)
    low, high = limits["recall"]
    return {**limits, "recall": (low, np.where(positive[:, ~pool.kept].sum(1) == 0, 1.0, high))}


def exact_each(pool: World, positive: Floats, negative: Floats) -> dict[str, Limits]:
    """Melded, with the shift of Clopper and Pearson in every stratum."""
    low = _posterior(pool, positive, negative, positive, negative + 1, 1)
    high = _posterior(pool, positive, negative, positive + 1, negative, 2)
    return _percentiles(pool, low, high)


METHODS: dict[str, Callable[[World, Floats, Floats], dict[str, Limits]]] = {
    "normal": normal,
    "bootstrap": bootstrap,
    "jeffreys": jeffreys,
    "exact in each stratum": exact_each,
    "melded, one shift": melded,
}


def _posterior(pool: World, positive: Floats, negative: Floats, a: Floats, b: Floats, seed: int) -> Floats:
    random, n = np.random.default_rng(seed), positive + negative
    rates = random.beta(np.maximum(a, 1e-300), np.maximum(b, 1e-300), (DRAWS, *a.shape))
    rates = np.where(a <= 0, 0.0, np.where(b <= 0, 1.0, rates))
    return np.asarray(positive + random.binomial((pool.rows - n).astype(np.int64), rates))


def _percentiles(pool: World, low: Floats, high: Floats) -> dict[str, Limits]:
    kept, rows = pool.kept, pool.rows
    found, missed = (
        (low[:, :, kept].sum(2), high[:, :, kept].sum(2)),
        (low[:, :, ~kept].sum(2), high[:, :, ~kept].sum(2)),
    )
    worst = found[0] / np.maximum(found[0] + missed[1], 1e-9)
    best = np.where(found[1] + missed[0] > 0, found[1] / np.maximum(found[1] + missed[0], 1e-9), 1.0)
    pairs = {
        "precision": (found[0] / rows[kept].sum(), found[1] / rows[kept].sum()),
        "recall": (worst, best),
        "prevalence": ((found[0] + missed[0]) / rows.sum(), (found[1] + missed[1]) / rows.sum()),
    }
    return {name: (np.quantile(a, 0.025, axis=0), np.quantile(b, 0.975, axis=0)) for name, (a, b) in pairs.items()}


def covers(limits: Limits, truth: float) -> npt.NDArray[np.bool_]:
    return (limits[0] <= truth + 1e-12) & (truth <= limits[1] + 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=400)
    repetitions = parser.parse_args().repetitions
    coverage: dict[tuple[str, str], list[float]] = defaultdict(list)
    widths: dict[tuple[str, str, int, float], list[float]] = defaultdict(list)
    grid = itertools.product((10**6, 10**9), (0.001, 0.0075, 0.05), (0.5, 0.9, 0.99), (200, 400, 2_000), (0.0, 0.02))
    for seed, (rows, prevalence, recall, n, hidden) in enumerate(grid):
        pool = world(rows, prevalence, recall, n, min(hidden, (1 - recall) / 2))
        answers, truth = pool.sampled(repetitions, seed), pool.truth()
        for method, function in METHODS.items():
            limits = function(pool, *answers)
            for name in MEASURES:
                coverage[method, name].append(float(covers(limits[name], truth[name]).mean()))
                widths[method, name, n, prevalence].append(float((limits[name][1] - limits[name][0]).mean()))
    _print(coverage, widths)


def _print(
    coverage: dict[tuple[str, str], list[float]], widths: dict[tuple[str, str, int, float], list[float]]
) -> None:
    print("method | measure | least coverage | mean | below 93 % | mean width of", len(next(iter(coverage.values()))))
    for (method, name), shares in coverage.items():
        width = np.mean([np.mean(part) for key, part in widths.items() if key[:2] == (method, name)])
        low = sum(share < 0.93 for share in shares)
        print(f"{method} | {name} | {min(shares):.3f} | {np.mean(shares):.3f} | {low} | {width:.3f}")
    for key, part in widths.items():
        if key[0] in ("melded, one shift", "exact in each stratum") and key[1] != "prevalence":
            print(*key, f"{np.mean(part):.3f}")


if __name__ == "__main__":
    main()
