"""Domain gap: a linear probe for each domain, tested on every domain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from poolwright.core.measured import Matrix
from poolwright.core.table import Table
from poolwright.kernels.linear_probe import fit_linear_probe
from poolwright.kernels.words import rows as in_rows
from poolwright.recipe.figures import Figure
from poolwright.run.probe_rows import Drawn, Numbers, check_rows, cores, draw, error, unit

INVERSE_PENALTY = 10.0
"""C of the logistic regression, that of the measure `probe`."""


def domain_gap(figure: Figure, table: Table, workers: int | None = None) -> tuple[Matrix, str]:
    """Accuracy of a linear probe trained on each domain (down) and tested on each (across), and how it was measured.

    Only classes that all domains have among their training rows take part, in training and in testing. So all
    probes choose among the same classes, and the numbers of a column are about the same rows.

    Args:
        workers: probes fitted at once, each on one thread; default one a core. Changes no result.

    Raises:
        RecipeError: a domain has no rows to train or test on, or the domains share fewer than two classes.
    """
    drawn = draw(figure, table)
    shared = _shared_classes(figure, drawn)
    number_of = np.full(len(drawn.classes), -1, np.int64)
    number_of[shared] = np.arange(len(shared))
    classes = number_of[drawn.class_of]
    places = {place: rows[classes[rows] >= 0] for place, rows in drawn.places.items()}
    check_rows(figure, drawn.domains, places, " of the classes that all have")
    domains = range(len(drawn.domains))

    def accuracies(domain: int) -> list[float]:
        train = places["train", domain]
        probe = fit_linear_probe(unit(drawn.vectors[train]), classes[train], len(shared), INVERSE_PENALTY)
        tests = [places["test", other] for other in domains]
        return [float((probe.predict(unit(drawn.vectors[test])) == classes[test]).mean()) for test in tests]

    with ThreadPoolExecutor(workers or cores()) as pool:
        values = np.array(list(pool.map(accuracies, domains)))
    matrix = Matrix(
        down="trained on",
        across="tested on",
        rows=drawn.domains,
        columns=drawn.domains,
        values=tuple(tuple(round(value, 4) for value in line) for line in values.tolist()),
        row_counts=tuple(len(places["train", domain]) for domain in domains),
        column_counts=tuple(len(places["test", domain]) for domain in domains),
        summary=_summary(values),
    )
    return matrix, _words(figure, drawn, len(shared))


def _shared_classes(figure: Figure, drawn: Drawn) -> Numbers:
    """Classes that every domain has among the rows to train on."""
    there = [np.unique(drawn.class_of[drawn.places["train", domain]]) for domain in range(len(drawn.domains))]
    shared = there[0]
    for classes in there[1:]:
        shared = np.intersect1d(shared, classes)
    if len(shared) < 2:
        raise error(
            figure,
            f"every {figure.domain} has rows to train on of {len(shared)} of the {len(drawn.classes):,} classes of "
            f"'{figure.truth}'; two at least are needed to compare them",
        )
    return shared


def _summary(values: npt.NDArray[np.float64]) -> dict[str, float]:
    inside = float(np.diag(values).mean())
    across = float(values[~np.eye(len(values), dtype=bool)].mean())
    means = {"in-domain mean": inside, "cross-domain mean": across, "gap": inside - across}
    return {name: round(value, 4) for name, value in means.items()}


def _words(figure: Figure, drawn: Drawn, shared: int) -> str:
    told = [
        f"Accuracy of a linear probe (logistic regression with C = {INVERSE_PENALTY:g} on {figure.vectors} at unit "
        f"length) that tells {figure.truth}, trained on the split train of one {figure.domain} and tested on the "
        f"split test of each; at most {in_rows(figure.rows)} of each, drawn by a hash of the uid.",
        _classes_in_words(figure, shared, len(drawn.classes)),
        "The gap is the mean of the diagonal less the mean of the rest.",
    ]
    if drawn.unusable:
        told.append(f"{in_rows(drawn.unusable)} left out: the vector is missing, zero or not finite.")
    if drawn.nameless:
        told.append(f"{in_rows(drawn.nameless)} left out: there is no {figure.domain} or no {figure.truth}.")
    return " ".join(told)


def _classes_in_words(figure: Figure, shared: int, all_classes: int) -> str:
    if shared == all_classes:
        return f"All {shared:,} classes take part."
    return (
        f"{shared:,} of {all_classes:,} classes take part, in training and in testing: those that every "
        f"{figure.domain} has among its rows to train on."
    )
