"""The figure long_tail: three protocols, accuracy and precision, groups and attributes, against scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from poolwright.core.errors import RecipeError
from poolwright.core.results.measured import Matrix, Measured
from poolwright.core.rows import vector_array, vectors_of
from poolwright.measure.measure import check_figure, measure
from poolwright.recipe.figures import Figure
from tests.release.build import write_table
from tests.steps.split.glt_rows import glt, rows_of

FIGURE = Figure(name="long tail", table="toy", measure="long_tail", vectors="features")
CELLS = {f"class {at:02d}": (130, 60, 40) for at in range(10)}
NUMBERS: dict[str, Any] = {
    "test_bbl": 10,
    "test_bl": 20,
    "test_lt": 12,
    "val": 6,
    "balanced": 50,
    "sizes": {"shape": "exponential", "largest": 120, "imbalance": 6},
}


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Sets of ten classes whose attributes lie apart from each other."""
    drawn = glt(rows_of(CELLS), **NUMBERS)[0]
    draw = np.random.default_rng(2)
    kinds = [int(label[-2:]) for label in drawn.column("label").to_pylist()]
    centres, moved = draw.normal(size=(10, 12)), 1.1 * draw.normal(size=(10, 3, 12))
    places = moved[kinds, drawn.column("attribute").to_numpy()]
    vectors = centres[kinds] + places + 0.9 * draw.normal(size=(len(drawn), 12))
    return drawn.append_column("features", vector_array(vectors.astype(np.float16)))


def found(
    given: pa.Table, folder: Path, cuts: tuple[int, ...] = (), workers: int | None = None, **more: Any
) -> list[Measured]:
    table = write_table(folder / "toy", given, cuts=cuts)
    return list(measure(FIGURE.model_copy(update=more), table, workers))


def matrix_of(measured: Measured) -> Matrix:
    assert isinstance(measured.value, Matrix)
    return measured.value


def test_it_is_what_scikit_learn_finds(rows: pa.Table, tmp_path: Path) -> None:
    """The probe, and accuracy and precision by its own metrics."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import precision_score

    accuracy, precision = map(matrix_of, found(rows, tmp_path))
    vectors = vectors_of(rows.column("features").combine_chunks()).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = {name: np.array(rows.column(name).to_pylist()) for name in rows.column_names if name != "features"}
    classes = columns["class_index"]
    tests = {"class-wise LT": "test_bl", "attribute-wise LT": "test_bbl", "generalized LT": "test_bbl"}
    assert accuracy.rows == precision.rows == tuple(tests)
    assert accuracy.columns == ("all", "many", "medium", "few", "attribute 0", "attribute 1", "attribute 2")
    for line, (protocol, test) in enumerate(tests.items()):
        column = "split_cbl" if protocol == "attribute-wise LT" else "split_glt"
        train = columns[column] == "train"
        assert accuracy.row_counts[line] == train.sum()
        probe = LogisticRegression(C=10, max_iter=5_000, tol=1e-8).fit(vectors[train], classes[train])
        inside = np.flatnonzero(columns["split_glt"] == test)
        told = probe.predict(vectors[inside])
        truth, group, rank = (columns[name][inside] for name in ("class_index", "frequency", "attribute"))
        masks = [np.ones(len(inside), bool), *(group == at for at in range(3)), *(rank == at for at in range(3))]
        for place, mask in enumerate(masks):
            right = (told[mask] == truth[mask]).mean()
            assert accuracy.values[line][place] == pytest.approx(right, abs=0.03)
            whole = place < 4  # of a group the classes are fewer, and all rows are looked at
            kinds = np.unique(truth[mask])
            said, true = (told, truth) if whole else (told[mask], truth[mask])
            share = precision_score(true, said, labels=kinds, average="macro", zero_division=0)
            assert precision.values[line][place] == pytest.approx(share, abs=0.03)
    assert accuracy.summary == {name: line[0] for name, line in zip(tests, accuracy.values, strict=True)}


def test_tails_of_classes_and_attributes_show(rows: pa.Table, tmp_path: Path) -> None:
    accuracy = matrix_of(found(rows, tmp_path)[0])
    lines = [dict(zip(accuracy.columns, line, strict=True)) for line in accuracy.values]
    class_wise, attribute_wise, generalized = lines
    assert class_wise["many"] > class_wise["few"]
    assert attribute_wise["attribute 0"] > attribute_wise["attribute 2"]
    assert generalized["all"] < min(class_wise["all"], attribute_wise["all"])


def test_order_cut_and_workers_change_nothing(rows: pa.Table, tmp_path: Path) -> None:
    shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(len(rows))))
    assert found(rows, tmp_path / "one", workers=1) == found(shuffled, tmp_path / "other", cuts=(7, 300), workers=2)


def test_fewer_rows_are_drawn_by_hash(rows: pa.Table, tmp_path: Path) -> None:
    (accuracy, _) = found(rows, tmp_path, rows=100)
    assert matrix_of(accuracy).row_counts == (100, 100, 100)
    assert "at most 100 rows of each set" in accuracy.words


def test_rows_without_a_vector_are_left_out_and_told(rows: pa.Table, tmp_path: Path) -> None:
    vectors = vectors_of(rows.column("features").combine_chunks()).copy()
    train = np.flatnonzero(np.array(rows.column("split_glt").to_pylist()) == "train")
    vectors[train[:3]] = np.nan
    at = rows.schema.get_field_index("features")
    (accuracy, _) = found(rows.set_column(at, "features", vector_array(vectors)), tmp_path)
    assert "3 rows left out: the vector is missing" in accuracy.words
    assert matrix_of(accuracy).row_counts[0] == len(train) - 3


def test_an_attribute_that_a_test_set_lacks_is_left_out_and_told(rows: pa.Table, tmp_path: Path) -> None:
    test = pc.and_(pc.equal(rows.column("split_glt"), "test_bl"), pc.equal(rows.column("attribute"), 2))
    (accuracy, _) = found(rows.filter(pc.invert(pc.fill_null(test, False))), tmp_path)
    assert matrix_of(accuracy).columns[-2:] == ("attribute 0", "attribute 1")
    assert "Groups and attributes of which a test set has no rows are left out." in accuracy.words


def test_what_cannot_be_measured_is_told(rows: pa.Table, tmp_path: Path) -> None:
    names = np.array(rows.column("split_cbl").to_pylist())
    at = rows.schema.get_field_index("split_cbl")
    none = rows.set_column(
        at, "split_cbl", pa.array([None if name == "train" else name for name in names], pa.string())
    )
    with pytest.raises(
        RecipeError, match="Train-CBL has no rows with a vector: none has 'train' in the column 'split_cbl'"
    ):
        found(none, tmp_path)
    with pytest.raises(RecipeError, match="has no column 'split_cbl'"):
        check_figure(FIGURE, rows.schema.remove(at))
    place = rows.schema.get_field_index("attribute")
    with pytest.raises(RecipeError, match="'attribute' has type string; it takes integers"):
        check_figure(FIGURE, rows.schema.set(place, pa.field("attribute", pa.string())))
    with pytest.raises(ValueError, match="'long_tail' needs vectors"):
        Figure(name="x", table="y", measure="long_tail")
