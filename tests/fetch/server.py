"""A web server on this machine that behaves as badly as those out there."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from PIL import Image

HTML = b"<!DOCTYPE html><html><body>" + b"not found, sorry. " * 20 + b"</body></html>"


def picture(number: int = 0, kind: str = "JPEG") -> bytes:
    """A small picture; another for every number."""
    out = io.BytesIO()
    colour = (number * 37 % 256, number // 7 % 256, number * 11 % 256)
    Image.new("RGB", (40 + number % 5, 30), colour).save(out, kind, quality=90)
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


BOMB = gzip.compress(picture() + bytes(10_000_000))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms until the head, sent before it, is acknowledged
    server: BadServer

    def do_GET(self) -> None:
        words = self.path.partition("?")[0].strip("/").split("/")
        with self.server.lock:
            self.server.seen[self.path] += 1
            self.server.asked.append((self.path, time.monotonic()))
            self.server.hosts.append(self.headers["Host"])
            self.server.headers.append(dict(self.headers))
        try:
            getattr(self, words[0], self.missing)(*words[1:])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def reply(self, data: bytes, kind: str = "image/jpeg", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        sent = {"Content-Length": str(len(data)), **{name.replace("_", "-"): text for name, text in headers.items()}}
        for name, text in sent.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def ok(self, number: str, kind: str = "JPEG") -> None:
        self.reply(picture(int(number), kind))

    def missing(self, *words: str) -> None:
        self.status("404")

    def slow(self, number: str) -> None:
        with self.server.lock:
            self.server.active += 1
            self.server.most = max(self.server.most, self.server.active)
        time.sleep(0.05)
        with self.server.lock:  # before the answer, as whoever has read it may send the next request at once
            self.server.active -= 1
        self.ok(number)

    def same(self, number: str) -> None:
        self.reply(picture(1))

    def octets(self) -> None:
        self.reply(picture(2, "PNG"), "application/octet-stream")

    def status(self, code: str) -> None:
        self.reply(HTML, "text/html", int(code))

    def to(self, *where: str) -> None:
        self.reply(b"", status=302, Location=self.server.places["/".join(where)])

    def hop(self, left: str) -> None:
        self.reply(b"", status=301, Location=f"/hop/{int(left) - 1}" if int(left) else "/ok/9")

    def loop(self) -> None:
        self.reply(b"", status=307, Location="/loop")

    def nowhere(self) -> None:
        self.reply(b"", status=302)

    def stall(self) -> None:
        self.server.released.wait(5)
        self.close_connection = True

    def stall_body(self) -> None:
        data = picture()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:100])
        self.wfile.flush()
        self.server.released.wait(5)
        self.close_connection = True

    def trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for byte in picture() * 10:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.released.wait(0.05):
                break
        self.close_connection = True

    def short(self) -> None:
        """Says more than it sends."""
        data = picture()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) + 500))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def long(self) -> None:
        """Sends more than it says."""
        data = picture()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) // 2))
        self.end_headers()
        self.wfile.write(data)

    def html(self) -> None:
        self.reply(HTML, "text/html")

    def html_as_image(self) -> None:
        self.reply(HTML, "image/jpeg")

    def empty(self) -> None:
        self.reply(b"")

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(picture())
        while not self.server.released.is_set():
            self.wfile.write(bytes(65_536))

    def claims(self) -> None:
        self.reply(picture(), Content_Length="99999999999")
        self.close_connection = True

    def zipped(self) -> None:
        self.reply(gzip.compress(picture(3)), Content_Encoding="gzip")

    def bomb(self) -> None:
        self.reply(BOMB, Content_Encoding="gzip")

    def brotli(self) -> None:
        self.reply(b"whatever it is, we did not ask for it" * 5, Content_Encoding="br")

    def busy(self, times: str, wait: str) -> None:
        first = self.server.seen[self.path] <= int(times)
        self.reply(HTML, status=429, Retry_After=wait) if first else self.reply(picture(4))

    def broken(self, times: str) -> None:
        first = self.server.seen[self.path] <= int(times)
        self.reply(HTML, status=500) if first else self.reply(picture(5))

    def reset(self, times: str) -> None:
        if self.server.seen[self.path] <= int(times):
            self.close_connection = True
        else:
            self.reply(picture(6))

    def noai(self, *agent: str) -> None:
        self.reply(picture(7), X_Robots_Tag="".join(f"{name}: " for name in agent) + "noai, nofollow")

    def cut(self) -> None:
        data = picture(8, "PNG")
        self.reply(data[: len(data) - 20])

    def nonsense(self) -> None:
        self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class BadServer(ThreadingHTTPServer):
    """Runs while the context is open. `places` are where `/to/NAME` redirects."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.seen: Counter[str] = Counter()
        self.hosts: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.places: dict[str, str] = {}
        self.asked: list[tuple[str, float]] = []
        self.active = self.most = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def __enter__(self) -> BadServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass
