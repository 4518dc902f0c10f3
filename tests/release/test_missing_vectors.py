"""Releases of rows without a vector: null in files that every version of PyArrow reads, and a release that verifies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import verify
from poolwright.core.columns import vector_field
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.pools.table import TablePool
from poolwright.release.data.missing_vectors import missing_vectors, readable_schema
from poolwright.release.data.shards import group_rows
from poolwright.release.layouts.avalanche import Avalanche
from poolwright.release.layouts.domainnet import DomainNet
from poolwright.release.layouts.geoyfcc import GeoYfccLayout
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.image_folder import ImageFolderLayout
from poolwright.release.layouts.layout import Layout
from poolwright.release.layouts.mappool import MapPool
from tests.release.build import WEIGHTS, pictures, toy_rows, write_table
from tests.release.conftest import ABOUT
from tests.release.streams import benchmark_of_tensors, stream_table

COUNT, WIDTH = 60, 32
MISSING = (0, 1, 7, COUNT - 1)


def clip(nan: bool = False, dtype: type = np.float16, missing: tuple[int, ...] = MISSING) -> tuple[pa.Field, pa.Array]:
    """A column of vectors that are missing in some rows: null, or NaN as before."""
    matrix = np.random.default_rng(2).normal(size=(COUNT, WIDTH)).astype(dtype)
    valid = ~np.isin(np.arange(COUNT), missing)
    if nan:
        matrix[~valid] = np.nan
    field = vector_field("clip", WIDTH, "open_clip:ViT-B-32/openai", WEIGHTS)
    array = vector_array(matrix, None if nan else valid)
    return field.with_type(array.type), array


def toy(folder: Path, field: pa.Field, array: pa.Array, cuts: tuple[int, ...] = (20,), **columns: Any) -> Table:
    rows = toy_rows(COUNT)
    rows = rows.set_column(rows.schema.get_field_index("clip"), field, array)
    for name, values in columns.items():
        index = rows.schema.get_field_index(name)
        rows = rows.append_column(name, values) if index < 0 else rows.set_column(index, name, values)
    pictures(folder / "images", rows["image_path"].to_pylist())
    return write_table(folder / "tables" / "toy", rows, cuts=cuts, image_root=folder / "images")


def by_uid(rows: pa.Table, column: str = "clip") -> dict[str, Any]:
    return dict(zip(rows["uid"].to_pylist(), rows[column].to_pylist(), strict=True))


def released(folder: Path) -> pa.Table:
    """The rows of a release, as plain PyArrow reads its files."""
    files = [file["path"] for file in json.loads((folder / "release.json").read_text())["files"]]
    return pa.concat_tables([pq.read_table(folder / file) for file in files])


LAYOUTS: dict[str, Callable[[], Layout]] = {
    "huggingface": lambda: HuggingFace(class_label="label", shard_bytes=60_000),
    "huggingface urls": lambda: HuggingFace(images="urls"),
    "image_folder": ImageFolderLayout,
}
NUMBERED = {"label_index": pa.array([at % 3 for at in range(COUNT)], pa.int32())}


@pytest.mark.parametrize("nan", [False, True])
@pytest.mark.parametrize("name", ["huggingface", "huggingface urls", "image_folder"])
def test_missing_vectors_are_null_in_plain_lists(name: str, nan: bool, tmp_path: Path) -> None:
    table = toy(tmp_path, *clip(nan))
    LAYOUTS[name]().write(table, tmp_path / "out", ABOUT)
    rows = released(tmp_path / "out")
    assert rows.schema.field("clip").type == pa.list_(pa.float16())
    assert by_uid(rows) == by_uid(table.read())
    assert rows["clip"].null_count == len(MISSING)
    found = verify(tmp_path / "out", full=True)
    assert found.ok, found.words
    metadata = rows.schema.field("clip").metadata
    assert metadata is None or metadata[b"poolwright.model"] == b"open_clip:ViT-B-32/openai"
    columns = {one["name"]: one for one in json.loads((tmp_path / "out" / "release.json").read_text())["columns"]}
    assert columns["clip"]["type"] == "float16[]"
    assert columns["clip"]["meaning"].endswith("; null if a row has none")


@pytest.mark.parametrize("name", ["huggingface", "image_folder"])
def test_vectors_of_all_rows_are_lists_of_their_size(name: str, tmp_path: Path) -> None:
    table = toy(tmp_path, *clip(missing=()))
    LAYOUTS[name]().write(table, tmp_path / "out", ABOUT)
    rows = released(tmp_path / "out")
    assert rows.schema.field("clip").type == pa.list_(pa.float16(), WIDTH)
    assert by_uid(rows) == by_uid(table.read())


def test_datasets_and_pandas_see_none(tmp_path: Path) -> None:
    from datasets import load_dataset

    table = toy(tmp_path, *clip())
    HuggingFace(images="urls").write(table, tmp_path / "out", ABOUT)
    wanted = by_uid(table.read())
    for part in load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache")).values():
        assert all(row["clip"] == wanted[row["uid"]] for row in part)
        for row in part.with_format("numpy"):
            assert (row["clip"] is None) == (wanted[str(row["uid"])] is None)
    frame = released(tmp_path / "out").to_pandas()
    seen = dict(zip(frame["uid"], frame["clip"], strict=True))
    assert {uid for uid, vector in seen.items() if vector is None} == {f"row-{row:04d}" for row in MISSING}
    assert all(np.array_equal(vector, wanted[uid]) for uid, vector in seen.items() if vector is not None)


def test_a_release_is_a_pool_with_the_same_vectors(tmp_path: Path) -> None:
    table = toy(tmp_path, *clip())
    HuggingFace(images="urls").write(table, tmp_path / "out", ABOUT)
    pool = TablePool.model_validate({"path": str(tmp_path / "out" / "data")})
    assert pool.arrow_schema().field("clip").type == pa.list_(pa.float16(), WIDTH)
    rows = pa.concat_tables([rows for part in pool.parts() for rows in pool.read(part, ["uid", "clip"], 7)])
    found = by_uid(rows)
    assert {uid for uid, vector in found.items() if vector is None} == {f"row-{row:04d}" for row in MISSING}
    for uid, vector in by_uid(table.read()).items():
        if vector is not None:
            assert np.allclose(found[uid], np.array(vector) / np.linalg.norm(vector), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_mappool_publishes_null_as_float16(dtype: type, tmp_path: Path) -> None:
    columns = {"width": pa.array(range(COUNT), pa.int32()), "height": pa.array(range(COUNT), pa.int32())}
    table = toy(tmp_path, *clip(dtype=dtype), **columns)
    layout = MapPool.model_validate(
        {
            "columns": {
                "l14_img": "clip",
                "clip_l14_similarity_score": "similarity",
                **dict.fromkeys(["l14_txt", "text", "sha256"]),
            }
        }
    )
    layout.write(table, tmp_path / "out", ABOUT)
    rows = released(tmp_path / "out")
    assert rows.schema.field("l14_img").type == pa.list_(pa.float16())
    wanted = table.read()["clip"].cast(pa.list_(pa.float16(), WIDTH)).to_pylist()
    assert by_uid(rows, "l14_img") == dict(zip(table.read()["uid"].to_pylist(), wanted, strict=True))
    assert verify(tmp_path / "out").ok


def test_geoyfcc_and_domainnet_release_null(tmp_path: Path) -> None:
    numbers = {"class_index": pa.array([at % 3 for at in range(COUNT)], pa.int32()), **NUMBERED}
    numbers["label"] = pa.array([("a", "b", "c")[at % 3] for at in range(COUNT)])
    numbers["continent"] = pa.array([("Europe", "Africa")[at % 2] for at in range(COUNT)])
    table = toy(tmp_path, *clip(), **numbers)
    left_out = ["country", "country_id", "is_train", "region", "yfcc_row_id", "in_imagenet21k_label_indices"]
    layout = GeoYfccLayout.model_validate(
        {"columns": {**dict.fromkeys(left_out), "yfcc_metadata": ["author", "clip"]}, "more": ["clip"]}
    )
    layout.write(table, tmp_path / "geoyfcc", ABOUT)
    rows = pq.read_table(tmp_path / "geoyfcc" / "metadata.parquet")
    wanted = table.read()["clip"].to_pylist()
    assert rows["clip"].to_pylist() == wanted
    assert [row["clip"] for row in rows["yfcc_metadata"].to_pylist()] == wanted
    assert verify(tmp_path / "geoyfcc").ok
    DomainNet().write(table, tmp_path / "domainnet", ABOUT)
    assert by_uid(released(tmp_path / "domainnet")) == by_uid(table.read())
    assert verify(tmp_path / "domainnet").ok


def test_tensors_have_nan_for_a_missing_vector(tmp_path: Path) -> None:
    """A tensor knows no null."""

    def change(rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index("moco")
        matrix = np.random.default_rng(0).normal(size=(len(rows), 5)).astype(np.float16)
        return rows.set_column(index, rows.schema.field(index), vector_array(matrix, np.arange(len(rows)) % 9 > 0))

    table = stream_table(tmp_path, change=change)
    Avalanche(features={"moco": "moco"}).write(table, tmp_path / "out", ABOUT)
    tensors = np.concatenate([found.numpy() for found, _ in benchmark_of_tensors(tmp_path / "out", "moco", "all")])
    wanted = sorted(tuple(row) for row in table.read()["moco"].to_pylist() if row is not None)
    missing = np.isnan(tensors).all(axis=1)
    assert sorted(map(tuple, tensors[~missing].tolist())) == wanted
    assert missing.sum() == len(table.read()) - len(wanted)
    assert verify(tmp_path / "out").ok


@pytest.mark.parametrize("pyarrow", ["26.0.1", "25.0.1", None])
@pytest.mark.parametrize(("width", "missing"), [(1, (5,)), (1, ()), (4, (5,)), (4, ()), (4, (0, 39))])
def test_missing_vectors_are_found_with_and_without_footers(
    pyarrow: str | None, width: int, missing: tuple[int, ...], tmp_path: Path
) -> None:
    matrix = np.ones((40, width), np.float32)
    array = vector_array(matrix, ~np.isin(np.arange(40), missing))
    rows = pa.table({"uid": [str(row) for row in range(40)], "a": array, "b": vector_array(matrix)})
    table = write_table(tmp_path / "toy", rows, cuts=(17,))
    if pyarrow:
        versions = {**table.record.versions, "pyarrow": pyarrow}
        table.record = table.record.model_copy(update={"versions": versions})
    assert missing_vectors(table, ["uid", "a", "b"]) == ({"a"} if missing else set())
    schema = readable_schema(table.schema, table)
    assert schema.field("a").type == (pa.list_(pa.float32()) if missing else pa.list_(pa.float32(), width))
    assert schema.field("b").type == pa.list_(pa.float32(), width)


def test_row_groups_of_plain_lists_are_no_larger_than_those_of_vectors() -> None:
    fixed, plain = (pa.schema([("clip", dtype)]) for dtype in (pa.list_(pa.float16(), 512), pa.list_(pa.float16())))
    assert group_rows(plain, False) == group_rows(fixed, False)
