"""https: the certificate is checked against the name, though the connection goes to a judged address."""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetch.conftest import Get
from tests.fetch.server import BadServer

NAME = "pictures.test"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of `NAME` that signs itself, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", path, "-out", tmp_path / "c"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (tmp_path / "c").read_text())
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[BadServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = BadServer()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        yield server


async def here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def test_a_certificate_nobody_knows(secure: BadServer, get: Get) -> None:
    url = f"https://{NAME}:{secure.server_port}/ok/1"
    (row,) = get(url, resolve=here, retries=2)
    assert (row["error_class"], row["attempts"]) == ("tls_failed", 1)
    assert "certificate" in row["error_message"]
    (row,) = get(url, resolve=here, verify_tls=False)
    assert row["status"] == "success"


def test_a_certificate_is_checked_against_the_name(
    secure: BadServer, get: Get, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    right, wrong = (f"https://{name}:{secure.server_port}/ok/1" for name in (NAME, "other.test"))
    rows = get(right, wrong, resolve=here)
    assert [row["error_class"] for row in rows] == [None, "tls_failed"]


class Tunnel(socketserver.ThreadingTCPServer):
    """A proxy that connects every tunnel to one server, whatever its name."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, status: bytes = b"200 OK") -> None:
        super().__init__(("127.0.0.1", 0), _Tunnelling)
        self.port, self.status, self.asked = port, status, list[bytes]()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


class _Tunnelling(socketserver.StreamRequestHandler):
    server: Tunnel

    def handle(self) -> None:
        self.server.asked.append(b"".join(iter(self.rfile.readline, b"\r\n")))
        self.wfile.write(b"HTTP/1.1 " + self.server.status + b"\r\n\r\n")
        if self.server.status.startswith(b"2"):
            with socket.create_connection(("127.0.0.1", self.server.port)) as other:
                threading.Thread(target=_copy, args=(other, self.connection), daemon=True).start()
                _copy(self.connection, other)


def _copy(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            to.sendall(data)
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_RDWR)


def test_a_tunnel_through_a_proxy(
    secure: BadServer, get: Get, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Tunnel(secure.server_port) as proxy:
        address = f"http://me:p%40ss@127.0.0.1:{proxy.server_address[1]}"
        rows = get(f"https://{NAME}/ok/1", "https://other.test/ok/2", proxy=address, allow_private=False)
        proxy.shutdown()
    assert [row["error_class"] for row in rows] == [None, "tls_failed"]
    assert {asked.split(b" HTTP/1.1")[0] for asked in proxy.asked} == {
        b"CONNECT pictures.test:443", b"CONNECT other.test:443",
    }  # fmt: skip
    assert all(b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in asked for asked in proxy.asked)


def test_a_proxy_that_refuses(get: Get) -> None:
    with Tunnel(0, b"407 Proxy Authentication Required") as proxy:
        (row,) = get(f"https://{NAME}/", proxy=f"http://127.0.0.1:{proxy.server_address[1]}", retries=0)
        proxy.shutdown()
    assert (row["error_class"], row["error_message"]) == ("connect_failed", "proxy 127.0.0.1: HTTP 407")


def test_https_where_there_is_none(server: BadServer, get: Get) -> None:
    (row,) = get(server.url("ok/1").replace("http:", "https:"))
    assert row["error_class"] in ("tls_failed", "connect_failed", "connect_timeout")
