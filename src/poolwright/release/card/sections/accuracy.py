"""Write the section of a dataset card on how right its labels are, and who verified them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any

from poolwright.core.columns import LABEL
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.facts.people import HumanWork
from poolwright.release.card.markdown import folded, grid, plain, share
from poolwright.release.card.sections.classifier import classifier_section

_MOST_GROUPS = 30
"""Number of groups up to which the table is not folded."""


def accuracy_section(facts: ReleaseFacts) -> str:
    """Return who gave and verified the labels, with agreement, and the classifiers that chose rows; '' if nobody."""
    words = [f"- {_work(work)}" for work in facts.people]
    if not words and facts.release.has(LABEL) and "model" in facts.labelled_by:
        words = ["Labels were given by a model; nobody has verified them."]
    elif not words and facts.release.has(LABEL):
        words = ["Labels are those of the source; nobody has verified them here."]
    classifiers = [classifier_section(table) for table in facts.family.tables]
    certificates = [work.certificate for work in facts.people if work.certificate]
    tables = [table(found) for found in certificates for table in (_by_group, _by_class)]
    body = ["## Accuracy", "\n".join(words), *tables] if words else []
    return "\n\n".join(part for part in (*body, *classifiers) if part)


def _work(work: HumanWork) -> str:
    asked = f" were asked '{plain(work.question)}'" if work.question else ""
    return f"{plain(work.step)}: {plain(work.words)}{asked}. {plain(work.learned)}."


def _by_group(certificate: Mapping[str, Any]) -> str:
    """Return the share of right rows of each group, before the others were removed, with its limits."""
    groups = certificate["groups"]
    head = ("class", "rows", "looked at", "right", "wrong", "unsure", "share right", "limits")
    lines = [
        [
            plain(group["group"]) or "all rows",
            *(f"{group[name]:,}" for name in ("rows", "verified", "right", "wrong", "unsure")),
            share(group["right"], group["verified"]) if group["verified"] else "",
            _limits(group),
        ]
        for group in groups
    ]
    words = "Right rows of each class, before those that people found wrong or were unsure of were removed."
    if any(group["conclusion"] == "met" for group in groups):
        words += f" Lower limits hold with {certificate['confidence']:.0%} confidence, upper ones with certainty."
    if not all(line[-1] for line in lines):
        words += " Of a class without limits a part was looked at, and the share is that of the part."
    return _table(words, head, lines)


def _by_class(certificate: Mapping[str, Any]) -> str:
    """Return the classes that people named, if they named all that they saw, and how far they agree; '' if not."""
    lines = [
        [plain(one["class"]), f"{one['rows']:,}", f"{one['unclear']:,}", *_agreement(one["agreement"])]
        for one in certificate.get("classes", ())
    ]
    head = ("class", "rows that show it", "unclear", "seen by several", "equal pairs", "alpha")
    words = "Classes that people named on these rows; they could name several. Alpha is Krippendorff's."
    return _table(words, head, lines) if lines else ""


def _table(words: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    table = grid(head, lines, range(1, len(head)))
    return f"{words}\n\n{table if len(lines) <= _MOST_GROUPS else folded(f'{len(lines):,} classes', table)}"


def _agreement(found: Mapping[str, Any]) -> tuple[str, str, str]:
    if not found["rows"]:
        return "0", "", ""
    return f"{found['rows']:,}", f"{found['pairwise']:.1%}", f"{found['krippendorff_alpha']:.2f}"


def _limits(group: Mapping[str, Any]) -> str:
    """Return the limits of the share of right rows in a group; '' if the rows looked at are no sample of it."""
    if group["verified"] == group["rows"]:
        return "all looked at"
    if group["bound"] is None:
        return ""
    low = f"{floor(group['bound'] * 1000 + 1e-6) / 10:.1f}%"
    return f"{low} to {share(group['rows'] - group['wrong'] - group['unsure'], group['rows'])}"
