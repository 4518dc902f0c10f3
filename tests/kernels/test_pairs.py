"""Pairs of a high cosine against a plain statement, with rows that are equal, zero, not finite, tiny and huge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.kernels.similarity import pairs
from poolwright.kernels.similarity.pairs import learn_screen, pairs_above, scan_pairs
from poolwright.kernels.similarity.unit_length import unit_rows


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn a screen for few rows too, and cut them often."""
    monkeypatch.setattr(pairs, "_SMALL", 100)
    monkeypatch.setattr(pairs, "_ROWS", 64)
    monkeypatch.setattr(pairs, "_TILE", (16, 24))


def plain(left: np.ndarray, right: np.ndarray | None, least: float) -> dict[tuple[int, int], float]:
    """All pairs, one by one, in float64."""
    found = {}
    others = left if right is None else right
    for i, one in enumerate(left.astype(np.float64)):
        for j, other in enumerate(others.astype(np.float64)):
            if right is None and i <= j:
                continue
            if not (np.isfinite(one).all() and np.isfinite(other).all() and one.any() and other.any()):
                continue
            one_, other_ = one / np.abs(one).max(), other / np.abs(other).max()
            cosine = float(one_ @ other_ / np.sqrt((one_ @ one_) * (other_ @ other_)))
            if cosine >= least - 1e-9:
                found[i, j] = cosine
    return found


def check(left: np.ndarray, right: np.ndarray | None, least: float) -> None:
    i, j, cosine = pairs_above(left, right, least)
    expected = plain(left, right, least)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == sorted(expected)
    np.testing.assert_allclose(cosine, [expected[key] for key in sorted(expected)], atol=1e-12)


def clustered(draw: np.random.Generator, count: int, width: int, noise: float) -> np.ndarray:
    """Rows around a few centres in few directions, with noise in all."""
    few = draw.normal(size=(6, width))
    rows = draw.normal(size=(count, 6)) @ few + draw.normal(size=(1, width)) * 2
    return np.asarray(rows[draw.integers(0, count // 2, count)] + noise * draw.normal(size=(count, width)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("least", [0.5, 0.9, 0.99, 1.0])
def test_pairs_are_those_of_all_products(dtype: type, least: float) -> None:
    draw = np.random.default_rng(3)
    rows = clustered(draw, 150, 40, 0.3)
    rows[7] = rows[8] = rows[90]
    rows[3], rows[70] = 0, rows[71] * 2
    rows[11, 5], rows[12, 0] = np.nan, np.inf
    rows = rows.astype(dtype)
    check(rows, None, least)
    check(rows[:80], rows[60:], least)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    width=st.sampled_from([1, 2, 9, 33, 70]),
    noise=st.sampled_from([0.0, 0.01, 0.2, 3.0]),
    rank=st.integers(0, 200),
)
def test_a_cosine_at_the_bound_counts(seed: int, width: int, noise: float, rank: int) -> None:
    draw = np.random.default_rng(seed)
    rows = clustered(draw, 40, width, noise).astype(np.float32)
    cosines = np.sort([value for value in plain(rows, None, 1e-3).values() if value > 1e-3])
    if len(cosines):
        check(rows, None, float(cosines[-1 - rank % len(cosines)]))


def test_lengths_do_not_matter() -> None:
    draw = np.random.default_rng(4)
    rows = clustered(draw, 60, 30, 0.1).astype(np.float32)
    scales = np.array([1e-35, 1e-12, 1, 1e12, 1e35], np.float32)[draw.integers(0, 5, 60)]
    check(rows * scales[:, None], None, 0.98)


@pytest.mark.parametrize("width", [16, 100])
def test_no_row_passes_its_bound(width: int) -> None:
    """The product of two codes and the slack are above the cosine, whatever the subspace."""
    draw = np.random.default_rng(width)
    rows = unit_rows(clustered(draw, 200, width, 0.05))
    exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
    for k in (1, 7, width):
        basis, _ = np.linalg.qr(draw.normal(size=(width, k)))
        screen = pairs.Screen(basis.astype(np.float32))
        codes = screen.codes(rows)
        assert (codes @ codes.T + screen.slack >= exact).all()


@pytest.mark.parametrize("width", [30, 100])
def test_no_row_passes_the_bound_of_a_finer_screen(width: int) -> None:
    """Nor if all its length is in the last direction of either screen, or just outside."""
    draw = np.random.default_rng(width)
    whole = np.linalg.qr(draw.normal(size=(width, width)))[0].astype(np.float32)
    edges = whole[:, [2, 3, 10, 11, width - 1]].T
    rows = unit_rows(np.concatenate([edges, -edges, edges + 1e-4 * edges[::-1], clustered(draw, 100, width, 0.05)]))
    exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
    screen = pairs.Screen(whole[:, :3].copy(), pairs.Screen(whole[:, :11].copy()))
    assert screen.finer is not None
    coarse, finer = screen.both(rows)
    assert (coarse @ coarse.T + screen.slack >= exact).all()
    assert (finer @ finer.T + screen.finer.slack >= exact).all()
    for least in (0.2, 0.9, 1.0):
        found = [scan_pairs(rows, rows[::-1], least, some) for some in (screen, pairs.Screen(screen.basis))]
        one, other = ({(i, j) for a, b, _ in parts for i, j in zip(a, b, strict=True)} for parts in found)
        assert one == other == {(i, j) for i, j in plain(rows, rows[::-1], least)}


def test_a_screen_is_learned_where_it_pays() -> None:
    draw = np.random.default_rng(5)
    rows = unit_rows(clustered(draw, 800, 256, 0.3))
    screen = learn_screen(rows[:400], [(rows[400:500], rows[600:700])], 0.95)
    assert screen is not None
    assert screen.basis.shape[1] <= 64
    even = unit_rows(draw.normal(size=(800, 256)))
    assert learn_screen(even[:400], [(even[400:500], even[600:700])], 0.2) is None


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_DENSE", 0.0)
    monkeypatch.setattr(pairs, "_VECTOR", 0.0)


@pytest.mark.usefixtures("dense")
def test_tiles_with_many_candidates_are_multiplied_whole() -> None:
    check(clustered(np.random.default_rng(6), 120, 60, 0.2), None, 0.8)


def test_nothing_gives_no_pairs() -> None:
    nothing = np.empty((0, 8), np.float16)
    assert [len(part) for part in pairs_above(nothing, None, 0.9)] == [0, 0, 0]
    assert [len(part) for part in pairs_above(np.ones((3, 8)), nothing, 0.9)] == [0, 0, 0]
