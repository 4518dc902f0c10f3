"""Count several columns together; each such detail has its own section and figure on the card.

The details depend on the columns of the table, not on the layout. A layout adds its own by `Layout.details`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from poolwright.core.table import Table
from poolwright.kernels.selection.row_sets import SetCounts, count_sets, row_sets
from poolwright.release.card.figures.heatmaps import draw_domains
from poolwright.release.card.figures.sets import draw_sets
from poolwright.release.card.sections.domains import COUNTS, domains_section
from poolwright.release.card.sections.sets import sets_section
from poolwright.release.domain_counts import DomainCounts, count_domains
from poolwright.release.statistics import Detail


def details_of(table: Table, domain: str | None, class_name: str | None) -> list[Detail]:
    """Count the details that the columns of a table allow.

    Args:
        domain: domain column, if classes are to be counted by domain.
        class_name: column of the class names, if the layout names one.
    """
    found: list[Detail] = []
    if domain:
        found.append(DomainDetail(count_domains(table, domain, class_name)))
    sets = row_sets(table.schema)
    if sets:
        found.append(SetsDetail(count_sets(sets, table.batches(sets.columns))))
    return found


@dataclass(frozen=True)
class DomainDetail:
    """Rows of each class in each domain."""

    counts: DomainCounts
    key: ClassVar[str] = "classes_by_domain"
    name: ClassVar[str] = "domains"

    @property
    def columns(self) -> Sequence[str]:
        """The column of the domains."""
        return (self.counts.column,)

    def document(self) -> Any:
        """Return the counts for `statistics.json`."""
        return self.counts.document()

    def files(self) -> Mapping[str, str]:
        """Return `domain_by_class.csv`."""
        return {COUNTS: self.counts.to_csv()}

    def section(self, picture: str) -> str:
        """Return the classes by domain as Markdown."""
        return domains_section(self.counts, picture)

    def figure(self) -> tuple[Any, str] | None:
        """Draw the heatmap of classes and domains."""
        if not self.counts.classes:
            return None
        return draw_domains(self.counts), f"Rows of each class by {self.counts.column}"


@dataclass(frozen=True)
class SetsDetail:
    """Rows of each set that a step drew, by class and attribute."""

    counts: SetCounts
    key: ClassVar[str] = "long_tailed_sets"
    name: ClassVar[str] = "sets"

    @property
    def columns(self) -> Sequence[str]:
        """The columns of the sets, classes and attributes."""
        return self.counts.described.columns

    def document(self) -> Any:
        """Return the counts for `statistics.json`."""
        return self.counts.document()

    def files(self) -> Mapping[str, str]:
        """Return no files."""
        return {}

    def section(self, picture: str) -> str:
        """Return the rows of each set, of its classes and of its attributes as Markdown."""
        return sets_section(self.counts, picture)

    def figure(self) -> tuple[Any, str] | None:
        """Draw bars of the classes and attributes of each set."""
        return (draw_sets(self.counts), "Classes and attributes of each set") if self.counts.classes else None
