"""Defines the result of `search`: rows and their cosines, with the rows themselves at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import pyarrow as pa

from poolwright.api.table import Table
from poolwright.core.columns import UID
from poolwright.core.results.search_result import SearchResult as _SearchResult


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SearchResult(_SearchResult):
    """The rows of a table with their cosines to what was searched for; see the fields of its base.

    In a notebook it shows the nearest pictures.
    """

    rows_of: Table = field(repr=False)

    @classmethod
    def of(cls, found: _SearchResult, table: Table) -> Self:
        """Add the table to what was found in it."""
        return cls(**{one.name: getattr(found, one.name) for one in fields(found)}, rows_of=table)

    def uids(self) -> dict[int, str]:
        """Return the uids of all rows that the result names, by number of the row."""
        numbers = self.named
        column = self.rows_of.select([UID]).take(numbers).column(UID).to_pylist()
        return dict(zip(numbers, column, strict=True))

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the nearest rows, in order, with `rank` and `score` first."""
        nearest = self.nearest
        rows = (self.rows_of if columns is None else self.rows_of.select(columns)).take(nearest.positions)
        ranks = pa.array(range(nearest.first, nearest.first + len(nearest.positions)), pa.int64())
        named = {"rank": ranks, "score": pa.array(nearest.scores, pa.float32())}
        for place, (name, values) in enumerate(named.items()):
            rows = rows.drop_columns([name] if name in rows.column_names else []).add_column(place, name, values)
        return rows

    def __repr__(self) -> str:
        scores = self.nearest.scores
        best = f", cosines {scores[0]:.4f} to {scores[-1]:.4f}" if scores else ""
        return f"<search for '{self.words}' in table '{self.table}': {len(scores):,} of {self.rows:,} rows{best}>"

    def _repr_html_(self) -> str:
        from poolwright.api.display import search_html

        return search_html(self)
