"""Decide which classes a row shows, if people named all that they see: each by itself, by the rule of the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poolwright.annotation.deciding.judging import Terms
from poolwright.annotation.deciding.rules import UNCLEAR, VERIFIED, Votes, decide
from poolwright.annotation.verdicts import MEANINGS, NEGATIVE, POSITIVE, UNSURE
from poolwright.kernels.statistics.agreement import Agreement, agreement


@dataclass(frozen=True)
class DecidedClass:
    """One class, over all rows.

    Attributes:
        name: of the class.
        rows: int64 (n,) indices of the rows that show it.
        unclear: number of rows on which some people name it and the rule cannot decide.
        agreement: how far people agree whether rows show it.
    """

    name: str
    rows: np.ndarray
    unclear: int
    agreement: Agreement

    def document(self) -> dict[str, Any]:
        """Return the counts and the agreement, for states and certificates."""
        found = self.agreement
        return {
            "class": self.name,
            "rows": len(self.rows),
            "unclear": self.unclear,
            "agreement": {"rows": found.items, "pairwise": found.pairwise, "krippendorff_alpha": found.alpha},
        }


def decide_classes(votes: Votes, terms: Terms) -> tuple[DecidedClass, ...]:
    """Decide about every class that somebody named, in order of the names.

    A vote that names classes is a yes to each of them and a no to all others; one that names none is a no to all; one
    that is unsure is unsure of all. Dawid and Skene's model is fitted to each class by itself.
    """
    return tuple(_decide_each(votes, terms))


def _decide_each(votes: Votes, terms: Terms) -> Iterator[DecidedClass]:
    naming: dict[str, list[int]] = {}
    for vote, names in enumerate(votes.chosen):
        for name in names:
            naming.setdefault(name, []).append(vote)
    others = np.where(votes.meaning == MEANINGS.index(UNSURE), votes.meaning, MEANINGS.index(NEGATIVE))
    enough = _enough(votes, terms)
    for name in sorted(naming):
        meaning = others.copy()
        meaning[naming[name]] = MEANINGS.index(POSITIVE)
        about = replace(votes, meaning=meaning)
        code, _ = decide(about, terms.rule, terms.probability)
        named = about.counts()[:, MEANINGS.index(POSITIVE)] > 0
        yield DecidedClass(
            name,
            np.flatnonzero(enough & (code == VERIFIED)),
            int((named & (code == UNCLEAR)).sum()),
            agreement(about.ratings(independent=True)),
        )


def classes_of_rows(votes: Votes, terms: Terms, decided: tuple[DecidedClass, ...]) -> list[list[str] | None]:
    """Return the classes that each row shows, sorted; None for rows without enough votes."""
    given = _enough(votes, terms)
    names = [list[str]() for _ in range(votes.rows)]
    for one in decided:
        for row in one.rows.tolist():
            names[row].append(one.name)
    return [found if enough else None for found, enough in zip(names, given, strict=True)]


def _enough(votes: Votes, terms: Terms) -> np.ndarray:
    """Return the mask of rows with enough votes: bool (n,)."""
    return np.asarray(votes.counts().sum(axis=1) >= (1 if terms.partial else terms.annotators))
