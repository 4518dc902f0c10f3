"""Groups of near-duplicates and of leaks across splits, and samples that are steps."""

from __future__ import annotations

from collections import defaultdict
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.studio.made import Browser, serving

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import InputError
from poolwright.inspect.views.clauses import Filter, Picked
from poolwright.inspect.views.repeats import repeat_columns, repeats, split_columns
from poolwright.inspect.views.view import View
from poolwright.kernels.similarity.unit_length import unit_rows

ROWS = 240


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows in groups of a few equal files, whose vectors are nearly equal; split without regard to them."""
    folder = tmp_path_factory.mktemp("repeats")
    generator = np.random.default_rng(0)
    group = np.sort(generator.integers(0, 150, ROWS))
    vectors = unit_rows(generator.normal(size=(150, 16))[group] + generator.normal(0, 0.01, (ROWS, 16)))
    table = pa.table(
        {
            "uid": [f"u{row:03d}" for row in range(ROWS)],
            "label": np.array(["cat", "dog", "cow"])[group % 3],
            "sha256": pa.array([None if one == 0 else f"{one:064x}" for one in group.tolist()]),
            "clip": pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float32).ravel()), 16),
            "score": np.arange(ROWS) / ROWS,
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    api.run(Recipe.from_data(data_of(), folder), folder / "run")
    return folder


STEPS: list[dict[str, Any]] = [
    {"near_duplicates": {"vectors": "clip", "above": 0.95}},
    {"where": "score < 0.9"},
    {"split": {"ratios": {"train": 0.5, "test": "rest"}}},
]


def data_of(**more: Any) -> dict[str, Any]:
    return {
        "recipe": 1,
        "name": "repeats",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {
            "described": {"from": "rows", "steps": STEPS[:1]},
            "all": {"from": "described", "steps": STEPS[1:]},
            **more,
        },
    }


@pytest.fixture
def view(made: Path) -> View:
    return api.explore(made / "run", "all")


def expected(view: View, column: str, across: bool) -> set[frozenset[str]]:
    groups, sides = defaultdict(set), defaultdict(set)
    for at, row in enumerate(view.read(range(view.rows), ["uid", column, "split"])):
        if row[column] is not None and (at < view.kept or not across):
            groups[row[column]].add(row["uid"])
            sides[row[column]].add(row["split"])
    return {frozenset(rows) for name, rows in groups.items() if len(rows) > 1 and (not across or len(sides[name]) > 1)}


@pytest.mark.parametrize("across", ["", "split"])
@pytest.mark.parametrize("column", ["duplicate_group", "sha256", "clip"])
def test_groups_are_those_of_the_rows(view: View, column: str, across: str) -> None:
    assert repeat_columns(view) == ["duplicate_group", "sha256", "clip"]
    assert split_columns(view) == ["split"]
    found = repeats(view, column, across)
    groups = [
        frozenset(row["uid"] for row in view.read(found.group(number).tolist(), ["uid"]))
        for number in range(len(found))
    ]
    assert set(groups) == expected(view, "duplicate_group" if column == "clip" else column, bool(across))
    assert len(groups) == len(set(groups)) > 5
    sizes = [len(group) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == len(found.positions)


def test_what_cannot_be_grouped_says_so(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(repeats(view, "label")) == 3
    with pytest.raises(InputError, match="there is no column 'nothing'"):
        repeats(view, "nothing")
    monkeypatch.setattr("poolwright.inspect.views.repeats.MOST_COMPARED", 10)
    assert "clip" not in repeat_columns(view)
    with pytest.raises(InputError, match=r"group them by a step: near_duplicates: \{vectors: clip\}"):
        repeats(view, "clip")


def applied(made: Path, steps: str, of: str = "described") -> dict[str, list[Any]]:
    """Append steps to a table of the recipe; what the rows are then."""
    data = data_of(more={"from": of, "steps": yaml.safe_load(steps)})
    found = api.run(Recipe.from_data(data, made), made / "second", fresh=["more"] if (made / "second").exists() else [])
    return dict(found.tables["more"].select(["uid", "duplicate_group", "label"]).to_arrow().to_pydict())


def step_on(page: bytes, title: str) -> str:
    """The step that the button of a gallery copies."""
    part = page.decode().split(f">{title}</a>")[1]
    return unescape(part.split('data-copy="')[1].split('"')[0])


def test_galleries_show_groups_and_their_steps_work(made: Path, view: View) -> None:
    leaks = repeats(view, "duplicate_group", "split")
    with serving(made / "run") as (port, _):
        anna = Browser(port, "Anna")
        listed = anna.get("/explore/all/galleries")[2]
        page = anna.get("/explore/all/groups?by=duplicate_group&across=split")[2].decode()
        assert f'id="groups">{len(leaks)}</b>' in page
        assert page.count("<img") == sum(len(leaks.group(number)) for number in range(min(24, len(leaks))))
        assert anna.get("/explore/all/groups?by=duplicate_group&start=24")[0] == 200
        to = anna.get("/explore/all/grouped?by=duplicate_group&across=split&group=0")[1]["location"]
        assert f'id="count">{len(leaks.group(0))}</b>'.encode() in anna.get(to)[2]
        assert anna.get("/explore/all/strip?min.score=0.5&sort=score")[2].count(b"<img") == 8
        assert b"there is no column" in anna.get("/explore/all/groups?by=nothing")[2]
    groups = defaultdict(set)
    for row in view.read(range(view.rows), ["uid", "duplicate_group"]):
        groups[row["duplicate_group"]].add(row["uid"])
    once = applied(made, step_on(listed, "Near-duplicates"))
    assert sorted(once["uid"]) == sorted(min(uids) for uids in groups.values())
    step = step_on(listed, "Leaks across splits")
    assert yaml.safe_load(step) == [{"split": {"ratios": {"train": 0.5, "test": "rest"}, "group": "duplicate_group"}}]
    cut = applied(made, step_on(listed, "Both sides of score 0.8958"))
    assert cut["uid"] == [f"u{row:03d}" for row in range(216)]


@pytest.mark.parametrize(
    ("form", "rows"),
    [
        ({"strategy": "random", "n": "20"}, 20),
        ({"strategy": "balanced", "n": "21", "classes": "label", "query": "max.score=0.5"}, 21),
        ({"strategy": "diverse", "n": "30", "vectors": "clip"}, 30),
        ({"strategy": "random", "n": "2", "query": "vec=clip&like=u010&cut=0.2"}, 2),
        ({"strategy": "typical", "n": "30", "vectors": "clip", "classes": "label"}, 30),
    ],
)
def test_samples_are_steps(made: Path, view: View, form: dict[str, str], rows: int) -> None:
    with serving(made / "run") as (port, _):
        anna = Browser(port, "Anna")
        status, headers, body = anna.post("/explore/all/draw", form=form)
        assert status == 200, body
        to = headers["hx-redirect"]
        assert anna.post("/explore/all/draw", form=form)[1]["hx-redirect"] == to, "the same sample again"
        page = anna.get(to)[2].decode()
    assert f'id="count">{rows}</b>' in page
    steps = unescape(page.split(">copy step</button>")[0].rsplit('data-copy="', 1)[1].split('"')[0])
    read = view.read(view.picked(to.partition("sel=")[2]).tolist(), ["uid", "label", "score"])
    if form["strategy"] in ("balanced", "typical"):
        assert [sum(row["label"] == label for row in read) for label in ("cat", "dog", "cow")] == [rows // 3] * 3
    if "score" in form.get("query", ""):
        assert max(row["score"] for row in read) <= 0.5
    again = applied(made, steps, "all")
    assert len(again["uid"]) == rows
    if form["strategy"] == "typical":
        assert sorted(again["uid"]) == sorted(row["uid"] for row in read), "no lot is drawn"


def test_a_sample_is_of_what_steps_can_say(made: Path, view: View) -> None:
    with serving(made / "run") as (port, _):
        anna = Browser(port, "Anna")
        query = anna.ask("/explore/all/pick", {"of": view.digest, "positions": [1, 2]})["query"]
        for words, form in {
            "selected by hand are no step": {"strategy": "random", "n": "2", "query": query},
            "dropped rows are not in the table": {"strategy": "random", "n": "2", "query": "out=dropped"},
            "end the search": {"strategy": "random", "n": "2", "query": "vec=clip&odd=outliers+label"},
            "needs a column of classes": {"strategy": "balanced", "n": "2"},
            "needs a column of vectors": {"strategy": "diverse", "n": "2", "vectors": "nothing"},
            "no kept row passes": {"strategy": "random", "n": "2", "query": "where=score+%3E+2"},
        }.items():
            status, _, body = anna.post("/explore/all/draw", form=form)
            assert (status, words in body.decode()) == (400, True), (words, body.decode())
        to = anna.post("/explore/all/draw", form={"strategy": "random", "n": "9"})[1]["hx-redirect"]
        of_it = {"strategy": "random", "n": "4", "query": to.partition("?")[2]}
        to = anna.post("/explore/all/draw", form=of_it)[1]["hx-redirect"]
    assert view.count(Filter((Picked(to.partition("sel=")[2]),))).kept == 4, "a sample of a sample"
