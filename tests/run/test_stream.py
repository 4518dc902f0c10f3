"""The figure of a stream: four means of a matrix, buckets in order of time, several splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import RecipeError
from poolwright.core.results.measured import Matrix, Measured
from poolwright.core.rows import vector_array
from poolwright.measure.forward_transfer import four_means
from poolwright.measure.measure import check_figure, measure
from poolwright.recipe.figures import Figure
from tests.release.build import write_table

BUCKETS = (2, 9, 10, 11)
FIGURE = Figure(
    name="stream", table="toy", measure="stream", vectors="clip", truth="label", bucket="bucket", split="split_0"
)


def rows_of(count: int = 960, width: int = 10, classes: int = 3) -> pa.Table:
    """Rows of four buckets whose classes drift further with each; a few rows of a bucket 0 have no class."""
    draw = np.random.default_rng(3)
    kinds, buckets = draw.integers(0, classes, count), draw.integers(0, len(BUCKETS), count)
    walk = np.cumsum(draw.normal(size=(len(BUCKETS), classes, width)), axis=0)
    vectors = walk[buckets, kinds] + 1.1 * draw.normal(size=(count, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns: dict[str, Any] = {
        "uid": [f"row-{number:05d}" for number in range(count)],
        "label": [None if number < 5 else f"class {kind}" for number, kind in enumerate(kinds)],
        "bucket": pa.array([0 if number < 5 else BUCKETS[bucket] for number, bucket in enumerate(buckets)], pa.int32()),
        "split_0": [("train", "train", "test")[number % 3] for number in range(count)],
        "split_1": [("test", "train", "train")[number % 3] for number in range(count)],
        "clip": vector_array(vectors.astype(np.float16)),
    }
    return pa.table(columns)


def found(table: pa.Table, folder: Path, cuts: tuple[int, ...] = (), **changes: Any) -> Measured:
    (one,) = measure(FIGURE.model_copy(update=changes), write_table(folder / "toy", table, cuts=cuts))
    return one


def matrix_of(measured: Measured) -> Matrix:
    assert isinstance(measured.value, Matrix)
    return measured.value


def test_the_means_are_those_that_avalanche_takes() -> None:
    values = np.random.default_rng(0).random((5, 5))
    places = [(down, across) for down in range(5) for across in range(5)]
    means = four_means(values)
    assert means["in-domain"] == pytest.approx(sum(values[at, at] for at in range(5)) / 5)
    assert means["next-domain"] == pytest.approx(sum(values[at, at + 1] for at in range(4)) / 4)
    assert means["backward transfer"] == pytest.approx(sum(values[i, j] for i, j in places if j < i) / 10)
    assert means["forward transfer"] == pytest.approx(sum(values[i, j] for i, j in places if j > i) / 10)


def test_it_is_what_the_definition_says_with_buckets_in_order_of_time(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = rows_of()
    measured = found(rows, tmp_path)
    matrix = matrix_of(measured)
    assert matrix.rows == matrix.columns == ("2", "9", "10", "11")
    vectors = np.stack(rows["clip"].to_pylist()).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds, buckets, splits = (np.array(rows[name].to_pylist()) for name in ("label", "bucket", "split_0"))
    for down, one in enumerate(BUCKETS):
        train = (buckets == one) & (splits == "train")
        probe = LogisticRegression(C=10.0, max_iter=10_000, tol=1e-9).fit(vectors[train], kinds[train].astype(str))
        for across, other in enumerate(BUCKETS):
            test = (buckets == other) & (splits == "test")
            score = probe.score(vectors[test], kinds[test].astype(str))
            assert matrix.values[down][across] == pytest.approx(score, abs=0.015)
    assert matrix.summary == pytest.approx(four_means(np.array(matrix.values)), abs=2e-4)
    assert matrix.summary["in-domain"] > matrix.summary["next-domain"] > matrix.summary["forward transfer"]
    assert "trained on the split train of one bucket" in measured.words
    assert "5 rows left out: there is no bucket or no label." in measured.words


def test_several_splits_are_averaged(tmp_path: Path) -> None:
    rows = rows_of(480)
    both = found(rows, tmp_path / "a", splits=("split_0", "split_1"))
    each = [matrix_of(found(rows, tmp_path / name, split=name)) for name in ("split_0", "split_1")]
    values = np.mean([one.values for one in each], axis=0)
    assert np.array(matrix_of(both).values) == pytest.approx(values, abs=1e-4)
    assert matrix_of(both).summary["in-domain"] == pytest.approx(np.mean(np.diag(values)), abs=2e-4)
    assert "Means over the splits split_0, split_1; the standard deviation" in both.words


def test_order_and_cut_change_nothing(tmp_path: Path) -> None:
    rows = rows_of(480)
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    one, other = found(rows, tmp_path / "a", rows=30), found(shuffled, tmp_path / "b", (1, 400), rows=30)
    assert one.model_dump_json() == other.model_dump_json()
    assert matrix_of(one).row_counts == (30, 30, 30, 30)


def test_what_cannot_be_measured_is_named(tmp_path: Path) -> None:
    schema = rows_of(6).schema
    with pytest.raises(ValueError, match="measure 'stream' needs bucket"):
        Figure(name="x", table="toy", measure="stream", vectors="clip", truth="label")
    with pytest.raises(RecipeError, match="no column 'split_9'; did you mean 'split_"):
        check_figure(FIGURE.model_copy(update={"splits": ("split_0", "split_9")}), schema)
    with pytest.raises(RecipeError, match="column 'when' has type float; it takes strings or integers"):
        check_figure(FIGURE.model_copy(update={"bucket": "when"}), schema.append(pa.field("when", pa.float32())))
    one = rows_of(60).filter(pa.array(np.array(rows_of(60)["bucket"].to_pylist()) == 9))
    with pytest.raises(RecipeError, match="2 to 50 buckets can be compared"):
        found(one, tmp_path)
