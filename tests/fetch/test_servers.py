"""Whatever a server does, its row has one outcome that says so, in bounded time and bytes."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from tests.fetch.conftest import Get
from tests.fetch.server import BadServer, picture, sha256

CLASSES = {
    "status/404": "not_found",
    "status/410": "not_found",
    "status/401": "forbidden",
    "status/403": "forbidden",
    "status/451": "forbidden",
    "status/418": "client_error",
    "status/204": "client_error",
    "status/500": "server_error",
    "status/503": "server_error",
    "html": "not_an_image",
    "html_as_image": "not_an_image",
    "cut": None,
    "octets": None,
    "empty": "empty",
    "loop": "too_many_redirects",
    "nowhere": "bad_redirect",
    "short": "connection_lost",
    "claims": "too_large",
    "endless": "too_large",
    "bomb": "too_large",
    "brotli": "bad_encoding",
    "zipped": None,
    "stall": "read_timeout",
    "stall_body": "read_timeout",
    "trickle": "total_timeout",
    "nonsense": "bad_response",
    "reset/9": "connection_lost",
    "noai": "opted_out",
    "noai/someone": None,
    "noai/poolwright": "opted_out",
    "hop/3": None,
    "ok/1": None,
}


def test_every_behaviour_has_its_class(server: BadServer, get: Get) -> None:
    begun = time.monotonic()
    # Longer limits than elsewhere: all are asked for at once, and a busy machine answers late.
    rows = get(*map(server.url, CLASSES), max_bytes=200_000, per_host=32, timeout=1.5, total=3.0)
    assert {path: row["error_class"] for path, row in zip(CLASSES, rows, strict=True)} == CLASSES
    assert time.monotonic() - begun < 12
    for path, row in zip(CLASSES, rows, strict=True):
        status = "opted_out" if path.startswith("noai") else "failed_to_download"
        assert row["status"] == (status if row["error_class"] else "success")
        assert bool(row["error_message"]) == bool(row["error_class"])
        assert row["seconds"] < 5
        assert row["attempts"] == 1


def test_what_is_known_of_a_success(server: BadServer, get: Get) -> None:
    (row,) = get(server.url("hop/2"))
    data = picture(9)
    assert (row["sha256"], row["bytes"], row["http_status"]) == (sha256(data), len(data), 200)
    assert (row["width"], row["height"], row["original_width"]) == (44, 30, 44)
    assert (row["format"], row["content_type"]) == ("JPEG", "image/jpeg")
    assert row["final_url"] == server.url("ok/9")
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert server.headers[0]["User-Agent"].startswith("poolwright/")


def test_more_bytes_than_said_do_not_spoil_the_next_answer(server: BadServer, get: Get) -> None:
    rows = get(server.url("long"), server.url("ok/3"), per_host=1, check="none", retries=1)
    assert rows[0]["bytes"] == len(picture()) // 2
    assert rows[1]["sha256"] == sha256(picture(3))


def test_a_cut_image_is_found_by_decoding(server: BadServer, get: Get) -> None:
    rows = get(server.url("cut"), server.url("ok/1"), check="decode")
    assert [row["error_class"] for row in rows] == ["broken_image", None]
    assert rows[0]["error_message"] == "truncated_image"


def test_retries_where_they_may_help(server: BadServer, get: Get) -> None:
    paths = ["broken/2", "reset/1", "busy/1/0", "broken/3", "status/404", "html"]
    rows = get(*map(server.url, paths), retries=2)
    assert [row["attempts"] for row in rows] == [3, 2, 2, 3, 1, 1]
    assert [row["error_class"] for row in rows] == [None, None, None, "server_error", "not_found", "not_an_image"]


def test_retry_after_is_honoured_and_capped(server: BadServer, get: Get) -> None:
    begun = time.monotonic()
    (row,) = get(server.url("busy/1/1"), retries=1)
    assert row["status"] == "success"
    assert time.monotonic() - begun >= 1
    begun = time.monotonic()
    (row,) = get(server.url("busy/1/3600"), retries=1, max_wait=0.1)
    assert row["status"] == "success"
    assert time.monotonic() - begun < 60


def test_the_total_covers_all_tries(server: BadServer, get: Get) -> None:
    (row,) = get(server.url("stall"), retries=9, timeout=0.3, total=0.8)
    assert row["seconds"] == pytest.approx(0.8, abs=0.3)
    assert row["attempts"] == 3


def test_expected_hashes(server: BadServer, get: Get) -> None:
    right, wrong = sha256(picture(1)), sha256(picture(2))
    rows = get(*[server.url("ok/1")] * 4, sha=[right.upper(), wrong, "", "123"])
    assert [row["status"] for row in rows] == ["success", "hash_mismatch", "success", "failed_to_download"]
    assert (rows[1]["error_class"], rows[3]["error_class"]) == ("hash_mismatch", "bad_sha256")
    assert (rows[1]["sha256"], rows[1]["expected_sha256"]) == (right, wrong)
    assert wrong in rows[1]["error_message"]


def test_a_listed_placeholder(server: BadServer, get: Get) -> None:
    rows = get(server.url("same/1"), server.url("ok/2"), placeholders=[sha256(picture(1))])
    assert [row["status"] for row in rows] == ["placeholder", "success"]


def test_robots_are_respected_by_default(server: BadServer, get: Get) -> None:
    (row,) = get(server.url("noai"), robots=())
    assert row["status"] == "success"


def test_a_host_gets_few_requests_at_once(server: BadServer, get: Get) -> None:
    rows = get(*(server.url(f"slow/{number}") for number in range(12)), per_host=3, concurrency=12)
    assert {row["status"] for row in rows} == {"success"}
    assert server.most <= 3


def test_a_host_gets_its_pause(server: BadServer, get: Get) -> None:
    begun = time.monotonic()
    get(*(server.url(f"ok/{number}") for number in range(5)), host_delay=0.1)
    assert time.monotonic() - begun >= 0.4


def test_a_dead_host_is_left_alone(get: Get) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rows = get(*(f"http://127.0.0.1:{port}/{number}" for number in range(20)), host_failures=5, per_host=1)
    classes = [row["error_class"] for row in rows]
    assert classes == ["connect_failed"] * 5 + ["host_down"] * 15
    assert rows[-1]["attempts"] == 0


def test_a_slow_host_does_not_hold_up_others(server: BadServer, get: Get) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    port = server.server_port
    urls: list[Any] = [f"http://slow.test:{port}/stall?{number}" for number in range(4)]
    urls += [f"http://quick.test:{port}/ok/{number}" for number in range(30)]
    begun = time.monotonic()
    rows = get(*urls, resolve=resolve, concurrency=4, per_host=2, timeout=0.5)
    assert [row["error_class"] for row in rows] == ["read_timeout"] * 4 + [None] * 30
    assert time.monotonic() - begun < 3
