"""Write the section of a dataset card on how right its labels are, and who verified them."""

from __future__ import annotations

from poolwright.core.columns import LABEL
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.facts.people import HumanWork
from poolwright.release.card.markdown import plain
from poolwright.release.card.sections.classifier import classifier_section


def accuracy_section(facts: ReleaseFacts) -> str:
    """Return who gave and verified the labels, with agreement, and the classifiers that chose rows; '' if nobody."""
    words = [f"- {_work(work)}" for work in facts.people]
    if not words and facts.release.has(LABEL) and "model" in facts.labelled_by:
        words = ["Labels were given by a model; nobody has verified them."]
    elif not words and facts.release.has(LABEL):
        words = ["Labels are those of the source; nobody has verified them here."]
    classifiers = [classifier_section(table) for table in facts.family.tables]
    body = ["## Accuracy", "\n".join(words)] if words else []
    return "\n\n".join(part for part in (*body, *classifiers) if part)


def _work(work: HumanWork) -> str:
    asked = f" were asked '{plain(work.question)}'" if work.question else ""
    return f"{plain(work.step)}: {plain(work.words)}{asked}. {plain(work.learned)}."
