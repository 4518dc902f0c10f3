"""Stores on this machine: S3 as moto's server speaks it, and a web server that gives ranges of files."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest


@pytest.fixture(scope="session")
def s3_service() -> Iterator[str]:
    """The URL of a server that speaks S3.

    All clients read their descriptions of Amazon's services from one loader, as those of one botocore session do: each
    would read megabytes of JSON again.
    """
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import botocore.session

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield f"http://{host}:{port}"
    server.stop()


def use_s3(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """Let this process find the server, with keys."""
    for name, text in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", text)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service)


@pytest.fixture
def s3(s3_service: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server's file system, with an empty bucket 'pools'."""
    import fsspec

    use_s3(monkeypatch, s3_service)
    system = fsspec.filesystem("s3")
    if system.exists("pools"):
        system.rm("pools", recursive=True)
    system.mkdir("pools")
    system.invalidate_cache()
    return system


class WebServer(ThreadingHTTPServer):
    """Serves files in memory by GET and HEAD, in ranges, with pages of links for folders.

    Attributes:
        files: content by path.
        ranges: whether it serves ranges; else it gives whole files.
        tags: whether it sends an ETag.
        faults: statuses that the next requests for ranges are answered with, in this order.
        seen: method, path and range of each request.
        sent: bytes of content sent.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.ranges = self.tags = True
        self.faults: list[int] = []
        self.seen: list[tuple[str, str, str]] = []
        self.sent = 0
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def serve(self, folder: Path) -> None:
        """Serve the files of a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.files[f"/{path.relative_to(folder).as_posix()}"] = path.read_bytes()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of connections that clients close."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms until the head, sent before it, is acknowledged
    server: WebServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, wanted = unquote(self.path.partition("?")[0]), self.headers.get("Range", "")
        self.server.seen.append((self.command, path, wanted))
        data = self.server.files.get(path)
        if data is None:
            top = path.rstrip("/") + "/"
            inside = {name[len(top) :].split("/")[0] for name in self.server.files if name.startswith(top)}
            links = "".join(f'<a href="{one}{self._slash(top + one)}">x</a>' for one in sorted(inside))
            status = 404 if not inside else 200 if path.endswith("/") else 301
            self._send(status, links.encode(), {"Content-Type": "text/html", "Location": top})
        elif wanted and self.server.faults:
            self._send(self.server.faults.pop(0), b"", {})
        else:
            self._send_file(data, wanted)

    def _slash(self, path: str) -> str:
        return "" if path in self.server.files else "/"

    def _send_file(self, data: bytes, wanted: str) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        if self.server.tags:
            headers["ETag"] = f'"{hashlib.md5(data).hexdigest()}"'
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
        if match and self.server.ranges:
            begin, end = int(match[1]), min(int(match[2]) + 1, len(data))
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
            self._send(206, data[begin:end], headers)
        else:
            self._send(200, data, headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command == "GET":
            self.server.sent += len(data)
            self.wfile.write(data)


@pytest.fixture
def web() -> Iterator[WebServer]:
    pytest.importorskip("aiohttp")
    server = WebServer()
    yield server
    server.shutdown()
    server.server_close()
