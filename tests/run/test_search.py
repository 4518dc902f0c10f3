"""search: against plain cosines, in the demo's run, and what it says when nothing can be found."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.results.search_result import Query
from poolwright.core.rows import vector_array
from poolwright.inspect.search import SCORE, search, search_steps
from poolwright.inspect.views.clauses import Among, Between, Filter
from poolwright.inspect.views.vectors import TableRows
from tests.calling import call
from tests.conftest import MadeDemo

ROWS, WIDTH = 400, 16


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with vectors in three buckets, one row without a vector; text features of two prompts next to it."""
    folder = tmp_path_factory.mktemp("searched")
    draw = np.random.default_rng(4)
    vectors = draw.normal(size=(ROWS, WIDTH))
    vectors[1] = vectors[0]
    vectors[7] = np.nan
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns: dict[str, Any] = {"uid": [f"{row:03d}" for row in range(ROWS)], "day": draw.integers(0, 90, ROWS)}
    (folder / "rows").mkdir()
    table = pa.table({**columns, "clip": vector_array(vectors.astype(np.float16))})
    pq.write_table(table.slice(0, 150), folder / "rows" / "0.parquet")
    pq.write_table(table.slice(150), folder / "rows" / "1.parquet")
    np.save(folder / "one.npy", draw.normal(size=WIDTH))
    np.save(folder / "two.npy", draw.normal(size=(2, WIDTH)))
    data = {
        "recipe": 1,
        "name": "searched",
        "pools": {"rows": {"read": "table", "path": "rows"}},
        "tables": {
            "stream": {"from": "rows", "steps": [{"bucket": {"by": "day", "n": 3}}]},
            "some": {"from": "stream", "steps": [{"sample": {"n": 30}}, {"keep_columns": ["day"]}]},
        },
    }
    api.run(Recipe.from_data(data, folder), folder / "run")
    return folder


def plain(folder: Path, features: str) -> tuple[np.ndarray, np.ndarray]:
    """Cosines (p, n) of the features with all rows, NaN if there is no vector; and the buckets."""
    rows = api.show(folder / "run")[0].read(["clip", "bucket"])
    stored = rows["clip"].combine_chunks().values.to_numpy(zero_copy_only=False).reshape(-1, WIDTH)
    vectors = stored.astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # float16 leaves lengths off
    texts = np.atleast_2d(np.load(folder / features))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    return texts @ vectors.T, rows["bucket"].to_numpy()


def test_the_nearest_rows_of_a_bucket(searched: Path) -> None:
    found = api.search(searched / "run", "a map", bucket=1, n=12, features=searched / "one.npy")
    cosines, buckets = plain(searched, "one.npy")
    here = np.flatnonzero((buckets == 1) & np.isfinite(cosines[0]))
    order = here[np.argsort(-cosines[0, here], kind="stable")]
    assert found.rows == len(here)
    assert found.nearest.positions == tuple(order[:12].tolist())
    assert np.allclose(found.nearest.scores, cosines[0, order[:12]], atol=1e-6)
    assert np.allclose(found.all_scores, cosines[0, order], atol=1e-6)
    assert [one.first for one in found.deeper] == [36, 120, len(here) - 7]
    for one in found.deeper:
        assert one.positions == tuple(order[one.first - 1 : one.first + 7].tolist())


def test_neighbours_of_an_image_are_its_copies_first(searched: Path) -> None:
    found = api.search(searched / "run", like="001", n=5)
    assert found.neighbours.positions[:2] == (0, 1)
    assert found.nearest.positions == found.neighbours.positions[:5]
    assert found.nearest.scores[0] == pytest.approx(1, abs=1e-3)
    assert found.prompt == ""


def test_neighbours_of_the_nearest_row_or_of_one_that_is_named(searched: Path) -> None:
    found = api.search(searched / "run", "a map", bucket=1, features=searched / "one.npy")
    again = api.search(searched / "run", like=found.like)
    assert found.neighbours == again.neighbours
    assert found.neighbours.positions[0] == found.nearest.positions[0]
    named = api.search(searched / "run", "a map", like="001", features=searched / "one.npy")
    assert named.neighbours.positions[:2] == (0, 1)
    assert (named.like, len(named.neighbours.positions)) == ("001", 24)


def test_two_prompts_compete(searched: Path) -> None:
    found = api.search(searched / "run", "a", against="b", n=100, features=searched / "two.npy")
    cosines, _ = plain(searched, "two.npy")
    cosines = cosines[:, np.isfinite(cosines[0])]
    near = [set(np.argsort(-one, kind="stable")[:100].tolist()) for one in cosines]
    contest = found.contest
    assert contest is not None
    assert contest.both == len(near[0] & near[1]) > 0
    assert contest.won[0] == sum(cosines[0, row] >= cosines[1, row] for row in near[0] & near[1])
    assert contest.alone == (len(near[0] - near[1]), len(near[1] - near[0]))
    assert sum(contest.everywhere) == ROWS - 1
    gaps = [abs(one - other) for one, other in contest.scores]
    assert gaps == sorted(gaps)


def test_page_and_sheet_of_rows_without_pictures(searched: Path, tmp_path: Path) -> None:
    found = api.search(searched / "run", "<b>a & b</b>", bucket=0, n=3, features=searched / "one.npy")
    page, sheet = api.write_search(searched / "run", found, tmp_path / "out")
    assert page.name == "search-b-a-b-b-bucket-0.html"
    html = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in html
    assert "<b>a & b</b>" not in html
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "give a prompt, or the uid of an image"),
        ({"prompt": " "}, "the prompt is empty"),
        ({"against": "b", "like": "001"}, "--against needs a prompt"),
        ({"prompt": "a"}, "the run names no encoder for 'clip'"),
        ({"prompt": "a", "bucket": 7, "features": "one.npy"}, "has no bucket '7'; known: 0, 1, 2"),
        ({"prompt": "a", "table": "som"}, "did you mean 'some'"),
        ({"prompt": "a", "table": "some"}, "'some' has no column of vectors"),
        ({"prompt": "a", "vectors": "clpi"}, "did you mean 'clip'"),
        ({"prompt": "a", "features": "two.npy"}, "shape"),
        ({"prompt": "a", "model": "onxn:clip"}, "did you mean 'onnx'"),
    ],
)
def test_wrong_calls(searched: Path, parameters: dict[str, Any], words: str) -> None:
    if "features" in parameters:
        parameters = {**parameters, "features": searched / parameters["features"]}
    with pytest.raises(RecipeError, match=words):
        api.search(searched / "run", **parameters)


@pytest.mark.parametrize(
    ("uid", "words"), [("nobody", "no row 'nobody' was kept"), ("007", "'007' has no usable vector")]
)
def test_images_that_cannot_be_compared(searched: Path, uid: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        api.search(searched / "run", like=uid)


def test_the_demo_by_prompt(made_demo: MadeDemo, tmp_path: Path) -> None:
    """The encoder and the pictures are those of the run; boats are found before anything else."""
    called = call(
        "search", made_demo.folder / "demo" / "run", "a photo of a boat.", "--against", "a photo of a car.", "--n", 15,
        "--to", tmp_path,
    )  # fmt: skip
    assert called.code == 0, called.err
    assert "the nearest 15 of 59" in called.out
    html = (tmp_path / "search-a-photo-of-a-boat-a-photo-of-a-car.html").read_text(encoding="utf-8")
    nearest = html[html.index("The nearest 15") : html.index("Against")]
    assert re.findall(r"label</span> <b><bdi>(\w+)", nearest) == ["boat"] * 15
    assert nearest.count("data:image/webp;base64,") == 15
    assert "http:" not in html
    sheet = (tmp_path / "search-a-photo-of-a-boat-a-photo-of-a-car.jpg").read_bytes()
    with Image.open(io.BytesIO(sheet)) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float64)
    assert pixels.std() > 30, "there are pictures on it"


def test_a_bucket_is_looked_for_in_a_table_that_has_buckets(made_demo: MadeDemo) -> None:
    run = made_demo.folder / "demo" / "run"
    assert api.search(run, "a red house", n=3).table == "described"
    assert api.search(run, "a red house", bucket=3, n=3).table == "stream"


@pytest.mark.parametrize(
    ("call_with", "asked"),
    [
        ({"prompt": "a", "features": "one.npy"}, {"prompt": "a", "features": "one.npy"}),
        ({"like": "123"}, {"like": "123"}),
        ({"like": "001", "bucket": 2}, {"like": "001", "bucket": "2"}),
        (
            {"prompt": "a", "against": "b", "features": "two.npy"},
            {"prompt": "a", "against": "b", "features": "two.npy"},
        ),
        ({"prompt": "a", "bucket": 1, "features": "one.npy"}, {"prompt": "a", "bucket": "1", "features": "one.npy"}),
    ],
)
def test_the_studio_finds_the_same(searched: Path, call_with: dict[str, Any], asked: dict[str, Any]) -> None:
    """By index or without: the same rows in the same order (twins in that of the table) with the same bits."""
    for given in (call_with, asked):
        if "features" in given:
            given["features"] = searched / given["features"]
    of_api = api.search(searched / "run", **call_with, n=ROWS)
    view = api.explore(searched / "run", "stream")
    of_view = search(view, Query(**asked, n=ROWS))
    assert of_view.nearest == of_api.nearest
    assert of_view.contest == of_api.contest
    assert np.array_equal(of_view.scores, of_api.scores, equal_nan=True)
    assert of_view.rows == of_api.rows == len(of_api.nearest.scores)
    # As the page shows it: sorted by score, with the bucket as a facet.
    page = view.with_column(SCORE, search(view, Query(**{**asked, "bucket": None})).scores).page(
        Filter((Between(SCORE), *((Among("bucket", (asked["bucket"],)),) if "bucket" in asked else ()))),
        sort=SCORE, descending=True, size=ROWS,
    )  # fmt: skip
    assert page.positions == of_api.nearest.positions


def test_the_studio_finds_classes_by_prompt_as_the_command_does(made_demo: MadeDemo) -> None:
    run = made_demo.folder / "demo" / "run"
    of_api = api.search(run, "a photo of a boat.", table="classes", vectors="clip", n=20)
    view = api.explore(run, "classes")
    of_view = search(view, Query("a photo of a boat.", column="clip", n=20))
    kept = of_view.order[of_view.order < view.kept][:20]
    assert tuple(kept.tolist()) == of_api.nearest.positions
    assert tuple(of_view.scores[kept].tolist()) == of_api.nearest.scores
    assert search_steps(view, of_view, n=3) == search_steps(TableRows(view.run, view.table), of_api, n=3)


def test_a_search_writes_nothing(searched: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (searched / "run").rglob("*")}
    api.search(searched / "run", like="001")
    assert {path: path.stat().st_mtime_ns for path in (searched / "run").rglob("*")} == before
