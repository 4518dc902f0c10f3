"""Measures a linear probe on frozen features for each protocol of a generalized long tail.

After the evaluation of ImageNet-GLT (Tang et al., arXiv 2207.09504, section 5): accuracy, and precision as the mean
over classes of the share of correct rows among those predicted as the class.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from poolwright.core.columns import ATTRIBUTE, CLASS_INDEX, UID
from poolwright.core.measured import Matrix, Measured
from poolwright.core.rows import Rows
from poolwright.core.runtime.cores import cores
from poolwright.core.table import Table
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.classifiers.linear_probe import LinearProbe, fit_linear_probe
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows
from poolwright.measure.probe_rows import Numbers, error, read_vectors
from poolwright.recipe.figures import Figure
from poolwright.reference.glt_sets import COLUMNS, FREQUENCY, GROUPS, TITLES

PROTOCOLS = {
    "class-wise LT": ("Train-GLT", "Test-CBL"),
    "attribute-wise LT": ("Train-CBL", "Test-GBL"),
    "generalized LT": ("Train-GLT", "Test-GBL"),
}
"""The sets that each protocol trains and tests on."""
INVERSE_PENALTY = 10.0
"""C of the logistic regression, that of the measure `probe`."""
_SETS = ("Train-GLT", "Train-CBL", "Test-CBL", "Test-GBL")
_SHORT = 4  # decimals

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Rows:
    """Class, frequency group and attribute of every row of the table, and the rows of each set.

    Attributes:
        sets: rows in the table by set, in order of the hash of their uid.
    """

    classes: Numbers
    group: Numbers
    attribute: Numbers
    sets: dict[str, Numbers]

    @property
    def number(self) -> int:
        return int(self.classes.max()) + 1


def long_tail(figure: Figure, table: Table, workers: int | None = None) -> list[Measured]:
    """Measure accuracy and precision of every protocol, over all test rows, by frequency group and by attribute.

    Args:
        workers: probes fitted at a time, each on one thread; default one per core. It changes no result.

    Raises:
        RecipeError: a set has no rows.
    """
    found = _read(figure, table)
    wanted = np.sort(np.unique(np.concatenate(list(found.sets.values()))))
    vectors = read_vectors(table, str(figure.vectors), wanted)
    good = has_direction(vectors)
    read = {name: np.searchsorted(wanted, rows) for name, rows in found.sets.items()}
    kept = {name: rows[good[rows]] for name, rows in read.items()}
    _check(figure, kept)

    def predicted(train: str) -> dict[str, Numbers]:
        probe = _fit(vectors[kept[train]], found.classes[wanted[kept[train]]], found.number)
        tests = {test for other, test in PROTOCOLS.values() if other == train}
        return {test: probe.predict(unit_rows(vectors[kept[test]])) for test in sorted(tests)}

    trains = ("Train-GLT", "Train-CBL")
    with ThreadPoolExecutor(workers or cores()) as pool:
        by_train = dict(zip(trains, pool.map(predicted, trains), strict=True))
    scores = {
        name: _scores(by_train[train][test], found, wanted[kept[test]]) for name, (train, test) in PROTOCOLS.items()
    }
    groups = _groups(scores)
    words = _words(figure, int((~good).sum()), len({name for line in scores.values() for name in line}) - len(groups))
    return [
        Measured(
            name=f"{figure.name}, {kind}",
            table=table.name,
            measure=figure.measure,
            value=_matrix(scores, groups, kept, index),
            words=f"{meaning} {words}",
        )
        for index, (kind, meaning) in enumerate(_KINDS.items())
    ]


_KINDS = {
    "accuracy": "Share of the test rows, or of those of a frequency group or attribute, whose class is predicted "
    "correctly.",
    "precision": "Mean over the classes, or those of a frequency group, of the share of correct ones among the test "
    "rows predicted as the class, 0 if there are none; for an attribute, among its rows alone.",
}


def _read(figure: Figure, table: Table) -> _Rows:
    """Read the narrow columns of all rows; a second pass reads the vectors of the rows that take part."""
    key = hash_key(table.record.seed, "long_tail")
    hashes, columns = [], []
    masks: dict[str, list[Mask]] = {name: [] for name in _SETS}
    for rows in table.batches([UID, *COLUMNS]):
        hashes.append(hash64(rows.table.column(UID), key))
        columns.append([rows.numbers(name).astype(np.int64) for name in (CLASS_INDEX, FREQUENCY, ATTRIBUTE)])
        for name, parts in masks.items():
            parts.append(_in_set(rows, name))
    order = np.concatenate(hashes)
    sets = {}
    for name, parts in masks.items():
        rows_of = np.flatnonzero(np.concatenate(parts))
        sets[name] = rows_of[np.argsort(order[rows_of], kind="stable")[: figure.rows]]
    classes, group, attribute = (np.concatenate(of) for of in zip(*columns, strict=True))
    return _Rows(classes, group, attribute, sets)


def _in_set(rows: Rows, title: str) -> Mask:
    column, value = TITLES[title]
    return np.asarray(pc.fill_null(pc.equal(rows.table.column(column), value), False).to_numpy())


def _check(figure: Figure, sets: dict[str, Numbers]) -> None:
    for name, rows in sets.items():
        if not len(rows):
            column, value = TITLES[name]
            raise error(figure, f"{name} has no rows with a vector: none has '{value}' in the column '{column}'")


def _fit(vectors: npt.NDArray[np.floating], classes: Numbers, number: int) -> LinearProbe:
    return fit_linear_probe(unit_rows(vectors), classes, number, INVERSE_PENALTY)


def _scores(predicted: Numbers, found: _Rows, rows: Numbers) -> dict[str, tuple[float, float]]:
    """Return accuracy and precision of all test rows, of each frequency group and of each attribute that has any."""
    classes, number = found.classes[rows], found.number
    right = predicted == classes
    taken = np.bincount(predicted, minlength=number)
    of_class = np.bincount(classes[right], minlength=number) / np.maximum(taken, 1)
    present = np.bincount(classes, minlength=number) > 0
    scores = {"all": (float(right.mean()), float(of_class[present].mean()))}
    for index, name in enumerate(GROUPS):
        inside = found.group[rows] == index
        if inside.any():
            kinds = np.unique(classes[inside])
            scores[name] = (float(right[inside].mean()), float(of_class[kinds].mean()))
    for rank in np.unique(found.attribute[rows]).tolist():
        inside = found.attribute[rows] == rank
        scores[f"attribute {rank}"] = (
            float(right[inside].mean()),
            _precision(predicted[inside], classes[inside], number),
        )
    return scores


def _precision(predicted: Numbers, classes: Numbers, number: int) -> float:
    taken = np.bincount(predicted, minlength=number)
    right = np.bincount(classes[predicted == classes], minlength=number)
    return float((right / np.maximum(taken, 1))[np.unique(classes)].mean())


def _groups(scores: dict[str, dict[str, tuple[float, float]]]) -> list[str]:
    """Return the names of the groups of rows that all test sets have, in order."""
    names = dict.fromkeys(name for line in scores.values() for name in line)
    return [name for name in names if all(name in line for line in scores.values())]


def _matrix(
    scores: dict[str, dict[str, tuple[float, float]]], names: list[str], kept: dict[str, Numbers], index: int
) -> Matrix:
    """Make the matrix of the scores of one kind, with a line for each protocol."""
    values = [[round(line[name][index], _SHORT) for name in names] for line in scores.values()]
    return Matrix(
        down="protocol",
        across="test rows",
        rows=tuple(scores),
        columns=tuple(names),
        values=tuple(map(tuple, values)),
        row_counts=tuple(len(kept[PROTOCOLS[name][0]]) for name in scores),
        column_counts=(),
        summary={name: line[0] for name, line in zip(scores, values, strict=True)},
        counted="rows trained on",
    )


def _words(figure: Figure, unusable: int, missing: int) -> str:
    sentences = [
        f"Of a linear probe (logistic regression with C = {INVERSE_PENALTY:g} on {figure.vectors} at unit length), for "
        "each protocol: class-wise LT trains on Train-GLT and tests on Test-CBL, attribute-wise LT on Train-CBL and "
        f"Test-GBL, generalized LT on Train-GLT and Test-GBL; at most {in_rows(figure.rows)} of each set, drawn by a "
        "hash of the uid.",
    ]
    if missing:
        sentences.append("Groups and attributes of which a test set has no rows are left out.")
    if unusable:
        sentences.append(f"{in_rows(unusable)} left out: the vector is missing, zero or not finite.")
    return " ".join(sentences)
