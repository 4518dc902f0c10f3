"""Figures of a recipe: numbers a run prints last, measured on its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Figure(BaseModel):
    """One number, or one matrix of numbers, measured on the kept rows of a table.

    `accuracy`: share of rows whose `predicted` column equals their `truth` column.
    `balance`: rows of the smallest group over rows of the largest, by the columns of `group`; 1 is even.
    `purity`: share of rows that have the most frequent `truth` of their cluster `predicted`; with `group`, clusters of
        each group are taken for themselves.
    `nmi`: normalised mutual information of the clusters `predicted` and `truth`, with `group` on the mean of its rows.
    `probe`: accuracy on the split `test` of a linear classifier trained on the split `train`,
        from the vectors `vectors` to the class `truth` (linear probe, as in the CLIP paper, section 3.2).
    `domain_gap`: a linear probe for each value of the column `domain`, trained on its rows of the split `train`
        and tested on the rows of the split `test` of each other: a matrix of accuracies. Over the classes of
        `truth` that all domains have to train on, so that each number answers the same question.
    `verdicts`: precision, recall and prevalence on the pool of the table's classifier, with intervals, from the
        verdicts on a `sheet` that `poolwright audit` wrote. Until there are some, it is left out and said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name the figure is printed under, such as top-1")
    table: str = Field(description="table whose kept rows are measured")
    measure: Literal["accuracy", "balance", "purity", "nmi", "probe", "domain_gap", "verdicts"] = Field(
        default="accuracy", description="what is measured"
    )
    predicted: str | None = Field(
        default=None, description="accuracy: column with the prediction; purity, nmi: with the cluster"
    )
    truth: str | None = Field(
        default=None, description="accuracy, purity, nmi, probe, domain_gap: column with the true value"
    )
    group: tuple[str, ...] = Field(default=(), description="balance, purity, nmi: columns of the groups")
    vectors: str | None = Field(default=None, description="probe, domain_gap: column of vectors")
    split: str = Field(default="split", description="probe, domain_gap: column with the splits train and test")
    domain: str | None = Field(default=None, description="domain_gap: column of the domains, such as continent")
    rows: int = Field(
        default=20_000,
        ge=1,
        description="domain_gap: most rows of a domain to train on, and most to test on; drawn by a hash of the uid",
    )

    sheet: str | None = Field(default=None, description="verdicts: the sheet, relative to the recipe's folder")
    verdicts: tuple[str, ...] = Field(
        default=(), description="verdicts: filled-in copies or exports of it; default the sheet itself"
    )
    words: dict[str, str] = Field(
        default_factory=dict, description="verdicts: what other words mean, such as {map: positive, other: negative}"
    )

    @model_validator(mode="after")
    def _complete(self) -> Figure:
        needed = {
            "accuracy": ("predicted", "truth"),
            "balance": ("group",),
            "purity": ("predicted", "truth"),
            "nmi": ("predicted", "truth"),
            "probe": ("vectors", "truth"),
            "domain_gap": ("vectors", "truth", "domain"),
            "verdicts": ("sheet",),
        }[self.measure]
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(f"measure '{self.measure}' needs {' and '.join(missing)}")
        return self

    def below(self, folder: Path) -> Figure:
        """The figure with its files below a folder."""
        sheet = str(folder / self.sheet) if self.sheet else None
        return self.model_copy(update={"sheet": sheet, "verdicts": tuple(str(folder / path) for path in self.verdicts)})

    def columns(self) -> tuple[str, ...]:
        """Columns of the table that are read."""
        if self.measure == "verdicts":
            return ()
        if self.measure == "balance":
            return self.group
        if self.measure == "accuracy":
            return (str(self.predicted), str(self.truth))
        if self.measure in ("purity", "nmi"):
            return (str(self.predicted), str(self.truth), *self.group)
        probed = (str(self.vectors), str(self.truth), self.split)
        return (*probed, str(self.domain)) if self.measure == "domain_gap" else probed
