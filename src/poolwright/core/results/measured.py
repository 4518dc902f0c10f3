"""Measured: the value of a figure of a recipe on a table."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from poolwright.core.wording import rows as in_rows

_LEAST_SPAN = 0.25
"""Least distance between two numbers that the faintest and the strongest colour stand for."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Matrix(_Record):
    """A number for each pair of two groups of rows, such as the accuracy of training on one and testing on the other.

    Attributes:
        down, across: what the lines and the columns are: 'trained on', 'tested on'.
        rows, columns: names of the groups down and across; the same name stands for the same group in both.
        values: one line per entry of `rows` with one number per entry of `columns`, to four decimals.
        row_counts, column_counts: rows of the table that each group stands for; `column_counts` is empty if a group
            across stands for other rows in each line.
        summary: numbers about the matrix by name, such as the mean of its diagonal.
        counted: what `row_counts` count.
        left_out: rows that could not take part, such as those of classes without a row to train on.
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
    left_out: int = 0

    def limits(self) -> tuple[float, float]:
        """Return the numbers that the faintest and the strongest colour stand for.

        They are far enough apart that a difference of a hundredth does not look large.
        """
        values = [value for line in self.values for value in line]
        high = max(values)
        return min(*values, high - _LEAST_SPAN), high


class Measured(_Record):
    """The value of one figure.

    Attributes:
        name: of the figure.
        table: whose kept rows were measured.
        measure: what was measured, as the recipe names it.
        value: one number, or a matrix; None if it could not be measured.
        low, high: interval of the number, if it is an estimate; both are the number if all rows were looked at.
        words: a description of how it was measured, or why it could not be, in sentences.
        left_out: as in `Matrix`, for one number.
    """

    name: str
    table: str
    measure: str
    value: float | Matrix | None
    words: str
    low: float | None = None
    high: float | None = None
    left_out: int = 0

    @property
    def remark(self) -> str:
        """How many rows were left out: ' (60 rows left out)', or ''."""
        number = self.value.left_out if isinstance(self.value, Matrix) else self.left_out
        return f" ({in_rows(number)} left out)" if number else ""

    @property
    def number(self) -> str:
        """The value, if it is one number, formatted with its interval."""
        if isinstance(self.value, Matrix):
            raise TypeError(f"'{self.name}' is a matrix")
        if self.value is None:
            return "not measured"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        if self.low == self.high:
            return f"{self.value:.3f} (all looked at)"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
