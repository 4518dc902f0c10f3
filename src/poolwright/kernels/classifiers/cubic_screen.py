"""A cheap, proven estimate of SVMs with a cubic kernel, without a product with every support vector.

Write x' = (x, 1) and s' = (gamma s, coef0), so that the decision is f(x) = b + sum alpha_j (x'.s'_j)^3. Let c be
the direction of the mean support vector, x' = a c + y and s'_j = tau_j c + t_j with y and t_j orthogonal to c:

    f = b + a^3 sum alpha tau^3 + 3 a^2 y.L + 3 a y'Q y + T(y, y, y),
    L = sum alpha tau^2 t,   Q = sum alpha tau t t',   T = sum alpha t (x) t (x) t.

Embeddings share a large mean, so y is short and the terms shrink from left to right. Q has few large
eigenvalues: y'Q y is computed from the r largest, and the rest is at most |lambda_(r+1)| times the squared
length of y outside their eigenvectors. T is only bounded: |T(y, y, y)| <= |y|^2 |T(y, ., .)|, and the Frobenius
norm |T(y, ., .)|^2 is y'M y with M_kl = <T_k.., T_l..>, found from the largest eigenvectors of M in the same way.
As the alphas of the two classes cancel, these norms are far below sum |alpha| |t|^3.

A row then takes d (2 + r + r') products, with r + r' near 100, instead of d m with m support vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwright.kernels.classifiers.bounded_values import DOUBLE, BoundedValues
from poolwright.kernels.similarity.cosine import ROUNDOFF, Float32, Float64, float32_error
from poolwright.kernels.similarity.row_stable_matmul import even_product

_REST = 0.2
"""Largest size of each of the two remainders for a typical row; the margin of an SVM is 1."""

_QUADRATIC_PART, _CUBIC_PART = 6, 14
_FEWEST = 96
"""At most one eigenvector per this many support vectors, but up to `_FEWEST`: more cost more than they settle."""

_TRUST = 2.0**12
"""Forms of d x d and their eigenvalues are off by at most this many roundings of the sum of absolute terms."""

_AT_ONCE = 512


@dataclass(frozen=True)
class _Form:
    """The largest eigenvectors of a symmetric form."""

    vectors: Float64  # (d', r)
    values: Float64  # (r,)
    rest: float  # upper bound of the size of the other eigenvalues


class CubicScreen:
    """Estimates of b + sum alpha_j (gamma x.s_j + coef0)^3.

    Args:
        support: (m, d) float64.
        alpha: (m,) dual coefficients.
        intercept: b.
    """

    def __init__(self, support: Float64, alpha: Float64, intercept: float, gamma: float, coef0: float) -> None:
        self._one = float(coef0 != 0)
        self._intercept = intercept
        points = np.hstack([gamma * support, np.full((len(support), 1), coef0)])
        axis = _direction(points.mean(axis=0))
        along = points @ axis
        across = points - along[:, None] * axis
        typical_along, typical_across = _typical(support, self._one, axis)
        self._cube = float(alpha @ along**3)
        linear = (alpha * along**2) @ across
        self._linear = float(np.linalg.norm(linear))
        sizes = np.sqrt(np.vecdot(across, across))
        cubes = float(np.abs(alpha) @ np.vecdot(points, points) ** 1.5)
        self._float64 = 8 * (len(points) + 3 * points.shape[1] + 64) * DOUBLE * cubes
        form, slack = (across.T * (alpha * along)) @ across, float(np.abs(alpha * along) @ sizes**2)
        wanted = _REST / (3 * typical_along * typical_across**2)
        self._quadratic = _largest(form, slack, axis, wanted, _most(support, _QUADRATIC_PART))
        form, slack = _squared_slices(across, alpha), float(np.abs(alpha) @ sizes**3) ** 2
        self._cubic = _largest(form, slack, axis, (_REST / typical_across**3) ** 2, _most(support, _CUBIC_PART))
        self._pack(np.hstack([axis[:, None], linear[:, None], self._quadratic.vectors, self._cubic.vectors]))

    def _pack(self, columns: Float64) -> None:
        """Keep the columns (d + 1, p) as float32, filled up to a multiple of 16."""
        columns = np.pad(columns, ((0, 0), (0, -columns.shape[1] % 16))).astype(np.float32)
        self._columns, self._last = np.ascontiguousarray(columns[:-1]), columns[-1] * np.float32(self._one)
        self._values: tuple[Float32, Float32] = (
            self._quadratic.values.astype(np.float32),
            self._cubic.values.astype(np.float32),
        )

    @property
    def ranks(self) -> tuple[int, int]:
        """Eigenvectors used of the quadratic form and for the bound of the cubic one."""
        return len(self._quadratic.values), len(self._cubic.values)

    def estimate(self, rows: Float32, squares: Float64) -> BoundedValues:
        """Values and errors (n,) of float32 rows (n, d); NaN or infinite where float32 overflows.

        Args:
            squares: (n,) squared lengths of the rows, added up in float32.
        """
        d, (r, s) = rows.shape[1], self.ranks
        products: Float32 = even_product(rows, self._columns)
        products += self._last
        a, linear = products[:, 0].astype(np.float64), products[:, 1].astype(np.float64)
        np.square(products, out=products)
        quadratic, inside = _two_sums(products[:, 2 : 2 + r], self._values[0])
        cubic, inside_cubic = _two_sums(products[:, 2 + r : 2 + r + s], self._values[1])
        length = (squares + self._one) * (1 + (d + 4) * ROUNDOFF)  # squared, rounded up
        off = float32_error(d + 1) * np.sqrt(length)  # of a product with a unit vector
        across = length - np.square(np.maximum(np.abs(a) - off, 0))
        values = self._intercept + a**2 * (self._cube * a + 3 * linear) + 3 * a * quadratic
        rest = self._quadratic.rest * self._outside(across, inside, off, length, r)
        form = cubic + self._cubic.rest * self._outside(across, inside_cubic, off, length, s)
        form += self._cubic.values.max(initial=0) * _of_squares(off, length, s)
        bound = 3 * (np.abs(a) + off) * rest + across * np.sqrt(form)
        return BoundedValues(values, bound + self._roundings(off, length))

    @staticmethod
    def _outside(across: Float64, inside: Float64, off: Float64, length: Float64, rank: int) -> Float64:
        """Upper bound of the squared length of y outside `rank` eigenvectors."""
        return np.asarray(np.maximum(across - inside + _of_squares(off, length, rank), 0))

    def _roundings(self, off: Float64, length: Float64) -> Float64:
        """Bound the error of the value from float32 products off by at most `off` (and `linear` by |L| times that).

        With |a| and |h| at most |x'|: |a^3 - a*^3| <= 3 |x'|^2 off, |a^2 l - a*^2 l*| <= 3 |x'|^2 |L| off and
        |a h'Dh - a* h*'Dh*| <= |x'|^2 (lambda_1 + 2 |lambda|) off, to first order; then the sum of r squares.
        A tenth is added for higher orders; the roundings of float64, including precomputed terms, are added.
        """
        values = self._quadratic.values
        largest, total = float(np.abs(values).max(initial=0)), float(np.linalg.norm(values))
        first = 3 * abs(self._cube) + 9 * self._linear + 3 * largest + 6 * total
        sums = 3 * largest * (len(values) + 4) * ROUNDOFF
        cubes = length**1.5
        return np.asarray(
            1.1 * (length * off * first + cubes * sums) + cubes * self._float64 + 8 * DOUBLE * abs(self._intercept)
        )


def _of_squares(off: Float64, length: Float64, rank: int) -> Float64:
    """Bound the error of sum h_k^2 over `rank` unit vectors: each h_k by `off`, then the sum."""
    return np.asarray(2.2 * off * np.sqrt(length * rank) + (rank + 4) * ROUNDOFF * length)


def _two_sums(squares: Float32, values: Float32) -> tuple[Float64, Float64]:
    """(n,) squares (n, r) weighted with values (r,), and their plain sum, row by row."""
    ones = np.ones(len(values), np.float32)
    return np.vecdot(squares, values).astype(np.float64), np.vecdot(squares, ones).astype(np.float64)


def _direction(vector: Float64) -> Float64:
    """The unit vector along a vector (d,); the first axis for zero."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if length > 0 else np.eye(1, len(vector))[0])


def _typical(support: Float64, one: float, axis: Float64) -> tuple[float, float]:
    """|a| and |y| of rows like the support vectors: they set the ranks, not the decisions."""
    along = support @ axis[:-1] + one * axis[-1]
    across = np.vecdot(support, support) + one - along**2
    return float(np.abs(along).mean()) + 1e-9, float(np.sqrt(np.maximum(across, 0).mean())) + 1e-9


def _most(support: Float64, part: int) -> int:
    return max(_FEWEST, len(support) // part)


def _squared_slices(points: Float64, alpha: Float64) -> Float64:
    """M (d, d) with M_kl = sum_ij alpha_i alpha_j (t_i.t_j)^2 t_ik t_jl, for points t (m, d)."""
    right = np.empty_like(points)
    for start in range(0, len(points), _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        gram = np.square(points[block] @ points.T)
        right[block] = alpha[block, None] * ((gram * alpha) @ points)
    return points.T @ right


def _largest(form: Float64, size: float, axis: Float64, wanted: float, most: int) -> _Form:
    """Return the largest eigenvectors of a form, as many as leave `wanted` or less, but at most `most`.

    Args:
        size: sum of the absolute terms that make up the form, for its roundings.
        axis: (d,) in the kernel of the form: the vectors are kept orthogonal to it.
    """
    values, vectors = np.linalg.eigh((form + form.T) / 2)
    order = np.argsort(-np.abs(values), kind="stable")
    values, vectors = values[order], vectors[:, order]
    slack = _TRUST * len(axis) ** 0.5 * DOUBLE * size
    clear = np.abs(values) > max(1e3 * slack, 1e-9 * np.abs(values[0]))  # distinguishable from the kernel
    rank = min(int(np.sum((np.abs(values) > wanted) & clear)), most)
    rest = float(np.abs(values[rank])) if rank < len(values) else 0.0
    kept = vectors[:, :rank]
    return _Form(kept - np.outer(axis, axis @ kept), values[:rank], rest * (1 + 1e-6) + slack)
