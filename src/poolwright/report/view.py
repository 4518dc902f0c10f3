"""What a report is made of: a finished table, and ways to look at its pictures and at what it dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolwright.core.results.measured import Measured
from poolwright.core.rows import Rows
from poolwright.core.table import Table


def no_images(rows: Rows) -> list[bytes | None]:
    """The pictures of a table that has none."""
    return [None] * len(rows)


def no_rows(code: int, limit: int) -> Rows:
    """Dropped rows where the source cannot be read."""
    return Rows.of({})


@dataclass(frozen=True)
class TableView:
    """One table of a report.

    Attributes:
        table: the finished table.
        image_bytes: encoded files of some kept rows, one a row, None where there is none. It gets every
            stored column but vectors.
        dropped_sample: (ledger code, limit) -> at most so many rows of the source that were dropped with
            this code, the same ones each time. Columns as the source has them, 'image' among them where
            there are pictures.
        measured: figures of the recipe that were measured on the table.
        compared: (predicted, truth) columns that its figures `accuracy` compare.
    """

    table: Table
    image_bytes: Callable[[Rows], list[bytes | None]] = no_images
    dropped_sample: Callable[[int, int], Rows] = no_rows
    measured: tuple[Measured, ...] = ()
    compared: tuple[tuple[str, str], ...] = ()
