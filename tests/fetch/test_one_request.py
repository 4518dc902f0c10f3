"""A URL is requested once, however many rows have it: in other shards, after a kill, in a later call."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import InputError, PoolwrightError
from poolwright.fetch import fetcher
from poolwright.fetch.fetch import fetch_images
from poolwright.fetch.http.urls import parse_url
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure
from poolwright.fetch.shards.first_rows import FirstRows, first_rows, request_keys
from tests.fetch.conftest import QUICK, fetch_rows, outcomes
from tests.fetch.server import BadServer, picture, sha256
from tests.fetch.test_shards import members


def images(out: Path) -> list[bytes]:
    """The images of all rows that have one, in order."""
    found: dict[str, bytes] = {path.stem: path.read_bytes() for path in out.rglob("*.jpg")}
    for tar in out.glob("*.tar"):
        found |= {name.partition(".")[0]: data for name, data in members(tar).items() if name.endswith("jpg")}
    return [found[key] for key in sorted(found)]


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_rows_of_all_shards_share_one_request(server: BadServer, tmp_path: Path, layout: str) -> None:
    numbers = [0, 1, 1, 2, 0, 3, 2, 0, 4, 1, 1, 5]
    rows = {"url": [f"{server.url(f'ok/{number}')}{'#top' * (at % 3 == 1)}" for at, number in enumerate(numbers)]}
    rows["url"] += [server.url("status/404"), server.url("ok/1"), server.url("status/404")]
    fetched = fetch_rows(rows, tmp_path / "out", shard_rows=3, format=layout)
    assert set(server.seen.values()) == {1}
    assert fetched.statuses == {"success": 13, "failed_to_download": 2}
    assert images(tmp_path / "out") == [*(picture(number) for number in numbers), picture(1)]
    found = outcomes(tmp_path / "out")
    assert [row["attempts"] for row in found] == [1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0]
    assert [row["sha256"] for row in found[:12]] == [sha256(picture(number)) for number in numbers]


def test_after_a_stop_at_any_shard_no_finished_row_is_asked_for_again(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [random.Random(5).randrange(8) for _ in range(24)]
    rows, real = {"url": [server.url(f"ok/{number}") for number in numbers]}, fetcher.finish_shard
    for stop in (0, 1, 3, 5):

        def full(folder: Any, shard: int, *rest: Any, stop: int = stop) -> None:
            if shard >= stop:
                raise OSError(28, "No space left on device", "a.tar")
            real(folder, shard, *rest)

        monkeypatch.setattr(fetcher, "finish_shard", full)
        with pytest.raises(PoolwrightError):
            fetch_rows(rows, tmp_path / "out", shard_rows=4, concurrency=1)
    monkeypatch.setattr(fetcher, "finish_shard", real)
    fetch_rows(rows, tmp_path / "out", shard_rows=4)
    assert images(tmp_path / "out") == [picture(number) for number in numbers]
    # A request in flight when a call stops has no outcome yet, and there is one for each stop.
    assert max(server.seen.values()) <= 2
    assert server.seen.total() <= len(set(numbers)) + 4


def test_places_in_tars_are_found_without_their_notes(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, real = {"url": [server.url(f"ok/{number}") for number in (0, 1, 1, 0)]}, fetcher.finish_shard

    def full(folder: Any, shard: int, *rest: Any) -> None:
        if shard:
            raise OSError(28, "No space left on device", "a.tar")
        real(folder, shard, *rest)

    for notes in (None, "{}", '{"000001": [512, 600], "000000": [0, 5]}'):
        out = tmp_path / f"out-{len(notes or '')}"
        with monkeypatch.context() as patched:
            patched.setattr(fetcher, "finish_shard", full)
            with pytest.raises(PoolwrightError):
                fetch_rows(rows, out, shard_rows=2)
        (out / ".fetch/00001.jsonl").unlink()
        place = out / ".fetch/places-00000.json"
        if notes is None:
            place.unlink()
        else:
            place.write_text(notes)
        asked = server.seen.total()
        fetch_rows(rows, out, shard_rows=2)
        assert images(out) == [picture(0), picture(1), picture(1), picture(0)]
        assert server.seen.total() == asked


def test_each_row_is_compared_with_its_own_digest(server: BadServer, tmp_path: Path) -> None:
    right, wrong = sha256(picture(1)), sha256(b"other")
    rows = {"url": [server.url("ok/1")] * 6, "sha256": ["broken digest", wrong, wrong, right, None, right]}
    fetch_rows(rows, tmp_path / "out", shard_rows=1, concurrency=1)
    found = outcomes(tmp_path / "out")
    bad, ok = ("failed_to_download", "hash_mismatch"), "success"
    assert [row["status"] for row in found] == [*bad, bad[1], ok, ok, ok]
    assert found[2]["error_message"] == f"expected {wrong}"
    # Bytes that the digest of the first row refused were not kept, so the first row that wants them asks again.
    assert server.seen["/ok/1"] <= 2 + 2


def test_a_retry_asks_once_for_all_rows(server: BadServer, tmp_path: Path) -> None:
    rows = {"url": [server.url("broken/1"), server.url("ok/1"), server.url("broken/1"), server.url("broken/1")]}
    fetch_rows(rows, tmp_path / "out", shard_rows=1)
    assert server.seen["/broken/1"] == 1
    fetched = fetch_rows(rows, tmp_path / "out", shard_rows=1, retry=["server_error"])
    assert (fetched.errors, server.seen["/broken/1"]) == ({}, 2)
    assert images(tmp_path / "out") == [picture(5), picture(1), picture(5), picture(5)]


def test_an_image_that_the_server_replaced_is_asked_for_when_its_digest_is_retried(
    server: BadServer, tmp_path: Path
) -> None:
    rows = {"url": [server.url("ok/1"), server.url("ok/1")], "sha256": [None, sha256(picture(2))]}
    fetch_rows(rows, tmp_path / "out", shard_rows=1)
    assert server.seen["/ok/1"] == 1
    fetch_rows(rows, tmp_path / "out", shard_rows=1, retry=["hash_mismatch"])
    assert server.seen["/ok/1"] == 2


URLS = ["http://a.org/x.jpg", "HTTP://A.org/x.jpg", "http://a.org:80/x.jpg#y", "http://a.org/x.jpg?", "http://a.org",
        "https://a.org/x.jpg", "http://a.org/x%zz", "http://a.org/x%25zz", "http://a.org/ä", "http://1.2.3.4/a?b?c",
        "http://a.org/?q=1&r=%20", "ftp://a.org/", "", None, " http://a.org/x.jpg ", "http://u:p@a.org/x.jpg",
        "http://a.org:25/x", "http://localhost/x.jpg", "http://a..org/x", "http://010.0.0.1/x", "http://a.org/x[1]",
        "http://a.org/ x", "http://a.org/x\\y", "http://a.org/x.jpg?a#b"]  # fmt: skip


def test_the_key_of_a_row_is_the_url_that_is_requested() -> None:
    def requested(url: str | None) -> str | None:
        try:
            return parse_url(url).url
        except Failure:
            return None

    keys = request_keys(pa.table({"url": pa.array(URLS, pa.string())})).to_pylist()
    for url, key in zip(URLS, keys, strict=True):
        assert requested(key) == requested(url)
        assert key is None or key == requested(url) or requested(key) is None
    digests = pa.table({"url": [URLS[0]] * 3, "expected_sha256": [sha256(b""), "nan", "odd"]})
    assert request_keys(digests).to_pylist() == [URLS[0], URLS[0], None]


def test_first_rows_of_many_batches(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 900, 2000).tolist()
    urls = [f"http://a.org/{number}.jpg" for number in numbers]
    tables = (pa.table({"url": urls[at : at + 70]}) for at in range(0, len(urls), 70))
    first = first_rows(tmp_path, tables, 100)
    seen: dict[str, int] = {}
    wanted = {at: one for at, url in enumerate(urls) if (one := seen.setdefault(url, at)) != at}
    assert {shard * 100 + row: a * 100 + b for shard in range(20) for row, (a, b) in first.of(shard).items()} == wanted
    awaited = sorted({one for at, one in wanted.items() if at // 100 > one // 100})
    assert [shard * 100 + row for shard in range(20) for row in first.awaited(shard)] == awaited
    assert sorted(path.name for path in tmp_path.iterdir()) == ["awaited.npy", "repeated.npy"]
    assert first_rows(tmp_path, iter(()), 100).of(3) == FirstRows(tmp_path, 100).of(3) == first.of(3)


def test_a_source_that_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        yield pa.table({"url": ["http://a.org/1.jpg"]})
        raise InputError("rows.csv: cut short")

    for _ in range(2):
        with pytest.raises(InputError, match=r"rows\.csv: cut short"):
            first_rows(tmp_path, tables(), 100)
    assert first_rows(tmp_path, iter([pa.table({"url": ["http://a.org/1.jpg"] * 2})]), 100).of(0) == {1: (0, 0)}


def test_a_source_without_a_repeated_url(server: BadServer, tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": [server.url("ok/1"), None]}), tmp_path / "rows.parquet")
    fetched = fetch_images(tmp_path / "rows.parquet", tmp_path / "out", FetchOptions(**QUICK))
    assert fetched.statuses == {"failed_to_download": 1, "success": 1}
