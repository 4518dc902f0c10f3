"""Figures of a recipe: numbers a run prints last, measured on its tables."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Figure(BaseModel):
    """One number, measured on the kept rows of a table.

    `accuracy`: share of rows whose `predicted` column equals their `truth` column.
    `balance`: rows of the smallest group over rows of the largest, by the columns of `group`; 1 is even.
    `probe`: accuracy on the split `test` of a linear classifier trained on the split `train`,
        from the vectors `vectors` to the class `truth` (linear probe, as in the CLIP paper, section 3.2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name the figure is printed under, such as top-1")
    table: str = Field(description="table whose kept rows are measured")
    measure: Literal["accuracy", "balance", "probe"] = Field(default="accuracy", description="what is measured")
    predicted: str | None = Field(default=None, description="accuracy: column with the prediction")
    truth: str | None = Field(default=None, description="accuracy, probe: column with the true value")
    group: tuple[str, ...] = Field(default=(), description="balance: columns of the groups")
    vectors: str | None = Field(default=None, description="probe: column of vectors")
    split: str = Field(default="split", description="probe: column with the splits train and test")

    @model_validator(mode="after")
    def _complete(self) -> Figure:
        needed = {"accuracy": ("predicted", "truth"), "balance": ("group",), "probe": ("vectors", "truth")}
        missing = [name for name in needed[self.measure] if not getattr(self, name)]
        if missing:
            raise ValueError(f"measure '{self.measure}' needs {' and '.join(missing)}")
        return self

    def columns(self) -> tuple[str, ...]:
        """Columns of the table that are read."""
        if self.measure == "balance":
            return self.group
        if self.measure == "accuracy":
            return (str(self.predicted), str(self.truth))
        return (str(self.vectors), str(self.truth), self.split)
