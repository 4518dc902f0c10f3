"""Cosines of all rows and prompts are the exact similarity, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest

from poolwright.kernels.similarity.cosine import exact_similarity
from poolwright.kernels.similarity.exact_matmul import grid_products, prompts_on_grid


def unit(draw: np.random.Generator, count: int, width: int) -> np.ndarray:
    vectors = draw.standard_normal((count, width))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("width", [3, 512, 1280])
def test_products_are_the_exact_similarity_to_the_bit(width: int) -> None:
    draw = np.random.default_rng(width)
    rows, prompts = unit(draw, 1500, width).astype(np.float16), prompts_on_grid(unit(draw, 7, width))
    products, usable = grid_products(rows, prompts.astype(np.float64))
    assert usable.all()
    for prompt, found in zip(prompts, products, strict=True):
        assert (found == exact_similarity(rows, np.broadcast_to(prompt, rows.shape))).all()


def test_neither_batch_nor_order_changes_a_bit() -> None:
    draw = np.random.default_rng(1)
    rows, prompts = unit(draw, 1100, 64).astype(np.float16), prompts_on_grid(unit(draw, 5, 64)).astype(np.float64)
    whole, _ = grid_products(rows, prompts)
    order = draw.permutation(1100)
    shuffled, _ = grid_products(rows[order], prompts[::-1].copy())
    assert (shuffled[::-1] == whole[:, order]).all()
    assert (grid_products(rows[700:701], prompts)[0][:, 0] == whole[:, 700]).all()


def test_the_grid_moves_prompts_by_next_to_nothing() -> None:
    features = unit(np.random.default_rng(2), 50, 512).astype(np.float32)
    assert np.abs(prompts_on_grid(features) - features).max() <= 2**-29
    assert (prompts_on_grid(prompts_on_grid(features)) == prompts_on_grid(features)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("scale", [2.0**-12, 0.03, 1.0, 1.99, 40.0, 1000.0])
def test_rows_of_any_length_are_within_a_millionth(dtype: type[np.floating], scale: float) -> None:
    draw = np.random.default_rng(3)
    rows, prompts = (scale * unit(draw, 40, 96)).astype(dtype), prompts_on_grid(unit(draw, 6, 96)).astype(np.float64)
    products, usable = grid_products(rows, prompts)
    assert usable.all()
    doubles = rows.astype(np.float64)
    assert np.abs(products - prompts @ (doubles / np.linalg.norm(doubles, axis=1, keepdims=True)).T).max() < 1e-6


def test_rows_without_a_direction_are_told() -> None:
    rows = np.zeros((6, 8), np.float32)
    rows[0, 0] = 1
    rows[1, 3] = np.nan
    rows[2, 3] = -np.inf
    rows[4, 0] = 3e38
    rows[5, 0] = 1e-42
    prompts = prompts_on_grid(np.eye(8)[:2]).astype(np.float64)
    for kind, expected in ((np.float32, [1, 0, 0, 0, 1, 1]), (np.float16, [1, 0, 0, 0, 0, 0])):
        with np.errstate(over="ignore"):
            products, usable = grid_products(rows.astype(kind), prompts)
        assert usable.tolist() == [bool(one) for one in expected]
        assert np.isfinite(products).all()
        assert products[:, 0].tolist() == [1.0, 0.0]
