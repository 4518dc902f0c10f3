"""Figures of a recipe: numbers that a run measures on its tables and prints last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from poolwright.reference.glt_sets import COLUMNS as GLT_COLUMNS

Measure = Literal["accuracy", "balance", "purity", "nmi", "probe", "domain_gap", "stream", "long_tail", "verdicts"]

_NEEDED: Mapping[Measure, tuple[str, ...]] = {
    "accuracy": ("predicted", "truth"),
    "balance": ("group",),
    "purity": ("predicted", "truth"),
    "nmi": ("predicted", "truth"),
    "probe": ("vectors", "truth"),
    "domain_gap": ("vectors", "truth", "domain"),
    "stream": ("vectors", "truth", "bucket"),
    "long_tail": ("vectors",),
    "verdicts": ("sheet",),
}
"""Fields that each measure requires."""


class Figure(BaseModel):
    """One number, or one matrix of numbers, measured on the kept rows of a table.

    `accuracy`: share of rows whose `predicted` column equals their `truth` column.
    `balance`: rows of the smallest group over rows of the largest, by the columns of `group`; 1 is even.
    `purity`: share of rows that have the most frequent `truth` of their cluster `predicted`; with `group`, the clusters
        of each group are counted separately.
    `nmi`: normalised mutual information of the clusters `predicted` and `truth`; with `group` the mean over groups,
        weighted by their rows.
    `probe`: accuracy on the split `test` of a linear classifier trained on the split `train`,
        from the vectors `vectors` to the class `truth` (linear probe, as in the CLIP paper, section 3.2).
    `domain_gap`: a linear probe for each value of the column `domain`, trained on its rows of the split `train`
        and tested on the rows of the split `test` of each other: a matrix of accuracies. Over the classes of
        `truth` that all domains have to train on, so that each number answers the same question.
    `stream`: a linear probe for each value of the column `bucket`, in order of time, trained and tested as for
        `domain_gap`: a matrix of accuracies with the four means that CLEAR proposes (arXiv 2201.06289): in-domain,
        of the diagonal; next-domain, of the diagonal above it; backward and forward transfer, of all below and above.
    `long_tail`: a linear probe on `vectors` for each protocol of a table with the sets of the step `glt`: two matrices,
        of accuracy and of precision (the mean over classes), over all test rows, by frequency group and by attribute.
    `verdicts`: precision, recall and prevalence on the pool of the table's classifier, with intervals, from the
        verdicts on a `sheet` that `poolwright audit` wrote. Until there are some, the figure is left out with a note.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(description="name under which the figure is printed, such as top-1")
    table: str = Field(description="table whose kept rows are measured")
    measure: Measure = Field(default="accuracy", description="what is measured")
    predicted: str | None = Field(
        default=None, description="accuracy: column with the prediction; purity, nmi: column with the cluster"
    )
    truth: str | None = Field(
        default=None, description="accuracy, purity, nmi, probe, domain_gap, stream: column with the true value"
    )
    group: tuple[str, ...] = Field(default=(), description="balance, purity, nmi: columns of the groups")
    vectors: str | None = Field(default=None, description="probe, domain_gap, stream, long_tail: column of vectors")
    split: str = Field(
        default="split", description="probe, domain_gap, stream: column with the splits train and test, such as split_0"
    )
    domain: str | None = Field(default=None, description="domain_gap: column of the domains, such as continent")
    bucket: str | None = Field(default=None, description="stream: column of the time buckets")
    splits: tuple[str, ...] = Field(
        default=(), description="stream: several columns instead of `split`; the numbers are means over them"
    )
    rows: int = Field(
        default=20_000,
        ge=1,
        description="domain_gap, stream, long_tail: most rows of a domain, bucket or set to train on, and to test "
        "on; drawn by a hash of the uid",
    )
    sheet: str | None = Field(default=None, description="verdicts: the sheet, relative to the recipe's folder")
    verdicts: tuple[str, ...] = Field(
        default=(), description="verdicts: filled-in copies or exports of it; default the sheet itself"
    )
    words: dict[str, str] = Field(
        default_factory=dict, description="verdicts: meanings of other words, such as {map: positive, other: negative}"
    )

    field: str = Field(default="verdict", description="verdicts: name of the field of the files that has the verdicts")

    @model_validator(mode="after")
    def _complete(self) -> Figure:
        missing = [name for name in _NEEDED[self.measure] if not getattr(self, name)]
        if missing:
            raise ValueError(f"measure '{self.measure}' needs {' and '.join(missing)}")
        return self

    def below(self, folder: Path) -> Figure:
        """Return the figure with its files resolved against a folder."""
        sheet = str(folder / self.sheet) if self.sheet else None
        return self.model_copy(update={"sheet": sheet, "verdicts": tuple(str(folder / path) for path in self.verdicts)})

    def columns(self) -> tuple[str, ...]:
        """Return the columns of the table that are read."""
        if self.measure == "verdicts":
            return ()
        if self.measure == "balance":
            return self.group
        if self.measure == "accuracy":
            return (str(self.predicted), str(self.truth))
        if self.measure in ("purity", "nmi"):
            return (str(self.predicted), str(self.truth), *self.group)
        if self.measure == "long_tail":
            return (str(self.vectors), *GLT_COLUMNS)
        splits = self.splits if self.measure == "stream" and self.splits else (self.split,)
        return tuple(
            dict.fromkeys([str(self.vectors), str(self.truth), *splits, *([self.groups] if self.groups else [])])
        )

    @property
    def groups(self) -> str:
        """Column of the groups of rows that are trained and tested on, one by one; '' if there is none."""
        return {"domain_gap": self.domain, "stream": self.bucket}.get(self.measure) or ""


def measures() -> tuple[str, ...]:
    """Return every value of `measure`."""
    return get_args(Measure)


def measure_words(measure: str) -> str:
    """Return the description of a measure in the docstring of `Figure`: a line, and the rest if there is more."""
    paragraphs = re.split(r"^`(\w+)`: ", cleandoc(Figure.__doc__ or ""), flags=re.MULTILINE)[1:]
    words = dict(zip(paragraphs[::2], paragraphs[1::2], strict=True))
    first, *rest = re.split(r"(?<=[.:;]) ", " ".join(words[measure].split()), maxsplit=1)
    sentences = [first.rstrip(".:;") + ".", *rest]
    return "\n\n".join(text[0].upper() + text[1:] for text in sentences)


def measure_fields(measure: str) -> dict[str, tuple[str, bool]]:
    """Return the fields of a figure that a measure uses: by name their meaning for it, and whether it needs them.

    Descriptions begin with the measures they are for, 'purity, nmi: the cluster'; those without are for all.
    """
    found = {}
    for name, field in Figure.model_fields.items():
        needed = field.is_required() or name in _NEEDED[measure]  # type: ignore[index]
        for sense in re.split(r"; (?=[\w, ]+: )", field.description or ""):
            match = re.match(r"([\w, ]+): (.*)", sense)
            if match is None or match[1].split(", ")[0] not in measures():
                found[name] = (sense, needed)
            elif measure in match[1].split(", "):
                found[name] = (match[2], needed)
    return found
