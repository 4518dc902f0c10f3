"""Pages and commands: queues are made, estimates follow the verdicts, files go out and in, errors are reported."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.annotation.queue.queue import read_queue
from poolwright.annotation.sample import accuracy, read_sample
from poolwright.annotation.verdicts import Verdict
from poolwright.api import Recipe
from poolwright.core.rows import vector_array
from poolwright.studio.access import make_access
from poolwright.studio.serve import links
from tests.calling import call
from tests.studio.made import Browser, ask, make_run, picture, serving


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("pages"), 40)


@pytest.fixture(scope="module")
def anna(run: Path) -> Iterator[Browser]:
    with serving(run) as (port, _):
        yield Browser(port, "Anna")


def test_queues_are_made_from_tables(anna: Browser, run: Path) -> None:
    form = {"table": "kept", "column": "class", "name": "pets 1", "target": "95%", "overlap": "2"}
    assert anna.post("/verify", form=form)[1]["hx-redirect"] == "/verify/pets-1"
    made = read_queue(run / "verify" / "pets-1")
    assert (made.settings.target, made.settings.overlap, list(made.groups)) == (0.95, 2, ["cat", "dog"])
    for change, words in (
        ({}, "there is a queue 'pets-1' already"),
        ({"name": "../x"}, "is not a valid name for a queue"),
        ({"name": "x", "column": "no such"}, "has no column 'no such'"),
        ({"name": "x", "target": "99"}, "is not a share"),
        ({"name": "x", "table": "lost"}, "no table 'lost' of this run is finished"),
    ):
        status, _, body = anna.post("/verify", form=form | change)
        assert status == 400
        assert words in body.decode().replace("&#39;", "'")
    for path in (
        "/",
        "/verify",
        "/verify/pets-1",
        "/verify/pets-1/progress",
        "/verify/pets-1/grid",
        "/verify/pets-1/one",
    ):
        status, _, body = anna.get(path)
        assert (path, status) == (path, 200)
        assert b"<script>document" not in body


def test_files_out_and_in_again(anna: Browser, run: Path) -> None:
    ask(run, "files", rule="all")
    for card in anna.take("files", 10):
        anna.say("files", {card["uid"]: "positive"})
    data = {form: anna.get(f"/verify/files/export/{form}")[2] for form in ("csv", "jsonl", "label_studio")}
    ask(run, "again", rule="all")
    for name, form in (("a.csv", "csv"), ("a.jsonl", "jsonl"), ("a.json", "label_studio"), ("a.csv", "csv")):
        assert upload(anna, "again", name, data[form])[1]["hx-redirect"] == "/verify/again"
    assert b"imported a.csv: 10 rows, 10 answers by 1 person" in anna.get("/verify/again")[2]
    certificate = json.loads(anna.get("/verify/again/certificate.json")[2])
    assert certificate["verdicts"] == 10, "the same verdicts, whatever the file"
    status, _, body = upload(anna, "again", "a.csv", b"uid,verdict\nelsewhere,yes\n")
    assert (status, b"rows that are not in the queue" in body) == (400, True)
    upload(anna, "again", "gold.csv", b"uid,verdict\nu0000,yes\nu0001,no\n", gold=True)
    assert re.search(rb"gold questions</dt><dd>2<", anna.get("/verify/again/progress")[2])


def upload(browser: Browser, queue: str, name: str, data: bytes, gold: bool = False) -> tuple[int, object, bytes]:
    parts = [f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + data]
    parts += [b'Content-Disposition: form-data; name="gold"\r\n\r\ntrue'] if gold else []
    body = b"".join(b"--xyz\r\n" + part + b"\r\n" for part in parts) + b"--xyz--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=xyz", "X-CSRF-Token": browser.csrf}
    return browser.request("POST", f"/verify/{queue}/import", body, headers)


def test_careless_people_are_asked_again(anna: Browser, run: Path) -> None:
    ask(run, "careless", rule="all", overlap=2)
    ben = Browser(anna.port, "Ben")
    for browser, verdict in ((anna, "positive"), (ben, "negative")):
        while cards := browser.take("careless", 20):
            browser.say("careless", {card["uid"]: verdict for card in cards})
    assert b"20 of 20" not in anna.get("/verify/careless/progress")[2]
    assert anna.post("/verify/careless/again", form={"annotator": "Ben"})[0] == 303
    body = anna.get("/verify/careless/progress")[2]
    assert b"verdicts set aside" in body
    assert len(ben.take("careless", 60)) == 20, "all of the first group"
    anna.post("/verify/careless/count", form={"annotator": "Ben"})
    assert b"verdicts set aside" not in anna.get("/verify/careless/progress")[2]
    assert b"by the model of Dawid and Skene" in anna.get("/verify/careless/reliability")[2]


def filter_run(folder: Path) -> Path:
    """A run with a classifier of two classes over 2,000 rows."""
    draw = np.random.default_rng(1)
    centres = draw.normal(size=(2, 8))

    def rows(count: int, share: float, name: str) -> pa.Table:
        is_map = draw.random(count) < share
        vectors = (centres[is_map.astype(int)] + 0.9 * draw.normal(size=(count, 8))).astype(np.float16)
        uids = [f"{name}{row}{'m' if one else ''}" for row, one in enumerate(is_map)]
        return pa.table({"uid": uids, "class": np.where(is_map, "map", "other"), "clip": vector_array(vectors)})

    pq.write_table(rows(2_000, 0.1, "p"), folder / "pool.parquet")
    pq.write_table(rows(200, 0.5, "e"), folder / "examples.parquet")
    (folder / "pages").mkdir()
    text = "# Maps\n\n## map\n\nDrawn from above.\n\n### Positive\n\n![a](a.jpg)\n\n### Negative\n\n![b](b.jpg)\n"
    (folder / "pages/instructions.md").write_text(text)
    for name in ("a.jpg", "b.jpg"):
        (folder / "pages" / name).write_bytes(picture(1))
    learn = {
        "with": "clip", "examples": "examples", "positive": "map", "candidates": ["mean"], "folds": 3,
        "question": "Is it a {class} of the land?", "instructions": "pages/instructions.md",
    }  # fmt: skip
    data = {
        "recipe": 1,
        "name": "maps",
        "pools": {
            "labelled": {"read": "table", "path": "examples.parquet"},
            "pool": {"read": "table", "path": "pool.parquet"},
        },
        "tables": {"maps": {"from": "pool", "steps": [{"classify": learn}]}, "examples": {"from": "labelled"}},
    }
    api.run(Recipe.from_data(data, folder), folder / "run")
    return folder / "run"


def test_estimates_follow_the_verdicts(tmp_path: Path) -> None:
    run = filter_run(tmp_path)
    with serving(run) as (port, _):
        anna = Browser(port, "Anna")
        to = anna.post("/verify/sample", form={"table": "maps", "number": "150"})[1]["hx-redirect"]
        assert to == "/verify/maps-accuracy"
        assert b"precision" in anna.get(f"{to}/estimates")[2]
        page = anna.get(f"{to}/one")[2].decode()
        assert "Is it a map of the land?" in page
        assert "Drawn from above." in page
        assert page.count("an example of yes") == page.count("an example of no") == 2
        said: dict[str, str] = {}
        while cards := anna.take("maps-accuracy", 60):
            verdicts = {card["uid"]: "positive" if card["uid"].endswith("m") else "negative" for card in cards}
            anna.say("maps-accuracy", verdicts)
            said |= verdicts
        body = anna.get(f"{to}/estimates/state?recall=5%25&precision=nonsense")[2].decode()
        assert "is not a half-width" in body
        body = anna.get(f"{to}/estimates/state?recall=3%25")[2].decode()
    assert len(said) == 150
    sample = read_sample(run / "verify/maps-accuracy/sample.json")
    found = accuracy(sample, [Verdict(uid, verdict, "Anna") for uid, verdict in said.items()])
    assert found.recall.value is not None
    for measure in (found.precision, found.recall, found.prevalence):
        low, high = (f"{round(100 * value, 2):.5g} %" for value in (measure.low, measure.high))
        assert f"between {low} and {high}" in body
    assert "more verdicts</b> are expected" in body


def test_links_carry_tokens_behind_the_hash(run: Path) -> None:
    assert [link.url for link in links(make_access(run, "127.0.0.1"), 80, ["Anna"])] == ["http://127.0.0.1:80"]
    access = make_access(run, "::")
    made = links(access, 80, ["Anna", "Łucja O'Neil"])
    assert [link.name for link in made] == ["owner", "Anna", "Łucja O'Neil"]
    assert all("/enter#" in link.url and "?" not in link.url for link in made)


def test_commands_tell_what_is_wrong(run: Path, tmp_path: Path) -> None:
    called = call("studio", tmp_path / "nothing")
    assert (called.code, "no run in this folder" in called.err) == (1, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = make_run(tmp_path / "other", 2)
        called = call("studio", other, "--port", str(taken.getsockname()[1]))
    assert called.code == 2
    assert re.search(r"cannot listen on 127\.0\.0\.1:\d+: .*; choose another --port", called.err)
    called = call("studio", other, "--annotator", "<b>")
    assert (called.code, "is not a valid name for an annotator" in called.err) == (2, True)
