"""Areas under the ROC and precision-recall curves, also of resampled rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.kernels.selection.hashing import hash_key

_BLOCK_VALUES = 1 << 22  # weights of the draws that are processed at once

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


def curves(scores: Float64, positive: Bools, weights: npt.NDArray[Any] | None = None) -> tuple[Float64, Float64]:
    """Area under the ROC curve and average precision, for every row of weights.

    They are scikit-learn's `roc_auc_score` and `average_precision_score` with those sample weights: rows with
    equal scores are one step of the curve, and precision is not interpolated.

    Args:
        scores: (n,), higher is more positive.
        positive: bool (n,), with rows with both kinds.
        weights: (draws, n), at least one positive and one negative row of weight above 0 in each; default one draw
            of ones.

    Returns:
        float64 (draws,) twice.
    """
    order = np.argsort(-scores, kind="stable")
    drawn = np.ones((1, len(scores)), np.int64) if weights is None else weights
    starts, ends, counts = _steps(scores[order], positive[order])
    # Only the steps with positive rows matter; the rows between two of them are added up as one.
    cuts = np.unique(np.concatenate([[0], starts, ends[ends < len(order)]]))
    sums = np.add.reduceat(drawn[:, order], cuts, axis=1)
    mine = np.searchsorted(cuts, starts)
    seen, within = np.cumsum(sums, axis=1)[:, mine], sums[:, mine]
    true_within = np.add.reduceat(drawn[:, order[positive[order]]], np.cumsum(counts) - counts, axis=1)
    true = np.cumsum(true_within, axis=1)
    positives, negatives = true[:, -1], sums.sum(axis=1) - true[:, -1]
    behind = negatives[:, None] - (seen - true) + (within - true_within) / 2
    roc = (true_within * behind).sum(axis=1) / (positives * negatives)
    precision = (true_within * (true / np.where(seen > 0, seen, 1))).sum(axis=1) / positives
    return np.asarray(roc), np.asarray(precision)


def resamples(classes: npt.NDArray[np.int64], draws: int, key: int) -> Iterator[npt.NDArray[np.int32]]:
    """Stratified bootstrap: how often each row is drawn when every class is drawn from with replacement, its size kept.

    Args:
        classes: (n,) class of each row, in an order that does not depend on that of the input.
        key: the seed.

    Yields:
        int32 (some draws, n), `draws` in all.
    """
    generator = np.random.default_rng(hash_key(key, "bootstrap"))
    strata = [np.flatnonzero(classes == one) for one in np.unique(classes)]
    step = max(1, _BLOCK_VALUES // max(1, len(classes)))
    for start in range(0, draws, step):
        many = min(step, draws - start)
        weights = np.zeros((many, len(classes)), np.int32)
        for members in strata:
            drawn = generator.integers(len(members), size=(many, len(members)))
            flat = (drawn + np.arange(many)[:, None] * len(members)).ravel()
            weights[:, members] = np.bincount(flat, minlength=many * len(members)).reshape(many, -1)
        yield weights


def _steps(scores: Float64, positive: Bools) -> tuple[Integers, Integers, Integers]:
    """First row, row after the last, and positive rows with every run of one score that has positive rows."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(scores)) + 1])
    ends = np.append(starts[1:], len(scores))
    counts = np.add.reduceat(positive.astype(np.int64), starts)
    some = counts > 0
    return starts[some], ends[some], counts[some]
