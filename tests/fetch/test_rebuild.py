"""Rebuild: what the URLs of a release still give, and the two commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.fetch.options import FetchOptions
from poolwright.run.lock import run_lock
from tests.calling import call
from tests.fetch.conftest import QUICK
from tests.fetch.server import BadServer, picture, sha256


def write_release(server: BadServer, folder: Path) -> Path:
    paths = ["ok/1", "ok/2", "status/404", "ok/4", "html", "ok/6"]
    hashes = [sha256(picture(number)) for number in (1, 2, 3, 5, 5, 6)]
    hashes[5] = ""
    rows = {"uid": list("abcdef"), "url": [server.url(path) for path in paths], "sha256": hashes,
            "label": ["map", "map", "map", "chart", "chart", None]}  # fmt: skip
    folder.mkdir()
    pq.write_table(pa.table(rows), folder / "train.parquet")
    return folder


def test_recovery_by_class_and_error(server: BadServer, tmp_path: Path) -> None:
    release = write_release(server, tmp_path / "release")
    found = api.rebuild(release, tmp_path / "out", FetchOptions(**QUICK))
    assert (found.fetched.rows, found.fetched.succeeded, found.verified) == (6, 3, 2)
    assert [(one.name, one.rows, one.recovered) for one in found.classes] == [
        ("chart", 2, 0), ("map", 3, 2), ("(none)", 1, 1),
    ]  # fmt: skip
    assert found.classes[0].errors == {"hash_mismatch": 1, "not_an_image": 1}
    report = json.loads((tmp_path / "out" / "recovery.json").read_text())
    assert (report["rows"], report["recovered"], report["share"]) == (6, 3, 0.5)
    assert report["errors"] == {"hash_mismatch": 1, "not_an_image": 1, "not_found": 1}
    lines = list(csv.DictReader((tmp_path / "out" / "recovery.csv").open()))
    assert lines[1] == {"class": "map", "rows": "3", "recovered": "2", "share": "0.6667", "hash_mismatch": "0",
                        "not_an_image": "0", "not_found": "1"}  # fmt: skip


def test_a_wrong_class_column(server: BadServer, tmp_path: Path) -> None:
    release = write_release(server, tmp_path / "release")
    with pytest.raises(RecipeError, match="did you mean 'label'"):
        api.rebuild(release, tmp_path / "out", FetchOptions(**QUICK), "lable")
    assert not server.seen


def test_two_at_once_are_refused(server: BadServer, tmp_path: Path) -> None:
    release = write_release(server, tmp_path / "release")
    with run_lock(tmp_path / "out" / ".fetch"):
        with pytest.raises(PoolwrightError, match="another process"):
            api.fetch(release, tmp_path / "out", FetchOptions(**QUICK))


def test_the_command_fetch(server: BadServer, tmp_path: Path) -> None:
    write_release(server, tmp_path / "release")
    called = call("fetch", "release", "out", "--allow-private", "--retries", "0", "--max-bytes", "1MB", folder=tmp_path)
    assert called.code == 0, called.err
    assert "out: 3 images of 6 rows, 1 shard, " in called.out
    for line in ("hash_mismatch 1 16.7%", "not_an_image 1 16.7%", "not_found 1 16.7%"):
        assert line in " ".join(called.out.split())
    again = call("fetch", "release", "out", "--allow-private", "--retry", "not_found", folder=tmp_path)
    assert again.code == 0
    assert server.seen["/status/404"] == 2
    assert server.seen["/html"] == 1


def test_the_command_guards_by_default(server: BadServer, tmp_path: Path) -> None:
    write_release(server, tmp_path / "release")
    called = call("fetch", "release", "out", folder=tmp_path)
    assert called.code == 0
    assert "refused_address 6 100.0%" in " ".join(called.out.split())
    assert not server.seen


def test_the_command_rebuild(server: BadServer, tmp_path: Path) -> None:
    write_release(server, tmp_path / "release")
    called = call("rebuild", "release", "out", "--set", "allow_private=true", "--set", "retries=0", folder=tmp_path)
    assert called.code == 0, called.err
    words = " ".join(called.out.split())
    assert "2 images are those of the release" in words
    assert "map 3 2 66.7% not_found 1" in words
    assert "the whole report: out/recovery.json, out/recovery.csv" in words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--set", "retires=1"), "no option 'retires'; did you mean 'retries'"), (("--format", "zip"), "format: "),
     (("--retry", "timeout"), "no error class 'timeout'; "), (("--max-bytes", "much"), "max_bytes: "),
     (("--set", "allow_networks=10.0.0.1/8"), "allow_networks: "), (("--url-col", "ulr"), "did you mean 'url'"),
     (("--set", "placeholders=abc"), "placeholders: "), (("--tool", "wget"), "no tool 'wget'")],
)  # fmt: skip
def test_a_wrong_call(server: BadServer, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_release(server, tmp_path / "release")
    called = call("fetch", "release", "out", *arguments, folder=tmp_path)
    assert called.code == 2, called.err
    assert message in called.err


def test_a_run_that_fails_says_so(server: BadServer, tmp_path: Path) -> None:
    write_release(server, tmp_path / "release")
    (tmp_path / "release" / "train.parquet").write_bytes(b"PAR1 not")
    called = call("fetch", "release", "out", folder=tmp_path)
    assert called.code == 1
    assert "train.parquet" in called.err
