"""What a studio opens besides runs; tags of rows; a run that waits; an expression that is wrong."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import InputError, WaitingForPeople
from poolwright.core.table import Table
from poolwright.inspect.views.tags import TaggedRow, add_tag, parse_tags, read_tag
from poolwright.studio.opening import run_of
from tests.studio.made import Browser, make_run, picture, serving


def uids(run: Path) -> list[str]:
    return [str(uid) for uid in Table(run / "tables/rows").read(["uid"])["uid"].to_pylist()]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_anything_is_opened(tmp_path: Path) -> None:
    images = tmp_path / "My photos"
    images.mkdir()
    for row in range(3):
        (images / f"{row}.jpg").write_bytes(picture(row))
    assert uids(run_of(images)) == ["0.jpg", "1.jpg", "2.jpg"]
    (images / "3.jpg").write_bytes(picture(3))
    run = run_of(images)
    assert len(uids(run)) == 4, "what has changed is read again"
    assert run_of(run) == run
    assert sorted(path.name for path in images.iterdir()) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"], "nothing is written"
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), plain)
    assert len(uids(run_of(plain))) == 2, "rows without ids are numbered"
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "metadata.csv").write_text("file_name,label\na.jpg,cat\n")
    (hub / "a.jpg").write_bytes(picture(1))
    assert len(uids(run_of(hub))) == 1
    data = {
        "recipe": 1,
        "name": "r",
        "pools": {"p": {"read": "image_folder", "path": "My photos"}},
        "tables": {"t": {"from": "p"}},
        "releases": [{"table": "t", "layout": "huggingface", "to": "out"}],
    }
    api.run(Recipe.from_data(data, tmp_path), tmp_path / "runs" / "r")
    assert len(uids(run_of(tmp_path / "out"))) == 4
    with pytest.raises(InputError, match=r"but in those below it: r; open one of them"):
        run_of(tmp_path / "runs")
    with pytest.raises(InputError, match="nor a release, images"):
        run_of(tmp_path / "cache" / "poolwright")
    with pytest.raises(InputError, match="there is no such file or folder"):
        run_of(tmp_path / "nowhere")


def test_folders_of_images_are_their_classes(tmp_path: Path) -> None:
    for name in ("art/dog/1.jpg", "art/cat/2.jpg", "photo/dog/3.jpg", "4.jpg"):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).write_bytes(picture(1))
    rows = Table(run_of(tmp_path / "all") / "tables/rows").read(["uid", "label", "folder"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("4.jpg", None, None), ("art/cat/2.jpg", "cat", "art"), ("art/dog/1.jpg", "dog", "art"),
        ("photo/dog/3.jpg", "dog", "photo"),
    ]  # fmt: skip
    assert Table(run_of(tmp_path / "all" / "art") / "tables/rows").schema.names == ["uid", "image_path", "label"]


def test_rows_without_pictures_are_a_table(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"url": ["https://a.example/1.jpg"] * 3, "text": ["a", "b", "c"]}), tmp_path / "urls.parquet"
    )
    with serving(run_of(tmp_path / "urls.parquet")) as (port, _):
        anna = Browser(port, "Anna")
        for query in ("", "?has=b", "?layout=grid", "?where=nonsense%20("):
            page = anna.get(f"/explore/rows{query}")[2].decode()
            assert 'class="list ex-table"' in page, query
            assert "/picture?" not in page, query
        assert b"/picture?" not in anna.get("/explore/rows/rows?layout=table")[2]


def test_tags_are_files_that_steps_read(tmp_path: Path) -> None:
    run = make_run(tmp_path, 12)
    with serving(run) as (port, _):
        anna = Browser(port, "Anna")
        said = anna.post("/explore/kept/tags", form={"word": "odd", "query": "is.class=cat"})[2]
        assert said == b"6 rows got the tag odd"
        anna.post("/explore/kept/tags", form={"word": "odd", "query": "where=uid='u0000'", "away": "true"})
        assert b">odd</a>" in anna.get("/explore/kept/tags")[2]
        status, headers, _ = anna.get("/explore/kept/tagged?word=odd")
        assert status == 303
        assert b'id="count">5</b>' in anna.get(headers["location"])[2]
        of = anna.get("/explore/kept")[2].decode().split('data-of="')[1].split('"')[0]
        query = anna.ask("/explore/kept/pick", {"of": of, "positions": [1, 2]})["query"]
        assert b'id="count">2</b>' in anna.get(f"/explore/kept?{query}")[2]
        exported = anna.get("/tags/odd.csv")[2].decode()
        status, _, body = anna.post("/explore/kept/tags", form={"word": "../x"})
        assert (status, b"cannot be a tag" in body) == (400, True)
    rows = parse_tags(exported, "odd.csv")
    assert [row.uid for row in rows] == ["u0002", "u0004", "u0006", "u0008", "u0010"]
    assert {(row.by, row.table, row.time[:2]) for row in rows} == {("Anna", "kept", "20")}
    assert add_tag(run, [TaggedRow("u0002", "odd"), TaggedRow("u0003", "odd", by="Ben")]) == 1
    assert [(row.uid, row.by) for row in read_tag(run, "odd")][::5] == [("u0002", "Anna"), ("u0003", "Ben")]
    data = {
        "recipe": 1,
        "name": "tagged",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {
            "good": {"from": "rows", "steps": [{"remove": {"file": "run/tags/odd.csv"}}]},
            "all": {"from": "rows", "steps": [{"join": {"with": "run/tags/odd.csv", "columns": {"odd": "tag"}}}]},
        },
    }
    kept = (
        api.run(Recipe.from_data(data, tmp_path), tmp_path / "second").tables["good"].read(["uid"])["uid"].to_pylist()
    )
    assert kept == ["u0000", "u0001", "u0005", "u0007", "u0009", "u0011"]


def test_a_wrong_expression_keeps_its_text_and_the_other_filters(tmp_path: Path) -> None:
    with serving(make_run(tmp_path, 6)) as (port, _):
        page = Browser(port, "Anna").get("/explore/kept?is.class=cat&where=width+%3E%3E%3E+3")[2].decode()
    assert 'value="width &gt;&gt;&gt; 3"' in page
    assert 'id="count">3</b>' in page
    assert "^" in page.split('role="alert"')[1].split("</p>")[0]


def test_a_run_that_waits_can_be_looked_at(tmp_path: Path) -> None:
    table = pa.table({"uid": ["a", "b"], "label": ["cat", "dog"], "image": [picture(1), picture(2)]})
    pq.write_table(table, tmp_path / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "asking",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"good": {"from": "rows", "steps": [{"verify": {"class": "label"}}]}},
    }
    with pytest.raises(WaitingForPeople):
        api.run(Recipe.from_data(data, tmp_path), tmp_path / "run")
    with serving(tmp_path / "run") as (port, _):
        anna = Browser(port, "Anna")
        assert anna.get("/explore")[1]["location"] == "/verify/good/rows"
        anna.say("good", {"a": "negative"})
        page = anna.get("/verify/good/rows")[2].decode()
        assert (page.count("<figure>"), "Anna: no" in page) == (2, True)
        assert anna.get("/verify/good/rows?group=dog")[2].decode().count("<figure>") == 1


def test_versions_side_by_side(tmp_path: Path) -> None:
    before, after = make_run(tmp_path / "before", 6), make_run(tmp_path / "after", 8)
    with serving(after) as (port, _):
        anna = Browser(port, "Anna")
        to = anna.post("/diff", form={"table": "kept", "other": f"{before}/kept"})[1]["hx-redirect"]
        assert b'src="/diff/' in anna.get(to)[2]
        _, headers, page = anna.get(f"{to}/page")
        assert "sandbox" in headers["content-security-policy"]
        assert b"u0007" in page or b"2 rows" in page or b">2<" in page
        status, _, body = anna.post("/diff", form={"table": "kept", "other": f"{tmp_path}/nowhere"})
        assert (status, b"nowhere" in body) == (400, True)
        assert anna.get("/diff/..%2Fkey")[0] == 404
