"""The layout `parquet` is read by PyArrow, pandas, Polars and DuckDB, and by our own pool with the same types."""

from __future__ import annotations

import datetime
import decimal
import hashlib
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.columns import vector_field, vector_model
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.release.data.image_changes import ImageChanges
from poolwright.release.layouts.parquet import ParquetLayout
from poolwright.testing.layouts import ABOUT
from tests.release.build import pictures, toy_rows, write_table


def table_of(folder: Path) -> Table:
    rows = toy_rows(12).select(["uid", "image_path", "label", "similarity", "taken_at", "tags", "split"])
    numbers = range(12)
    more = {
        "day": pa.array([datetime.date(2020, 1, 1 + number) for number in numbers]),
        "price": pa.array([decimal.Decimal(number) / 4 for number in numbers], pa.decimal128(9, 2)),
        "large": pa.array([2**63 + number for number in numbers], pa.uint64()),
        "fine": pa.array([number % 2 == 0 if number else None for number in numbers]),
        "boxes": pa.array([[[1.0, 2.0, 3.0, float(number)]] * (number % 3) for number in numbers]),
        "where": pa.array([{"x": number, "name": "ä"} for number in numbers]),
        "small": pa.array([number - 5 for number in numbers], pa.int8()),
    }
    for name, values in more.items():
        rows = rows.append_column(name, values)
    vectors = np.random.default_rng(0).normal(size=(12, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    rows = rows.append_column(vector_field("clip", 16, "a model", "f" * 64), vector_array(vectors))
    pictures(folder / "images", rows.column("image_path").to_pylist())
    return write_table(folder / "run" / "tables" / "toy", rows, image_root=folder / "images")


def test_our_own_pool_reads_the_same_table_back(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    ParquetLayout(figures=False).write(table, tmp_path / "out", ABOUT)
    data = {"recipe": 1, "name": "back", "pools": {"p": {"read": "table", "path": "out/data"}}}
    recipe = api.Recipe.from_data({**data, "tables": {"all": {"from": "p"}}}, tmp_path)
    back = api.run(recipe, tmp_path / "back").tables["all"]
    wanted = {field.name: field for field in table.schema}
    found = {field.name: field for field in back.schema}
    assert found.keys() == wanted.keys()
    for name, field in wanted.items():
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        other = found[name].type.value_type if pa.types.is_dictionary(found[name].type) else found[name].type
        assert other == kind, name
    assert vector_model(found["clip"]) == ("a model", "f" * 64)
    names = list(wanted)
    rows, others = (sorted(one.read(names).to_pylist(), key=lambda row: row["uid"]) for one in (table, back))
    assert rows == others


def test_other_readers_read_it(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    ParquetLayout(figures=False).write(table, tmp_path / "out", ABOUT)
    file = next((tmp_path / "out" / "data").glob("test-*"))
    rows = pq.read_table(file)
    assert rows.schema.metadata is None or b"huggingface" not in rows.schema.metadata
    assert pd.read_parquet(file)["price"].tolist() == rows.column("price").to_pylist()
    assert duckdb.sql(f"select count(*), max(large) from '{tmp_path}/out/data/*.parquet'").fetchall() == [
        (12, 2**63 + 11)
    ]
    polars = pytest.importorskip("polars")
    assert polars.read_parquet(file)["boxes"].to_list() == rows.column("boxes").to_pylist()


def test_images_are_bytes_in_their_rows(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    changes = ImageChanges(resize=8, format="png")
    ParquetLayout(images=changes, columns=("label", "original_width"), figures=False).write(
        table, tmp_path / "out", ABOUT
    )
    rows = pq.read_table(tmp_path / "out" / "data")
    assert rows.column_names == ["uid", "image", "label", "original_width", "sha256"]
    for row in rows.to_pylist():
        assert row["image"].startswith(b"\x89PNG")
        assert row["sha256"] == hashlib.sha256(row["image"]).hexdigest()
        assert row["original_width"] == 32
