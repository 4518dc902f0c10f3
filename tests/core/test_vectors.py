"""Vectors between Arrow and NumPy: against plain Python, over nulls with anything below them, NaN, slices and files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.core.columns import vector_field
from poolwright.core.rows import Rows, is_valid, missing_as_null, vector_array, vectors_of, with_missing_as_null

KINDS = ("value", "null", "nan", "part", "hole")
TYPES = (np.float16, np.float32, np.float64)


def made(kinds: list[str], width: int, dtype: type, seed: int = 0) -> pa.Array:
    """Vectors of those kinds; below a null is a vector like any other, and in a hole one number is null."""
    matrix = np.random.default_rng(seed).normal(size=(len(kinds), width)).astype(dtype)
    matrix[[kind == "nan" for kind in kinds]] = np.nan
    matrix[[kind == "part" for kind in kinds], :1] = np.nan
    valid = np.array([kind != "null" for kind in kinds], bool)
    if "hole" not in kinds:
        return vector_array(matrix, valid)
    holes = np.zeros(matrix.shape, bool)
    holes[[kind == "hole" for kind in kinds], -1] = True
    flat = pa.array(matrix.reshape(-1), mask=holes.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, width, mask=pa.array(~valid))


def same(one: list[Any], other: list[Any]) -> bool:
    """Whether two lists of vectors are equal, NaN being equal to NaN."""
    return len(one) == len(other) and all(
        a == b or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))
        for a, b in zip(one, other, strict=True)
    )


def plain(array: pa.Array) -> list[list[float] | None]:
    """The vectors as Python has them, NaN for a null number."""
    rows = array.to_pylist()
    return [None if row is None else [float("nan") if value is None else value for value in row] for row in rows]


def expected(array: pa.Array) -> list[list[float] | None]:
    rows = plain(array)
    return [None if row is None or (row and all(value != value for value in row)) else row for row in rows]


arrays = st.builds(
    made,
    st.lists(st.sampled_from(KINDS), max_size=30),
    st.sampled_from([1, 2, 3, 16]),
    st.sampled_from(TYPES),
    st.integers(0, 99),
)


def sliced(array: pa.Array, cuts: tuple[int, int]) -> pa.Array:
    start = min(cuts[0], len(array))
    return array.slice(start, cuts[1])


@settings(deadline=None, max_examples=200, derandomize=True)
@given(arrays, st.tuples(st.integers(0, 9), st.integers(0, 30)))
def test_vectors_are_those_of_plain_python(array: pa.Array, cuts: tuple[int, int]) -> None:
    array = sliced(array, cuts)
    found = vectors_of(array)
    width = array.type.list_size
    assert found.shape == (len(array), width)
    assert found.dtype == array.type.value_type.to_pandas_dtype()
    wanted = [[float("nan")] * width if row is None else row for row in plain(array)]
    assert same(found.tolist(), wanted)
    assert is_valid(array).tolist() == [row is not None for row in array.to_pylist()]
    again = vector_array(found, is_valid(array))
    assert again.type == array.type
    assert same(plain(again), plain(array))


@settings(deadline=None, max_examples=200, derandomize=True)
@given(arrays, st.tuples(st.integers(0, 9), st.integers(0, 30)))
def test_nan_throughout_is_missing_and_nan_in_part_is_not(array: pa.Array, cuts: tuple[int, int]) -> None:
    array = sliced(array, cuts)
    found = missing_as_null(array)
    found.validate(full=True)
    assert found.type == array.type
    assert same(plain(found), expected(array))
    assert missing_as_null(found) is found
    assert np.array_equal(vectors_of(found), vectors_of(array), equal_nan=True)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(arrays, st.tuples(st.integers(0, 9), st.integers(0, 30)))
def test_vectors_read_back_from_parquet_are_those_written(array: pa.Array, cuts: tuple[int, int]) -> None:
    """Readers leave nulls below null rows."""
    out = io.BytesIO()
    pq.write_table(pa.table({"clip": array}), out, row_group_size=7)
    found = pa.concat_arrays(pq.read_table(out)["clip"].chunks) if len(array) else array
    found, array = sliced(found, cuts), sliced(array, cuts)
    assert np.array_equal(vectors_of(found), vectors_of(array), equal_nan=True)
    assert same(plain(missing_as_null(found)), expected(array))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(st.lists(st.sampled_from(KINDS), max_size=9), max_size=4), st.integers(0, 5))
def test_a_table_of_many_chunks(kinds: list[list[str]], start: int) -> None:
    chunks = [made(chunk, 3, np.float16, seed) for seed, chunk in enumerate(kinds)]
    field = vector_field("clip", 3, "model", "weights")
    column = pa.chunked_array(chunks, field.type)
    names = pa.array([str(row) for row in range(len(column))])
    table = pa.table([names, column], schema=pa.schema([pa.field("uid", pa.string()), field])).slice(start)
    found = with_missing_as_null(table)
    assert found.schema.equals(table.schema, check_metadata=True)
    wanted = [row for chunk in table.column("clip").chunks for row in expected(chunk)]
    assert same([row for chunk in found.column("clip").chunks for row in plain(chunk)], wanted)
    assert np.array_equal(Rows(found).vectors("clip"), Rows(table).vectors("clip"), equal_nan=True)


def test_what_holds_no_vectors_stays_the_same_object() -> None:
    table = pa.table(
        {"uid": ["a"], "boxes": pa.array([[1, 2]], pa.list_(pa.int32(), 2)), "clip": made(["part"], 3, TYPES[0])}
    )
    assert with_missing_as_null(table) is table
    empty = table.slice(0, 0)
    assert with_missing_as_null(empty) is empty


def _read(path: Path, batch: int) -> Iterator[tuple[str, Callable[[], list[pa.Array]]]]:
    """Ways to read the column 'clip' of a Parquet file."""
    file = pq.ParquetFile(path)
    yield "batches", lambda: [found.column(0) for found in file.iter_batches(batch_size=batch, columns=["clip"])]
    groups = range(file.num_row_groups)
    yield "groups", lambda: [chunk for number in groups for chunk in file.read_row_group(number)["clip"].chunks]
    yield "table", lambda: pq.read_table(path)["clip"].chunks
    yield "mapped", lambda: pq.read_table(path, memory_map=True, columns=["clip"])["clip"].chunks
    yield "dataset", lambda: ds.dataset(path).to_table()["clip"].chunks
    scanner = ds.dataset(path).scanner(batch_size=batch)
    yield "scanner", lambda: [found.column("clip") for found in scanner.to_batches()]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("pattern", ["all null", "leading", "trailing", "every other", "none"])
@pytest.mark.parametrize("form", ["whole", "sliced", "chunks"])
def test_null_vectors_come_back_from_files(dtype: type, pattern: str, form: str, tmp_path: Path) -> None:
    """What PyArrow must be able to do; before 26 it could not."""
    rows = 500
    null = {
        "all null": lambda row: True,
        "leading": lambda row: row < 200,
        "trailing": lambda row: row >= 200,
        "every other": lambda row: row % 2,
        "none": lambda row: False,
    }[pattern]
    array = made(["null" if null(row) else "value" for row in range(rows)], 16, dtype)
    column = pa.chunked_array([array.slice(7, 450)] if form == "sliced" else [array])
    column = (
        pa.chunked_array([array.slice(0, 99), array.slice(99, 1), array.slice(100)]) if form == "chunks" else column
    )
    table = pa.table({"clip": column})
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path, row_group_size=120)
    for batch in (33, 1_000):
        for name, read in _read(path, batch):
            found = pa.chunked_array(read(), column.type)
            found.validate(full=True)
            assert found.to_pylist() == column.to_pylist(), name
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=41)
    assert pa.ipc.open_file(pa.BufferReader(out.getvalue())).read_all()["clip"].to_pylist() == column.to_pylist()
    nested = pa.table({"of": pa.StructArray.from_arrays([array, pa.array(range(rows))], ["clip", "row"])})
    pq.write_table(nested, path, row_group_size=120)
    assert pq.read_table(path)["of"].to_pylist() == nested["of"].to_pylist()
