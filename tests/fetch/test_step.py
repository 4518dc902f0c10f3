"""The step `fetch`: a table's images are fetched before its rows are read, and later tables see them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, RecipeError
from poolwright.demo.demo import clip_folder
from poolwright.fetch import fetch
from tests.fetch.server import BadServer, picture, sha256

ASKED: dict[str, Any] = {"timeout": 0.5, "total": 2, "retries": 0, "allow_private": True, "shard_rows": 4}


def urls_of(server: BadServer) -> list[str | None]:
    found = [server.url(f"/ok/{number}") for number in range(9)]
    return [*found, server.url("/status/404"), server.url("/html"), None, "file:///etc/passwd"]


def write_pool(folder: Path, urls: list[str | None]) -> None:
    uids = [f"row-{row}" for row in range(len(urls))]
    wanted = [None] * len(urls)
    pool = {"uid": uids, "url": urls, "sha256": pa.array(wanted, pa.string()), "width": [1] * len(urls)}
    pq.write_table(pa.table(pool), folder / "pool.parquet", row_group_size=5)


def recipe(folder: Path, asked: dict[str, Any] = ASKED, **more: Any) -> Recipe:
    tables = {
        "candidates": {"from": "pool", "steps": [{"where": "uid <> 'row-2'"}]},
        "pictures": {"from": "candidates", "steps": [{"fetch": asked}, "hash"]},
        "described": {
            "from": "pictures",
            "steps": [{"embed": {"image": "clip", "model": f"onnx:{clip_folder()}"}}],
        },
    }
    pools = {"pool": {"read": "table", "path": "pool.parquet"}}
    return Recipe.from_data({"recipe": 1, "name": "urls", "pools": pools, "tables": {**tables, **more}}, folder)


def test_images_are_fetched_and_seen_by_the_steps_that_follow(server: BadServer, tmp_path: Path) -> None:
    write_pool(tmp_path, urls_of(server))
    tables = api.run(recipe(tmp_path), tmp_path / "run").tables
    pictures = tables["pictures"]
    (funnel,) = [row for row in pictures.record.funnel if row.verb == "fetch"]
    assert funnel.dropped == {"not_found": 1, "not_an_image": 1, "bad_url": 1, "refused_scheme": 1}
    kept = pictures.read().to_pylist()
    assert [row["uid"] for row in kept] == [f"row-{number}" for number in (0, 1, 3, 4, 5, 6, 7, 8)]
    for row in kept:
        number = int(row["uid"].removeprefix("row-"))
        assert row["sha256"] == sha256(picture(number))
        assert (row["width"], row["height"], row["bytes"]) == (40 + number % 5, 30, len(picture(number)))
        assert row["phash"] is None  # of one colour: there is nothing to compare
        assert (Path(str(pictures.image_root)) / row["image_path"]).read_bytes() == picture(number)
    assert tables["described"].record.rows_kept == len(kept)
    assert pictures.timings()["fits"]["fetch"]["seconds"] > 0


def test_rows_lie_beside_their_own_images_whatever_the_cut(server: BadServer, tmp_path: Path) -> None:
    write_pool(tmp_path, urls_of(server))
    found = []
    for rows in (1, 3, 100):
        run = api.run(recipe(tmp_path, {**ASKED, "shard_rows": rows}), tmp_path / f"run-{rows}", batch_rows=2)
        found.append(run.tables["pictures"].read(["uid", "sha256"]))
    assert found[0] == found[1] == found[2]


def test_a_fetch_that_was_stopped_goes_on(server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pool(tmp_path, urls_of(server))
    undisturbed = api.run(recipe(tmp_path), tmp_path / "one").tables["pictures"].read()
    server.seen.clear()
    monkeypatch.setattr(fetch, "summarize", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        api.run(recipe(tmp_path), tmp_path / "two")
    monkeypatch.undo()
    assert api.run(recipe(tmp_path), tmp_path / "two").tables["pictures"].read() == undisturbed
    assert set(server.seen.values()) == {1}


def test_why_tells_of_a_lost_image(server: BadServer, tmp_path: Path) -> None:
    write_pool(tmp_path, urls_of(server))
    api.run(recipe(tmp_path), tmp_path / "run")
    story = next(story for story in api.why(tmp_path / "run", "row-9") if story.table == "pictures")
    assert story.chapters[0].dropped == "404 or 410: gone"
    assert story.chapters[0].values["fetch_error"] == "not_found"


def test_other_rows_are_not_mixed_with_fetched_images(server: BadServer, tmp_path: Path) -> None:
    write_pool(tmp_path, urls_of(server))
    api.run(recipe(tmp_path), tmp_path / "run")
    write_pool(tmp_path, list(reversed(urls_of(server))))
    with pytest.raises(ChangedError):
        api.run(recipe(tmp_path), tmp_path / "run")
    with pytest.raises(ChangedError, match=r"table 'pictures': .* rm -r .*fetched/pictures"):
        api.run(recipe(tmp_path), tmp_path / "run", fresh=["candidates", "pictures", "described"])
    shutil.rmtree(tmp_path / "run" / "fetched" / "pictures")
    again = api.run(recipe(tmp_path), tmp_path / "run", fresh=["candidates", "pictures", "described"])
    assert again.tables["pictures"].record.rows_kept == 9


@pytest.mark.parametrize(
    ("steps", "source", "words"),
    [
        ([{"where": "width > 0"}, {"fetch": {}}], "candidates", "must be the first step of its table"),
        ([{"fetch": {}}], "pool", "'pool' is a pool; make a table of those rows"),
        ([{"fetch": {"url": "link"}}], "candidates", "needs the column 'link', which no step before it gives"),
        ([{"fetch": {"url": "width"}}], "candidates", "needs text in 'width', which holds int32"),
        ([{"fetch": {"format": "webdataset"}}], "candidates", "format"),
        ([{"fetch": {"max_bites": 3}}], "candidates", "did you mean 'max_bytes'"),
    ],
)
def test_what_is_wrong_is_found_before_anything_runs(steps: list[Any], source: str, words: str, tmp_path: Path) -> None:
    write_pool(tmp_path, ["https://example.org/1.jpg"])
    with pytest.raises(RecipeError, match=words):
        api.check(recipe(tmp_path, wrong={"from": source, "steps": steps}))
