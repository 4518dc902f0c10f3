"""Measured: what a figure of a recipe found on a table."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_LEAST_SPAN = 0.25
"""Numbers whose colours differ fully are at least so far apart."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Matrix(_Record):
    """A number for each pair of two groups of rows, such as the accuracy of training on one and testing on the other.

    Attributes:
        down, across: what the lines and the columns are: 'trained on', 'tested on'.
        rows, columns: names of the groups down and across; one name stands for one group in both.
        values: a line for each of `rows` with a number for each of `columns`, to four decimals.
        row_counts, column_counts: rows of the table that each group stands for; no `column_counts` where a group
            across stands for other rows in each line.
        summary: numbers about the matrix by name, such as the mean of its diagonal.
        counted: what `row_counts` count.
    """

    down: str
    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    row_counts: tuple[int, ...]
    column_counts: tuple[int, ...]
    summary: dict[str, float]
    counted: str = "rows"

    def limits(self) -> tuple[float, float]:
        """Numbers that the faintest and the strongest colour stand for: so that a hundredth does not look like much."""
        values = [value for line in self.values for value in line]
        high = max(values)
        return min(*values, high - _LEAST_SPAN), high


class Measured(_Record):
    """The value of one figure.

    Attributes:
        name: of the figure.
        table: whose kept rows were measured.
        measure: what was measured, as the recipe names it.
        value: one number, or a matrix.
        low, high: interval of the number, where it is an estimate.
        words: how it was measured, in sentences.
    """

    name: str
    table: str
    measure: str
    value: float | Matrix
    words: str
    low: float | None = None
    high: float | None = None

    @property
    def number(self) -> str:
        """A value that is one number, with its interval, as people read it."""
        if isinstance(self.value, Matrix):
            raise TypeError(f"'{self.name}' is a matrix")
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
