"""Measures how a linear probe of one time bucket performs on the buckets before and after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwright.core.measured import Matrix
from poolwright.core.table import Table
from poolwright.measure.probe_matrix import Floats, probe_matrix
from poolwright.recipe.figures import Figure


def stream(figure: Figure, table: Table, workers: int | None = None) -> tuple[Matrix, str]:
    """Return accuracies of a linear probe trained on each bucket and tested on each, and how they were measured.

    Buckets are in order of time, by the numbers in their names. With several splits, each number is the mean over
    them.

    Raises:
        RecipeError: as `probe_matrix`.
    """
    splits = figure.splits or (figure.split,)
    found = [probe_matrix(figure.model_copy(update={"split": name}), table, workers) for name in splits]
    values = np.mean([one.values for one in found], axis=0)
    means = [four_means(one.values) for one in found]
    sentences = [
        *found[0].words,
        "In-domain is the mean of the diagonal, next-domain that of the diagonal above it, backward transfer that of "
        "all below the diagonal, forward transfer that of all above it, as in the CLEAR benchmark.",
    ]
    if len(splits) > 1:
        spread = max(np.std([one[name] for one in means]) for name in means[0])
        sentences.append(
            f"Means over the splits {', '.join(splits)}; the standard deviation of these four over the splits is "
            f"{spread:.3f} at most, and the rows are those of {splits[0]}."
        )
    return replace(found[0], values=values).matrix(four_means(values)), " ".join(sentences)


def four_means(values: Floats) -> dict[str, float]:
    """Compute the summary that CLEAR proposes (Lin et al., arXiv 2201.06289) of a matrix of two buckets or more.

    Args:
        values: (b, b) accuracies, trained on (down) and tested on (across), in order of time.
    """
    return {
        "in-domain": float(np.diag(values).mean()),
        "next-domain": float(np.diag(values, 1).mean()),
        "backward transfer": float(values[np.tril_indices(len(values), -1)].mean()),
        "forward transfer": float(values[np.triu_indices(len(values), 1)].mean()),
    }
