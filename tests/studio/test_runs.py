"""Several runs in one studio, each below a path of its own; a studio in the frame of a notebook."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.api.results import RunResult
from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.run.lock import run_lock
from poolwright.studio.access import FOLDER, Access, make_access
from poolwright.studio.app import create_app
from poolwright.studio.rooted import Framed, rooted
from poolwright.studio.runs import Runs, runs_below
from poolwright.studio.serve import serve
from tests.studio.made import Browser, ask, listening, make_run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def folder_of_runs(folder: Path) -> Path:
    """Two runs of the same recipe with a queue of the same name; one has a release; and one that is damaged."""
    for name in ("one", "two"):
        ask(make_run(folder / name, 12))
    data: dict[str, Any] = {
        "recipe": 1,
        "name": "released",
        "pools": {"rows": {"read": "image_folder", "path": "one/images"}},
        "tables": {"t": {"from": "rows"}},
        "releases": [{"table": "t", "layout": "huggingface", "to": "out"}],
    }
    api.run(Recipe.from_data(data, folder), folder / "runs" / "released")
    (folder / "bad").mkdir()
    (folder / "bad" / "run.json").write_text("{")
    return folder


def test_runs_of_a_folder_are_listed_and_opened(tmp_path: Path) -> None:
    folder = folder_of_runs(tmp_path / "all")
    found = [path.relative_to(folder).as_posix() for path in runs_below(folder)]
    assert found == ["bad", "one/run", "runs/released", "two/run"]
    access = make_access(tmp_path / "key", "127.0.0.1")
    with listening(Runs(folder, access)) as port:
        anna = Browser(port, "Anna")
        start = anna.get("/")[2].decode()
        assert [words in start for words in ("the file is damaged", "released", "/run/one-run/verify/kept")] == [
            True
        ] * 3
        status, headers, _ = anna.get("/run/one-run/explore/kept?is.class=cat")
        assert (status, headers["location"]) == (303, "/run/one-run/explore/kept?is.class=cat")
        page = anna.get("/run/one-run/explore/kept?is.class=cat")[2].decode()
        assert 'id="count">6</b>' in page
        assert 'data-base="/run/one-run/explore/kept"' in page
        urls = re.findall(r'(?:href|src|action|hx-get|hx-post)="(/[^"]*)"', page)
        assert [url for url in urls if not url.startswith("/run/one-run/")] == []
        assert "href=/ " in page, "a link leads back"
        picture = page.split('src="/run/one-run/explore/kept/picture')[1].split('"')[0].replace("&amp;", "&")
        assert anna.get(f"/run/one-run/explore/kept/picture{picture}")[1]["content-type"] == "image/jpeg"
        assert anna.get("/run/one-run/explore")[1]["location"] == "/run/one-run/explore/kept"
        anna.get("/run/two-run/")
        (card, *_) = anna.ask("/run/two-run/verify/kept/take", {"number": 1, "group": "", "have": []})["cards"]
        answer = {"uid": card["uid"], "verdict": "positive", "key": "k" * 32}
        anna.ask("/run/two-run/verify/kept/say", {"act": "a" * 32, "answers": [answer]})
        assert b"1 of 12" in anna.get("/run/two-run/")[2]
        assert b"0 of 12" in anna.get("/run/one-run/")[2], "queues of the same name are apart"
        release = start.split('href="/run/release-')[1].split('"')[0]
        anna.get(f"/run/release-{release}")
        assert b">rows</b>" in anna.get(f"/run/release-{release}")[2]
        status, _, body = anna.get("/run/nothing/")
        assert (status, b"no such run" in body) == (404, True)
        with pytest.raises(PoolwrightError, match="another process"), run_lock(folder / "one" / "run" / FOLDER):
            raise AssertionError("the run is locked while it is served")
    with run_lock(folder / "one" / "run" / FOLDER):
        pass  # and free again


def test_tokens_are_those_of_all_runs(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    make_run(folder / "runs", 6)
    access = Access(b"k" * 32, "0.0.0.0")
    with listening(Runs(folder / "runs", access)) as port:
        stranger = Browser(port)
        for path in ("/", "/run/run/", "/run/run/explore/kept"):
            status, headers, _ = stranger.get(path)
            assert (status, headers["location"]) == (303, "/enter"), "nothing is opened for strangers"
        anna = Browser(port, token=access.token("Anna"))
        anna.get("/run/run/")
        assert b">kept</b>" in anna.get("/run/run/")[2]
        assert stranger.get("/run/run/")[1]["location"] == "/run/run/enter"
        assert anna.post("/run/run/explore/kept/tags", form={"word": "x"})[0] == 403, "Anna is not the owner"


def test_a_frame_needs_no_cookies(tmp_path: Path) -> None:
    run = make_run(tmp_path, 6)
    framed = Framed(create_app(run, make_access(run, "127.0.0.1")), "Anna")
    with listening(framed) as port:
        browser = Browser(port)
        _, headers, body = browser.get(f"{framed.root}/explore/kept")
        assert "x-frame-options" not in headers
        assert "frame-ancestors" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert f'data-root="{framed.root}"'.encode() in body
        browser.cookie = ""
        said = browser.post(f"{framed.root}/explore/kept/tags", form={"word": "odd", "query": "is.class=cat"})[2]
        assert said == b"3 rows got the tag odd"
        _, headers, _ = browser.get("/explore/kept")
        assert headers["x-frame-options"] == "DENY", "elsewhere frames stay forbidden"
        assert browser.get(f"{framed.root[:-1]}x/")[0] == 404
        browser.cookie = ""
        assert browser.post("/explore/kept/tags", form={"word": "odd"})[0] == 403
    with pytest.raises(RecipeError, match="for this machine only"):
        serve(run, host="0.0.0.0", port=0, frame=True)


def test_only_urls_of_attributes_get_a_root() -> None:
    html = '<a href="/x">/y</a><a href="//z"><input value="/w" title="="><p data-base="/b" hx-get="/g?a=&#34;/h">'
    assert rooted(html, "/r") == (
        '<a href="/r/x">/y</a><a href="//z"><input value="/w" title="="><p data-base="/r/b" hx-get="/r/g?a=&#34;/h">'
    )


def test_a_notebook_shows_the_studio_in_a_frame(tmp_path: Path) -> None:
    run = make_run(tmp_path, 6)
    result = RunResult(run, {}, (), ())
    with result.explore("kept", height=300) as explorer:
        html = explorer._repr_html_()
        assert f'src="{explorer.url}"' in html
        assert 'height="300"' in html
        with urllib.request.urlopen(explorer.url) as answer:
            assert b'id="count">6</b>' in answer.read()
        assert result.explore() is explorer
    assert explorer.closed
    assert "is closed" in explorer._repr_html_()
    with run_lock(run / FOLDER):
        pass


def test_thumbnails_of_a_table(tmp_path: Path) -> None:
    (table,) = api.show(make_run(tmp_path, 6))
    assert table[:4].show()._repr_html_().count("<img") == 4
    assert repr(table.show(2)) == "<2 pictures, which a notebook shows>"
    assert "No pictures" in table.select(["uid"]).show(0)._repr_html_()
    assert json.dumps(table.show(1).html)
