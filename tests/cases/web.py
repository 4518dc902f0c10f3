"""A web server on this machine that sends the bytes it was given, whatever HTTP says of them."""

from __future__ import annotations

import io
import socketserver
import threading
from collections import Counter
from types import TracebackType

from PIL import Image


def photo(kind: str = "JPEG", shade: int = 90) -> bytes:
    """A small image; another for every shade."""
    out = io.BytesIO()
    Image.new("RGB", (24, 16), (shade, 40, 200 - shade % 200)).save(out, kind)
    return out.getvalue()


def response(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """All bytes of a response."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([b"HTTP/1.1 " + status, length, b"Connection: close", *headers]) + b"\r\n\r\n" + body


class _Handler(socketserver.StreamRequestHandler):
    server: RawServer

    def handle(self) -> None:
        path = self.rfile.readline().split(b" ")[1].decode("ascii")
        while self.rfile.readline().strip():
            pass
        with self.server.lock:
            self.server.asked[path] += 1
        self.wfile.write(self.server.responses.get(path) or response(b"gone", status=b"404 Not Found"))


class RawServer(socketserver.ThreadingTCPServer):
    """Runs while the context is open; `asked` counts the requests by path."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, responses: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses, self.asked, self.lock = responses, Counter[str](), threading.Lock()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def __enter__(self) -> RawServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.shutdown()
        self.server_close()
