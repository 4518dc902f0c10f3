"""Compute SVM decisions in float64 by BLAS, with a bound; near-ties are left to libsvm's order of additions."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np

from poolwright.kernels.classifiers.bounded_values import DOUBLE, BoundedValues, lengths
from poolwright.kernels.classifiers.cubic_screen import CubicScreen
from poolwright.kernels.classifiers.parameters import Classifier, power
from poolwright.kernels.similarity.cosine import Float64

_CHUNK = 512
"""Support vectors multiplied at once: with tiles of 128 rows the products stay in cache."""


def cubic_screen(classifier: Classifier) -> CubicScreen | None:
    """The cheap estimate of a binary SVM with a polynomial kernel of degree 3; None for other SVMs."""
    values, arrays = classifier.values, classifier.arrays
    if not classifier.binary or values.get("kernel", "poly") != "poly" or int(values.get("degree", 3)) != 3:
        return None
    support, alpha = np.asarray(arrays["support"], np.float64), np.asarray(arrays["dual_coef"][0], np.float64)
    gamma, coef0 = float(values.get("gamma", 1)), float(values.get("coef0", 0))
    return CubicScreen(support, alpha, float(arrays["intercept"][0]), gamma, coef0)


class ExactSvm:
    """The decision of every pair of classes (n, pairs); two classes have one pair."""

    def __init__(self, classifier: Classifier) -> None:
        values, arrays = classifier.values, classifier.arrays
        self._kernel, self._degree = str(values.get("kernel", "poly")), int(values.get("degree", 3))
        self._gamma, self._coef0 = float(values.get("gamma", 1)), float(values.get("coef0", 0))
        support = np.ascontiguousarray(arrays["support"], np.float64)
        bounds = pairwise([*range(0, len(support), _CHUNK), len(support)])
        self._coef, self._intercept = pair_coefficients(classifier), np.asarray(arrays["intercept"], np.float64)
        self._chunks = [(support[a:b].T, np.ascontiguousarray(self._coef[:, a:b])) for a, b in bounds]
        self._count, self._longest = len(support), float(lengths(support).max())

    def estimate(self, rows: Float64) -> BoundedValues:
        sums = np.zeros((len(rows), len(self._coef)))
        squares = np.vecdot(rows, rows)
        for chunk, coef in self._chunks:
            kernels = self._kernels(rows, squares, chunk)
            for p, weights in enumerate(coef):
                sums[:, p] += np.vecdot(kernels, weights)
        return BoundedValues(sums + self._intercept, self._errors(rows))

    def _kernels(self, rows: Float64, squares: Float64, chunk: Float64) -> Float64:
        """(n, c) kernel of rows (n, d) and support vectors (d, c)."""
        products = rows @ chunk
        if self._kernel == "linear":
            return np.asarray(products)
        if self._kernel == "rbf":
            products *= -2
            products += squares[:, None]
            products += np.square(chunk).sum(axis=0)
            np.maximum(products, 0, out=products)
            products *= -self._gamma
            return np.asarray(np.exp(products, out=products))
        products *= self._gamma
        products += self._coef0
        return power(products, self._degree)

    def _errors(self, rows: Float64) -> Float64:
        """Bound the roundings here and, as many again, in libsvm: (n, pairs).

        A sum of m terms is off by at most m + 1 roundings of the largest sum of their sizes, and a term by
        those of its product: degree (d + 4) of a power; of a Gaussian, the error of its exponent, as
        |exp(-u) - exp(-v)| <= |u - v|.
        """
        d, long = rows.shape[1], lengths(rows)
        if self._kernel == "rbf":
            term, largest = 3 * abs(self._gamma) * (d + 8) * (long + self._longest) ** 2 + 8, np.ones(len(rows))
        else:
            degree, gamma, coef0 = self._degree, abs(self._gamma), abs(self._coef0)
            if self._kernel == "linear":
                degree, gamma, coef0 = 1, 1.0, 0.0
            term, largest = np.full(len(rows), degree * (d + 6.0)), (gamma * long * self._longest + coef0) ** degree
        per_weight = (
            (term + (self._count + 8) * largest) if self._kernel == "rbf" else largest * (term + self._count + 8)
        )
        weights = np.abs(self._coef).sum(axis=1)
        return np.asarray(2.2 * DOUBLE * (per_weight[:, None] * weights + 4 * np.abs(self._intercept)))


def pair_coefficients(classifier: Classifier) -> Float64:
    """(pairs, m) weights of the support vectors for every pair of classes, in libsvm's order of pairs."""
    coef = np.asarray(classifier.arrays["dual_coef"], np.float64)
    if classifier.binary:
        return coef
    counts = np.asarray(classifier.arrays["n_support"])
    owner = np.repeat(np.arange(len(counts)), counts)
    pairs = combinations(range(len(counts)), 2)
    return np.stack([np.where(owner == i, coef[j - 1], np.where(owner == j, coef[i], 0)) for i, j in pairs])
