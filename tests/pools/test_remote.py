"""Pools behind s3:// and http://: the rows of the folder, read in ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, RecipeError
from poolwright.core.remote import files
from poolwright.pools.table import TablePool
from poolwright.testing import PoolSuite
from tests.pools import test_every_pool
from tests.pools.reading import read_all
from tests.run.pools import make_rows, recipe_data, write_pool
from tests.stores import WebServer, s3, s3_service, web  # noqa: F401

SUITES = [
    suite
    for suite in vars(test_every_pool).values()
    if isinstance(suite, type) and issubclass(suite, PoolSuite) and suite is not PoolSuite
]


def at(parameters: Any, root: str, folder: Path) -> Any:
    """The parameters of a pool with the files of a folder under a root."""
    if isinstance(parameters, dict):
        return {name: at(value, root, folder) for name, value in parameters.items()}
    if isinstance(parameters, list):
        return [at(value, root, folder) for value in parameters]
    text = str(parameters)
    there = (folder / text).exists() or "{split}" in text or text.endswith(".tar.gz")
    slash = "/" if there and root.startswith("http") and (folder / text).is_dir() else ""
    return f"{root}/{text}{slash}" if there else parameters


@pytest.mark.parametrize("store", ["s3", "web"])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.__name__.removeprefix("Test"))
def test_rows_are_those_of_the_folder(suite: Any, store: str, tmp_path: Path, request: Any) -> None:
    parameters = suite().write(tmp_path)
    local = suite.pool(**at(parameters, str(tmp_path), tmp_path))
    found = request.getfixturevalue(store)
    if store == "s3":
        found.put(f"{tmp_path}/", "pools/it", recursive=True)
        root = "s3://pools/it"
    else:
        found.serve(tmp_path)
        root = found.url
    remote = suite.pool(**at(parameters, root, tmp_path))
    if suite is test_every_pool.TestYfcc100mDatabase:
        with pytest.raises(RecipeError, match="SQLite reads local files alone; copy the database to a disk"):
            remote.parts()
        return
    assert str(read_all(remote).to_pylist()) == str(read_all(local).to_pylist())


def test_only_the_columns_that_are_needed_are_fetched(s3: Any, tmp_path: Path, monkeypatch: Any) -> None:  # noqa: F811
    noise = np.random.default_rng(0)
    rows = pa.table({"uid": [str(row) for row in range(16)], "blob": [noise.bytes(1 << 20) for _ in range(16)]})
    pq.write_table(rows, tmp_path / "wide.parquet", row_group_size=16, compression="none")
    s3.put(str(tmp_path / "wide.parquet"), "pools/wide.parquet")
    fetched: list[int] = []
    read = files._Ranges._read
    monkeypatch.setattr(files._Ranges, "_read", lambda self, count: fetched.append(count) or read(self, count))
    assert read_all(TablePool(path="s3://pools/wide.parquet"), ["uid"]).num_rows == 16
    assert sum(fetched) < 2 << 20


def test_a_run_reads_everything_from_a_store(s3: Any, tmp_path: Path) -> None:  # noqa: F811
    write_pool(tmp_path, make_rows(600), parts=3)
    keep = [f"row-{row:07d}" for row in range(400)]
    (tmp_path / "keep.txt").write_text("\n".join(keep))
    (tmp_path / "more.csv").write_text("key,colour\n" + "\n".join(f"{uid},red" for uid in keep[:300]))
    s3.put(f"{tmp_path}/", "pools/data", recursive=True)

    def recipe(root: str) -> Recipe:
        steps = [
            {"keep": {"by": "uid", "file": f"{root}keep.txt"}},
            {"join": {"with": f"{root}more.csv", "on": {"uid": "key"}, "columns": ["colour"], "missing": "drop"}},
            {"label": {"with": "embedding", "vocabulary": f"{root}classes.txt", "features": f"{root}features.npy"}},
        ]
        data = recipe_data(steps)
        data["pools"]["rows"]["path"] = f"{root}rows"
        return Recipe.from_data(data, tmp_path)

    local = api.run(recipe(""), tmp_path / "local").tables["chosen"]
    found = api.run(recipe("s3://pools/data/"), tmp_path / "remote").tables["chosen"]
    assert found.record.rows_kept == local.record.rows_kept == 300
    assert found.read().equals(local.read())
    assert all(file.digest.startswith("etag:") for file in found.record.files)
    (tmp_path / "extra.txt").write_text("\n".join(keep[:10]))
    s3.put(str(tmp_path / "extra.txt"), "pools/data/keep.txt")
    with pytest.raises(ChangedError, match=r"keep\.txt"):
        api.run(recipe("s3://pools/data/"), tmp_path / "remote")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://pools/none.parquet", "s3://pools/none.parquet: no such file or folder, .*set AWS_PROFILE"),
        ("s3://no-such-bucket/none.parquet", "s3://no-such-bucket/none.parquet: no such file or folder"),
        ("s3://pools/none/*.parquet", "no file matches"),
    ],
)
def test_what_is_not_there_is_named(path: str, words: str, s3: Any) -> None:  # noqa: F811
    with pytest.raises(RecipeError, match=words):
        TablePool(path=path).parts()


def test_a_signed_url_is_known_by_its_path(web: WebServer, tmp_path: Path) -> None:  # noqa: F811
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    web.serve(tmp_path)
    found = read_all(TablePool(path=f"{web.url}/a.parquet?signature=x/y.z", uid="row"))
    assert found.column("uid").to_pylist() == ["a:0"]
