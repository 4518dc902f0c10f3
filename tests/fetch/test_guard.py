"""Only the public internet is reached: by every spelling, after redirects, and whatever a name says later."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.core.errors import RecipeError
from poolwright.fetch.http.addresses import METADATA, AddressGuard
from poolwright.fetch.http.network import proxy_url
from poolwright.fetch.http.urls import parse_url, redirected
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure
from tests.fetch.conftest import Get
from tests.fetch.server import BadServer

PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")
PRIVATE = ("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1", "::1",
           "fe80::1%eth0", "fd12::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:a00:1", "64:ff9b::7f00:1", "2002:7f00:1::",
           "::ffff:0:10.0.0.1", "2606:2800:220:1:0:5efe:10.0.0.1")  # fmt: skip
NEVER = ("0.0.0.0", "0.1.2.3", "::", "::7f00:1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
         "ff02::1", "2001:db8::1", "64:ff9b:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "nonsense")  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert AddressGuard().refusal(address) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert AddressGuard().refusal(address)
    assert AddressGuard(allow_private=True).refusal(address) is None


@pytest.mark.parametrize("address", NEVER)
def test_addresses_of_no_host(address: str) -> None:
    assert AddressGuard(allow_private=True).refusal(address)


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_need_their_own_word(address: str) -> None:
    assert AddressGuard(allow_private=True).refusal(address) == f"{address} is a cloud metadata service"
    around = f"{address}/120" if ":" in address else f"{address}/16"
    assert AddressGuard.of(True, [str(_network(around))]).refusal(address)
    assert AddressGuard.of(False, [address]).refusal(address) is None


def _network(text: str) -> Any:
    return ipaddress.ip_network(text, strict=False)


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_as_the_plain_one(address: Any) -> None:
    plain = AddressGuard().refusal(str(address)) is None
    for carrier in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert (AddressGuard().refusal(carrier) is None) == plain


def test_an_allowed_network() -> None:
    guard = AddressGuard.of(False, ["10.1.0.0/16"])
    assert guard.refusal("10.1.2.3") is None
    assert guard.refusal("::ffff:10.1.2.3") is None
    assert guard.refusal("10.2.0.1") == "10.2.0.1 is private"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/ok/1", "http://localhost:{port}/ok/1", "http://2130706433:{port}/ok/1",
     "http://0x7f.1:{port}/ok/1", "http://127.1:{port}/ok/1", "http://[::ffff:127.0.0.1]:{port}/ok/1",
     "http://[::1]:{port}/", "http://user@127.0.0.1:{port}/", "http://169.254.169.254/latest/meta-data"],
)  # fmt: skip
def test_local_addresses_in_every_spelling(server: BadServer, get: Get, url: str) -> None:
    (row,) = get(url.format(port=server.server_port), allow_private=False)
    assert row["error_class"] == "refused_address"
    assert not server.seen


@pytest.mark.parametrize(
    ("url", "error"),
    [("file:///etc/passwd", "refused_scheme"), ("ftp://example.com/a.jpg", "refused_scheme"),
     ("data:image/png;base64,AA", "refused_scheme"), ("//example.com/a.jpg", "refused_scheme"),
     ("http://example.com:25/", "refused_port"), ("http://example.com:6379/", "refused_port"),
     ("http:///a.jpg", "bad_url"), ("", "bad_url"), ("   ", "bad_url"), ("http://a b/", "bad_url"),
     ("http://exa\x00mple.com/", "bad_url"), ("http://[::1/", "bad_url"), ("http://a:99999/", "bad_url"),
     ("http://" + "a" * 9000, "bad_url"), ("http://" + "a" * 70 + ".com/", "bad_url")],
)  # fmt: skip
def test_urls_that_are_refused(url: str, error: str, get: Get) -> None:
    (row,) = get(url)
    assert (row["status"], row["error_class"], row["attempts"]) == ("failed_to_download", error, 0)


@pytest.mark.parametrize(
    ("url", "asked"),
    [("HTTP://Example.COM", "http://example.com/"), ("http://me:secret@example.com/a#top", "http://example.com/a"),
     ("https://example.com:443/a b.jpg?q=ü&r=%20%", "https://example.com/a%20b.jpg?q=%C3%BC&r=%20%25"),
     ("http://bücher.example/ü.jpg", "http://xn--bcher-kva.example/%C3%BC.jpg"), ("http://[2606::1]:8080", "http://[2606::1]:8080/"),
     (" http://a_b.example./x\n", "http://a_b.example./x")],
)  # fmt: skip
def test_urls_as_they_are_asked_for(url: str, asked: str) -> None:
    assert parse_url(url).url == asked


@given(st.text())
def test_any_text_is_a_target_or_refused(text: str) -> None:
    refused: set[str] = set()
    for url in (text, f"http://{text}", f"http://example.com/{text}"):
        try:
            target = parse_url(url)
        except Failure as failure:
            refused.add(failure.error_class)
        else:
            assert target.scheme in ("http", "https")
            assert target.url.isascii()
            assert not set(target.path + target.host) & set(" \r\n\t\0\x7f")
            assert parse_url(target.url) == target
    assert refused <= {"bad_url", "refused_scheme", "refused_port"}


def test_redirects_are_judged_again(server: BadServer, get: Get) -> None:
    server.places = {
        "metadata": "http://169.254.169.254/latest/",
        "file": "file:///etc/passwd",
        "private": "http://10.0.0.1/",
        "mail": "http://127.0.0.1:25/",
        "relative": "../ok/1",
    }
    rows = get(*(server.url(f"to/{name}") for name in server.places), allow_private=False,
               allow_networks=["127.0.0.0/8"])  # fmt: skip
    assert [row["error_class"] for row in rows] == [
        "refused_address", "refused_scheme", "refused_address", "refused_port", None,
    ]  # fmt: skip
    assert "file:///etc/passwd" in rows[1]["error_message"]


def test_a_redirect_to_a_name_goes_through_the_resolver(server: BadServer, get: Get) -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    server.places = {"name": f"http://elsewhere.test:{server.server_port}/ok/2"}
    (row,) = get(f"http://start.test:{server.server_port}/to/name", resolve=resolve)
    assert row["status"] == "success"
    assert asked == ["start.test", "elsewhere.test"]
    assert server.hosts == [f"start.test:{server.server_port}", f"elsewhere.test:{server.server_port}"]


@pytest.mark.parametrize("answer", [["10.0.0.1"], ["127.0.0.1"], ["93.184.216.34", "192.168.0.1"], ["::ffff:10.0.0.1"]])
def test_a_name_with_a_private_address(get: Get, answer: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return answer

    (row,) = get("http://innocent.test/a.jpg", resolve=resolve, allow_private=False)
    assert row["error_class"] == "refused_address"
    assert "innocent.test" in row["error_message"]


def test_a_name_that_changes_its_mind(server: BadServer, get: Get) -> None:
    """DNS rebinding: the connection goes to the address that was judged, so a second answer is never used."""
    answers = []

    async def resolve(host: str, port: int) -> list[str]:
        answers.append("127.0.0.1" if not answers else "127.0.0.2")
        return [answers[-1]]

    urls = [f"http://rebind.test:{server.server_port}/ok/{number}" for number in range(3)]
    rows = get(*urls, resolve=resolve, allow_private=False, allow_networks=["127.0.0.1"], per_host=1)
    assert [row["status"] for row in rows] == ["success"] * 3
    assert answers == ["127.0.0.1"]
    assert server.hosts == [f"rebind.test:{server.server_port}"] * 3


@pytest.mark.parametrize(
    ("error", "error_class", "attempts"),
    [(socket.gaierror(socket.EAI_NONAME, "unknown"), "dns_failed", 1),
     (socket.gaierror(socket.EAI_AGAIN, "later"), "dns_temporary", 3),
     (UnicodeError("label too long"), "dns_failed", 1)],
)  # fmt: skip
def test_names_that_do_not_resolve(get: Get, error: Exception, error_class: str, attempts: int) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise error

    (row,) = get("http://nowhere.test/a.jpg", resolve=resolve, retries=2)
    assert (row["error_class"], row["attempts"]) == (error_class, attempts)


def test_a_name_server_that_is_silent(get: Get) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    (row,) = get("http://silent.test/a.jpg", resolve=resolve)
    assert row["error_class"] == "dns_temporary"
    assert row["seconds"] < 1


def test_another_address_of_a_name_is_tried(server: BadServer, get: Get) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]  # the server listens on the second only

    (row,) = get(f"http://two.test:{server.server_port}/ok/1", resolve=resolve)
    assert row["status"] == "success"


def test_the_proxy_of_the_environment_is_ignored(server: BadServer, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    (row,) = get(server.url("ok/1"))
    assert row["status"] == "success"
    assert proxy_url(FetchOptions()) is None
    assert proxy_url(FetchOptions(proxy="env")) == "http://127.0.0.1:1"


def test_a_proxy_is_used_where_asked_for(server: BadServer, get: Get) -> None:
    rows = get("http://127.0.0.1/ok/1", "http://0x7f.1/", proxy=server.url(""), allow_private=False)
    assert [row["error_class"] for row in rows] == ["refused_address"] * 2
    get("http://named.test/ok/1", proxy=server.url("").rstrip("/"))
    assert server.hosts == ["named.test"]


def test_a_wrong_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="needs http"):
        proxy_url(FetchOptions(proxy="socks5://x"))
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RecipeError, match="HTTPS_PROXY is not set"):
        proxy_url(FetchOptions(proxy="env"))


def test_redirects_stay_within_the_scheme() -> None:
    start = parse_url("https://example.com/a/b?c")
    assert redirected(start, "//cdn.example/x").url == "https://cdn.example/x"
    assert redirected(start, "d#e").url == "https://example.com/a/d"
    with pytest.raises(Failure, match="redirected without a location"):
        redirected(start, " ")


@pytest.mark.parametrize("agent", ["", " ", "a\r\nX: y", "a\0"])
def test_a_user_agent_is_one_line(agent: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        FetchOptions(user_agent=agent)
