"""Shards in the layout of img2dataset: every row has one outcome, kills and retries included."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import ChangedError, PoolwrightError, RecipeError
from poolwright.core.files import digest_file
from poolwright.fetch import fetcher
from poolwright.fetch.fetch import fetch_images
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards.journal import journal_begun
from tests.fetch.conftest import QUICK, fetch_rows, outcomes
from tests.fetch.server import BadServer, picture, sha256


def rows_of(server: BadServer, count: int, path: str = "ok") -> dict[str, list[Any]]:
    return {
        "uid": [f"u{number}" for number in range(count)],
        "url": [server.url(f"{path}/{number}") for number in range(count)],
        "text": [f"caption {number}" for number in range(count)],
        "score": [number / 2 for number in range(count)],
        "width": list(range(count)),
    }


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def members(tar: Path) -> dict[str, bytes]:
    with tarfile.open(tar) as file:
        return {member.name: file.extractfile(member).read() for member in file}  # type: ignore[union-attr]


def test_the_layout_of_img2dataset(server: BadServer, tmp_path: Path) -> None:
    rows = rows_of(server, 25)
    rows["url"][3] = server.url("status/404")
    rows["text"][4] = None
    fetched = fetch_rows(rows, tmp_path / "out", shard_rows=10)
    assert (fetched.rows, fetched.succeeded, fetched.shards, fetched.rows_now) == (25, 24, 3, 25)
    assert fetched.statuses == {"success": 24, "failed_to_download": 1}
    assert fetched.errors == {"not_found": 1}
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if path.name != ".fetch")
    assert names == [f"{shard:05d}{end}" for shard in range(3) for end in (".parquet", ".tar", "_stats.json")]
    found = members(tmp_path / "out" / "00000.tar")
    assert list(found)[:6] == ["000000.jpg", "000000.txt", "000000.json", "000001.jpg", "000001.txt", "000001.json"]
    assert "000003.jpg" not in found
    assert found["000009.jpg"] == picture(9)
    assert (found["000002.txt"], found["000004.txt"]) == (b"caption 2", b"")
    record = json.loads(found["000009.json"])
    assert (record["uid"], record["key"], record["status"], record["score"]) == ("u9", "000009", "success", 4.5)
    stats = json.loads((tmp_path / "out" / "00000_stats.json").read_text())
    assert (stats["count"], stats["successes"], stats["failed_to_download"]) == (10, 9, 1)
    assert stats["status_dict"] == {"not_found": 1, "success": 9}
    table = outcomes(tmp_path / "out")
    assert [row["uid"] for row in table] == rows["uid"]
    assert [row["key"] for row in table][9:11] == ["000009", "000010"]
    assert (table[12]["width"], table[12]["input_width"]) == (42, 12)


def test_folders_of_files(server: BadServer, tmp_path: Path) -> None:
    fetch_rows(rows_of(server, 7), tmp_path / "out", shard_rows=5, format="files")
    assert sorted(path.name for path in (tmp_path / "out" / "00001").iterdir()) == [
        f"00001{row}.{end}" for row in range(2) for end in ("jpg", "json", "txt")
    ]
    assert (tmp_path / "out" / "00001" / "000011.jpg").read_bytes() == picture(6)


def test_again_it_finds_that_all_is_done(server: BadServer, tmp_path: Path) -> None:
    rows = rows_of(server, 12)
    first = fetch_rows(rows, tmp_path / "out", shard_rows=5)
    before, asked = files_of(tmp_path / "out"), server.seen.total()
    second = fetch_rows(rows, tmp_path / "out", shard_rows=5)
    assert files_of(tmp_path / "out") == before
    assert server.seen.total() == asked
    assert (second.statuses, second.bytes, second.rows_now) == (first.statuses, first.bytes, 0)


def test_retry_by_class_touches_only_its_shards(server: BadServer, tmp_path: Path) -> None:
    rows = rows_of(server, 15)
    rows["url"][7] = server.url("broken/1")
    rows["url"][8] = server.url("status/404")
    assert fetch_rows(rows, tmp_path / "out", shard_rows=5).errors == {"not_found": 1, "server_error": 1}
    before = files_of(tmp_path / "out")
    asked = server.seen.total()
    fetched = fetch_rows(rows, tmp_path / "out", shard_rows=5, retry=["server_error"])
    assert (fetched.errors, fetched.rows_now) == ({"not_found": 1}, 1)
    assert server.seen.total() == asked + 1
    after = files_of(tmp_path / "out")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"00001.tar", "00001.parquet", "00001_stats.json", "00001.json"}
    images = [name for name in members(tmp_path / "out" / "00001.tar") if name.endswith(".jpg")]
    assert images == ["000010.jpg", "000011.jpg", "000012.jpg", "000014.jpg"]
    assert members(tmp_path / "out" / "00001.tar")["000011.jpg"] == picture(6)


def test_retry_in_folders_of_files(server: BadServer, tmp_path: Path) -> None:
    rows = {"url": [server.url("ok/1"), server.url("broken/1"), server.url("busy/1/0")]}
    fetch_rows(rows, tmp_path / "out", format="files", shard_rows=5)
    assert fetch_rows(rows, tmp_path / "out", format="files", shard_rows=5, retry="all").errors == {}
    found = {path.name: path.read_bytes() for path in (tmp_path / "out" / "00000").glob("*.jpg")}
    assert found == {"000000.jpg": picture(1), "000001.jpg": picture(5), "000002.jpg": picture(4)}


def test_a_placeholder_that_is_known_later(server: BadServer, tmp_path: Path) -> None:
    rows = rows_of(server, 12, "same")
    fetched = fetch_rows(rows, tmp_path / "out", shard_rows=50)
    (repeated,) = fetched.repeated
    assert (repeated.sha256, repeated.urls, repeated.example) == (sha256(picture(1)), 12, rows["url"][0])
    asked = server.seen.total()
    again = fetch_rows(rows, tmp_path / "out", shard_rows=50, placeholders=[repeated.sha256])
    assert again.statuses == {"placeholder": 12}
    assert server.seen.total() == asked
    assert members(tmp_path / "out" / "00000.tar") == {}


def test_one_url_often_is_no_placeholder(server: BadServer, tmp_path: Path) -> None:
    assert fetch_rows({"url": [server.url("ok/1")] * 12}, tmp_path / "out").repeated == ()


def test_the_input_must_stay(server: BadServer, tmp_path: Path) -> None:
    fetch_rows(rows_of(server, 3), tmp_path / "out")
    with pytest.raises(RecipeError, match="was begun with shard_rows 10000, not 5"):
        fetch_rows({}, tmp_path / "out", shard_rows=5)
    pq.write_table(pa.table(rows_of(server, 4)), tmp_path / "out.parquet")
    with pytest.raises(ChangedError, match=r"out\.parquet changed since"):
        fetch_rows({}, tmp_path / "out")


def test_a_foreign_folder_is_left_alone(server: BadServer, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(RecipeError, match="not empty"):
        fetch_rows(rows_of(server, 1), tmp_path / "out")


def test_a_finished_shard_that_is_gone_is_noticed(server: BadServer, tmp_path: Path) -> None:
    fetch_rows(rows_of(server, 3), tmp_path / "out")
    (tmp_path / "out" / "00000.tar").unlink()
    with pytest.raises(ChangedError, match="shard 00000 are missing"):
        fetch_rows({}, tmp_path / "out")
    (tmp_path / "out" / ".fetch" / "00000.json").unlink()
    assert fetch_rows({}, tmp_path / "out").succeeded == 3


def test_a_full_disk_is_reported_and_the_same_call_continues(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, real = rows_of(server, 12), fetcher.finish_shard

    def full(folder: Any, shard: int, *rest: Any) -> None:
        if shard == 1:
            raise OSError(28, "No space left on device", "00001.tar")
        real(folder, shard, *rest)

    monkeypatch.setattr(fetcher, "finish_shard", full)
    with pytest.raises(PoolwrightError, match=r"00001\.tar: No space left on device; .* continues"):
        fetch_rows(rows, tmp_path / "out", shard_rows=5)
    monkeypatch.setattr(fetcher, "finish_shard", real)
    asked = server.seen["/ok/5"]
    assert fetch_rows(rows, tmp_path / "out", shard_rows=5).succeeded == 12
    assert server.seen["/ok/5"] == asked == 1


CODE = """
import sys
from pathlib import Path
from poolwright.fetch.fetch import fetch_images
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards.journal import journal_begun
fetch_images(sys.argv[1], Path(sys.argv[2]), FetchOptions.model_validate_json(sys.argv[3]))
"""


@pytest.mark.parametrize(("layout", "moments"), [("webdataset", (3, 25, 42)), ("files", (45,))])
def test_killed_again_and_again(server: BadServer, tmp_path: Path, layout: str, moments: tuple[int, ...]) -> None:
    rows, numbers = rows_of(server, 60, "slow"), [*range(35), *range(5), *range(40, 60)]
    rows["url"] = [rows["url"][number] for number in numbers]  # five of a finished shard are repeated
    rows["url"][30] = server.url("status/404")
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    options = FetchOptions(**{**QUICK, "timeout": 5, "total": 10}, shard_rows=10, concurrency=3, format=layout)
    out = tmp_path / "out"
    chosen = options.model_dump_json(exclude_unset=True)
    command = [sys.executable, "-c", CODE, str(tmp_path / "rows.parquet"), str(out), chosen]
    kills, finished = 0, {}
    for moment in moments:
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        until = time.monotonic() + 20
        while server.seen.total() < moment and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += process.returncode == -signal.SIGKILL
        now = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
        # a shard is finished once its journal is gone too: a kill before that has the same files written again
        work = out / ".fetch"
        marks = {path.stem for path in work.glob("[0-9]*.json")}
        done = {path: now[path] for path in now if path.stem in marks and not journal_begun(work, int(path.stem))}
        assert {path: now.get(path) for path in finished} == finished, "a finished shard was touched"
        finished = done
    assert kills == len(moments)
    assert len(finished) >= 1
    fetched = fetch_images(tmp_path / "rows.parquet", out, options)
    assert fetched.statuses == {"success": 59, "failed_to_download": 1}
    assert fetched.rows_now < 60 - 10 * len(finished) + 1
    assert [row["uid"] for row in outcomes(out)] == rows["uid"]
    assert max(server.seen.values()) <= 2, "a row that had its outcome was fetched again"
    assert not list(out.rglob("*.partial"))
    assert not list((out / ".fetch").glob("*.bytes"))
    for number, row in zip(numbers, outcomes(out), strict=True):
        assert number == 30 or row["sha256"] == sha256(picture(number))
    assert [row["attempts"] for row in outcomes(out)][35:40] == [0] * 5


def test_a_journal_that_was_cut(server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine went down: the last line is half written, and bytes before it are not what they were."""
    rows, real = rows_of(server, 6), fetcher.finish_shard

    def stop(*_: Any) -> None:
        raise OSError(5, "the lights went out")

    monkeypatch.setattr(fetcher, "finish_shard", stop)
    with pytest.raises(PoolwrightError):
        fetch_rows(rows, tmp_path / "out", concurrency=1)
    monkeypatch.setattr(fetcher, "finish_shard", real)
    lines, images = tmp_path / "out/.fetch/00000.jsonl", tmp_path / "out/.fetch/00000.bytes"
    lines.write_bytes(lines.read_bytes()[:-20])
    data = bytearray(images.read_bytes())
    at = len(data) - len(picture(5)) - len(picture(4)) + 50
    data[at] ^= 255
    images.write_bytes(bytes(data))
    fetched = fetch_rows(rows, tmp_path / "out", concurrency=1)
    assert (fetched.succeeded, fetched.rows_now) == (6, 2)
    assert members(tmp_path / "out" / "00000.tar")["000000004.jpg"] == picture(4)


def test_no_rows(tmp_path: Path) -> None:
    fetched = fetch_rows({"url": pa.array([], pa.string())}, tmp_path / "out")  # type: ignore[dict-item]
    assert (fetched.rows, fetched.shards, fetched.statuses) == (0, 0, {})
