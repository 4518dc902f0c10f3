"""Conformance: the numbers that a shipped recipe gives at its published size, next to the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PublishedNumber:
    """One number of a dataset.

    Attributes:
        what: what is counted or measured.
        published: as published; null if it was not.
        ours: as the shipped recipe gives it.
        fixed: whether the rules fix it, whatever the images are, so that both must be equal.
        note: where the number of ours comes from, if it is not counted in the tables.
    """

    what: str
    published: float | None
    ours: float
    fixed: bool = False
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether ours is not the number that the rules fix."""
        return self.fixed and self.ours != self.published

    @property
    def verdict(self) -> str:
        """The comparison in words."""
        return "DIFFERS" if self.differs else "equal" if self.fixed else self.note


@dataclass(frozen=True)
class Conformance:
    """A shipped recipe compared with the dataset that it reproduces.

    Attributes:
        recipe: name of the recipe.
        source: where the published numbers stand.
        generated: what was generated, and which parts of the recipe were left out for want of images.
        numbers: the numbers of the dataset.
        folder: folder with the generated sources, the recipe as it was run, and its run.
    """

    recipe: str
    source: str
    generated: str
    numbers: tuple[PublishedNumber, ...]
    folder: Path

    @property
    def ok(self) -> bool:
        """Whether every number that the rules fix is the published one."""
        return not any(one.differs for one in self.numbers)


def in_digits(number: float | None) -> str:
    """Write a count with commas, a share or an accuracy with its digits; '' if there is none."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number == int(number) or number > 1_000 else f"{number:.4g}"
