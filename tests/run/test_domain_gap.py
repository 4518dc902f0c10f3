"""The domain gap: what is drawn, which classes take part, and that nothing but the rows changes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import RecipeError
from poolwright.core.measured import Matrix, Measured
from poolwright.core.rows import vector_array
from poolwright.core.runtime.progress import Silent
from poolwright.measure.measure import check_figure, measure
from poolwright.measure.store import FILE, measure_all, measured_of
from poolwright.recipe.figures import Figure
from tests.release.build import write_table

DOMAINS = ("Africa", "Asia", "Europe")
FIGURE = Figure(
    name="domain gap", table="toy", measure="domain_gap", vectors="clip", truth="class_index", domain="continent"
)


def rows_of(count: int = 900, width: int = 12, classes: int = 4) -> pa.Table:
    """Rows of three domains; the further apart the domains, the more their classes have moved."""
    rng = np.random.default_rng(11)
    kinds, domains = rng.integers(0, classes, count), rng.integers(0, len(DOMAINS), count)
    centres = rng.normal(size=(classes, width))
    moved = centres + np.array([0.0, 1.0, 2.5])[:, None, None] * rng.normal(size=(len(DOMAINS), classes, width))
    vectors = moved[domains, kinds] + 1.2 * rng.normal(size=(count, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns: dict[str, Any] = {
        "uid": [f"row-{number:05d}" for number in range(count)],
        "label": [f"class {kind % 3}" for kind in kinds],
        "class_index": pa.array(kinds, pa.int32()),
        "continent": pa.array([DOMAINS[domain] for domain in domains]).dictionary_encode(),
        "split": [("train", "train", "test")[number % 3] for number in range(count)],
        "clip": vector_array(vectors.astype(np.float16)),
    }
    return pa.table(columns)


def changed(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, pa.array(values))


def found(rows: pa.Table, folder: Path, **more: Any) -> Measured:
    table = write_table(folder / "toy", rows, cuts=more.pop("cuts", ()))
    return measure(FIGURE.model_copy(update=more.pop("figure", {})), table, **more)[0]


def matrix_of(measured: Measured) -> Matrix:
    assert isinstance(measured.value, Matrix)
    return measured.value


def test_it_is_what_the_definition_says(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = rows_of()
    matrix = matrix_of(found(rows, tmp_path))
    vectors = np.stack(rows["clip"].to_pylist()).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds, domains, splits = (np.array(rows[name].to_pylist()) for name in ("class_index", "continent", "split"))
    for down, one in enumerate(DOMAINS):
        train = (domains == one) & (splits == "train")
        probe = LogisticRegression(C=10.0, max_iter=10_000, tol=1e-9).fit(vectors[train], kinds[train])
        assert matrix.row_counts[down] == train.sum()
        for across, other in enumerate(DOMAINS):
            test = (domains == other) & (splits == "test")
            assert matrix.values[down][across] == pytest.approx(probe.score(vectors[test], kinds[test]), abs=0.011)
            assert matrix.column_counts[across] == test.sum()
    assert matrix.rows == matrix.columns == DOMAINS
    assert matrix.values[0][0] > matrix.values[0][1] > matrix.values[0][2]
    inside = np.mean([matrix.values[at][at] for at in range(3)])
    assert matrix.summary["in-domain mean"] == pytest.approx(inside, abs=1e-4)
    assert matrix.summary["gap"] == pytest.approx(inside - matrix.summary["cross-domain mean"], abs=2e-4)


def test_order_cut_and_workers_change_nothing(tmp_path: Path) -> None:
    rows = rows_of()
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    figure = {"rows": 60}
    one = found(rows, tmp_path / "a", workers=1, figure=figure)
    other = found(shuffled, tmp_path / "b", workers=3, figure=figure, cuts=(1, 400))
    assert one == other
    assert one.model_dump_json() == other.model_dump_json()
    assert matrix_of(one).row_counts == (60, 60, 60)
    assert matrix_of(one) != matrix_of(found(rows, tmp_path / "c", figure={"rows": 61}))


def test_only_classes_that_all_domains_train_on_take_part(tmp_path: Path) -> None:
    rows = rows_of()
    gone = (np.array(rows["class_index"].to_pylist()) == 3) & (np.array(rows["continent"].to_pylist()) == "Asia")
    gone &= np.array(rows["split"].to_pylist()) == "train"
    fewer = rows.filter(pa.array(~gone))
    measured = found(fewer, tmp_path / "a")
    alone = found(rows.filter(pa.array(np.array(rows["class_index"].to_pylist()) != 3)), tmp_path / "b")
    assert matrix_of(measured).values == matrix_of(alone).values
    assert "3 of 4 classes take part" in measured.words
    assert "All 3 classes take part" in alone.words


def test_classes_of_one_name_are_two_where_an_index_tells_them(tmp_path: Path) -> None:
    assert "All 4 classes" in found(rows_of(), tmp_path / "a").words
    assert "All 3 classes" in found(rows_of(), tmp_path / "b", figure={"truth": "label"}).words


def test_rows_that_cannot_take_part_are_counted(tmp_path: Path) -> None:
    rows = rows_of()
    vectors = np.stack(rows["clip"].to_pylist())
    vectors[0], vectors[1] = np.nan, 0.0
    vectors[3, 2] = np.inf
    rows = rows.set_column(5, "clip", vector_array(vectors))
    continents = rows["continent"].to_pylist()
    continents[10] = None
    kinds = rows["class_index"].to_pylist()
    kinds[11] = None
    splits = ["other" if number == 12 else split for number, split in enumerate(rows["split"].to_pylist())]
    for name, values in (("continent", continents), ("class_index", kinds), ("split", splits)):
        rows = changed(rows, name, values)
    measured = found(rows, tmp_path)
    assert "3 rows left out: the vector is missing, zero or not finite." in measured.words
    assert "2 rows left out: there is no continent or no class_index." in measured.words
    assert sum((*matrix_of(measured).row_counts, *matrix_of(measured).column_counts)) == 900 - 3 - 2 - 1


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("split", lambda row: "train", "continent 'Africa' has no rows of the split 'test'"),
        (
            "split",
            lambda row: "test" if row["continent"] == "Asia" else row["split"],
            "continent 'Asia' has no rows of the split 'train'",
        ),
        ("continent", lambda row: "Africa", "column 'continent' has 1 values"),
        ("continent", lambda row: row["uid"], "2 to 50 domains can be compared"),
        ("class_index", lambda row: 1, "at least two are needed"),
    ],
)
def test_what_cannot_be_measured_is_named(
    tmp_path: Path, column: str, value: Callable[[dict[str, Any]], Any], words: str
) -> None:
    rows = rows_of(120)
    rows = changed(rows, column, [value(row) for row in rows.to_pylist()])
    with pytest.raises(RecipeError, match="domain gap") as error:
        found(rows, tmp_path)
    assert words in str(error.value)


def test_a_missing_column_or_one_without_vectors_is_found_before_anything_runs() -> None:
    schema = rows_of(6).schema
    with pytest.raises(RecipeError, match="no column 'continnent'; did you mean 'continent'"):
        check_figure(FIGURE.model_copy(update={"domain": "continnent"}), schema)
    with pytest.raises(RecipeError, match="column 'label' has type string; it takes vectors"):
        check_figure(FIGURE.model_copy(update={"vectors": "label"}), schema)
    with pytest.raises(ValueError, match="measure 'domain_gap' needs domain"):
        Figure(name="gap", table="toy", measure="domain_gap", vectors="clip", truth="label")


class Notes(Silent):
    """Remembers the notes it receives."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, words: str) -> None:
        self.told.append(words)


def test_a_run_measures_once(tmp_path: Path) -> None:
    table, notes = write_table(tmp_path / "toy", rows_of(300)), Notes()
    even = Figure(name="even", table="toy", measure="balance", group=("continent",))
    first = measure_all([even, FIGURE], {"toy": table}, tmp_path, notes)
    assert notes.told == ["measuring even on toy", "measuring domain gap on toy"]
    before = (tmp_path / FILE).read_bytes()
    assert measure_all([even, FIGURE], {"toy": table}, tmp_path, notes) == first
    assert (tmp_path / FILE).read_bytes() == before
    renamed = FIGURE.model_copy(update={"name": "gap"})
    assert measure_all([renamed], {"toy": table}, tmp_path, notes)[0].value == first[1].value
    assert [found.name for found in measured_of(table, tmp_path)] == ["gap"]
    assert len(notes.told) == 2
    measure_all([FIGURE.model_copy(update={"rows": 40})], {"toy": table}, tmp_path, notes)
    assert len(notes.told) == 3


def test_another_table_is_measured_anew_and_a_damaged_file_too(tmp_path: Path) -> None:
    table, notes = write_table(tmp_path / "a" / "toy", rows_of(300)), Notes()
    measure_all([FIGURE], {"toy": table}, tmp_path, notes)
    other = write_table(tmp_path / "b" / "toy", rows_of(310))
    assert measured_of(other, tmp_path) == ()
    measure_all([FIGURE], {"toy": other}, tmp_path, notes)
    (tmp_path / FILE).write_text('{"figures": [{}', encoding="utf-8")
    measure_all([FIGURE], {"toy": other}, tmp_path, notes)
    assert len(notes.told) == 3
    assert len(measured_of(other, tmp_path)) == 1
