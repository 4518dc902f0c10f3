"""Trains a linear probe on each group of rows and tests it on every group: a probe matrix."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.results.measured import Matrix
from poolwright.core.runtime.cores import cores
from poolwright.core.table import Table
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.classifiers.linear_probe import fit_linear_probe
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.measure.probe_rows import Drawn, Numbers, check_rows, draw, error
from poolwright.recipe.figures import Figure

INVERSE_PENALTY = 10.0
"""C of the logistic regression, that of the measure `probe`."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProbeMatrix:
    """Accuracies of a linear probe trained on each group (down) and tested on each (across).

    Attributes:
        values: (g, g).
        groups: names of the groups.
        trained, tested: numbers of rows of each.
        words: sentences that describe how it was measured.
        left_out: rows that were drawn and take no part.
    """

    values: Floats
    groups: tuple[str, ...]
    trained: tuple[int, ...]
    tested: tuple[int, ...]
    words: tuple[str, ...]
    left_out: int = 0

    def matrix(self, summary: Mapping[str, float]) -> Matrix:
        """Make the matrix of a figure, with numbers about it."""
        return Matrix(
            down="trained on",
            across="tested on",
            rows=self.groups,
            columns=self.groups,
            values=tuple(tuple(round(value, 4) for value in line) for line in self.values.tolist()),
            row_counts=self.trained,
            column_counts=self.tested,
            summary={name: round(value, 4) for name, value in summary.items()},
            left_out=self.left_out,
        )


def probe_matrix(figure: Figure, table: Table, workers: int | None = None) -> ProbeMatrix:
    """Train a probe on each group and test it on all groups.

    Only classes that all groups have among their training rows take part, in training and in testing. All
    probes then choose among the same classes, and the numbers of a column are about the same rows.

    Args:
        workers: probes fitted at a time, each on one thread; default one per core. It changes no result.

    Raises:
        RecipeError: a group has no rows to train or test on, or the groups share fewer than two classes.
    """
    drawn = draw(figure, table)
    shared = _shared_classes(figure, drawn)
    number_of = np.full(len(drawn.classes), -1, np.int64)
    number_of[shared] = np.arange(len(shared))
    classes = number_of[drawn.class_of]
    sets = {key: rows[classes[rows] >= 0] for key, rows in drawn.sets.items()}
    others = sum(map(len, drawn.sets.values())) - sum(map(len, sets.values()))
    check_rows(figure, drawn.groups, sets, " of the classes that all have")
    groups = range(len(drawn.groups))

    def accuracies(group: int) -> list[float]:
        train = sets["train", group]
        probe = fit_linear_probe(unit_rows(drawn.vectors[train]), classes[train], len(shared), INVERSE_PENALTY)
        tests = [sets["test", other] for other in groups]
        return [float((probe.predict(unit_rows(drawn.vectors[test])) == classes[test]).mean()) for test in tests]

    with ThreadPoolExecutor(workers or cores()) as pool:
        values = np.array(list(pool.map(accuracies, groups)))
    return ProbeMatrix(
        values=values,
        groups=drawn.groups,
        trained=tuple(len(sets["train", group]) for group in groups),
        tested=tuple(len(sets["test", group]) for group in groups),
        words=tuple(_words(figure, drawn, len(shared), others)),
        left_out=others + drawn.unusable + drawn.nameless,
    )


def _shared_classes(figure: Figure, drawn: Drawn) -> Numbers:
    """Return the classes that every group has among the rows to train on."""
    by_group = [np.unique(drawn.class_of[drawn.sets["train", group]]) for group in range(len(drawn.groups))]
    shared = by_group[0]
    for classes in by_group[1:]:
        shared = np.intersect1d(shared, classes)
    if len(shared) < 2:
        raise error(
            figure,
            f"every {figure.groups} has rows to train on of {len(shared)} of the {len(drawn.classes):,} classes of "
            f"'{figure.truth}'; at least two are needed to compare them",
        )
    return shared


def _words(figure: Figure, drawn: Drawn, shared: int, others: int) -> list[str]:
    sentences = [
        f"Accuracy of a linear probe (logistic regression with C = {INVERSE_PENALTY:g} on {figure.vectors} at unit "
        f"length) that predicts {figure.truth}, trained on the split train of one {figure.groups} and tested on the "
        f"split test of each; at most {in_rows(figure.rows)} of each, drawn by a hash of the uid.",
        _classes_in_words(figure, shared, len(drawn.classes), others),
    ]
    if drawn.unusable:
        sentences.append(f"{in_rows(drawn.unusable)} left out: the vector is missing, zero or not finite.")
    if drawn.nameless:
        sentences.append(f"{in_rows(drawn.nameless)} left out: there is no {figure.groups} or no {figure.truth}.")
    return sentences


def _classes_in_words(figure: Figure, shared: int, all_classes: int, others: int) -> str:
    if shared == all_classes:
        return f"All {shared:,} classes take part."
    return (
        f"{shared:,} of {all_classes:,} classes take part, in training and in testing: those that every "
        f"{figure.groups} has among its rows to train on; {in_rows(others)} of the others left out."
    )
