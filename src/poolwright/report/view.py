"""Define the input of a report: a finished table, and access to its pictures and dropped rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolwright.core.results.measured import Measured
from poolwright.core.rows import Rows
from poolwright.core.table import Table


def no_images(rows: Rows) -> list[bytes | None]:
    """Return no picture for any row, for a table without pictures."""
    return [None] * len(rows)


def no_rows(code: int, limit: int) -> Rows:
    """Return no dropped rows, for a source that cannot be read."""
    return Rows.of({})


@dataclass(frozen=True)
class TableView:
    """One table of a report.

    Attributes:
        table: the finished table.
        image_bytes: returns the encoded image files of some kept rows, one per row, None for a missing one. It
            receives every stored column except vectors.
        dropped_sample: (ledger code, limit) -> at most that many rows of the source that were dropped with
            this code, the same ones each time. Columns are those of the source, including 'image' if
            there are pictures.
        measured: figures of the recipe that were measured on the table.
        compared: (predicted, truth) columns that its `accuracy` figures compare.
        stale: why it is not up to date with the tables that it was made from, and what to do; '' if it is.
    """

    table: Table
    image_bytes: Callable[[Rows], list[bytes | None]] = no_images
    dropped_sample: Callable[[int, int], Rows] = no_rows
    measured: tuple[Measured, ...] = ()
    compared: tuple[tuple[str, str], ...] = ()
    stale: str = ""
