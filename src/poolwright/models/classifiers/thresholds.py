"""Set the decision value above which a row is kept, on validation rows.

Thresholds are half-way between two decisions that were seen, so that no seen row is near one. With `prevalence`,
rows are weighted as if positives had that share: false positives of a balanced validation set count as many
times as there are more negatives in the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, WithJsonSchema

from poolwright.core.errors import RecipeError
from poolwright.core.params import parse_share
from poolwright.models.classifiers.comparison import IntervalEstimate, wilson

Goal = Literal["natural", "accuracy", "precision", "recall"]


def _target(value: Any) -> Any:
    """'accuracy', 'natural', or {precision: 95%}, as (goal, value)."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, Mapping) and len(value) == 1:
        goal, share = next(iter(value.items()))
        return goal, parse_share(share)
    return value


TargetSetting = Annotated[
    tuple[Goal, float | None],
    BeforeValidator(_target),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["natural", "accuracy"]},
                {"type": "object", "properties": {"precision": {}, "recall": {}}, "maxProperties": 1},
            ]
        }
    ),
]
"""A target in a recipe, as (goal, value)."""

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """Target of a threshold.

    Attributes:
        goal: 'natural': 0, the classifier's own threshold. 'accuracy': the best accuracy. 'precision':
            the lowest threshold that reaches `value`. 'recall': the highest threshold that reaches `value`.
        value: share in (0, 1], for precision and recall.
    """

    goal: Goal = "natural"
    value: float | None = None

    def __post_init__(self) -> None:
        wants = self.goal in ("precision", "recall")
        if wants and (self.value is None or not 0 < self.value <= 1):
            raise ValueError(f"a threshold by {self.goal} needs a share above 0 % and up to 100 %, not {self.value}")
        if not wants and self.value is not None:
            raise ValueError(f"a threshold by {self.goal} takes no value; remove it, or choose precision or recall")


@dataclass(frozen=True)
class OperatingPoints:
    """All thresholds that separate seen rows, from keeping all rows to keeping none, and the rows each keeps.

    Attributes:
        thresholds: (c,) ascending; the first keeps all rows, the last none.
        true, false: (c,) positive and negative rows above each.
    """

    thresholds: Float64
    true: Float64
    false: Float64
    positives: int
    negatives: int

    @classmethod
    def of(cls, decisions: Float64, positive: Bools) -> OperatingPoints:
        """Return the cuts between decisions (n,) of rows that are positive or not (n,)."""
        values, number = np.unique(decisions, return_inverse=True)
        middles = values[:-1] + (values[1:] - values[:-1]) / 2
        # Two adjacent floats have no middle: the lower one separates them, as a row is kept above it.
        middles = np.where((middles >= values[:-1]) & (middles < values[1:]), middles, values[:-1])
        # The outer two are clear of the rounding of decisions to float32.
        low, high = np.float32(values[0]), np.float32(values[-1])
        outer = np.nextafter(low, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf))
        thresholds = np.concatenate([[float(outer[0])], middles, [float(outer[1])]])
        true, false = (_above(np.bincount(number[kind], minlength=len(values))) for kind in (positive, ~positive))
        return cls(thresholds, true, false, int(positive.sum()), int((~positive).sum()))

    def shares(self, prevalence: float | None) -> tuple[float, float]:
        """Return the shares of positives and negatives, as seen or as expected at `prevalence`."""
        share = self.positives / (self.positives + self.negatives) if prevalence is None else prevalence
        return share, 1 - share

    def precision(self, prevalence: float | None) -> Float64:
        """Return the precision at each cut, (c,); 0 where nothing is kept."""
        if prevalence is None:
            return np.asarray(self.true / np.maximum(self.true + self.false, 1))
        share, rest = self.shares(prevalence)
        good, bad = share * self.true / self.positives, rest * self.false / self.negatives
        return np.asarray(np.divide(good, good + bad, out=np.zeros(len(good)), where=good > 0))

    def accuracy(self, prevalence: float | None) -> Float64:
        """Return the accuracy at each cut, (c,)."""
        share, rest = self.shares(prevalence)
        return np.asarray(share * self.true / self.positives + rest * (1 - self.false / self.negatives))


def set_threshold(decisions: Float64, positive: Bools, target: Target, prevalence: float | None = None) -> float:
    """Return the threshold that meets the target; a row is kept if its decision is above it.

    Args:
        decisions: (n,) of validation rows.
        positive: bool (n,), with rows of both kinds.
        prevalence: share of positives to expect where the classifier will be used; None for that of these rows.

    Raises:
        RecipeError: no threshold reaches the precision.
    """
    if target.goal == "natural":
        return 0.0
    cuts = OperatingPoints.of(decisions, positive)
    if target.goal == "accuracy":
        values = cuts.accuracy(prevalence)
        best = np.flatnonzero(values >= values.max() - 1e-12)
        return float(cuts.thresholds[best[np.abs(cuts.thresholds[best]).argmin()]])
    wanted = float(target.value or 0)
    if target.goal == "recall":
        return float(cuts.thresholds[np.flatnonzero(cuts.true / cuts.positives >= wanted - 1e-12)[-1]])
    precision = cuts.precision(prevalence)
    enough = np.flatnonzero(precision >= wanted - 1e-12)
    if not len(enough):
        raise RecipeError(_unreached(cuts, precision, wanted, prevalence))
    return float(cuts.thresholds[enough[0]])


def at_threshold(
    decisions: Float64, positive: Bools, threshold: float, prevalence: float | None = None
) -> dict[str, IntervalEstimate]:
    """Compute accuracy, precision and recall with 95 % intervals if rows above the threshold are kept.

    The intervals are Wilson's. If precision and accuracy are for another prevalence, their ends are those of
    recall and of the false-positive rate together, so they are on the wide side.
    """
    kept, rows = decisions > threshold, len(decisions)
    true, false = int((kept & positive).sum()), int((kept & ~positive).sum())
    positives, negatives = int(positive.sum()), int((~positive).sum())
    recall, fall_out = wilson(true, positives), wilson(false, negatives)
    if prevalence is None:
        precision, accuracy = wilson(true, true + false), wilson(true + negatives - false, rows)
    else:
        precision, accuracy = _expected(recall, fall_out, prevalence)
    return {"accuracy": accuracy, "precision": precision, "recall": recall, "false_positive_rate": fall_out}


def _above(counts: npt.NDArray[np.int64]) -> Float64:
    """Count the rows above each cut, from counts of rows by value."""
    return np.concatenate([np.cumsum(counts[::-1])[::-1], [0]]).astype(np.float64)


def _expected(
    recall: IntervalEstimate, fall_out: IntervalEstimate, prevalence: float
) -> tuple[IntervalEstimate, IntervalEstimate]:
    ends = [(recall.value, fall_out.value), (recall.low, fall_out.high), (recall.high, fall_out.low)]
    precision: list[float | None] = []
    accuracy: list[float | None] = []
    for found, wrong in ends:
        good, bad = prevalence * float(found or 0), (1 - prevalence) * float(wrong or 0)
        precision.append(good / (good + bad) if good + bad > 0 else None)
        accuracy.append(good + (1 - prevalence) - bad)
    return IntervalEstimate(*precision), IntervalEstimate(*accuracy)


def _unreached(cuts: OperatingPoints, precision: Float64, wanted: float, prevalence: float | None) -> str:
    best = int(precision.argmax())
    where = "" if prevalence is None else f" at a prevalence of {prevalence:.4g}"
    return (
        f"threshold: no threshold reaches a precision of {wanted:.2%}{where} on the {cuts.positives:,} positive and "
        f"{cuts.negatives:,} negative validation rows; the best is {precision[best]:.2%}, at a recall of "
        f"{cuts.true[best] / cuts.positives:.2%}. Ask for a lower precision, or give more examples"
    )
