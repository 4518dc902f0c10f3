"""Collect what a record and its ledger say about a dataset, for its Croissant document and its datasheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow.parquet as pq

from poolwright.core import columns
from poolwright.core.table import Table
from poolwright.core.wording import rows as in_rows
from poolwright.release.card.about import About
from poolwright.release.card.croissant.nodes import change_words
from poolwright.release.card.facts.people import HumanWork, work_of_people
from poolwright.release.lineage import Lineage
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics

_PERSONAL = {
    columns.AUTHOR: "names of authors",
    columns.ATTRIBUTION: "names of authors",
    columns.LATITUDE: "places where pictures were taken",
    columns.LONGITUDE: "places where pictures were taken",
    columns.TAKEN_AT: "times at which pictures were taken",
    columns.URL: "addresses, which may name people",
}


@dataclass(frozen=True)
class ReleaseFacts:
    """What is known about a release.

    Attributes:
        release: its record.
        family: the table with those it comes from.
        about: what the recipe says.
        statistics: counts of the table.
    """

    release: ReleaseRecord
    family: Lineage
    about: About
    statistics: Statistics

    @cached_property
    def people(self) -> tuple[HumanWork, ...]:
        """The work of people on its rows."""
        return work_of_people(self.family)

    @cached_property
    def sources(self) -> Mapping[str, int]:
        """Rows that were read, by source in words: 'pool photos'. Tables of the lineage are no sources."""
        known = {f"tables.{record.name}" for record in self.family.records}
        found: dict[str, int] = {}
        for record in self.family.records:
            for name, rows in record.rows_by_source.items():
                kind, _, own = name.partition(".")
                if name not in known:
                    found[f"{kind.removesuffix('s')} {own}"] = rows
        return found

    @cached_property
    def models(self) -> Mapping[str, str]:
        """Digest of the weights by name of each model that made vectors."""
        return {model.name: model.weights for record in self.family.records for model in record.models}

    @cached_property
    def labelled_by(self) -> frozenset[str]:
        """Who gave or confirmed classes: 'model', 'people'."""
        return frozenset(step.labelled_by for record in self.family.records for step in record.steps) - {""}

    @cached_property
    def personal(self) -> Mapping[str, str]:
        """What may be personal data, by column of the release."""
        return {column.name: _PERSONAL[column.name] for column in self.release.columns if column.name in _PERSONAL}

    @cached_property
    def missing(self) -> Mapping[str, int]:
        """Rows that are null, NaN or infinite by column, if there are any; lists and records are not counted."""
        counts = missing_values(self.family.table)
        counts |= {name: max(spread.missing, counts.get(name, 0)) for name, spread in self.statistics.spreads.items()}
        return {name: count for name, count in counts.items() if count}

    @property
    def changed(self) -> str:
        """What was done to the images on their way into the release, in words; '' if nothing was."""
        return change_words(self.release)

    @property
    def missing_words(self) -> str:
        """The columns with missing values, in words; '' if none has any."""
        shown = {column.name for column in self.release.columns}
        found = [f"{name} in {in_rows(count)}" for name, count in self.missing.items() if name in shown]
        return f"No value: {', '.join(found)}." if found else ""


def missing_values(table: Table) -> dict[str, int]:
    """Count the nulls of every flat column of a table, from the statistics of its files."""
    counts: dict[str, int] = {}
    for part in table.record.parts:
        metadata = pq.read_metadata(table.folder / part.file)
        flat = [at for at in range(metadata.num_columns) if "." not in metadata.schema.column(at).path]
        for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
            for at in flat:
                column = group.column(at)
                known = column.statistics
                if known is not None and known.has_null_count:
                    name = column.path_in_schema
                    counts[name] = counts.get(name, 0) + known.null_count
    return counts
