"""img2dataset as the tool: its command line gets what matches, and what it leaves out is an error."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.fetch.img2dataset.launcher import find_launcher, flags
from poolwright.fetch.options import FetchOptions
from tests.calling import call
from tests.fetch.img2dataset_stub import install, install_runner
from tests.fetch.server import BadServer, picture, sha256

REAL = shutil.which(os.path.abspath(os.environ.get("POOLWRIGHT_IMG2DATASET", ""))) or shutil.which("img2dataset")
"""A real one, in an environment of its own: `python -m venv i2d && i2d/bin/pip install img2dataset`."""


def rows_file(folder: Path, **more: list[Any]) -> Path:
    rows = {"uid": ["a", "b", "c"], "url": ["http://x/1", "http://x/2", "http://x/3"], "text": ["1", "2", "3"], **more}
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    return folder / "rows.parquet"


def called(folder: Path) -> dict[str, Any]:
    """Return the arguments that the stub was called with."""
    return dict(json.loads((folder / "call.json").read_text())["arguments"])


def test_what_it_is_called_with(tmp_path: Path) -> None:
    source = rows_file(tmp_path, sha256=["0" * 64] * 3, key=[1, 2, 3])
    options = FetchOptions(concurrency=7, shard_rows=5, retries=1, timeout=3, robots=())
    script = install(tmp_path / "bin")
    fetched = api.fetch(source, tmp_path / "out", options, tool="img2dataset", executable=script)
    assert (fetched.statuses, fetched.errors) == ({"failed_to_download": 2, "success": 1}, {"hash mismatch": 2})
    given = called(tmp_path)
    assert (given["url_col"], given["caption_col"], given["input_format"]) == ("url", "caption", "parquet")
    assert given["verify_hash"] == ["sha256", "sha256"]
    assert given["compute_hash"] == "sha256"
    assert given["enable_wandb"] is False
    assert given["disable_all_reencoding"] is True
    assert given["save_additional_columns"] == ["uid", "input_key"]
    assert (given["thread_count"], given["number_sample_per_shard"]) == (7, 5)
    assert (given["retries"], given["timeout"]) == (1, 3)
    assert given["disallowed_header_directives"] == []
    assert pq.read_schema(given["url_list"]).names == ["url", "caption", "sha256", "uid", "input_key"]


def test_without_hashes_and_captions(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["http://x/1"]}), tmp_path / "rows.parquet")
    script = install(tmp_path / "bin")
    api.fetch(tmp_path / "rows.parquet", tmp_path / "out", tool="img2dataset", executable=script)
    assert not {"verify_hash", "caption_col", "save_additional_columns"} & set(called(tmp_path))


def test_what_it_leaves_out_is_an_error(tmp_path: Path) -> None:
    script = install(tmp_path / "bin", leave_out=1)
    with pytest.raises(PoolwrightError, match="2 outcomes for 3 rows"):
        api.fetch(rows_file(tmp_path), tmp_path / "out", tool="img2dataset", executable=script)


def test_options_it_does_not_have_are_refused(tmp_path: Path) -> None:
    options, script = FetchOptions(max_bytes=10), install(tmp_path / "bin")
    with pytest.raises(RecipeError, match="img2dataset has no option like 'max_bytes'"):
        api.fetch(rows_file(tmp_path), tmp_path / "out", options, tool="img2dataset", executable=script)
    assert not (tmp_path / "call.json").exists()


def test_its_version_is_in_the_journal(tmp_path: Path) -> None:
    for number, version in enumerate(("1.47.0", None)):
        script = install(tmp_path / f"bin-{number}", version=version)
        api.fetch(rows_file(tmp_path), tmp_path / "out", tool="img2dataset", executable=script)
    lines = [json.loads(line) for line in (tmp_path / "out/.fetch/tool.jsonl").read_text().splitlines()]
    assert [(line["tool"], line["version"]) for line in lines] == [("img2dataset", "1.47.0"), ("img2dataset", None)]
    assert lines[1]["command"] == [str(script)]
    assert lines[1]["arguments"]["output_folder"] == str(tmp_path / "out")
    assert (tmp_path / "out/.fetch/img2dataset.log").read_text().count("success") == 2


def test_our_packages_and_reports_stay_out_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    api.fetch(rows_file(tmp_path), tmp_path / "out", tool="img2dataset", executable=install(tmp_path / "bin"))
    environment = json.loads((tmp_path / "call.json").read_text())["environment"]
    assert "PYTHONPATH" not in environment
    assert (environment["NO_ALBUMENTATIONS_UPDATE"], environment["WANDB_MODE"]) == ("1", "disabled")


def test_a_failure_ends_with_what_it_said(tmp_path: Path) -> None:
    script = tmp_path / "old"
    script.write_text("#!/bin/sh\necho 'ERROR: Could not consume arg' >&2\nexit 2\n")
    script.chmod(0o755)
    with pytest.raises(PoolwrightError, match=r"exit status 2; its output is in .*log, and ends with: ERROR: Could"):
        api.fetch(rows_file(tmp_path), tmp_path / "out", tool="img2dataset", executable=script)


def test_values_are_literals_whatever_they_look_like() -> None:
    assert flags({"a": "7", "b": None, "c": ["x"], "d": True}) == ["--a='7'", "--c=['x']", "--d=True"]


def test_where_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / name for name in ("named", "path", "uv", "pipx")]
    install(folders[1], version="2")
    install_runner(folders[2], "uvx", "--from img2dataset", install(tmp_path / "a", version="3").parent)
    install_runner(folders[3], "pipx", "run --spec img2dataset", install(tmp_path / "b", version="4").parent)
    named = install(folders[0], version="1")
    for number, left in enumerate((folders, folders[1:], folders[2:], folders[3:])):
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, left[1:] if not number else left)))
        launcher = find_launcher(None if number else named)
        assert launcher.version() == str(number + 1)
        to = tmp_path / f"out-{number}"
        fetched = api.fetch(rows_file(tmp_path), to, tool="img2dataset", executable=None if number else named)
        assert fetched.rows == 3
        assert json.loads((to / ".fetch/tool.jsonl").read_text())["version"] == str(number + 1)


def test_it_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = rows_file(tmp_path)
    for line in ("uv tool install img2dataset", "pipx install img2dataset", "--executable i2d/bin/img2dataset"):
        with pytest.raises(RecipeError, match=line):
            api.fetch(source, tmp_path / "out", tool="img2dataset")
    with pytest.raises(RecipeError, match="is not executable"):
        api.fetch(source, tmp_path / "out", tool="img2dataset", executable=source)
    with pytest.raises(RecipeError, match="add --tool img2dataset"):
        api.fetch(source, tmp_path / "out", executable=source)
    with pytest.raises(RecipeError, match="did you mean 'img2dataset'"):
        api.fetch(source, tmp_path / "out", tool="imgdataset")


def test_on_the_command_line(tmp_path: Path) -> None:
    script = install(tmp_path / "bin")
    source = rows_file(tmp_path)
    called = call("fetch", source, tmp_path / "out", "--tool", "img2dataset", "--executable", script)
    assert called.code == 0, called.err
    assert "1 image of 3 rows" in called.out
    assert "fetching with img2dataset 1.47.0" in called.out + called.err


@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="POOLWRIGHT_IMG2DATASET names no img2dataset, nor is one on PATH")
def test_the_real_one(server: BadServer, tmp_path: Path) -> None:
    paths = ["ok/1", "ok/2", "status/404", "noai", "ok/3"]
    right = [sha256(picture(number)) for number in (1, 9, 0, 0, 3)]  # the second is wrong
    rows = {"uid": list("abcde"), "url": [server.url(path) for path in paths], "sha256": right, "text": list("vwxyz")}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    both = {}
    for tool in ("img2dataset", "own"):
        own = {"allow_private": True} if tool == "own" else {}
        options = FetchOptions(concurrency=2, shard_rows=3, retries=0, **own)
        executable = REAL if tool == "img2dataset" else None
        fetched = api.fetch(tmp_path / "rows.parquet", tmp_path / tool, options, tool=tool, executable=executable)
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
