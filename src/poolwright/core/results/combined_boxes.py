"""Defines what boxes that several people drew come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BoxAgreement:
    """How far people agree on the boxes of a class, or of all.

    Attributes:
        name: of the class; '' for all.
        boxes: number of boxes that are accepted.
        disputed: number of groups of boxes that less than a majority drew.
        agreement: of all boxes on pictures of several people, the share that another one has drawn as well, as F1 over
            all pairs of people; None if nobody drew any. It is not corrected for chance.
        overlap: mean intersection over union of the pairs of boxes that are of one object; None if there are none.
    """

    name: str
    boxes: int
    disputed: int
    agreement: float | None
    overlap: float | None


@dataclass(frozen=True)
class CombinedBoxes:
    """What boxes of several people come to.

    Attributes:
        people: number of people, without reviewers.
        images: number of pictures that were decided.
        too_few: names of the pictures that too few people looked at.
        disputed_images: number of pictures with disputed boxes.
        reviewed: number of pictures that a reviewer decided.
        least_overlap: smallest intersection over union of boxes of one object.
        all: over all classes.
        classes: each class that somebody drew, by name.
        remarks: what was not read, in sentences.
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
