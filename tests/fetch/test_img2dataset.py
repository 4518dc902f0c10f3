"""img2dataset as the tool: it is called with what matches, and what it leaves out is told."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.errors import MissingExtra, PoolwrightError, RecipeError
from poolwright.fetch.options import FetchOptions
from tests.fetch.server import BadServer, picture, sha256


class Stub(types.ModuleType):
    """Stands for img2dataset: notes its arguments, and writes `outcomes` of them."""

    def __init__(self, leave_out: int = 0) -> None:
        super().__init__("img2dataset")
        self.leave_out = leave_out
        self.arguments: dict[str, Any] = {}

    def download(self, **arguments: Any) -> None:
        self.arguments = arguments
        table = pq.read_table(arguments["url_list"])
        table = table.slice(0, len(table) - self.leave_out)
        to = Path(arguments["output_folder"])
        status = ["success"] + ["failed_to_download"] * (len(table) - 1)
        message = [None] + ["hash mismatch"] * (len(table) - 1)
        columns = {"url": table.column("url"), "status": status, "error_message": message, "sha256": ["0"] * len(table)}
        pq.write_table(pa.table(columns), to / "00000.parquet")
        (to / "00000_stats.json").write_text(json.dumps({"count": len(table)}))


def rows_file(folder: Path, **more: list[Any]) -> Path:
    rows = {"uid": ["a", "b", "c"], "url": ["http://x/1", "http://x/2", "http://x/3"], "text": ["1", "2", "3"], **more}
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    return folder / "rows.parquet"


def test_what_it_is_called_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stub()
    monkeypatch.setitem(sys.modules, "img2dataset", stub)
    source = rows_file(tmp_path, sha256=["0" * 64] * 3, key=[1, 2, 3])
    options = FetchOptions(concurrency=7, shard_rows=5, retries=1, timeout=3, robots=())
    fetched = api.fetch(source, tmp_path / "out", options, tool="img2dataset")
    assert (fetched.statuses, fetched.errors) == ({"failed_to_download": 2, "success": 1}, {"hash mismatch": 2})
    told = stub.arguments
    assert (told["url_col"], told["caption_col"], told["input_format"]) == ("url", "caption", "parquet")
    assert told["verify_hash"] == ["sha256", "sha256"]
    assert told["compute_hash"] == "sha256"
    assert told["enable_wandb"] is False
    assert told["disable_all_reencoding"] is True
    assert told["save_additional_columns"] == ["uid", "input_key"]
    assert (told["thread_count"], told["number_sample_per_shard"], told["retries"], told["timeout"]) == (7, 5, 1, 3)
    assert told["disallowed_header_directives"] == []
    assert pq.read_schema(told["url_list"]).names == ["url", "caption", "sha256", "uid", "input_key"]


def test_without_hashes_and_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stub()
    monkeypatch.setitem(sys.modules, "img2dataset", stub)
    pq.write_table(pa.table({"url": ["http://x/1"]}), tmp_path / "rows.parquet")
    api.fetch(tmp_path / "rows.parquet", tmp_path / "out", tool="img2dataset")
    assert (stub.arguments["verify_hash"], stub.arguments["caption_col"]) == (None, None)


def test_what_it_leaves_out_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "img2dataset", Stub(leave_out=1))
    with pytest.raises(PoolwrightError, match="2 outcomes for 3 rows"):
        api.fetch(rows_file(tmp_path), tmp_path / "out", tool="img2dataset")


def test_options_it_does_not_have_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "img2dataset", Stub())
    with pytest.raises(RecipeError, match="img2dataset has no option like 'max_bytes'"):
        api.fetch(rows_file(tmp_path), tmp_path / "out", FetchOptions(max_bytes=10), tool="img2dataset")


def test_it_must_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "img2dataset", None)
    with pytest.raises(MissingExtra, match=r"poolwright\[img2dataset\]"):
        api.fetch(rows_file(tmp_path), tmp_path / "out", tool="img2dataset")
    with pytest.raises(RecipeError, match="did you mean 'img2dataset'"):
        api.fetch(rows_file(tmp_path), tmp_path / "out", tool="imgdataset")


@pytest.mark.slow
def test_the_real_one(server: BadServer, tmp_path: Path) -> None:
    pytest.importorskip("img2dataset")
    paths = ["ok/1", "ok/2", "status/404", "noai", "ok/3"]
    right = [sha256(picture(number)) for number in (1, 9, 0, 0, 3)]  # the second is wrong
    rows = {"uid": list("abcde"), "url": [server.url(path) for path in paths], "sha256": right, "text": list("vwxyz")}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    both = {}
    for tool in ("img2dataset", "own"):
        own = {"allow_private": True} if tool == "own" else {}
        options = FetchOptions(concurrency=2, shard_rows=3, retries=0, **own)
        fetched = api.fetch(tmp_path / "rows.parquet", tmp_path / tool, options, tool=tool)
        assert (fetched.rows, fetched.succeeded, fetched.shards) == (5, 2, 2)
        files = sorted((tmp_path / tool).glob("*.parquet"))
        both[tool] = {row["uid"]: row for file in files for row in pq.read_table(file).to_pylist()}
    assert sorted(path.name for path in (tmp_path / "own").glob("0*")) == sorted(
        path.name for path in (tmp_path / "img2dataset").glob("0*")
    )
    for uid in ("a", "e"):
        ours, theirs = both["own"][uid], both["img2dataset"][uid]
        for name in ("status", "key", "url", "caption", "sha256", "error_message"):
            assert ours[name] == theirs[name]
    missing = set(both["img2dataset"]["a"]) - set(both["own"]["a"])
    assert missing == set()
