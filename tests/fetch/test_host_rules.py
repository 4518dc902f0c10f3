"""What hosts ask of crawlers: robots.txt and TDMRep, read once per host."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.fetch.fetch import Fetched, fetch_images
from poolwright.fetch.http.host_rules import reservations
from poolwright.fetch.options import FetchOptions
from tests.calling import call
from tests.cases.web import RawServer, photo, response
from tests.fetch.conftest import outcomes

PHOTO = response(photo())
TEXT = b"Content-Type: text/plain"
RULES = b"""\xef\xbb\xbf# rules
User-agent: somebot
Disallow: /
User-agent: PoolWright
User-agent: other
Disallow: /private*/  # not for us
Allow: /private/open.jpg$
Disallow: /*.gif$
"""


def fetched(server: RawServer, paths: list[str], to: Path, **options: Any) -> tuple[Fetched, dict[str, str | None]]:
    """Fetch paths; the error class of each."""
    pq.write_table(pa.table({"url": [server.url(path) for path in paths]}), to.with_suffix(".parquet"))
    wanted: dict[str, Any] = {"allow_private": True, "retries": 0, "timeout": 1, "backoff": 0.01, **options}
    found = fetch_images(to.with_suffix(".parquet"), to, FetchOptions(**wanted))
    return found, dict(zip(paths, [row["error_class"] for row in outcomes(to)], strict=True))


def classes(responses: dict[str, bytes], paths: list[str], to: Path, **options: Any) -> list[str | None]:
    """The error class of paths, which all have a photo."""
    with RawServer({**dict.fromkeys(paths, PHOTO), **responses}) as server:
        return list(fetched(server, paths, to, **options)[1].values())


def test_rules_of_a_host_are_read_once_and_respected(tmp_path: Path) -> None:
    paths = ["/a.jpg", "/private/b.jpg", "/private/open.jpg", "/private2/x/c.jpg", "/d.gif", "/d.gif?big"]
    with RawServer({**dict.fromkeys(paths, PHOTO), "/robots.txt": response(RULES, TEXT)}) as server:
        found, errors = fetched(server, paths, tmp_path / "out", shard_rows=2)
        assert list(errors.values()) == [None, "robots", None, "robots", "robots", None]
        assert found.statuses == {"success": 3, "robots": 3}
        once = {"/robots.txt": 1, "/.well-known/tdmrep.json": 1, "/a.jpg": 1, "/private/open.jpg": 1, "/d.gif?big": 1}
        assert server.asked == once
        _, errors = fetched(server, paths, tmp_path / "all", robots_txt=False, tdm=False)
        assert set(errors.values()) == {None}
        assert server.asked["/robots.txt"] == 1


@pytest.mark.parametrize(
    ("robots", "error"),
    [
        (response(b"gone", status=b"404 Not Found"), None),
        (response(b"no", status=b"403 Forbidden"), None),
        (response(b"later", status=b"503 Service Unavailable"), "robots_unreachable"),
        (response(b"slow", status=b"429 Too Many Requests"), "robots_unreachable"),
        (response(b"<html>welcome</html>"), None),
        (response(b"", status=b"204 No Content"), None),
        (response(b"", b"Location: /r1", status=b"301 Moved"), "robots"),
        (response(b"", b"Location: /robots.txt", status=b"302 Found"), None),  # for ever: as if there were none
        (response(b"", b"Location: http://169.254.169.254/robots.txt", status=b"302 Found"), "robots_unreachable"),
        (response(b"", b"Location: ftp://127.0.0.1/robots.txt", status=b"302 Found"), "robots_unreachable"),
        (response(b"User-agent: *\nDisallow: /\n"), "robots"),
        (response(b"User-agent: *\nDisallow: /\n\nUser-agent: poolwright\nUser-agent: mybot\nDisallow:\n"), None),
        (response(b"User-agent: mybot\nDisallow: /\n"), "robots"),
        (response(b"#" * (500 << 10) + b"\nUser-agent: *\nDisallow: /\n"), None),  # beyond what is read
        (b"nonsense\r\n\r\n", "bad_response"),
    ],
)
def test_a_file_of_rules_that_is_not_there(tmp_path: Path, robots: bytes, error: str | None) -> None:
    more = {"/robots.txt": robots, "/r1": response(b"", b"Location: /r2", status=b"308 Moved"), "/r2": response(RULES)}
    found = classes(more, ["/private/a.jpg"], tmp_path / "out", user_agent="MyBot/1 (+https://example.org)")
    assert found == [error]


def test_rules_of_the_host_that_a_redirect_leads_to_count(tmp_path: Path) -> None:
    with RawServer({"/robots.txt": response(b"User-agent: *\nDisallow: /\n"), "/photo.jpg": PHOTO}) as closed:
        to = closed.url("/photo.jpg").replace("127.0.0.1", "localhost").encode()
        moved = response(b"", b"Location: " + to, status=b"302 Found")
        assert classes({"/a.jpg": moved}, ["/a.jpg", "/b.jpg"], tmp_path / "out") == ["robots", None]
        assert "/photo.jpg" not in closed.asked


def test_pauses_that_a_host_asks_for_are_made(tmp_path: Path) -> None:
    robots = response(b"User-agent: *\nCrawl-delay: 0.2\n")
    begun = monotonic()
    assert classes({"/robots.txt": robots}, [f"/{n}.jpg" for n in range(4)], tmp_path / "out") == [None] * 4
    assert monotonic() - begun > 0.6
    begun = monotonic()  # no longer than max_wait
    robots = response(b"User-agent: *\nCrawl-delay: 3600\n")
    assert classes({"/robots.txt": robots}, ["/1.jpg", "/2.jpg"], tmp_path / "most", max_wait=0.1) == [None] * 2
    assert monotonic() - begun < 5


def test_reservations_of_a_host_and_of_a_picture(tmp_path: Path) -> None:
    rules = [
        {"location": "/", "tdm-reservation": 1, "tdm-policy": "https://example.org/policy.json"},
        {"location": "/free/*.jpg", "tdm-reservation": 0},
        {"location": "/free/but#1.jpg", "tdm-reservation": "1"},
        {"location": "/\nallow: /", "tdm-reservation": 1},
        {"tdm-reservation": 0},
        "nonsense",
    ]
    file = {"/.well-known/tdmrep.json": response(json.dumps(rules).encode())}
    paths = ["/a.jpg", "/free/b.jpg", "/free/but%231.jpg"]
    assert classes(file, paths, tmp_path / "file") == ["tdm_reserved", None, "tdm_reserved"]
    assert classes(file, paths, tmp_path / "off", tdm=False) == [None] * 3
    own = {
        "/a.jpg": response(photo(), b"tdm-reservation: 1", b"tdm-policy: https://example.org/p"),
        "/b.jpg": response(photo(), b"TDM-Reservation: 0"),
        "/c.jpg": response(b"", b"Location: /b.jpg", b"tdm-reservation: 1", status=b"302 Found"),
    }
    assert classes(own, list(own), tmp_path / "header") == ["tdm_reserved", None, "tdm_reserved"]
    for at, broken in enumerate((b"[", b"{}", b"[[[", b"\xff", b'{"location": 5, "tdm-reservation": 1}')):
        there = {"/.well-known/tdmrep.json": response(broken)}
        assert classes(there, ["/a.jpg"], tmp_path / f"broken-{at}") == [None]
    assert reservations({"location": "a/", "tdm-reservation": 1}) == ["Disallow: /a/"]


def test_the_command_says_what_was_left_out(tmp_path: Path) -> None:
    with RawServer({"/robots.txt": response(b"User-agent: *\nDisallow: /no\n"), "/a.jpg": PHOTO}) as server:
        (tmp_path / "urls.csv").write_text(
            "".join(f"{line}\n" for line in ["url", *map(server.url, ("/a.jpg", "/no"))])
        )
        asked = ("fetch", "urls.csv", "out", "--allow-private")
        ran = call(*asked, folder=tmp_path)
        assert ran.code == 0
        assert "robots.txt does not allow it" in ran.out
        again = call(
            "fetch",
            "urls.csv",
            "out",
            "--allow-private",
            "--set",
            "robots_txt=false",
            "--retry",
            "robots",
            folder=tmp_path,
        )
    assert again.code == 0
    assert [row["status"] for row in outcomes(tmp_path / "out")] == ["success", "failed_to_download"]
