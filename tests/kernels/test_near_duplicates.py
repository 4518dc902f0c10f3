"""Near-duplicates: nearest rows and linked groups, in blocks."""

from __future__ import annotations

import numpy as np

from poolwright.kernels.similarity import pairs
from poolwright.kernels.similarity.connected_components import Links
from poolwright.kernels.similarity.near_duplicates import nearest_other, similar_groups


def test_nearest_rows_are_those_of_the_whole_product() -> None:
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(1500, 8)), generator.normal(size=(2500, 8))
    place, cosine = nearest_other(left, right)
    whole = (left / np.linalg.norm(left, axis=1)[:, None]) @ (right / np.linalg.norm(right, axis=1)[:, None]).T
    assert (place == whole.argmax(axis=1)).mean() > 0.999  # float32 may swap two that are equal to seven digits
    np.testing.assert_allclose(cosine, whole.max(axis=1), atol=1e-6)


def test_links_join_groups_across_blocks(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    angles = np.radians([0, 90, 5, 200, 10, 95, 15, 300])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for block in (1, 3, 100):
        monkeypatch.setattr(pairs, "_ROWS", block)
        assert similar_groups(rows, np.cos(np.radians(6))).tolist() == [0, 1, 0, 3, 0, 1, 0, 7]


def test_links_are_worked_in_as_they_come(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(2)
    pairs = generator.integers(0, 500, (400, 2))
    whole = Links(500)
    whole.add(pairs[:, 0], pairs[:, 1])
    monkeypatch.setattr("poolwright.kernels.similarity.connected_components.PENDING", 5)
    pieces = Links(500)
    for left, right in pairs:
        pieces.add(np.array([left]), np.array([right]))
    np.testing.assert_array_equal(whole.first(), pieces.first())
    assert Links(0).first().tolist() == []
