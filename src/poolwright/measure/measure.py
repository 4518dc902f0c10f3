"""Measures a recipe's figures on its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ATTRIBUTE, CLASS_INDEX, is_groupable, is_vector
from poolwright.core.errors import RecipeError, did_you_mean, require_module
from poolwright.core.results.measured import Matrix, Measured
from poolwright.core.rows import Rows
from poolwright.core.runtime.threads import one_blas_thread
from poolwright.core.table import Table
from poolwright.core.wording import counted, some
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.groups import check_groupable
from poolwright.kernels.similarity.unit_length import has_direction
from poolwright.measure.clusterings import agreement
from poolwright.measure.domain_gap import domain_gap
from poolwright.measure.forward_transfer import stream
from poolwright.measure.glt_protocols import long_tail
from poolwright.recipe.figures import Figure
from poolwright.reference.glt_sets import FREQUENCY


def check_figure(figure: Figure, schema: pa.Schema) -> None:
    """Check a figure before anything is measured.

    Args:
        schema: columns that the table has, or will have.

    Raises:
        RecipeError: a column is missing, or of a type that cannot be measured.
    """
    for name in figure.columns():
        if name not in schema.names:
            raise RecipeError(
                f"figure '{figure.name}': table '{figure.table}' has no column '{name}'; "
                f"{did_you_mean(name, schema.names)}; there are: {some(schema.names, 30)}"
            )
    if figure.measure == "probe":
        require_module("sklearn", f"figure '{figure.name}'")
    if figure.measure in ("purity", "nmi"):
        check_groupable(f"figure '{figure.name}'", schema, figure.columns())
    if figure.groups or figure.measure == "long_tail":
        for name in figure.columns():
            _check_type(figure, schema.field(name))


def _check_type(figure: Figure, field: pa.Field) -> None:
    if field.name == figure.vectors:
        good, wanted = is_vector(field.type), "vectors"
    elif figure.measure == "long_tail" and field.name in (CLASS_INDEX, FREQUENCY, ATTRIBUTE):
        good, wanted = pa.types.is_integer(field.type), "integers"
    else:
        good, wanted = is_groupable(field.type), "strings or integers"
    if not good:
        raise RecipeError(f"figure '{figure.name}': column '{field.name}' has type {field.type}; it takes {wanted}")


def measure(figure: Figure, table: Table, workers: int | None = None) -> tuple[Measured, ...]:
    """Measure a figure; `long_tail` has two values, other figures one.

    The same rows in any order give the same value, whatever the number of workers.

    Args:
        workers: probes fitted at a time; default one per core.

    Raises:
        RecipeError: the table lacks a column, or has no rows to measure.
    """
    check_figure(figure, table.schema)
    if not table.record.rows_kept:
        raise RecipeError(f"figure '{figure.name}': table '{table.name}' kept no rows to measure")
    # With more threads the last bits of a matrix product depend on how it was divided.
    with one_blas_thread():
        if figure.measure == "long_tail":
            return tuple(long_tail(figure, table, workers))
        if figure.measure == "probe":
            return (_probe(figure, table),)
        value, words = _value(figure, table, workers)
    return (Measured(name=figure.name, table=table.name, measure=figure.measure, value=value, words=words),)


def _value(figure: Figure, table: Table, workers: int | None) -> tuple[float | Matrix, str]:
    if figure.measure == "domain_gap":
        return domain_gap(figure, table, workers)
    if figure.measure == "stream":
        return stream(figure, table, workers)
    if figure.measure in ("purity", "nmi"):
        return agreement(figure, table)
    if figure.measure == "accuracy":
        return _accuracy(figure, table), f"Share of rows whose {figure.predicted} is their {figure.truth}."
    groups = " and ".join(figure.group)
    return _balance(figure, table), f"Rows of the smallest group by {groups} over rows of the largest; 1 is even."


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


def _probe(figure: Figure, table: Table) -> Measured:
    """Measure the accuracy on the test rows of classes that there are training rows of."""
    from sklearn.linear_model import LogisticRegression

    rows = Rows(table.read(figure.columns()))
    vectors = rows.vectors(str(figure.vectors)).astype(np.float32)
    named = np.array([value is not None for value in rows.column(str(figure.truth)).to_pylist()], bool)
    classes = np.array([str(value) for value in rows.column(str(figure.truth)).to_pylist()])
    splits = np.array([str(value) for value in rows.column(figure.split).to_pylist()])
    drawn, usable = np.isin(splits, ("train", "test")), has_direction(vectors) & named
    train, test = usable & (splits == "train"), usable & (splits == "test")
    known = np.isin(classes, classes[train])
    unseen, test = test & ~known, test & known
    if not train.any() or not test.any():
        raise RecipeError(
            f"figure '{figure.name}': column '{figure.split}' has no rows 'train' and 'test' that have a vector and a "
            f"class of '{figure.truth}' in common"
        )
    if len(np.unique(classes[train])) < 2:
        raise RecipeError(f"figure '{figure.name}': the rows to train on are of one class; a probe needs two")
    probe = LogisticRegression(C=10.0, max_iter=2000).fit(vectors[train], classes[train])
    predicted, unusable = probe.predict(vectors[test]), int((drawn & ~usable).sum())
    words = [
        f"Accuracy on the split test of a linear classifier from {figure.vectors} to {figure.truth}, trained on the "
        "split train.",
        *_left_out(classes, unseen, unusable),
        *_without_rows(set(classes[train].tolist()), set(classes[test].tolist()), set(predicted.tolist())),
    ]
    return Measured(
        name=figure.name,
        table=table.name,
        measure=figure.measure,
        value=float((predicted == classes[test]).mean()),
        words=" ".join(words),
        left_out=int(unseen.sum()) + unusable,
    )


def _left_out(classes: np.ndarray, unseen: np.ndarray, unusable: int) -> Iterator[str]:
    if unseen.any():
        number = counted(len(np.unique(classes[unseen])), "class", "classes")
        yield f"{in_rows(int(unseen.sum()))} to test on left out: no row of their {number} is there to train on."
    if unusable:
        yield f"{in_rows(unusable)} left out: there is no usable vector or no class."


def _without_rows(trained: set[str], tested: set[str], predicted: set[str]) -> Iterator[str]:
    if missing := sorted(trained - tested):
        yield f"{counted(len(missing), 'class', 'classes')} without rows to test on: {some(missing)}."
    if never := sorted(tested - predicted):
        yield f"{counted(len(never), 'class', 'classes')} never predicted: {some(never)}."
