"""Train, compare and choose a classifier on embeddings: `train` is a pure function of rows, options and a key."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.errors import InputError, RecipeError
from poolwright.core.runtime.threads import one_blas_thread
from poolwright.kernels.classifiers.parameters import Classifier
from poolwright.kernels.classifiers.predict import Prepared, decide, prepare
from poolwright.kernels.classifiers.svm import ExactSvm
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.kernels.similarity.near_duplicates import similar_groups
from poolwright.models.classifiers import comparison
from poolwright.models.classifiers.calibration import Calibration, brier, calibrate, calibration_error, log_loss
from poolwright.models.classifiers.candidates import (
    GRIDS,
    fit,
    fit_plainly,
    on_cores,
    search,
    stratified_folds,
)
from poolwright.models.classifiers.comparison import Candidate, against_rest, measured, metric
from poolwright.models.classifiers.examples import (
    FEATURES,
    VALIDATION,
    Examples,
    class_indices,
    conflicts_in,
    duplicates_of,
    in_order,
    split_by_hash,
)
from poolwright.models.classifiers.options import ClassifierOptions
from poolwright.models.classifiers.thresholds import at_threshold, set_threshold
from poolwright.models.classifiers.trained import TrainedClassifier

_TIMED_SECONDS = 0.1
_TIMED_ROWS = 2_048

Float64 = npt.NDArray[np.float64]
Floating = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Rows:
    """Rows of one split, with their class indices."""

    examples: Examples
    classes: Integers


def train(examples: Examples, options: ClassifierOptions, key: int) -> TrainedClassifier:
    """Train every candidate, compare them on validation rows, choose one, set its threshold and calibrate it.

    The result does not depend on the order of the rows or on the number of cores; only `TrainedClassifier.speeds` is
    measured by a clock, and it is not part of `to_state`.

    Args:
        examples: labelled rows.
        options: options of training.
        key: seed of the splits, the folds, the bootstrap and the MLP; see `kernels.selection.hashing.hash_key`.

    Raises:
        InputError: the examples are invalid, or a class has too few for the folds or for validation.
        RecipeError: the positive class is not among the labels, or no threshold reaches the wanted precision.
    """
    with _one_thread():
        return _train(in_order(examples), options, key)


def _train(examples: Examples, options: ClassifierOptions, key: int) -> TrainedClassifier:
    names, classes = class_indices(np.asarray(examples.labels), options.positive)
    if len(names) > 2 and (options.threshold.goal != "natural" or options.prevalence is not None):
        raise RecipeError(
            f"examples: {len(names)} classes have no threshold or prevalence; set which one is 'positive'"
        )
    split = examples.split
    if split is None:
        split = split_by_hash(examples, classes, options.validation_share, hash_key(key, "validation"))
    train_rows, validation, duplicates = _parted(examples, classes, np.asarray(split), options.near_duplicates)
    groups = _groups(train_rows.examples, options.near_duplicates)
    _check_enough(names, train_rows, validation, groups, options.folds, duplicates.num_rows)
    folds = stratified_folds(
        train_rows.examples.uids, train_rows.classes, groups, options.folds, hash_key(key, "folds")
    )
    candidates = [
        _candidate(kind, features, names, train_rows, validation, folds, options, key)
        for features in _variants(examples, options)
        for kind in options.candidates
    ]
    chosen = comparison.choose(
        candidates, options.choose_by or _default_metric(names), options.ties, validation.classes, options.draws, key
    )
    best = candidates[chosen]
    calibration = _calibrated(best, names, train_rows, folds, options, key)
    threshold = _threshold(best, validation, options)
    return TrainedClassifier(
        classifier=best.classifier,
        features=best.features,
        threshold=threshold,
        calibration=calibration,
        comparison=comparison.table(candidates, chosen),
        duplicates=duplicates,
        conflicts=conflicts_in(examples),
        values={
            **_counts(names, train_rows, validation),
            **_validated(best, threshold, calibration, validation, options.prevalence),
            **_never_predicted(best, threshold, names),
            "parameters": dict(best.parameters),
            "choose_by": options.choose_by or _default_metric(names),
            "search_by": options.search_by or _default_metric(names),
            "ties": options.ties,
            "target": asdict(options.threshold),
            "prevalence": options.prevalence,
            "near_duplicates": options.near_duplicates,
            "split": "given" if examples.split is not None else f"by hash, {options.validation_share:g} validates",
            "folds": options.folds,
            "intervals": "95 %: Wilson for accuracy, precision and recall of two classes; else stratified bootstrap "
            f"of {options.draws:,} draws",
        },
        speeds={_row_name(one): _rows_per_second(one, validation) for one in candidates},
    )


def _parted(
    examples: Examples, classes: Integers, split: npt.NDArray[Any], least: float | None
) -> tuple[_Rows, _Rows, pa.Table]:
    """Return training rows without duplicates of validation rows, validation rows, and the duplicates."""
    out = split == VALIDATION
    if out.all() or not out.any():
        raise InputError(
            f"examples: all rows are of the split '{split[0]}'; give rows of both, or no split for one by hash"
        )
    validation = _Rows(examples.take(out), classes[out])
    rows = _Rows(examples.take(~out), classes[~out])
    duplicates = duplicates_of(rows.examples, validation.examples, least)
    clean = ~np.isin(np.asarray(rows.examples.uids), duplicates.column("uid").to_pylist())
    return _Rows(rows.examples.take(clean), rows.classes[clean]), validation, duplicates


def _groups(examples: Examples, least: float | None) -> Integers:
    """Group near-duplicates, which go into one fold, as the search would otherwise reward memorisation."""
    return np.arange(len(examples)) if least is None else similar_groups(examples.vectors, least)


def _check_enough(
    names: Sequence[str], rows: _Rows, validation: _Rows, groups: Integers, folds: int, removed: int
) -> None:
    heads = np.unique(groups)
    for one, name in enumerate(names):
        number, apart = int((rows.classes == one).sum()), int((rows.classes[heads] == one).sum())
        if apart < folds:
            raise InputError(
                f"examples: class '{name}' has {number:,} training rows, {apart:,} without near-duplicates, for "
                f"{folds} folds ({removed:,} rows were removed as duplicates of validation rows); give more examples, "
                "fewer folds or a higher near_duplicates"
            )
        if not (validation.classes == one).any():
            raise InputError(f"examples: class '{name}' has no validation rows; move some of its rows to validation")


def _variants(examples: Examples, options: ClassifierOptions) -> tuple[str, ...]:
    if examples.text is None:
        if options.features is not None and options.features != ("image",):
            raise InputError(f"examples: features {', '.join(options.features)} need text, which the examples lack")
        return ("image",)
    return options.features or FEATURES


def _candidate(
    kind: str,
    features: str,
    names: tuple[str, ...],
    rows: _Rows,
    validation: _Rows,
    folds: Integers,
    options: ClassifierOptions,
    key: int,
) -> Candidate:
    """Search, fit and measure one kind on one choice of features."""
    seed = hash_key(key, kind, features)
    matrix = rows.examples.matrix(features)
    some = _some_rows(rows, options.search_rows, key)
    score = partial(_score, options.search_by or _default_metric(names))
    grid = {**GRIDS[kind], **options.grids.get(kind, {})}
    found = search(kind, grid, matrix[some], rows.classes[some], folds[some], score, seed)
    classifier, converged = fit(kind, found.parameters, matrix, rows.classes, names, seed)
    seen = validation.examples.matrix(features)
    values, predicted = _decided(classifier, seen)
    return Candidate(
        classifier=classifier,
        features=features,
        parameters=found.parameters,
        search=(found.score, found.deviation),
        converged=converged,
        decisions=values,
        predicted=predicted,
        figures=measured(kind, values, predicted, validation.classes, options.draws, key),
    )


def _score(name: str, scores: Float64, classes: Integers) -> float:
    return metric(name, scores, classes)


def _decided(classifier: Classifier, matrix: Floating) -> tuple[Float64, Integers]:
    """Return decisions as a pool's rows will get, and class indices (n,); without a screen, as it only estimates."""
    ready = Prepared(classifier, exact=ExactSvm(classifier)) if classifier.kind == "svm" else prepare(classifier)
    found = decide(ready, matrix, precise="all")
    return found.decision.astype(np.float64), found.predicted.astype(np.int64)


def _some_rows(rows: _Rows, most: int, key: int) -> Integers:
    """Return the indices of about `most` rows at most, the same share of each class, by hash of the uid."""
    number = len(rows.classes)
    if number <= most:
        return np.arange(number)
    hashes = hash64(pa.array([str(uid) for uid in rows.examples.uids], pa.string()), hash_key(key, "search"))
    taken = []
    for one in np.unique(rows.classes):
        members = np.flatnonzero(rows.classes == one)
        # A rare class keeps enough rows for every fold to have some.
        many = min(len(members), max(round(most * len(members) / number), 100))
        taken.append(members[np.argsort(hashes[members], kind="stable")[:many]])
    return np.sort(np.concatenate(taken))


def _calibrated(
    best: Candidate, names: tuple[str, ...], rows: _Rows, folds: Integers, options: ClassifierOptions, key: int
) -> Calibration:
    """Fit the calibration on the decisions of each fold by a classifier of the other folds."""
    kind, matrix = best.classifier.kind, rows.examples.matrix(best.features)
    seed = hash_key(key, kind, best.features)

    def decided(fold: int) -> Float64:
        out = folds == fold
        one = fit_plainly(kind, best.parameters, matrix[~out], rows.classes[~out], names, seed)
        return _decided(one, matrix[out])[0]

    values = np.empty((len(rows.classes), *best.decisions.shape[1:]))
    for fold, decisions in enumerate(on_cores(kind, decided, range(options.folds))):
        values[folds == fold] = decisions
    return calibrate(against_rest(kind, values), rows.classes, options.calibration, options.prevalence)


def _threshold(best: Candidate, validation: _Rows, options: ClassifierOptions) -> float:
    if not best.classifier.binary:
        return 0.0
    return set_threshold(best.decisions, validation.classes == 1, options.threshold, options.prevalence)


def _validated(
    best: Candidate, threshold: float, calibration: Calibration, validation: _Rows, prevalence: float | None
) -> dict[str, Any]:
    """Measure the chosen classifier on validation rows: at its threshold, and the quality of its probabilities."""
    scores, classes = against_rest(best.classifier.kind, best.decisions), validation.classes
    # Validation rows have the prevalence of the examples, so the probabilities are judged without the shift.
    said = replace(calibration, shift=0.0).probabilities(scores)
    found: dict[str, Any] = {
        "brier": brier(said, classes),
        "log_loss": log_loss(said, classes),
        "calibration_error": calibration_error(said, classes),
    }
    if best.classifier.binary:
        found["decisions"] = [float(best.decisions.min()), float(best.decisions.max())]
        figures = at_threshold(best.decisions, classes == 1, threshold, prevalence)
        found["at_threshold"] = {name: asdict(figure) for name, figure in figures.items()}
    return found


def _never_predicted(best: Candidate, threshold: float, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the classes that no validation row is predicted to be of; {} if there are none."""
    predicted = (best.decisions > threshold).astype(np.int64) if best.classifier.binary else best.predicted
    never = [name for one, name in enumerate(names) if not (predicted == one).any()]
    return {"never_predicted": never} if never else {}


def _counts(names: Sequence[str], rows: _Rows, validation: _Rows) -> dict[str, Any]:
    return {
        split: {name: int((part.classes == one).sum()) for one, name in enumerate(names)}
        for split, part in (("train_rows", rows), ("validation_rows", validation))
    }


def _default_metric(names: Sequence[str]) -> str:
    return "average_precision" if len(names) == 2 else "accuracy"


def _row_name(one: Candidate) -> str:
    return f"{one.classifier.kind} {one.features}"


def _rows_per_second(one: Candidate, rows: _Rows) -> float:
    """Measure rows per second on one core, deciding as for a pool: over validation rows repeatedly.

    For two classes over the negative rows, as most of a pool is negative: positive rows take longer.
    """
    matrix = rows.examples.matrix(one.features)
    matrix = matrix[rows.classes == 0] if one.classifier.binary else matrix
    some = matrix[np.arange(_TIMED_ROWS) % len(matrix)].astype(np.float16)
    ready = prepare(one.classifier)
    decide(ready, some)
    done, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < _TIMED_SECONDS:
        decide(ready, some)
        done += len(some)
    return done / seconds


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit BLAS to one thread, as with more the last bits of a product can differ; affects loaded libraries only."""
    import sklearn.neural_network
    import sklearn.svm  # noqa: F401

    with one_blas_thread():
        yield
