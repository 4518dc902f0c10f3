"""Measures how well clusters agree with a truth: purity and normalised mutual information."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import RecipeError
from poolwright.core.table import Table
from poolwright.kernels.selection.group_counts import AddGroupCount, GroupCount
from poolwright.recipe.figures import Figure

Pair = tuple[Any, Any]


def agreement(figure: Figure, table: Table) -> tuple[float, str]:
    """Return the value of a figure `purity` or `nmi`, and its description.

    Raises:
        RecipeError: no row has all values.
    """
    groups = _contingencies(figure, table)
    rows = np.array([counts.sum() for counts in groups])
    if not rows.sum():
        raise RecipeError(f"figure '{figure.name}': no row has a value in all of {', '.join(figure.columns())}")
    value = purity if figure.measure == "purity" else normalised_mutual_information
    found = float(np.average([value(counts) for counts in groups], weights=rows))
    within = f" within each {' and '.join(figure.group)}" if figure.group else ""
    if figure.measure == "purity":
        return found, f"Share of rows with the most frequent {figure.truth} of their {figure.predicted}{within}."
    return found, f"Normalised mutual information of {figure.predicted} and {figure.truth}{within}; 1 is agreement."


def purity(counts: npt.NDArray[np.int64]) -> float:
    """Return the share of rows that have the most frequent truth of their cluster, from counts (clusters, truths)."""
    return float(counts.max(axis=1).sum() / counts.sum())


def normalised_mutual_information(counts: npt.NDArray[np.int64]) -> float:
    """Return mutual information over the mean of both entropies, as scikit-learn; 1 if both have a single value."""
    joint = counts / counts.sum()
    clusters, truths = joint.sum(axis=1), joint.sum(axis=0)
    entropies = (_entropy(clusters) + _entropy(truths)) / 2
    if entropies == 0:
        return 1.0
    return max(0.0, (2 * entropies - _entropy(joint.ravel())) / entropies)


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _contingencies(figure: Figure, table: Table) -> list[npt.NDArray[np.int64]]:
    """Count rows by cluster and truth, (clusters, truths), for each group."""
    columns = figure.columns()
    count, add = GroupCount(), AddGroupCount(columns)
    for rows in table.batches(columns):
        count = add(count, rows)
    counted = count.counted(table.schema, columns)
    values = zip(*(column.to_pylist() for column in counted.groups.values), strict=True)
    found: dict[tuple[Any, ...], Counter[Pair]] = {}
    for value, rows_of in zip(values, counted.counts.tolist(), strict=True):
        found.setdefault(value[2:], Counter())[value[:2]] += rows_of
    return [_matrix(pairs) for _, pairs in sorted(found.items(), key=lambda item: str(item[0]))]


def _matrix(pairs: Counter[Pair]) -> npt.NDArray[np.int64]:
    clusters, truths = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    counts = np.zeros((len(clusters), len(truths)), np.int64)
    for (cluster, truth), rows in pairs.items():
        counts[clusters.index(cluster), truths.index(truth)] = rows
    return counts
