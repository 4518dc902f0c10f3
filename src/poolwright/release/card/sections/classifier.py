"""The section of a dataset card on the classifiers that chose its rows."""

from __future__ import annotations

from poolwright.core.table import Table
from poolwright.models.classifiers.comparison_text import Compared, compared
from poolwright.release.card.markdown import grid, plain


def classifier_section(table: Table) -> str:
    """What the candidates of a table's `classify` steps did on validation rows; '' where there is no such step."""
    found = list(compared(table))
    return "\n\n".join(["## Classifier", *(_one(table, one) for one in found)]) if found else ""


def _one(table: Table, one: Compared) -> str:
    lines = [
        [f"**{plain(cell)}**" if place == one.chosen else plain(cell) for cell in line]
        for place, line in enumerate(one.lines)
    ]
    words = " ".join(plain(sentence) for sentence in one.words)
    return f"Table `{table.name}`. {words}\n\n{grid(one.head, lines, range(1, len(one.head)))}"
