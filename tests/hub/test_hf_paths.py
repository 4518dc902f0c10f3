"""Paths of the Hub in the pool `table`: read by ranges, known by the digests of the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.calling import call
from tests.hub.hub_server import HubServer

_RECIPE = """\
recipe: 1
name: small
pools:
  rows: {{read: table, path: "{path}"}}
tables:
  best:
    from: rows
    steps:
      - top: {{by: similarity, n: 3}}
"""
PATH = "hf://datasets/ada/rows/data/*.parquet"


def rows(first: int, count: int = 2) -> bytes:
    """A Parquet file whose column `ballast`, which no step reads, is nearly all of it."""
    numbers = range(first, first + count)
    table = pa.table(
        {
            "uid": [f"row-{number}" for number in numbers],
            "similarity": [float(number) for number in numbers],
            "ballast": [bytes([number]) * 4_000_000 for number in numbers],
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", use_dictionary=False)
    return bytes(sink.getvalue())


@pytest.fixture
def recipe(hub: HubServer, tmp_path: Path) -> Path:
    hub.put("ada/rows", {f"data/{number}.parquet": rows(2 * number) for number in range(3)})
    path = tmp_path / "small.yaml"
    path.write_text(_RECIPE.format(path=PATH), encoding="utf-8")
    return path


def test_a_run_reads_ranges_and_knows_files_by_the_digests_of_the_hub(hub: HubServer, recipe: Path) -> None:
    text = recipe.read_text().replace("steps:\n", "steps:\n      - keep_columns: [similarity]\n")
    recipe.write_text(text)
    ran = call("run", recipe)
    assert ran.code == 0, ran.err
    record = json.loads((recipe.parent / "runs" / "small" / "tables" / "best" / "table.json").read_text())
    stored = hub.repos["ada/rows"].commits[hub.repos["ada/rows"].branches["main"]]
    wanted = {f"hf://datasets/ada/rows/{name}": f"sha256:{one.oid}" for name, one in stored.items() if one.lfs}
    assert {one["path"]: one["digest"] for one in record["files"]} == wanted
    assert all("range" in one.headers for one in hub.requests("GET", "^/cdn/"))
    hub.seen.clear()
    assert call("run", recipe).code == 0  # finds that nothing has changed, by footers and what the Hub lists
    ranges = [one.headers["range"].removeprefix("bytes=").split("-") for one in hub.requests("GET", "^/cdn/")]
    assert sum(int(last) - int(first) + 1 for first, last in ranges) < sum(map(len, hub.files("ada/rows").values())) / 3


def test_a_commit_that_changes_a_file_is_noticed(hub: HubServer, recipe: Path) -> None:
    assert call("run", recipe).code == 0
    files = {name: data for name, data in hub.files("ada/rows").items() if name != ".gitattributes"}
    hub.put("ada/rows", {**files, "data/1.parquet": rows(70)})
    changed = call("run", recipe)
    assert changed.code == 1
    assert "data/1.parquet" in changed.err


def test_a_hub_that_fails_is_one_error_and_loses_no_row(hub: HubServer, recipe: Path) -> None:
    hub.fail("GET", "^/cdn/", 503, times=999)
    failed = call("run", recipe)
    assert failed.code == 1
    assert "error: hf://datasets/ada/rows/data/" in failed.err
    assert "run again when it can" in failed.err
    hub.faults.clear()
    assert call("run", recipe).code == 0
    missing = recipe.with_name("missing.yaml")
    missing.write_text(_RECIPE.format(path=PATH.replace("rows", "none")), encoding="utf-8")
    assert (
        "hf://datasets/ada/none/data/*.parquet: no such file or folder, or it is not visible without keys"
        in call("check", missing).err
    )
