"""Pages on rows over HTTP: what they hold, and what must be refused or escaped."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlencode

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.rows import vector_array
from poolwright.studio.exploring import rows, views
from tests.studio.made import CAPTION, Browser, picture, serving

ROWS, KEPT = 130, 90
BAD = '<img src=x onerror="document.title=1">'


def make_run(folder: Path) -> Path:
    """A run with vectors, dropped rows, and texts, classes and a column name that are scripts."""
    (folder / "images").mkdir(parents=True)
    rows = np.arange(ROWS)
    for row in rows:
        (folder / "images" / f"u{row:04d}.jpg").write_bytes(picture(int(row)))
    (folder / "images" / "u0003.jpg").write_bytes(b"<script>no picture</script>")
    vectors = np.random.default_rng(4).standard_normal((ROWS, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pa.table(
        {
            "uid": [f"u{row:04d}" if row != 5 else CAPTION for row in rows],
            "image_path": [f"u{row:04d}.jpg" for row in rows],
            "text": [CAPTION] * ROWS,
            "label": [BAD if row % 3 == 0 else f"class {row % 5}" for row in rows],
            "width": pa.array(rows + 10, pa.int32()),
            "</script><b>": [f"{row % 4}" for row in rows],
            "clip": vector_array(vectors.astype(np.float16)),
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "small",
        "pools": {"rows": {"read": "table", "path": "rows.parquet", "images": "images"}},
        "tables": {"kept": {"from": "rows", "steps": [{"where": f"width < {KEPT + 10}"}]}},
    }
    api.run(Recipe.from_data(data, folder), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    with serving(run) as (port, _):
        yield port


def text_of(port: int, path: str, status: int = 200) -> str:
    found, _, body = Browser(port).get(path)
    assert found == status, (found, body[:400])
    return body.decode()


class Tags(HTMLParser):
    """Fails where a page has a script, a style or a handler of its own, or an image from elsewhere."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on") or name == "style"], (tag, given)
        assert tag != "script" or str(given.get("src")).startswith("/static/")
        assert tag != "img" or "src" not in given or str(given["src"]).startswith("/explore/")


def of(port: int) -> str:
    """What positions on a page are of."""
    found = re.search(r'data-of="([0-9a-f]{16})"', text_of(port, "/explore/kept"))
    assert found is not None
    return f"of={found.group(1)}"


def test_all_pages_open(port: int) -> None:
    assert Browser(port).get("/explore")[1]["location"] == "/explore/kept"
    page = text_of(port, "/explore/kept")
    assert f'<b id="count">{ROWS}</b> rows' in page
    assert page.count('class="pic') == 60
    for path in ("/map", "/compare", "/row?{of}&at=2", "/rows?start=60", "/facets", "/brief?{of}&at=7", "/uids"):
        text_of(port, f"/explore/kept{path.format(of=of(port))}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/row?uid=u0003",
        "/facets",
        "/compare",
        "/map",
        "?layout=table",
        "?is.label=" + quote(BAD),
        "/map/picked?sel={sel}&by=label",
    ],
)
def test_text_of_the_pool_is_escaped(port: int, path: str) -> None:
    browser = Browser(port)
    browser.get("/explore/kept")
    bits = base64.b64encode(np.packbits(np.ones(ROWS, bool), bitorder="little").tobytes()).decode()
    _, _, body = browser.post("/explore/kept/map/selection", {"vec": "clip", "method": "pca", "bits": bits})
    page = text_of(port, f"/explore/kept{path.format(sel=json.loads(body)['selection'])}")
    for bad in (CAPTION, BAD, "</script><b>", "<img src=x"):
        assert bad not in page
    Tags().feed(page)


def test_filters_are_addresses(port: int) -> None:
    page = text_of(port, "/explore/kept?" + urlencode({"is.label": "class 1", "min.width": 30, "out": "kept"}))
    wanted = [row for row in range(20, KEPT) if row % 5 == 1 and row % 3]
    assert f'<b id="count">{len(wanted)}</b>' in page
    assert "label = &#39;class 1&#39; and width &gt;= 30" in page
    uids = text_of(port, "/explore/kept/uids?" + urlencode({"is.label": "class 1", "min.width": 30, "out": "kept"}))
    assert uids.split() == [f"u{row:04d}" for row in wanted]


def test_facets_of_many_rows_come_after_the_page(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LAZY_ROWS", 10)
    page = text_of(port, "/explore/kept?out=kept")
    assert 'class="facet"' not in page
    assert 'hx-get="/explore/kept/facets?out=kept" hx-trigger="load"' in page
    assert 'data-name="label" open' in text_of(port, "/explore/kept/facets?out=kept")


def test_words_are_found_in_texts(port: int) -> None:
    page = text_of(port, "/explore/kept?has=U000")
    assert '<b id="count">10</b>' in page  # in the uid, or in the image path
    assert "“U000”" in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"where": "widht > 3"}, "did you mean 'width'"),
        ({"where": "width >"}, "width"),
        ({"min.width": "<b>"}, "is not a number"),
        ({"is.nothing": "x"}, "no column 'nothing'"),
        ({"sel": "../../secret"}, "select again"),
        ({"sort": "text"}, "cannot be sorted"),
        ({"q": "a red car"}, "the run names no encoder for"),
        ({"like": "nobody"}, "has the uid 'nobody'"),
        ({"has": "x" * 3_000}, "longer than 2,000"),
    ],
)
def test_what_is_wrong_with_an_address_is_reported(port: int, query: dict[str, str], words: str) -> None:
    page = text_of(port, "/explore/kept?" + urlencode(query))
    assert words in unescape(page)
    Tags().feed(page)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/explore/..%2f..%2fsecret", 404),
        ("/explore/nothing", 400),
        ("/explore/kept/row?{of}&at=99999", 400),
        ("/explore/kept/row?of=0123456789abcdef&at=1", 400),
        ("/explore/kept/row?at=1", 400),
        ("/explore/kept/row?uid=nobody", 400),
        ("/explore/kept/row?at=-1", 422),
        ("/explore/kept/picture?{of}&at=99999", 400),
        ("/explore/kept/picture?{of}&at=3", 404),
        ("/explore/kept/facet?name=uid", 400),
        ("/explore/kept/map/points?vec=text", 400),
        ("/explore/kept/map/points?vec=clip&method=umap", 422),
        ("/explore/kept/map/picked?sel=../../x", 422),
        ("/explore/kept/map/picked?sel=0123456789abcdef", 400),
        ("/explore/kept/story?uid=nobody", 400),
    ],
)
def test_what_is_not_there_is_refused(port: int, path: str, status: int) -> None:
    text_of(port, path.format(of=of(port)), status)


def test_pictures_are_drawn_anew(port: int) -> None:
    status, headers, body = Browser(port).get(f"/explore/kept/picture?{of(port)}&at=0&edge=160")
    assert (status, headers["content-type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    dropped = Browser(port).get(f"/explore/kept/picture?{of(port)}&at={KEPT + 1}&edge=160")
    assert dropped[0] == 200
    assert dropped[2] != body


def test_a_selection_needs_the_csrf_token_and_fits_the_map(port: int) -> None:
    browser = Browser(port)
    browser.get("/explore/kept/map")
    bits = base64.b64encode(bytes([0b101])).decode()
    lasso = {"vec": "clip", "method": "pca", "bits": bits}
    status, _, body = browser.post("/explore/kept/map/selection", lasso)
    made = json.loads(body)
    assert (status, made["rows"]) == (200, 2)
    assert text_of(port, f"/explore/kept/uids?sel={made['selection']}").split() == ["u0000", "u0002"]
    assert browser.post("/explore/kept/map/selection", lasso, X_CSRF_Token="x")[0] == 403
    assert Browser(port).post("/explore/kept/map/selection", lasso)[0] == 403
    for wrong in ("****", base64.b64encode(bytes(20)).decode()):
        assert browser.post("/explore/kept/map/selection", lasso | {"bits": wrong})[0] == 400
    assert browser.post("/explore/kept/map/selection", lasso | {"bits": "A" * 50_000})[0] == 422
    assert browser.post("/explore/kept/map/selection", lasso | {"bits": "A" * 70_000})[0] == 413


def test_points_and_colours_belong_together(port: int) -> None:
    status, headers, body = Browser(port).get("/explore/kept/map/points?vec=clip")
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    count, of = np.frombuffer(body[:8], "<u4")
    assert (count, of) == (ROWS, ROWS)
    assert np.abs(np.frombuffer(body, "<f4", 2 * ROWS, 8)).max() == pytest.approx(1)
    assert np.frombuffer(body, "<u4", ROWS, 8 + 8 * ROWS).tolist() == list(range(ROWS))
    made = json.loads(text_of(port, "/explore/kept/map/colours?vec=clip&by=label&out=dropped"))
    codes = np.frombuffer(base64.b64decode(made["codes"]), np.uint8)
    assert len(codes) == ROWS
    assert {hue["words"]: hue["rows"] for hue in made["legend"]}[BAD] == (codes == made["legend"][0]["code"]).sum()
    found = np.unpackbits(np.frombuffer(base64.b64decode(made["found"]), np.uint8), bitorder="little")[:ROWS]
    assert found.tolist() == [0] * KEPT + [1] * (ROWS - KEPT)


def test_more_like_this_and_its_steps(port: int) -> None:
    page = unescape(text_of(port, "/explore/kept?like=u0100&cut=0.99"))
    step = re.search(r'id="step">(.*?)</pre>', page, re.S)
    assert step is not None
    assert "where: similarity >= 0.99" in step.group(1)
    assert "- top: {by: similarity, n: 1}" in page
    first = re.search(r'data-at="(\d+)"', page)
    assert first is not None
    assert first.group(1) == "100"


def test_two_groups_have_addresses(port: int) -> None:
    assert "b.out=dropped" in Browser(port).get("/explore/kept/compare?out=kept&side=a")[1]["location"]
    page = text_of(
        port, "/explore/kept/compare?" + urlencode({"a.out": "kept", "b.add": json.dumps(["label", "class 1"])})
    )
    assert "label: class 1" in page
    assert f"<b>{KEPT}</b>" in page
    for wrong in ("{", '["nothing", "x"]', "[1]", '"x"'):
        text_of(port, "/explore/kept/compare?" + urlencode({"b.add": wrong, "b.out": "kept"}))


def test_the_report_is_shut_in(port: int, run: Path) -> None:
    status, headers, _ = Browser(port).get("/report")
    assert status == 200
    assert "frame-src 'self'" in headers["content-security-policy"]
    status, headers, body = Browser(port).get("/report/page")
    policy = headers["content-security-policy"]
    assert status == 200
    assert "sandbox allow-scripts" in policy
    assert "allow-same-origin" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    assert "frame-ancestors 'self'" in policy
    assert b"poolwright report" in body
    (run / "report.html").write_text("<script>alert(1)</script>")
    assert b"alert(1)" not in Browser(port).get("/report/page")[2]


def test_a_large_table_is_read_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "AT_ONCE", 10)
    going, pages = threading.Event(), []
    build = views.build_index

    def slowly(*given: object) -> None:
        going.wait(10)
        build(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(views, "build_index", slowly)
    with serving(make_run(tmp_path)) as (port, _):
        pages.append(text_of(port, "/explore/kept"))
        pages.append(text_of(port, "/explore/kept/row?uid=u0001", 400))
        going.set()
        for _ in range(1000):
            page = text_of(port, "/explore/kept")
            if 'id="wait"' not in page:
                break
    assert 'id="wait"' in pages[0]
    assert "still being read" in pages[1]
    assert f'<b id="count">{ROWS}</b>' in page
