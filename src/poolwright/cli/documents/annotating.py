"""Defines the documents of estimates from verdicts, and of combined boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from poolwright.api import CombinedBoxes, Estimates, MoreVerdicts


@dataclass(frozen=True)
class AccuracyDocument:
    """The accuracy of a filter on its pool.

    Attributes:
        estimates: precision, recall and prevalence with their intervals, and the strata behind them.
        more: further verdicts by stratum, and the half-widths expected with them; null without `--want`.
    """

    estimates: Estimates
    more: MoreVerdicts | None

    @classmethod
    def of(cls, estimates: Estimates, more: MoreVerdicts | None = None) -> Self:
        """Make it from estimates."""
        return cls(estimates, more)


@dataclass(frozen=True)
class BoxesDocument:
    """What boxes of several people come to.

    Attributes:
        combined: counts, agreement and the files that were written.
    """

    combined: CombinedBoxes

    @classmethod
    def of(cls, found: CombinedBoxes) -> Self:
        """Make it from the result."""
        return cls(found)
