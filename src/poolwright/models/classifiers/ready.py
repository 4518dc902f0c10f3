"""A state's classifier, ready to decide on rows: trained by a recipe or taken from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poolwright.core.state import State
from poolwright.kernels.classifiers.predict import Prepared, decide, prepare
from poolwright.models.classifiers.comparison import against_rest
from poolwright.models.classifiers.onnx_classifier import OnnxClassifier
from poolwright.models.classifiers.trained import calibration_of, classifier_of

ONNX, CONTENT = "onnx", "content"
"""Kind of a classifier that is an ONNX graph, and the table and column of a state with its file."""

Floating = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class RowDecisions:
    """Decisions on n rows.

    Attributes:
        decision: (n,) float32: of two classes that of the positive one, above the threshold if it is predicted; of
            more that of the predicted one.
        probability: (n,) of the same class; NaN if the classifier gives none.
        predicted: (n,) index of the class, -1 without a usable vector.
    """

    decision: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]


class ReadyClassifier:
    """The classifier of a state of `classify`.

    Attributes:
        classes: names of the classes.
        positive: index of the positive one, of two.
    """

    def __init__(self, state: State) -> None:
        model = state.values["classifier"]
        self.classes: tuple[str, ...] = tuple(model["classes"])
        self.positive = int(state.values.get("positive", 1))
        self._threshold = float(state.values["threshold"])
        self._calibration = calibration_of(state)
        self._rule: OnnxClassifier | Prepared
        if model["kind"] == ONNX:
            content = state.tables[ONNX].column(CONTENT)[0].as_py()
            self._rule = OnnxClassifier(content, state.values["source"]["file"], self.classes)
        else:
            self._rule = prepare(classifier_of(state))

    def decide(self, features: Floating, precise: Literal["kept", "all"]) -> RowDecisions:
        """Decide on rows with features (n, d); see `kernels.classifiers.predict.decide` for `precise`."""
        if isinstance(self._rule, OnnxClassifier):
            values, probability, predicted = self._rule.decide(features)
            if len(self.classes) == 2:
                values, probability = values[:, 1] - values[:, 0], probability[:, 1]
        else:
            values, probability, predicted = self._by_arrays(self._rule, features, precise)
        if len(self.classes) > 2:
            best = np.maximum(predicted, 0)[:, None]
            values, probability = (np.take_along_axis(of, best, axis=1)[:, 0] for of in (values, probability))
        elif not self.positive:
            values, probability = -values, 1 - probability
        decision = values.astype(np.float32)
        if len(self.classes) == 2:
            _agree(decision, predicted == self.positive, predicted >= 0, self._threshold)
        return RowDecisions(decision, probability, predicted)

    def _by_arrays(self, rule: Prepared, features: Floating, precise: Literal["kept", "all"]) -> tuple[Any, Any, Any]:
        found = decide(rule, features, self._threshold, precise=precise if self.positive else "all")
        if self._calibration is None:
            return found.decision, np.full(found.decision.shape, np.nan), found.predicted
        scores = against_rest(rule.classifier.kind, found.decision.astype(np.float64))
        return found.decision, self._calibration.probabilities(scores), found.predicted


def _agree(
    decision: npt.NDArray[np.float32],
    positive: npt.NDArray[np.bool_],
    usable: npt.NDArray[np.bool_],
    threshold: float,
) -> None:
    """Move the decisions that say another class than the one predicted to the threshold's other side, just about.

    These are ties, and the labels of graphs that do not follow their scores.
    """
    edge = np.float32(threshold)
    lower = edge if edge <= threshold else np.nextafter(edge, np.float32(-np.inf))
    wrong = usable & ((decision.astype(np.float64) > threshold) != positive)
    decision[wrong] = np.where(positive[wrong], np.nextafter(lower, np.float32(np.inf)), lower)
