"""What must be refused: forged hosts and origins, missing tokens, paths, bombs, scripts, too much."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from PIL import Image

from poolwright.core.errors import RecipeError
from poolwright.studio import opened
from poolwright.studio.access import Access, Session, check_name, read_key
from poolwright.studio.exploring import views
from poolwright.studio.opened import OpenedRun, PictureCache
from poolwright.studio.pictures import reduced
from tests.studio.made import Browser, ask, make_run, new_key, picture, serving


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safe")
    made = make_run(folder, u0002=bomb(), u0003=b"<html>no picture</html>", u0004=picture(1, (3000, 2000)))
    (folder / "secret.jpg").write_bytes(picture(9))
    ask(made)
    return made


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    with serving(run) as (port, _):
        yield port


@pytest.fixture(scope="module")
def guarded(run: Path) -> Iterator[tuple[int, Access]]:
    """A studio that believes to listen on all addresses."""
    with serving(run, "0.0.0.0", ["studio.example.org"]) as found:
        yield found


def test_answers_carry_their_headers(port: int) -> None:
    status, headers, body = Browser(port).get("/")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert b"style=" not in body
    assert b"onclick" not in body


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "studio.example.org", "10.1.2.3", ""])
def test_forged_hosts_are_refused(port: int, host: str) -> None:
    status, headers, body = Browser(port).request("GET", "/", headers={"Host": host})
    assert status == 421
    assert b"small" not in body
    assert "set-cookie" not in headers


def test_two_hosts_are_refused(port: int) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil\r\n\r\n".encode())
        assert connection.recv(100).split()[1] in (b"400", b"421")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://evil.example:{port}"])
def test_forged_origins_are_refused(port: int, origin: str) -> None:
    browser = Browser(port, "Anna")
    status, _, body = browser.post(
        "/verify/kept/take", {"number": 1, "group": "", "have": []}, Origin=origin.format(port=port)
    )
    assert (status, body[:8]) == (403, b"refused:")


def test_posts_need_session_and_csrf_token(port: int) -> None:
    data = {"number": 1, "group": "", "have": []}
    anna, ben = Browser(port, "Anna"), Browser(port, "Ben")
    assert anna.post("/verify/kept/take", data)[0] == 200
    assert anna.post("/verify/kept/take", data, X_CSRF_Token="")[0] == 403
    assert anna.post("/verify/kept/take", data, X_CSRF_Token=ben.csrf)[0] == 403
    stranger = Browser(port)
    assert stranger.post("/verify/kept/take", data)[0] == 403
    assert stranger.post("/verify/kept/take", data, Cookie=anna.cookie + "x", X_CSRF_Token=anna.csrf)[0] == 403
    nameless = Browser(port)
    nameless.get("/")
    assert nameless.post("/verify/kept/take", data)[0] == 401


def test_every_post_is_guarded(port: int, run: Path) -> None:
    """No route that changes anything opens without the token, those added later among them."""
    from poolwright.studio.access import make_access
    from poolwright.studio.app import create_app

    app: Any = create_app(run, make_access(run, "127.0.0.1"))
    posts = {route.path for route in walk(app) if {"POST", "PUT", "DELETE", "PATCH"} & set(route.methods or ())}
    assert len(posts) > 8
    for path in posts:
        filled = path.replace("{queue}", "kept").replace("{table}", "kept")
        assert Browser(port).post(filled, {})[0] == 403, path


def walk(app: Any) -> Iterator[Any]:
    """Routes, with those of routers that are included as they are."""
    todo = list(app.routes)
    while todo:
        route = todo.pop()
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        todo += list(getattr(inner, "routes", []) or getattr(route, "routes", None) or [])
        if hasattr(route, "methods"):
            yield route


def test_tokens_on_other_addresses(guarded: tuple[int, Access]) -> None:
    port, access = guarded
    stranger = Browser(port)
    status, headers, _ = stranger.get("/")
    assert (status, headers["location"]) == (303, "/enter")
    for path in ("/picture?table=kept&uid=u0001", "/verify/kept/progress", "/verify/kept/certificate.json"):
        assert stranger.get(path)[0] == 303
    assert stranger.get("/enter")[0] == 200
    assert stranger.get("/static/studio.css")[0] == 200
    assert b"not valid for this studio" in stranger.post("/enter", form={"name": "Anna", "next": "/"})[2]
    token = access.token("Anna")
    forged = token[:-1] + ("A" if token[-1] != "A" else "E")
    assert b"not valid for this studio" in stranger.post("/enter", form={"name": forged, "next": "/"})[2]
    assert stranger.get("/")[0] == 303
    anna = Browser(port, token=access.token("Anna"))
    status, _, body = anna.get("/")
    assert status == 200
    assert b"Anna" in body
    assert anna.request("GET", "/", headers={"Host": f"studio.example.org:{port}"})[0] == 200
    assert anna.request("GET", "/", headers={"Host": "evil.example"})[0] == 421


def test_names_said_without_token_are_worth_nothing_elsewhere(port: int, guarded: tuple[int, Access]) -> None:
    anna = Browser(port, "Anna")
    status, headers, _ = Browser(guarded[0]).request("GET", "/", headers={"Cookie": anna.cookie})
    assert (status, headers["location"]) == (303, "/enter")


def test_what_only_the_owner_may(guarded: tuple[int, Access]) -> None:
    port, access = guarded
    anna, owner = Browser(port, token=access.token("Anna")), Browser(port, token=access.token("owner"))
    for path, form in (
        ("/verify/kept/again", {"annotator": "Ben"}),
        ("/verify/kept/count", {"annotator": "Ben"}),
        ("/verify/kept/gold", {"uid": "u0001", "verdict": "positive"}),
        ("/verify", {"table": "kept", "column": "class", "name": "other"}),
    ):
        assert anna.post(path, form=form)[0] == 403
    assert owner.post("/verify/kept/gold", form={"uid": "u0001", "verdict": "withdrawn"})[0] == 200
    for path in ("certificate.json", "export/csv", "reliability"):
        assert anna.get(f"/verify/kept/{path}")[0] == 403
        assert owner.get(f"/verify/kept/{path}")[0] == 200


def test_gold_and_agreement_are_the_owners(guarded: tuple[int, Access]) -> None:
    port, access = guarded
    anna, owner = Browser(port, token=access.token("Anna")), Browser(port, token=access.token("owner"))
    key = new_key()
    anna.ask("/verify/kept/say", {"act": key, "answers": [{"uid": "u0005", "verdict": "positive", "key": key}]})
    for path in ("/verify/kept", "/verify/kept/progress"):
        for browser, seen in ((anna, False), (owner, True)):
            status, _, body = browser.get(path)
            assert status == 200
            assert b"Anna" in body
            assert (b"gold" in body, b"agrees" in body) == (seen, seen)


def test_nothing_that_an_annotator_gets_depends_on_gold(tmp_path: Path) -> None:
    run = make_run(tmp_path, 24)
    ask(run)
    with serving(run, "0.0.0.0") as (port, access):
        anna, owner = Browser(port, token=access.token("Anna")), Browser(port, token=access.token("owner"))
        uids = [card["uid"] for card in owner.take("kept", 12, "cat")]
        owner.say("kept", dict.fromkeys(uids[:3], "positive"))
        owner.ask("/verify/kept/leave", {"uids": uids})
        for uid in uids[:3]:  # verified by the owner, and gold
            assert owner.post("/verify/kept/gold", form={"uid": uid, "verdict": "positive"})[0] == 200
        paths = ("/", "/verify", "/verify/kept", "/verify/kept/progress", "/explore/kept", "/verify/kept/one?group=cat")

        def seen(browser: Browser, uid: str, verdict: str) -> list[Any]:
            key = new_key()
            answer = {"uid": uid, "verdict": verdict, "key": key}
            said = browser.ask("/verify/kept/say", {"act": key, "group": "cat", "answers": [answer]})
            pages = [browser.get(path)[2] for path in paths]
            undone = browser.ask("/verify/kept/undo", {"key": new_key(), "group": "cat"})
            (card,) = undone["cards"]
            assert card.keys() == {"uid", "group", "question", "text"}
            return [said["state"], *pages, undone["state"]]

        for verdict in ("positive", "negative", "unsure"):
            assert seen(anna, uids[0], verdict) == seen(anna, uids[5], verdict)
            assert seen(owner, uids[0], verdict) != seen(owner, uids[5], verdict), "the owner sees rows"
        for path in ("estimates", "estimates/state"):
            assert anna.get(f"/verify/kept/{path}")[0] == 403


def test_expressions_are_the_owners(guarded: tuple[int, Access]) -> None:
    port, access = guarded
    anna, owner = Browser(port, token=access.token("Anna")), Browser(port, token=access.token("owner"))
    for path in ("?where=", "/rows?where=", "/uids?where=", "/map?where=", "/compare?a.where=", "/compare?b.where="):
        assert owner.get(f"/explore/kept{path}width+%3E+3")[0] == 200
        assert anna.get(f"/explore/kept{path}width+%3E+3")[0] == 403
    assert b'name="where"' in owner.get("/explore/kept")[2]
    assert b'name="where"' not in anna.get("/explore/kept?min.width=3")[2]


def test_a_filter_that_takes_too_long_is_interrupted(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "FILTER_SECONDS", 0.2)
    slow = "levenshtein(repeat(uid, 9000), repeat(uid, 9001)) > 3"
    with serving(run) as (port, _):
        begun = time.monotonic()
        status, _, body = Browser(port).get("/explore/kept?" + urlencode({"where": slow}))
        assert time.monotonic() - begun < 5
        assert status == 200
        assert b"took more than 0.2 seconds and was interrupted" in body
        assert escape(f'value="{slow}"', quote=False).encode() in body, "the text can be mended"
        assert Browser(port).get("/explore/kept?where=width+%3E+3")[2].count(b'class="pic') == 60


@pytest.mark.parametrize(
    "name", ["..", "", "a\\b.csv", "x" * 300 + ".csv", "nul%00.csv", "写真/\t🌍.csv", ".csv", "CON"]
)
def test_files_of_odd_names_are_imported_or_refused(port: int, name: str) -> None:
    browser = Browser(port, "Ben")
    body = (
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: text/csv\r\n\r\nuid,verdict\r\nu0006,positive\r\n\r\n--b--\r\n"
    ).encode()
    headers = {"Content-Type": "multipart/form-data; boundary=b", "X-CSRF-Token": browser.csrf}
    status, _, page = browser.request("POST", "/verify/kept/import", body, headers)
    assert status in (200, 400, 422), page[:300]
    assert (status == 200) == (not name or name.endswith(".csv")) or name == ".csv"


def test_verdicts_wait_for_no_picture(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, begun = threading.Event(), threading.Semaphore(0)

    def slow(*_: object) -> str:
        begun.release()
        done.wait(30)
        return "missing_file"

    monkeypatch.setattr(OpenedRun, "picture", slow)
    with serving(run) as (port, _):
        browser = Browser(port, "Cleo")
        askers = [
            threading.Thread(target=Browser(port).get, args=("/picture?table=kept&uid=u0001",)) for _ in range(60)
        ]
        try:
            for asker in askers:
                asker.start()
            assert begun.acquire(timeout=20)
            key = new_key()
            answer = {"uid": "u0007", "verdict": "positive", "key": key}
            assert browser.ask("/verify/kept/say", {"act": key, "answers": [answer]})["kept"] == [key]
            assert not done.is_set()
        finally:
            done.set()
            for asker in askers:
                asker.join()


@pytest.mark.parametrize(
    "path",
    [
        "/picture?table=kept&uid=../secret.jpg",
        "/picture?table=kept&uid=..%2F..%2Fsecret",
        "/picture?table=../../kept&uid=u0001",
        "/picture?table=kept&uid=/etc/passwd",
        "/picture?table=kept&uid=u0001%00.jpg",
        "/picture?table=kept&uid=",
        "/static/../access.py",
        "/static/%2e%2e/access.py",
        "/static/..%2faccess.py",
        "/verify/..%2F..%2Fkept/certificate.json",
        "/verify/%2e%2e/certificate.json",
        "/verify/kept/shown/0",
        "/verify/kept/export/..%2f..%2fx",
    ],
)
def test_paths_lead_nowhere(port: int, path: str) -> None:
    status, headers, body = Browser(port).get(path)
    assert status == 404
    assert headers["content-type"].split(";")[0] in ("text/plain", "text/html")
    assert b"import" not in body


def test_image_paths_of_the_pool_stay_in_their_root(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run = make_run(tmp_path, 4)
    (tmp_path / "secret.jpg").write_bytes(picture(9))
    part = run / "tables/kept/part-00000.parquet"
    rows = pq.read_table(part)
    paths = ["../secret.jpg", str(tmp_path / "secret.jpg"), "file:///etc/passwd", "u0003.jpg"]
    pq.write_table(rows.set_column(rows.schema.get_field_index("image_path"), "image_path", [paths]), part)
    with serving(run) as (port, _):
        found = [Browser(port).get(f"/picture?table=kept&uid=u000{row}") for row in range(4)]
    assert [status for status, _, _ in found] == [404, 404, 404, 200]
    assert found[0][2] == b"outside_root"


def test_pictures_are_drawn_anew(port: int) -> None:
    browser = Browser(port)
    status, headers, body = browser.get("/picture?table=kept&uid=u0004&edge=320")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(body)).size == (320, 213)
    assert browser.get("/picture?table=kept&uid=u0002")[::2] == (404, b"too_many_pixels")
    assert browser.get("/picture?table=kept&uid=u0003")[::2] == (404, b"not_an_image")
    assert browser.get("/picture?table=kept&uid=u0001&edge=100000")[0] == 422


def test_the_picture_cache_is_bounded_and_keeps_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def noted(data: bytes, edge: int) -> bytes | str:
        drawn.append(edge)
        return reduced(data, edge)

    monkeypatch.setattr(opened, "reduced", noted)
    pictures = [picture(row, (40, 40)) for row in range(30)]
    cache = PictureCache(most_bytes=6_000)
    for data in (*pictures, *pictures[-3:], b"no picture"):
        cache.get(lambda data=data: data, 160)  # type: ignore[misc]
    assert len(drawn) == 31, "the last three were kept"
    assert 0 < cache.bytes <= 6_000
    assert cache.bytes == sum(map(len, cache._kept.values()))
    cache.get(lambda: pictures[0], 160)
    assert len(drawn) == 32, "the first was forgotten"
    cache.get(lambda: picture(1, (900, 900)), 1280)
    assert len(cache._kept) == 1, "one that is larger than all is kept alone"
    assert not cache._drawing


def test_texts_of_the_pool_are_escaped(port: int) -> None:
    browser = Browser(port, "Anna")
    _, _, body = browser.get("/verify/kept/row?uid=u0000")
    assert b"<script>" not in body
    assert b"&lt;script&gt;document.title" in body
    _, headers, _ = browser.post("/verify/kept/take", {"number": 1, "group": "", "have": []})
    assert headers["content-type"] == "application/json"
    status, _, body = browser.get("/verify/kept/one?group=%3Cscript%3Ealert(1)%3C/script%3E")
    assert status == 404
    assert b"<script>alert" not in body


def test_oversized_posts_are_refused(port: int) -> None:
    browser = Browser(port, "Anna")
    long = {"act": new_key(), "answers": [{"uid": "u" * 70_000, "verdict": "positive", "key": new_key()}]}
    assert browser.post("/verify/kept/say", long)[0] == 413
    many = {"number": 1, "group": "", "have": ["u"] * 1000}
    assert browser.post("/verify/kept/take", many)[0] == 422
    assert browser.post("/verify/kept/take", {"number": 10_000, "group": "", "have": []})[0] == 422


def test_oversized_posts_that_lie_about_it_are_refused(port: int) -> None:
    import socket

    browser = Browser(port, "Anna")
    head = (
        f"POST /verify/kept/say HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {browser.cookie}\r\n"
        f"X-CSRF-Token: {browser.csrf}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        connection.sendall(head.encode())
        answer = b""
        try:
            for _ in range(40):
                connection.sendall(b"2000\r\n" + b" " * 8192 + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
            answer = connection.recv(200)
        except OSError:
            answer = answer or connection.recv(200)
    assert answer.split()[1] == b"413"


def test_strange_requests_are_reported(port: int) -> None:
    browser = Browser(port, "Anna")
    assert browser.post("/verify/kept/say", {"act": "x", "answers": []})[0] == 422
    assert browser.post("/verify/kept/say", [1, 2])[0] == 422
    wrong = {"act": new_key(), "answers": [{"uid": "nobody", "verdict": "positive", "key": new_key()}]}
    status, _, body = browser.post("/verify/kept/say", wrong)
    assert status == 400
    assert b"is not a row of the queue" in body
    assert browser.get("/nothing")[0] == 404


def test_enter_leads_only_inside(port: int) -> None:
    browser = Browser(port)
    browser.get("/enter")
    for path in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
        _, headers, _ = browser.post("/enter", form={"name": "Anna", "next": path})
        assert headers["hx-redirect"] == "/"
    assert browser.post("/enter", form={"name": "Anna", "next": "/verify"})[1]["hx-redirect"] == "/verify"


def test_odd_names_are_refused(port: int) -> None:
    for name in ("", " ", "x" * 60, "<b>", "a\nb<"):
        with pytest.raises(RecipeError, match="is not a valid name for an annotator"):
            check_name(name)
    assert check_name("  Łucja   O'Neil-2 ") == "Łucja O'Neil-2"


def test_sessions_are_signed_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = Access(read_key(tmp_path))
    cookie = access.cookie(Session("id", "Anna", True))
    assert access.session_of(cookie) == Session("id", "Anna", True)
    assert Access(bytes(32)).session_of(cookie) is None
    assert access.session_of("rubbish") is None
    assert access.session_of("") is None
    monkeypatch.setattr("time.time", lambda: 1e12)
    assert access.session_of(cookie) is None
    assert read_key(tmp_path) == access.key
    if os.name != "nt":
        assert (tmp_path / "studio/key").stat().st_mode & 0o077 == 0
