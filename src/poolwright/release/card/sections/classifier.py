"""Write the section of a dataset card on the classifiers that chose its rows."""

from __future__ import annotations

from poolwright.core.table import Table
from poolwright.models.classifiers.comparison_text import Compared, compared
from poolwright.release.card.markdown import grid, plain


def classifier_section(table: Table) -> str:
    """Compare the candidates of a table's `classify` steps on validation rows; '' if there is no such step."""
    found = list(compared(table))
    return "\n\n".join(["## Classifier", *(_comparison(table, comparison) for comparison in found)]) if found else ""


def _comparison(table: Table, comparison: Compared) -> str:
    words = " ".join(plain(sentence) for sentence in comparison.words)
    return f"Table `{table.name}`. {words}\n\n{candidates_grid(comparison)}"


def candidates_grid(comparison: Compared) -> str:
    """Format the candidates and their figures as a table, the chosen one in bold."""
    lines = [
        [f"**{plain(cell)}**" if index == comparison.chosen else plain(cell) for cell in line]
        for index, line in enumerate(comparison.lines)
    ]
    return grid(comparison.head, lines, range(1, len(comparison.head)))
