"""Linear probe: multinomial logistic regression from vectors to classes, as in section 3.2 of the CLIP paper.

L-BFGS on coordinates in which the problem is round: the vectors are turned to the axes of their covariance, and each
coordinate of each class is scaled by the curvature it starts with. So 20 to 30 iterations reach what takes hundreds on
the plain coordinates. One thread, and one order of operations: the same rows in the same order give the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BLOCK = 4_096
_TOLERANCE = 1e-7  # relative decrease of the loss at which the fit ends
_MOST_ITERATIONS = 500

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe: `weights` float32 (d, k), `bias` float32 (k,)."""

    weights: Floats
    bias: Floats

    def predict(self, vectors: Floats) -> npt.NDArray[np.int64]:
        """The class of each of the vectors, float32 (n, d): int64 (n,)."""
        blocks = [vectors[at : at + _BLOCK] for at in range(0, len(vectors), _BLOCK)]
        found = [(block @ self.weights + self.bias).argmax(axis=1) for block in blocks]
        return np.concatenate([np.empty(0, np.int64), *found])


def fit_linear_probe(
    vectors: Floats, classes: npt.NDArray[np.int64], number: int, inverse_penalty: float = 10.0
) -> LinearProbe:
    """Minimise the summed cross-entropy times `inverse_penalty` plus half the squared weights, without the bias.

    Args:
        vectors: float32 (n, d), n >= 1, finite. Unit length, so that the penalty means the same for all encoders.
        classes: (n,), each of 0 .. `number` - 1.
        inverse_penalty: C of scikit-learn's `LogisticRegression`, which has the same minimum for three classes or
            more; for two it has one vector of weights, and this C corresponds to twice that C.
    """
    from scipy.optimize import minimize

    problem = _Problem(vectors, classes, number, inverse_penalty)
    options = {"maxiter": _MOST_ITERATIONS, "ftol": _TOLERANCE, "gtol": 0.0}
    found = minimize(problem.loss, problem.start(), jac=True, method="L-BFGS-B", options=options)
    return problem.probe(found.x)


def _axes(centred: Floats) -> tuple[Floats, Floats]:
    """Return the variances, float64 (r,), and the axes, float32 (d, r), of the covariance of centred rows (n, d).

    Fewer rows than dimensions vary along at most n axes, which the products of the rows give: n x n numbers instead of
    d x d. The weights along all other axes are zero, as only the penalty depends on them.
    """
    rows, width = centred.shape
    if rows >= width:
        variances, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64) / rows)
        return variances, axes.astype(np.float32)
    exact = centred.astype(np.float64)
    variances, shares = np.linalg.eigh(exact @ exact.T / rows)
    there = variances > max(variances[-1], 0.0) * 1e-10
    variances, shares = variances[there], shares[:, there]
    return variances, (exact.T @ shares / np.sqrt(variances * rows)).astype(np.float32)


class _Problem:
    """The loss and its gradient in the scaled coordinates."""

    def __init__(self, vectors: Floats, classes: npt.NDArray[np.int64], number: int, inverse_penalty: float) -> None:
        self.classes, self.rows, self.number = classes, np.arange(len(vectors)), number
        self.penalty = 1.0 / (inverse_penalty * len(vectors))
        # The bias absorbs the mean, so that the minimum is the same with centred vectors.
        self.mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - self.mean.astype(np.float32)
        variances, self.axes = _axes(centred)
        self.turned = centred @ self.axes
        shares = np.bincount(classes, minlength=number) / len(vectors)
        curvature = np.maximum(shares * (1.0 - shares), self.penalty)
        self.scale = 1.0 / np.sqrt(np.maximum(variances, 0.0)[:, None] * curvature + self.penalty)
        self.bias_scale = 1.0 / np.sqrt(curvature)

    def start(self) -> Floats:
        return np.zeros((self.turned.shape[1] + 1) * self.number)

    def loss(self, flat: Floats) -> tuple[float, Floats]:
        """Mean cross-entropy with the penalty, and its gradient."""
        weights, bias = self._parts(flat)
        scores = self.turned @ weights.astype(np.float32)
        scores += bias.astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        right = scores[self.rows, self.classes].astype(np.float64)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1, dtype=np.float64)
        loss = (np.log(sums) - right).mean() + 0.5 * self.penalty * np.square(weights).sum()
        scores /= sums.astype(np.float32)[:, None]
        scores[self.rows, self.classes] -= 1.0
        scores /= len(scores)
        slope = (self.turned.T @ scores + self.penalty * weights) * self.scale
        bias_slope = scores.sum(axis=0, dtype=np.float64) * self.bias_scale
        return float(loss), np.concatenate([slope.ravel(), bias_slope])

    def probe(self, flat: Floats) -> LinearProbe:
        """Return the probe for the original, unscaled vectors."""
        turned, bias = self._parts(flat)
        weights = self.axes @ turned.astype(np.float32)
        return LinearProbe(weights, (bias - self.mean @ weights).astype(np.float32))

    def _parts(self, flat: Floats) -> tuple[Floats, Floats]:
        weights = flat[: -self.number].reshape(-1, self.number)
        return weights * self.scale, flat[-self.number :] * self.bias_scale
