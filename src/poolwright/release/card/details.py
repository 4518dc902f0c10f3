"""Details: counts over several columns together, each with a section and a figure of its own on the card.

A table has them by its columns, whatever the layout. A layout adds its own by `Layout.details`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from poolwright.core.columns import LONG_TAIL
from poolwright.core.table import Table
from poolwright.reference.glt_sets import LongTail, count_sets, has_sets
from poolwright.release.card.figures.heatmaps import draw_domains
from poolwright.release.card.figures.long_tail import draw_sets
from poolwright.release.card.sections.domains import COUNTS, domains_section
from poolwright.release.card.sections.long_tail import sets_section
from poolwright.release.domain_counts import DomainCounts, count_domains
from poolwright.release.statistics import Detail


def details_of(table: Table, domain: str | None, class_name: str | None) -> list[Detail]:
    """Count what there is to count.

    Args:
        domain: column of the domains, if classes are to be counted by domain.
        class_name: column of the class names, if the layout names one.
    """
    found: list[Detail] = []
    if domain:
        found.append(DomainDetail(count_domains(table, domain, class_name)))
    if has_sets(table.schema):
        found.append(LongTailDetail(count_sets(table.batches(LONG_TAIL))))
    return found


@dataclass(frozen=True)
class DomainDetail:
    """Rows of each class in each domain."""

    counts: DomainCounts
    key: ClassVar[str] = "classes_by_domain"
    name: ClassVar[str] = "domains"
    columns: ClassVar[tuple[str, ...]] = ()

    def document(self) -> Any:
        """The counts, for `statistics.json`."""
        return self.counts.document()

    def files(self) -> Mapping[str, str]:
        """`domain_by_class.csv`."""
        return {COUNTS: self.counts.to_csv()}

    def section(self, picture: str) -> str:
        """Classes by domain, Markdown."""
        return domains_section(self.counts, picture)

    def figure(self) -> tuple[Any, str] | None:
        """The heatmap of classes and domains."""
        if not self.counts.classes:
            return None
        return draw_domains(self.counts), f"Rows of each class by {self.counts.column}"


@dataclass(frozen=True)
class LongTailDetail:
    """Rows of each set of a generalized long tail by class and attribute."""

    counts: LongTail
    key: ClassVar[str] = "long_tailed_sets"
    name: ClassVar[str] = "sets"
    columns: ClassVar[tuple[str, ...]] = LONG_TAIL

    def document(self) -> Any:
        """The counts, for `statistics.json`."""
        return self.counts.document()

    def files(self) -> Mapping[str, str]:
        """None."""
        return {}

    def section(self, picture: str) -> str:
        """Rows of each set, of its classes, and of its attributes, Markdown."""
        return sets_section(self.counts, picture)

    def figure(self) -> tuple[Any, str] | None:
        """Bars of the classes and attributes of each set."""
        return (draw_sets(self.counts), "Classes and attributes of each set") if self.counts.classes else None
