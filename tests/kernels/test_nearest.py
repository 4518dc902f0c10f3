"""nearest: every backend gives the labels of the definition, however close or many the candidates are."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.kernels.similarity import nearest as module
from poolwright.kernels.similarity.cosine import float32_error, float32_pairs
from poolwright.kernels.similarity.lower_bounds import Float32Screen, Int8Screen, hadamard, norms
from poolwright.kernels.similarity.nearest import exact_similarity, has_torch, index_texts, nearest
from poolwright.kernels.similarity.tiles import Space

Array = npt.NDArray[np.floating]

needs_torch = pytest.mark.skipif(not has_torch(), reason="needs torch and a processor with VNNI")
BACKENDS = ["numpy", pytest.param("torch", marks=needs_torch)]


def unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def random_units(rng: np.random.Generator, n: int, d: int, mean: float = 0.0) -> npt.NDArray[np.float32]:
    """Unit vectors with a common part, as text features have."""
    common = mean * np.sqrt(d) * unit(np.random.default_rng(d).standard_normal(d))
    return unit(common + rng.standard_normal((n, d))).astype(np.float32)


def brute_force(rows: Array, texts: Array, k: int) -> tuple[npt.NDArray[np.int32], Array]:
    """The definition: every exact similarity, best first, ties to the smallest index."""
    everything = np.stack([exact_similarity(rows, np.broadcast_to(t, rows.shape)) for t in texts], axis=1)
    order = np.argsort(-everything, axis=1, kind="stable")[:, :k]
    return order.astype(np.int32), np.take_along_axis(everything, order, axis=1)


def assert_is_brute_force(rows: Array, texts: Array, k: int, backend: str) -> None:
    labels, similarity = nearest(rows, texts, k=k, backend=backend)
    expected, expected_similarity = brute_force(rows, texts, k)
    assert labels.dtype == np.int32
    assert similarity.dtype == np.float32
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(similarity, expected_similarity)


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 40),
    m=st.integers(1, 90),
    d=st.sampled_from([1, 2, 3, 7, 16, 33, 64, 192]),
    k=st.integers(1, 5),
    mean=st.sampled_from([0.0, 1.0, 5.0]),
    half=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_equals_the_definition(
    backend: str, seed: int, n: int, m: int, d: int, k: int, mean: float, half: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = random_units(rng, n, d).astype(np.float16 if half else np.float32)
    assert_is_brute_force(rows, random_units(rng, m, d, mean), min(k, m), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, 3])
def test_near_ties_and_duplicates(backend: str, k: int) -> None:
    rng = np.random.default_rng(1)
    base = random_units(rng, 8, 64)
    texts = np.repeat(base, 40, axis=0)
    texts[::3] *= 1 + np.float32(2**-23)  # next to equal: decided by the last bit of the exact similarity
    texts[1::5] += rng.standard_normal(texts[1::5].shape).astype(np.float32) * np.float32(1e-7)
    order = rng.permutation(len(texts))
    rows = unit(base[rng.integers(0, 8, 50)] + 0.1 * rng.standard_normal((50, 64))).astype(np.float16)
    assert_is_brute_force(rows, texts[order], k, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_texts_equal(backend: str) -> None:
    rng = np.random.default_rng(2)
    texts = np.repeat(random_units(rng, 1, 32), 600, axis=0)
    labels, _ = nearest(random_units(rng, 9, 32), texts, k=2, backend=backend)
    assert (labels == [0, 1]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_negative_similarities_and_outlying_dimensions(backend: str) -> None:
    rng = np.random.default_rng(3)
    rows = random_units(rng, 30, 64)
    rows[:, 5] += 2
    texts = random_units(rng, 50, 64, 3.0)
    texts[:, 5] -= 2
    assert_is_brute_force(unit(rows).astype(np.float32), unit(texts).astype(np.float32), 2, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_texts_in_several_chunks_and_tiles(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    texts, rows = random_units(rng, 9001, 48, 1.0), random_units(rng, 70, 48)
    labels, similarity = brute_force(rows, texts, 4)
    monkeypatch.setattr(Int8Screen, "products", 9001 * 16)
    monkeypatch.setattr(Float32Screen, "products", 9001 * 16)
    monkeypatch.setattr(Float32Screen, "chunk", 1024)
    found, score = nearest(rows, texts, k=4, backend=backend)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(score, similarity)


@pytest.mark.parametrize("backend", BACKENDS)
def test_too_many_candidates_are_screened_again(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CANDIDATES_PER_ROW", 0)
    rng = np.random.default_rng(5)
    texts = np.repeat(random_units(rng, 20, 32), 20, axis=0)
    assert_is_brute_force(random_units(rng, 21, 32), texts, 1, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_k_up_to_all_texts(backend: str) -> None:
    rng = np.random.default_rng(6)
    assert_is_brute_force(random_units(rng, 5, 16), random_units(rng, 37, 16), 37, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_that_are_not_unit_vectors(backend: str) -> None:
    rng = np.random.default_rng(7)
    rows, texts = random_units(rng, 12, 64), random_units(rng, 40, 64)
    rows[0, 3], rows[1, 0], rows[2, 9] = np.nan, np.inf, -np.inf
    rows[3] = 0
    rows[4] *= 1e-30
    rows[5] *= 1e30
    rows[6] *= 100
    labels, similarity = nearest(rows, texts, k=2, backend=backend)
    assert (labels[:3] == -1).all()
    assert np.isnan(similarity[:3]).all()
    assert labels[3].tolist() == [0, 1]
    assert similarity[3].tolist() == [0, 0]
    expected, _ = brute_force(rows[4:], texts, 2)
    np.testing.assert_array_equal(labels[4:], expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_order_and_threads_change_nothing(backend: str) -> None:
    rng = np.random.default_rng(8)
    rows, index = random_units(rng, 200, 64), index_texts(random_units(rng, 500, 64), backend=backend)
    labels, similarity = nearest(rows, index)
    order = rng.permutation(200)
    parts: list[tuple[Array, Array]] = [(np.empty(0), np.empty(0))] * 4

    def work(p: int) -> None:
        parts[p] = nearest(rows[order[p::4]], index)

    threads = [threading.Thread(target=work, args=(p,)) for p in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for p in range(4):
        np.testing.assert_array_equal(parts[p][0], labels[order[p::4]])
        np.testing.assert_array_equal(parts[p][1], similarity[order[p::4]])


@pytest.mark.parametrize("screen", [Float32Screen, pytest.param(Int8Screen, marks=needs_torch)])
@given(seed=st.integers(0, 10**6), d=st.sampled_from([5, 16, 128, 640]), mean=st.sampled_from([0.0, 2.0]))
@settings(max_examples=25, deadline=None)
def test_exact_similarity_is_within_the_stated_errors(
    screen: type[Float32Screen] | type[Int8Screen], seed: int, d: int, mean: float
) -> None:
    rng = np.random.default_rng(seed)
    rows = (random_units(rng, 20, d) * rng.exponential(size=(20, 1))).astype(np.float32)
    texts = random_units(rng, 30, d, mean) * np.where(rng.random((30, d)) < 0.01, 5, 1).astype(np.float32)
    made = screen(texts)
    tile = Space(20, 30, 1).tile(20, made.dtype, made.chunk)
    screened = made.screen(rows, tile)
    estimate = screened.offset[:, None] + screened.unit[:, None] * tile.chunks[0][:, :30]
    cosines = np.stack([exact_similarity(rows, np.broadcast_to(t, rows.shape)) for t in texts], axis=1)
    exact = cosines * np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    assert (np.abs(exact - estimate) <= screened.row_errors @ made.text_errors.T).all()


def test_exact_similarity_is_the_rounded_tree_sum() -> None:
    rows = np.array([[1, 2, 3, 4, 5]], np.float16)
    texts = np.array([[0.1, 0.2, 0.3, 0.4, 0.5]], np.float32)
    a, b, c, d, e = (float(x) * float(y) for x, y in zip(rows[0], texts[0], strict=True))
    assert exact_similarity(rows, texts)[0] == np.float32((((a + c) + e) + (b + d)) / np.sqrt(55.0))
    assert np.isnan(exact_similarity(rows * np.float16(np.nan), texts)).all()
    assert exact_similarity(np.zeros((3, 0), np.float32), np.zeros((3, 0), np.float32)).tolist() == [0, 0, 0]


def test_the_length_of_a_row_changes_no_cosine() -> None:
    rng = np.random.default_rng(5)
    rows, texts = random_units(rng, 40, 64).astype(np.float16), random_units(rng, 30, 64)
    stretched = rows.astype(np.float32) * rng.uniform(0.1, 8, size=(40, 1)).astype(np.float32)
    for one, other in zip(nearest(rows, texts, k=5), nearest(stretched, texts, k=5), strict=True):
        np.testing.assert_allclose(one, other, atol=3e-7)
    both = exact_similarity(rows, 3 * texts[:1].repeat(40, axis=0), unit_texts=False)
    np.testing.assert_allclose(both, exact_similarity(stretched, texts[:1].repeat(40, axis=0)), atol=3e-7)


def test_a_row_of_length_one_keeps_its_inner_product_to_the_bit() -> None:
    rows = np.array([[0.5, 0.5, -0.5, 0.5], [0, -1, 0, 0]], np.float16)
    texts = random_units(np.random.default_rng(6), 2, 4)
    products = (rows.astype(np.float64) * texts).sum(axis=1).astype(np.float32)
    np.testing.assert_array_equal(exact_similarity(rows, texts), products)


def test_hadamard_is_orthogonal_and_norms_are_upper_bounds() -> None:
    np.testing.assert_array_equal(hadamard() @ hadamard().T, np.eye(64))
    vectors = np.random.default_rng(9).standard_normal((50, 1000)).astype(np.float32)
    true = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
    assert ((norms(vectors) >= true) & (norms(vectors) < 1.002 * true)).all()


def test_errors_name_what_is_wrong() -> None:
    rows, texts = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"k = 5.*4"):
        nearest(rows, texts, k=5)
    with pytest.raises(ValueError, match="k = 0"):
        nearest(rows, texts, k=0)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4, 2\)"):
        nearest(rows, texts[:, :2])
    with pytest.raises(ValueError, match="'gpu' is not one of auto"):
        nearest(rows, texts, backend="gpu")
    with pytest.raises(ValueError, match="finite"):
        nearest(rows, texts * np.float32(np.inf))
    with pytest.raises(ValueError, match="m, d >= 1"):
        nearest(rows, texts[:0])


def test_no_rows() -> None:
    labels, similarity = nearest(np.empty((0, 3), np.float16), np.ones((4, 3), np.float32), k=2)
    assert labels.shape == similarity.shape == (0, 2)


@pytest.mark.parametrize("longest", [0, 3, 600])
def test_products_of_pairs_are_within_their_error(longest: int) -> None:
    """In short runs of one row, and in long ones of several blocks; some rows have no pair."""
    rng = np.random.default_rng(longest)
    rows, texts = random_units(rng, 40, 33), random_units(rng, 700, 33)
    i = np.repeat(np.arange(40), rng.integers(0, longest + 1, 40))
    j = rng.integers(600, 700, len(i))
    exact = np.vecdot(rows[i].astype(np.float64), texts[j].astype(np.float64))
    assert np.abs(float32_pairs(rows, texts, i, j) - exact).max(initial=0) <= 1.01 * float32_error(33)
