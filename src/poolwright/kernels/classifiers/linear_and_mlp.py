"""Compute decisions, with bounds, of classifiers that take a few products: mean, logistic, linear SVM and MLP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.kernels.classifiers.bounded_values import DOUBLE, BoundedValues, lengths
from poolwright.kernels.classifiers.parameters import Classifier
from poolwright.kernels.similarity.cosine import ROUNDOFF, Float32, Float64
from poolwright.kernels.similarity.row_stable_matmul import even_product


class ExactLinear:
    """Products with coef (p, d) plus intercept (p,)."""

    def __init__(self, classifier: Classifier) -> None:
        self._coef = np.ascontiguousarray(classifier.arrays["coef"], np.float64)
        self._intercept = np.asarray(classifier.arrays["intercept"], np.float64)
        self._lengths = lengths(self._coef)

    def estimate(self, rows: Float64) -> BoundedValues:
        sizes = lengths(rows)[:, None] * self._lengths + np.abs(self._intercept)
        values = np.stack([np.vecdot(rows, coef) for coef in self._coef], axis=1) + self._intercept
        return BoundedValues(values, 2.2 * (rows.shape[1] + 4) * DOUBLE * sizes)


class ExactMean:
    """Squared distances to centres (k, d), negative; of two classes, the first less the second."""

    def __init__(self, classifier: Classifier) -> None:
        self._centres = np.ascontiguousarray(classifier.arrays["centres"], np.float64)
        self._lengths, self._binary = lengths(self._centres), classifier.binary

    def estimate(self, rows: Float64) -> BoundedValues:
        own = np.vecdot(self._centres, self._centres)
        values = np.stack([2 * np.vecdot(rows, centre) for centre in self._centres], axis=1) - own
        sizes = (lengths(rows)[:, None] + self._lengths) ** 2
        errors = 4.4 * (rows.shape[1] + 6) * DOUBLE * sizes
        if self._binary:
            return BoundedValues(values[:, 1:] - values[:, :1], errors.sum(axis=1, keepdims=True))
        return BoundedValues(values - np.vecdot(rows, rows)[:, None], errors)


@dataclass(frozen=True)
class _Layer:
    weight: npt.NDArray[np.floating]  # (in, out), float32 or float64
    bias: npt.NDArray[np.floating]
    spectral: float  # largest singular value
    frobenius: float
    columns: Float64  # (out,) lengths


class Mlp:
    """Layers with max(0, x) between them, in float32 (as a screen) or float64."""

    def __init__(self, classifier: Classifier, dtype: type[np.float32] | type[np.float64]) -> None:
        count = sum(name.startswith("weight_") for name in classifier.arrays)
        self._roundoff = ROUNDOFF if dtype is np.float32 else DOUBLE
        self._layers = [
            _layer(classifier.arrays[f"weight_{i}"], classifier.arrays[f"bias_{i}"], dtype) for i in range(count)
        ]

    def forward(self, rows: npt.NDArray[np.floating]) -> BoundedValues:
        """Sums of the last layer (n, p) and bounds.

        A layer makes e, the length of the error so far, into at most |W| e (spectral norm; max(0, x) does not
        stretch), and adds the roundings of its own sums, at most (in + 6) u (|h| |W_F| + |b|) together.
        """
        values, error = rows, np.zeros(len(rows))
        for layer in self._layers[:-1]:
            size = lengths(values.astype(np.float64))
            own = size * layer.frobenius + float(np.linalg.norm(layer.bias))
            error = 1.01 * (layer.spectral * error + self._part(layer) * own)
            values = even_product(values, layer.weight)
            values += layer.bias
            np.maximum(values, 0, out=values)
        last = self._layers[-1]
        size = lengths(values.astype(np.float64))[:, None]
        own = self._part(last) * (size * last.columns + np.abs(last.bias.astype(np.float64)))
        sums = np.stack([np.vecdot(values, column) for column in last.weight.T], axis=1) + last.bias
        return BoundedValues(sums.astype(np.float64), 2.2 * (error[:, None] * last.columns + own) + 1e-300)

    def _part(self, layer: _Layer) -> float:
        return (len(layer.weight) + 6) * self._roundoff


class MlpScreen:
    """A binary MLP in float32."""

    def __init__(self, classifier: Classifier) -> None:
        self._mlp = Mlp(classifier, np.float32)

    def estimate(self, rows: Float32, squares: Float64) -> BoundedValues:
        found = self._mlp.forward(rows)
        return BoundedValues(found.values[:, 0], found.errors[:, 0])


class ExactMlp:
    """An MLP in float64."""

    def __init__(self, classifier: Classifier) -> None:
        self._mlp = Mlp(classifier, np.float64)

    def estimate(self, rows: Float64) -> BoundedValues:
        return self._mlp.forward(rows)


def _layer(
    weight: npt.NDArray[np.floating], bias: npt.NDArray[np.floating], dtype: type[np.float32] | type[np.float64]
) -> _Layer:
    doubles = np.asarray(weight, np.float64)
    spectral = float(np.linalg.norm(doubles, 2)) * (1 + 1e-9)
    columns = lengths(np.ascontiguousarray(doubles.T))
    frobenius = float(np.linalg.norm(doubles)) * (1 + 1e-9)
    return _Layer(np.ascontiguousarray(weight, dtype), np.asarray(bias, dtype), spectral, frobenius, columns)
