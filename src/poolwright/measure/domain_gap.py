"""Measures the domain gap: how much a linear probe loses on domains that it was not trained on."""

from __future__ import annotations

import numpy as np

from poolwright.core.measured import Matrix
from poolwright.core.table import Table
from poolwright.measure.probe_matrix import Floats, probe_matrix
from poolwright.recipe.figures import Figure


def domain_gap(figure: Figure, table: Table, workers: int | None = None) -> tuple[Matrix, str]:
    """Return accuracies of a linear probe trained on each domain and tested on each, and how they were measured.

    Raises:
        RecipeError: as `probe_matrix`.
    """
    found = probe_matrix(figure, table, workers)
    first, classes, *left_out = found.words
    gap = "The gap is the mean of the diagonal less the mean of the rest."
    return found.matrix(_summary(found.values)), " ".join([first, classes, gap, *left_out])


def _summary(values: Floats) -> dict[str, float]:
    inside = float(np.diag(values).mean())
    across = float(values[~np.eye(len(values), dtype=bool)].mean())
    return {"in-domain mean": inside, "cross-domain mean": across, "gap": inside - across}
