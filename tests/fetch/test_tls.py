"""https: the certificate is checked against the name, though the connection goes to a judged address."""

from __future__ import annotations

import shutil
import ssl
import subprocess
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


def test_https_where_there_is_none(server: BadServer, get: Get) -> None:
    (row,) = get(server.url("ok/1").replace("http:", "https:"))
    assert row["error_class"] in ("tls_failed", "connect_failed", "connect_timeout")
