"""The result of training: the chosen classifier with its threshold, probabilities and comparison, as plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.columns import is_vector
from poolwright.core.rows import one_array, vector_array, vectors_of
from poolwright.core.state import State
from poolwright.kernels.classifiers.parameters import Classifier
from poolwright.models.classifiers.calibration import Calibration
from poolwright.models.classifiers.comparison import against_rest

_CLASSIFIER, _CALIBRATION = "classifier", "calibration"
_BINS = 200


@dataclass(frozen=True)
class TrainedClassifier:
    """A chosen classifier and how it was chosen.

    Attributes:
        classifier: as plain numbers.
        features: its input: 'image', 'text' or 'image+text'; see `examples.feature_matrix`.
        threshold: a row is positive when its decision is above this; 0 and meaningless for several classes.
        calibration: from decisions to probabilities.
        comparison: one row per candidate; columns as in `comparison.table`.
        duplicates: training rows that were removed: uid, duplicate_of, by, cosine.
        conflicts: rows with the same vector and different labels: uid, label, same_as, its_label.
        values: counts, figures of the chosen one and how it was made, as JSON values.
        speeds: rows per second on one core, by 'kind features'. Differs from run to run, so it is not part of the
            state.
    """

    classifier: Classifier
    features: str
    threshold: float
    calibration: Calibration
    comparison: pa.Table
    duplicates: pa.Table
    conflicts: pa.Table
    values: Mapping[str, Any]
    speeds: Mapping[str, float] = field(default_factory=dict, compare=False)

    def probabilities(self, decisions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities: of classes[1] (n,) for decisions (n,), of each class (n, k) for (n, k)."""
        return self.calibration.probabilities(against_rest(self.classifier.kind, decisions))

    @property
    def timed(self) -> pa.Table:
        """Return the comparison with a column rows_per_second, for display."""
        names = zip(*(self.comparison.column(name).to_pylist() for name in ("candidate", "features")), strict=True)
        speeds = [self.speeds.get(f"{kind} {features}") for kind, features in names]
        return self.comparison.append_column("rows_per_second", pa.array(speeds, pa.float64()))

    def edges(self) -> list[float]:
        """Edges of a histogram around the decisions that were seen; bin i has edges[i - 1] < decision <= edges[i].

        The threshold is one of them, so that the bins above it hold exactly the positive rows. [] for several classes.
        """
        if not self.classifier.binary:
            return []
        low, high = self.values["decisions"]
        pad = 0.25 * (high - low) or 1.0
        threshold = np.float32(self.threshold)
        if threshold > self.threshold:
            threshold = np.nextafter(threshold, np.float32(-np.inf))
        edges = np.append(np.linspace(low - pad, high + pad, _BINS - 1, dtype=np.float32), threshold)
        return [float(edge) for edge in np.unique(edges)]

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the classifier: its kind, classes, scalars and arrays, bit by bit."""
        return classifier_digest(self.classifier)

    def to_state(self) -> State:
        """Return it as JSON values and Arrow tables, one table per array."""
        tables = {"comparison": self.comparison, "duplicates": self.duplicates, "conflicts": self.conflicts}
        plain = classifier_state(self.classifier, self.calibration, self.features, self.threshold)
        values = {**plain.values, "training": dict(self.values)}
        speeds = {"rows_per_second": dict(self.speeds)} if self.speeds else {}
        return State(values, {**tables, **plain.tables}, speeds)

    @classmethod
    def from_state(cls, state: State) -> TrainedClassifier:
        """Rebuild it from the state of `to_state`, whether saved and loaded or not."""
        calibration = calibration_of(state)
        if calibration is None:
            raise ValueError("this classifier was not trained here: its state has no calibration")
        return cls(
            classifier=classifier_of(state),
            features=state.values["features"],
            threshold=float(state.values["threshold"]),
            calibration=calibration,
            comparison=state.tables["comparison"],
            duplicates=state.tables["duplicates"],
            conflicts=state.tables["conflicts"],
            values=state.values["training"],
        )


def classifier_state(classifier: Classifier, calibration: Calibration | None, features: str, threshold: float) -> State:
    """What a state needs to decide on rows: classifier, calibration (None if it has no probabilities), threshold."""
    parts = {_CLASSIFIER: classifier.arrays, _CALIBRATION: calibration.arrays if calibration else {}}
    values = {
        "classifier": {
            "kind": classifier.kind,
            "classes": list(classifier.classes),
            "values": dict(classifier.values),
            "digest": classifier_digest(classifier),
        },
        "features": features,
        "threshold": threshold,
        "calibration": calibration and {"method": calibration.method, "shift": calibration.shift},
    }
    tables = {f"{prefix}-{name}": _table(array) for prefix, part in parts.items() for name, array in part.items()}
    return State(values, tables)


def calibration_of(state: State) -> Calibration | None:
    """The calibration of a state; None if its classifier gives no probabilities."""
    found = state.values["calibration"]
    return Calibration(found["method"], _arrays(state, _CALIBRATION), found["shift"]) if found else None


def classifier_of(state: State) -> Classifier:
    """The classifier of a state alone."""
    model = state.values["classifier"]
    return Classifier(model["kind"], tuple(model["classes"]), model["values"], _arrays(state, _CLASSIFIER))


def classifier_digest(classifier: Classifier) -> str:
    """SHA-256, hex, of kind, classes, scalars and arrays, bit by bit."""
    digest = hashlib.sha256()
    head = (classifier.kind, classifier.classes, sorted(classifier.values.items()))
    digest.update(repr(head).encode())
    for name, array in sorted(classifier.arrays.items()):
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _table(array: npt.NDArray[Any]) -> pa.Table:
    return pa.table({"value": vector_array(array) if array.ndim == 2 else pa.array(array)})


def _arrays(state: State, prefix: str) -> dict[str, npt.NDArray[Any]]:
    found = {}
    for name, table in state.tables.items():
        if name.startswith(f"{prefix}-"):
            column = one_array(table.column("value"))
            array = vectors_of(column) if is_vector(column.type) else column.to_numpy(zero_copy_only=False)
            found[name.removeprefix(f"{prefix}-")] = np.asarray(array)
    return found
