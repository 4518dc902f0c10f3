"""Defines the documents of estimates from verdicts, and of combined boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from poolwright.api import CombinedBoxes, Estimates, MoreVerdicts
from poolwright.core.results.combined_boxes import BoxAgreement


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
        people: number of people, without reviewers.
        images: number of pictures that were decided.
        too_few: names of the pictures that too few people looked at.
        disputed_images: number of pictures with disputed boxes.
        reviewed: number of pictures that a reviewer decided.
        least_overlap: smallest intersection over union of boxes of one object.
        all: over all classes.
        classes: each class that somebody drew.
        remarks: what was not read.
        files: the files that were written: instances, disputed, agreement.
    """

    people: int
    images: int
    too_few: tuple[str, ...]
    disputed_images: int
    reviewed: int
    least_overlap: float
    all: BoxAgreement
    classes: tuple[BoxAgreement, ...]
    remarks: tuple[str, ...]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, found: CombinedBoxes) -> Self:
        """Make it from the result."""
        return cls(**vars(found))
