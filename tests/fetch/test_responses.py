"""Responses as they come over a wire: heads that are odd, bodies in any pieces, connections that are used again."""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.fetch.http import heads
from poolwright.fetch.http.heads import CleanHeads, clean_head
from tests.cases.web import RawServer
from tests.fetch.conftest import Get
from tests.fetch.server import picture, sha256

OK = b"HTTP/1.1 200 OK"


def test_a_head_with_lines_that_cannot_be_read() -> None:
    lines = [OK, b"A: 1", b"no colon", b"  of no line", b"B : 2", b" and more\x00", b"C\x01: 3", b"b: 4\rx", b": 5"]
    assert clean_head(b"\r\n".join(lines)).split(b"\r\n") == [OK, b"A: 1", b"B: 2 and more", b"b: 4 x"]
    assert clean_head(b"\n".join(lines)) == clean_head(b"\r\n".join(lines))


@pytest.mark.parametrize(
    ("lines", "kept"),
    [([], []), ([b"Content-Length: 5"], [b"Content-Length: 5"]),
     ([b"Content-Length: 5, 5", b"content-length: 5"], [b"Content-Length: 5"]),
     ([b"Content-Length: 5, 6"], [b"Content-Length: 5", b"Content-Length: 6"]),
     ([b"Content-Length: many"], []), ([b"Content-Length: -1"], []),
     ([b"Transfer-Encoding: chunked"], [b"Transfer-Encoding: chunked"]), ([b"Transfer-Encoding: identity"], []),
     ([b"Transfer-Encoding: Chunked, identity", b"Transfer-Encoding: chunked", b"Content-Length: 5"],
      [b"Transfer-Encoding: chunked"])],
)  # fmt: skip
def test_what_says_where_a_body_ends(lines: list[bytes], kept: list[bytes]) -> None:
    assert clean_head(b"\r\n".join([OK, *lines])).split(b"\r\n")[1:] == kept


_LINES = [b"A: 1", b"a-b: x  y", b"B : 2", b"C: 3 ", b" more", b"D:", b"E: \t", b"F: \xe9", b"G: 1\r2", b"odd", b"",
          b"Content-Length: 5", b"content-length: 5", b"Content-Length: 5, 5", b"Content-Length: 05",
          b"Content-Lengths: 7", b"Transfer-Encoding: chunked", b"Transfer-Encoding-X: y",
          b"Content-Length : 6"]  # fmt: skip


@given(
    st.sampled_from([OK, b"HTTP/1.0 200", b"HTTP/1.1 200 O\x00K", b"HTTP/2 200 OK"]), st.lists(st.sampled_from(_LINES))
)
def test_what_is_passed_over_as_plain_is_what_cleaning_leaves(status: bytes, lines: list[bytes]) -> None:
    head = b"\r\n".join([status, *lines])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(heads, "_PLAIN", re.compile(b"(?!)"))
        cleaned = clean_head(head)
    assert sorted(clean_head(head).split(b"\r\n")) == sorted(cleaned.split(b"\r\n"))


class Parser(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data


@given(st.lists(st.integers(0, 300), max_size=12))
def test_heads_in_any_pieces(cuts: list[int]) -> None:
    data = b"\r\nHTTP/1.1 103 Hints\r\nB : 1\r\n\r\n" + OK + b"\nodd\nA: 1\r\n\r\nodd\n\nB : 2\r\n\r\n"
    parser = Parser()
    cleaner = CleanHeads(parser, lambda: None)
    cleaner.expect_head()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, stop in pairwise(edges):
        cleaner.data_received(data[start:stop])
    hints = b"HTTP/1.1 103 Hints\r\nB: 1\r\n\r\n"
    assert parser.data == hints + OK + b"\r\nA: 1\r\n\r\nodd\n\nB : 2\r\n\r\n", "a body is passed on as it comes"


@pytest.mark.parametrize(
    ("head", "words"),
    [(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "Content-Length"), (b"ICY 200 OK", "HTTP"),
     (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", "chunk size"), (b"HTTP/1.1 20 OK", "status")],
)  # fmt: skip
def test_heads_that_are_refused(get: Get, head: bytes, words: str) -> None:
    with RawServer({"/": head + b"\r\n\r\n" + picture()}) as server:
        (row,) = get(server.url("/"), robots_txt=False, tdm=False, retries=0)
    assert row["error_class"] == "bad_response"
    assert words in row["error_message"]


def chunked(chunks: list[bytes], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = [b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk]
    return b"".join([*parts, b"0\r\n", trailer, b"\r\n"])


class Wire:
    """A server that answers the requests of each connection with bytes, as told."""

    def __init__(self, answer: Callable[[int, bytes], bytes | None]) -> None:
        self.answer, self.connections, self.open = answer, 0, 0
        self.requests: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._listen, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/{path}"

    def _listen(self) -> None:
        while True:
            client, _ = self._server.accept()
            self.connections, self.open = self.connections + 1, self.open + 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            while True:
                data = b""
                while not data.endswith(b"\r\n\r\n"):
                    if not (more := client.recv(65_536)):
                        self.open -= 1
                        return
                    data += more
                self.requests.append(data)
                if (answer := self.answer(len(self.requests), data)) is None:
                    return
                client.sendall(answer)


def sized(data: bytes, *lines: bytes, status: bytes = OK) -> bytes:
    return b"\r\n".join([status, b"Content-Length: %d" % len(data), *lines, b"", data])


def fetched(get: Get, wire: Wire, count: int, **options: Any) -> list[dict[str, Any]]:
    """Fetch several URLs one after the other."""
    options = {"per_host": 1, "robots_txt": False, "tdm": False, "retries": 0, **options}
    return get(*(wire.url(f"{number}.jpg") for number in range(count)), **options)


CHUNKED = OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([picture()[:100], picture()[100:]])


@pytest.mark.parametrize(
    ("answer", "connections"),
    [(sized(picture()), 1), (CHUNKED, 1), (sized(b"gone", status=b"HTTP/1.1 404 Not Found"), 1),
     (b"HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" + sized(picture()), 1),
     (sized(picture(), b"Connection: Close"), 4), (sized(picture(), status=b"HTTP/1.0 200 OK"), 4),
     (sized(picture()) + b"more", 4)],
)  # fmt: skip
def test_a_connection_takes_the_next_request_if_its_answer_has_ended(get: Get, answer: bytes, connections: int) -> None:
    wire = Wire(lambda number, request: answer)
    rows = fetched(get, wire, 4)
    gone = b"404" in answer[:20]
    assert [row["error_class"] for row in rows] == ["not_found" if gone else None] * 4
    assert gone or {row["sha256"] for row in rows} == {sha256(picture())}
    assert wire.connections == connections


BREAKING_OFF = {
    "/status": (b"HTTP/1.1 2", "connection_lost"),
    "/nothing": (b"\r\n", "connection_lost"),
    "/ssh": (b"SSH-2.0-x\r\n", "bad_response"),
    "/headers": (OK + b"\r\nA: " + b"b" * 70_000, "bad_response"),
    "/body": (sized(picture())[:-1], "connection_lost"),
    "/chunk": (CHUNKED[:-1], "connection_lost"),
    "/trailer": (OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([picture()], b";a=1", b"X: y\r\n"), None),
    "/long-chunk": (OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefg\r\n", "bad_response"),
    "/204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "client_error"),
    "/size": (OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + picture(), "bad_response"),
    "/switching": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "client_error"),
    "/until-closed": (OK + b"\r\n\r\n" + picture(), None),
}


def test_answers_that_break_off(get: Get) -> None:
    with RawServer({path: answer for path, (answer, _) in BREAKING_OFF.items()}) as server:
        rows = get(*map(server.url, BREAKING_OFF), robots_txt=False, tdm=False, retries=0)
    assert {path: row["error_class"] for path, row in zip(BREAKING_OFF, rows, strict=True)} == {
        path: error for path, (_, error) in BREAKING_OFF.items()
    }


@pytest.mark.parametrize("status", [OK, b"HTTP/1.1 404 Not Found"])
def test_few_idle_connections_are_kept_however_many_hosts(get: Get, status: bytes) -> None:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    seen: list[int] = []
    wire = Wire(lambda number, request: seen.append(wire.open) or sized(picture(), status=status))
    urls = [wire.url(str(number)).replace("127.0.0.1", f"host-{number % 30}.test") for number in range(60)]
    rows = get(*urls, resolve=here, robots_txt=False, tdm=False, concurrency=4)
    assert {row["error_class"] for row in rows} == {None if status == OK else "not_found"}
    # Four in use, four idle, and now and then those whose end the server has not noticed yet; of 30 hosts 30 otherwise.
    assert statistics.median(seen[30:]) <= 10


def test_a_request_is_sent_again_only_if_the_server_ended_a_kept_connection(get: Get) -> None:
    wire = Wire(lambda number, request: sized(picture()) if number != 2 else None)
    rows = fetched(get, wire, 3)
    assert [row["error_class"] for row in rows] == [None, None, None]
    assert (len(wire.requests), wire.connections) == (4, 2)
    never = Wire(lambda number, request: None)
    (row,) = fetched(get, never, 1)
    assert (row["error_class"], len(never.requests)) == ("connection_lost", 1)
