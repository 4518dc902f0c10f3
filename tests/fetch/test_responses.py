"""Responses as they come over a wire: heads that are odd, bodies in any pieces, connections that are used again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.fetch.http.bodies import Chunked, Framing, Sized, UntilClosed, framing_of
from poolwright.fetch.http.heads import parse_head
from poolwright.fetch.outcome import Failure
from tests.cases.web import RawServer
from tests.fetch.conftest import Get
from tests.fetch.server import picture, sha256

OK = b"HTTP/1.1 200 OK"


def test_a_head_with_lines_that_cannot_be_read() -> None:
    lines = [OK, b"A: 1", b"no colon", b"  of no line", b"B : 2", b" and more\x00", b"C\x01: 3", b"b: 4\rx", b": 5"]
    head = parse_head(b"\r\n".join(lines))
    assert (head.version, head.status) == (b"1.1", 200)
    assert head.fields == ((b"A", b"1"), (b"B", b"2 and more"), (b"b", b"4 x"))


@pytest.mark.parametrize(
    ("lines", "framing"),
    [([], UntilClosed), ([b"Content-Length: 5"], Sized), ([b"Content-Length: 5, 5", b"content-length: 5"], Sized),
     ([b"Content-Length: many"], UntilClosed), ([b"Content-Length: -1"], UntilClosed),
     ([b"Transfer-Encoding: chunked"], Chunked), ([b"Transfer-Encoding: identity"], UntilClosed),
     ([b"Transfer-Encoding: Chunked, identity", b"Transfer-Encoding: chunked", b"Content-Length: 5"], Chunked)],
)  # fmt: skip
def test_where_a_body_ends(lines: list[bytes], framing: type[Framing]) -> None:
    assert type(framing_of(parse_head(b"\r\n".join([OK, *lines])))) is framing


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(status: int) -> None:
    assert framing_of(parse_head(b"HTTP/1.1 %d x\r\nContent-Length: 5" % status)).done


@pytest.mark.parametrize(
    ("head", "words"),
    [(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6", "several lengths: 5, 6"), (b"ICY 200 OK", "no status line"),
     (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", "transfer encoding 'gzip, chunked'"),
     (b"HTTP/2 200", "no status line"), (b"HTTP/1.1 20 OK", "no status line"), (b"", "no status line")],
)  # fmt: skip
def test_heads_that_are_refused(head: bytes, words: str) -> None:
    with pytest.raises(Failure, match=words) as failed:
        framing_of(parse_head(head))
    assert failed.value.error_class == "bad_response"


def fed(framing: Framing, data: bytes, cuts: list[int]) -> bytes:
    """The body that a framing finds in data that comes in pieces."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return b"".join(framing.feed(data[start:stop]) for start, stop in pairwise(edges))


def whole(framing: Framing, data: bytes) -> bytes:
    """The body in data that the connection ends with."""
    body = framing.feed(data)
    framing.end()
    return body


def chunked(chunks: list[bytes], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = [b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk]
    return b"".join([*parts, b"0\r\n", trailer, b"\r\n"])


@given(
    st.lists(st.binary(max_size=40)),
    st.lists(st.integers(0, 10_000), max_size=20),
    st.sampled_from([b"", b';a="b"']),
    st.sampled_from([b"", b"X: y\r\nZ: 0\r\n"]),
    st.binary(max_size=5),
)
def test_chunks_in_any_pieces(
    chunks: list[bytes], cuts: list[int], extension: bytes, trailer: bytes, after: bytes
) -> None:
    framing = Chunked()
    assert fed(framing, chunked(chunks, extension, trailer) + after, cuts) == b"".join(chunks)
    assert (framing.done, framing.rest) == (True, after)


def h11_body(data: bytes) -> bytes | None:
    """The body that h11 finds after the head of a chunked response; None if it is an error."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    body = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            body += event.data if isinstance(event, h11.Data) else b""
    except h11.RemoteProtocolError:
        return None
    return body


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_damaged_chunks_are_read_as_by_h11_or_refused(chunks: list[bytes], at: int, new: bytes, removed: int) -> None:
    data = chunked(chunks)
    at %= len(data)
    data = data[:at] + new + data[at + removed :]
    try:
        body = whole(Chunked(), data)
    except Failure:
        return
    theirs = h11_body(data)
    assert theirs in (body, None)
    assert theirs is not None or has_trailers(data)


def has_trailers(data: bytes) -> bool:
    """Whether something comes after the last chunk, which h11 wants to be header fields."""
    return not data.rstrip(b"\r\n").endswith(b"0")


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"5\r\nabcde\r\n", "connection_lost"), (b"5\r\nabc", "connection_lost"), (b"", "connection_lost"),
     (b"5\r\nabcdefg\r\n", "bad_response"), (b"x\r\n", "bad_response"), (b"-1\r\n", "bad_response"),
     (b"1" * 20_000, "bad_response"), (b"F" * 16 + b"\r\n", "bad_response"), (b"0\r\nA: b\r\n", "connection_lost")],
)  # fmt: skip
def test_chunks_that_are_refused(data: bytes, error: str) -> None:
    with pytest.raises(Failure) as failed:
        whole(Chunked(), data)
    assert failed.value.error_class == error


class Wire:
    """A server that answers the requests of each connection with bytes, as told."""

    def __init__(self, answer: Callable[[int, bytes], bytes | None]) -> None:
        self.answer, self.connections = answer, 0
        self.requests: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._listen, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/{path}"

    def _listen(self) -> None:
        while True:
            client, _ = self._server.accept()
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            while True:
                data = b""
                while not data.endswith(b"\r\n\r\n"):
                    if not (more := client.recv(65_536)):
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
