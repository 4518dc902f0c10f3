"""Measuring a recipe's figures on its tables."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow.compute as pc

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.recipe.figures import Figure


def measure(figure: Figure, table: Table) -> float:
    """The value of a figure.

    Raises:
        RecipeError: the table lacks a column, or has no rows to measure.
    """
    for name in figure.columns():
        if name not in table.schema.names:
            raise RecipeError(
                f"figure '{figure.name}': table '{table.name}' has no column '{name}'; "
                f"{did_you_mean(name, table.schema.names)}"
            )
    if not table.record.rows_kept:
        raise RecipeError(f"figure '{figure.name}': table '{table.name}' kept no rows to measure")
    return {"accuracy": _accuracy, "balance": _balance, "probe": _probe}[figure.measure](figure, table)


def _accuracy(figure: Figure, table: Table) -> float:
    right = rows = 0
    for batch in table.batches(figure.columns()):
        predicted, truth = (batch.column(name) for name in figure.columns())
        right += pc.sum(pc.fill_null(pc.equal(predicted, truth.cast(predicted.type)), False)).as_py() or 0
        rows += len(batch)
    return right / rows


def _balance(figure: Figure, table: Table) -> float:
    groups: Counter[tuple[object, ...]] = Counter()
    for batch in table.batches(figure.group):
        groups.update(zip(*(batch.table.column(name).to_pylist() for name in figure.group), strict=True))
    return min(groups.values()) / max(groups.values())


def _probe(figure: Figure, table: Table) -> float:
    from sklearn.linear_model import LogisticRegression

    rows = Rows(table.read(figure.columns()))
    vectors = rows.vectors(str(figure.vectors)).astype(np.float32)
    classes = np.array([str(value) for value in rows.column(str(figure.truth)).to_pylist()])
    splits = np.array([str(value) for value in rows.column(figure.split).to_pylist()])
    train, test = splits == "train", splits == "test"
    if not train.any() or not test.any():
        raise RecipeError(f"figure '{figure.name}': column '{figure.split}' has no rows 'train' and 'test'")
    probe = LogisticRegression(C=10.0, max_iter=2000).fit(vectors[train], classes[train])
    return float((probe.predict(vectors[test]) == classes[test]).mean())
