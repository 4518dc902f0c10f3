"""Rows without a vector: null in tables, stages and releases, whatever their source wrote, and read back as that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright import api
from poolwright.core.columns import is_vector
from poolwright.core.files import digest_file
from poolwright.core.results.search_result import Query
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.demo.demo import clip_folder
from poolwright.inspect.search import search
from poolwright.inspect.views.vectors import vectors_at
from poolwright.run import write
from tests.run.pools import WIDTH, class_features, make_recipe, make_rows, write_pool

ROWS = 240
MISSING = tuple(row for row in range(ROWS) if row % 7 == 3 or row < 20)
KEPT_ALL = [{"sample": {"n": ROWS}}]


def _matrix(rows: int, missing: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.random.default_rng(1).normal(size=(rows, WIDTH))
    matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float16)
    return matrix, ~np.isin(np.arange(rows), missing)


def _null(rows: int, missing: tuple[int, ...]) -> pa.Array:
    return vector_array(*_matrix(rows, missing))


def _nan(rows: int, missing: tuple[int, ...]) -> pa.Array:
    matrix, valid = _matrix(rows, missing)
    matrix[~valid] = np.nan
    return vector_array(matrix)


def _lists(rows: int, missing: tuple[int, ...]) -> pa.Array:
    return _null(rows, missing).cast(pa.list_(pa.float32()))


FORMS = {"null": _null, "NaN": _nan, "lists": _lists}


def pool(folder: Path, form: Callable[..., pa.Array], rows: int = ROWS, missing: tuple[int, ...] = MISSING) -> None:
    """A pool whose vectors are missing in some rows, in that form; and one with the prompt `one.npy`."""
    table = make_rows(rows)
    index = table.schema.get_field_index("embedding")
    write_pool(folder, table.set_column(index, "embedding", form(rows, missing)), parts=3, row_group=50)
    np.save(folder / "one.npy", class_features()[0])


def kept(table: Table) -> dict[str, Any]:
    """Vector by uid, as plain PyArrow reads it from the files of the table."""
    files = [table.folder / part.file for part in table.record.parts]
    rows = pa.concat_tables([pq.read_table(file) for file in files])
    return dict(zip(rows["uid"].to_pylist(), rows["embedding"].to_pylist(), strict=True))


def wanted(rows: int = ROWS, missing: tuple[int, ...] = MISSING) -> dict[str, Any]:
    matrix, valid = _matrix(rows, missing)
    return {f"row-{row:07d}": matrix[row].tolist() if valid[row] else None for row in range(rows)}


def as_before(table: Table) -> None:
    """Turn the files of a table into those of a version that wrote NaN for a missing vector."""
    parts = []
    for part in table.record.parts:
        rows = pq.read_table(table.folder / part.file)
        for index, field in enumerate(rows.schema):
            if is_vector(field.type):
                matrix = np.array([row or [np.nan] * field.type.list_size for row in rows.column(index).to_pylist()])
                rows = rows.set_column(index, field, vector_array(matrix.astype(np.float16)))
        pq.write_table(rows, table.folder / part.file)
        parts.append(part.model_copy(update={"digest": digest_file(table.folder / part.file)}))
    versions = {**table.record.versions, "pyarrow": "25.0.1"}
    record = table.record.model_copy(update={"versions": versions, "parts": tuple(parts)})
    (table.folder / "table.json").write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_missing_vectors_are_null_in_a_table_whatever_the_source_wrote(form: str, tmp_path: Path) -> None:
    pool(tmp_path, FORMS[form])
    table = api.run(make_recipe(tmp_path, KEPT_ALL), tmp_path / "run").tables["chosen"]
    assert kept(table) == wanted()


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    st.sampled_from(sorted(FORMS)),
    st.integers(3, 40).flatmap(lambda rows: st.tuples(st.just(rows), st.sets(st.integers(0, rows - 1)))),
)
def test_any_rows_may_lack_a_vector(tmp_path_factory: Any, form: str, given: tuple[int, set[int]]) -> None:
    rows, missing = given[0], tuple(sorted(given[1]))
    if form == "lists" and len(missing) == rows:
        return  # lists that are all null have no width
    folder = tmp_path_factory.mktemp("any")
    pool(folder, FORMS[form], rows, missing)
    steps = [{"similarity": {"of": "embedding", "features": "one.npy"}}]
    recipe = make_recipe(folder, steps, max_bad=1.0)
    table = api.run(recipe, folder / "run").tables["chosen"]
    full = {uid: vector for uid, vector in wanted(rows, missing).items() if vector is not None}
    assert kept(table) == full
    assert table.record.rows_dropped == len(missing)


def test_rows_that_lack_a_vector_are_dropped_by_steps_that_need_it(tmp_path: Path) -> None:
    pool(tmp_path, _null)
    steps = [{"label": {"with": "embedding", "vocabulary": "classes.txt", "features": "features.npy"}}]
    table = api.run(make_recipe(tmp_path, steps, max_bad=1.0), tmp_path / "run").tables["chosen"]
    assert set(kept(table)) == {uid for uid, vector in wanted().items() if vector}


def test_an_old_table_of_nan_vectors_is_read_as_a_new_one(tmp_path: Path) -> None:
    pool(tmp_path, _null)
    tables = {
        "chosen": {"from": "rows", "steps": KEPT_ALL},
        "again": {"from": "chosen", "steps": [{"sample": {"n": ROWS}}]},
        "scored": {"from": "chosen", "steps": [{"similarity": {"of": "embedding", "features": "one.npy"}}]},
    }
    recipe = make_recipe(tmp_path, tables=tables, max_bad=1.0)
    new = api.run(recipe, tmp_path / "run").tables
    old = api.run(recipe, tmp_path / "old", tables=["chosen"]).tables["chosen"]
    as_before(old)
    old = Table(old.folder)
    assert pq.read_table(old.folder / old.record.parts[0].file)["embedding"].null_count == 0
    assert old.read().equals(new["chosen"].read())
    assert [batch.table for batch in old.batches()] == [batch.table for batch in new["chosen"].batches()]
    made = api.run(recipe, tmp_path / "old").tables
    for name in ("again", "scored"):
        assert kept(made[name]) == kept(new[name])
        assert made[name].record.rows_dropped == new[name].record.rows_dropped
    assert kept(made["again"]) == wanted()


def test_search_and_explore_pass_over_null_vectors(tmp_path: Path) -> None:
    pool(tmp_path, _null)
    api.run(make_recipe(tmp_path, KEPT_ALL), tmp_path / "run")
    matrix, valid = _matrix(ROWS, MISSING)
    found = api.search(tmp_path / "run", "one", features=tmp_path / "one.npy", n=ROWS)
    assert len(found.nearest.positions) == valid.sum()
    uids = api.show(tmp_path / "run")[0].read(["uid"])["uid"].to_pylist()
    assert {uids[row] for row in found.nearest.positions} == {uid for uid, vector in wanted().items() if vector}
    view = api.explore(tmp_path / "run")
    row = int(np.flatnonzero(valid)[0])
    uids = [one["uid"] for one in view.read(range(view.rows), ["uid"])]
    order = [int(uid.removeprefix("row-")) for uid in uids]
    scores = search(view, Query(like=f"row-{row:07d}", column="embedding")).scores
    cosines = (
        matrix.astype(np.float64) @ matrix[row].astype(np.float64) / np.linalg.norm(matrix[row].astype(np.float64))
    )
    assert np.isnan(scores).tolist() == [not valid[at] for at in order]
    assert np.allclose(np.array(scores)[valid[order]], cosines[order][valid[order]], atol=1e-3)
    positions = np.arange(view.rows)
    assert np.isnan(vectors_at(view, "embedding", positions)).all(axis=1).tolist() == [not valid[at] for at in order]


def test_null_vectors_pass_through_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row without a text has a null vector; the step after `embed` fits, so the vectors are saved before it."""
    rows = make_rows(ROWS).drop_columns(["embedding"])
    write_pool(tmp_path, rows, parts=3)
    staged: list[int] = []
    plain = write._plain

    def spy(table: pa.Table, schema: pa.Schema) -> pa.Table:
        found = plain(table, schema)
        if found.column_names == ["words"]:
            staged.append(found["words"].null_count)
        return found

    monkeypatch.setattr(write, "_plain", spy)
    steps = [{"embed": {"text": "words", "model": f"onnx:{clip_folder()}"}}, {"top": {"by": "width", "n": 200}}]
    table = api.run(make_recipe(tmp_path, steps), tmp_path / "run").tables["chosen"]
    assert sum(staged) == sum(text is None for text in rows["text"].to_pylist())
    found = table.read(["text", "words"])
    assert [text is None for text in found["text"].to_pylist()] == [row is None for row in found["words"].to_pylist()]
    assert found["words"].null_count
    assert all(np.isfinite(row).all() for row in found["words"].to_pylist() if row)


def test_convert_writes_null_vectors(tmp_path: Path) -> None:
    pool(tmp_path, _lists)
    converted = api.convert("table", str(tmp_path / "rows"), tmp_path / "all.parquet")
    rows = pq.read_table(converted.files[0])
    assert dict(zip(rows["uid"].to_pylist(), rows["embedding"].to_pylist(), strict=True)) == wanted()


@pytest.mark.parametrize("form", FORMS)
def test_expressions_see_null(form: str, tmp_path: Path) -> None:
    pool(tmp_path, FORMS[form])
    recipe = make_recipe(tmp_path, [{"where": "embedding is null"}])
    table = api.run(recipe, tmp_path / "run").tables["chosen"]
    assert set(kept(table)) == {uid for uid, vector in wanted().items() if vector is None}
