"""apply: the steps of a release, with what they learned, on other rows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.demo.demo import clip_folder
from poolwright.demo.world import draw_world
from poolwright.run.run import open_run
from tests.calling import call
from tests.run.pools import final_files
from tests.run.test_classify import ROWS, labelled


def filtered(folder: Path, **more: Any) -> Recipe:
    """A filter in two tables that is released: learned from examples, cut by a threshold and by a count."""
    learn = {"with": "clip", "examples": "examples", "positive": "map", "candidates": ["mean", "svm"], "folds": 3}
    data = {
        "recipe": 1,
        "name": "maps",
        "seed": 5,
        "pools": {
            "labelled": {"read": "table", "path": "examples.parquet"},
            "pool": {"read": "table", "path": "pool"},
        },
        "tables": {
            "examples": {"from": "labelled"},
            "decided": {"from": "pool", "steps": [{"classify": {**learn, "keep": True}}]},
            "surest": {
                "from": "decided",
                "steps": [
                    {"top": {"by": "probability", "n": 100}},
                    {"rename": {"text": "caption"}},
                    {"keep_columns": ["clip", "decision"]},
                ],
            },
        },
        "releases": [{"table": "surest", "layout": "huggingface", "images": "none", "figures": False, "to": "out"}],
    }
    return Recipe.from_data({**data, **more}, folder)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `out`, the release, `run`, how it was made, and `more.parquet`, rows nobody has seen."""
    folder = tmp_path_factory.mktemp("released")
    (folder / "pool").mkdir()
    pq.write_table(labelled(ROWS, 0.05, 7), folder / "pool" / "rows.parquet")
    pq.write_table(labelled(200, 0.5, 3), folder / "examples.parquet")
    pq.write_table(labelled(2_000, 0.05, 11), folder / "more.parquet")
    filtered(folder).run(folder / "run")
    return folder


def test_the_rows_of_then_are_decided_as_then(released: Path, tmp_path: Path) -> None:
    applied = api.apply(released / "out", [released / "pool"], tmp_path / "again")
    then = api.show(released / "run")[-1]
    now = api.show(tmp_path / "again")[0]
    assert now.read().equals(then.read())
    assert (applied.record.rows_in, applied.record.rows_kept, applied.stories) == (ROWS, 100, ())
    assert all(step.released for step in applied.record.steps)
    learned = [step.learned for table in api.show(released / "run")[1:] for step in table.record.steps]
    assert [step.learned for step in applied.record.steps] == learned


def test_new_rows_meet_the_thresholds_of_then(released: Path, tmp_path: Path) -> None:
    api.apply(released / "out", str(released / "more.parquet"), tmp_path / "more")  # one alone is no list
    kept = api.show(tmp_path / "more")[0].read()
    assert 10 < kept.num_rows < 100
    cut = pc.min(open_run(released / "run").table("surest").read(["decision"])["decision"]).as_py()
    pools = {
        "labelled": {"read": "table", "path": "examples.parquet"},
        "pool": {"read": "table", "path": "more.parquet"},
    }
    learned_anew = filtered(released, pools=pools).run(tmp_path / "all", tables=["decided"]).tables["decided"]
    rows = learned_anew.read(["uid", "decision"])
    assert kept["uid"].to_pylist() == rows.filter(pc.greater_equal(rows["decision"], cut))["uid"].to_pylist()
    assert call("why", tmp_path / "more", kept["uid"][0].as_py()).code == 0


def test_a_recipe_may_apply_a_release_and_go_on(released: Path, tmp_path: Path) -> None:
    data = {
        "recipe": 1,
        "name": "grown",
        "pools": {"more": {"read": "table", "path": str(released / "more.parquet")}},
        "tables": {
            "grown": {
                "from": "more",
                "apply": {"release": str(released / "out"), "skip": ["top", 3]},
                "steps": [{"where": "decision > 1"}],
            }
        },
    }
    table = Recipe.from_data(data, tmp_path).run(tmp_path / "run").tables["grown"]
    assert [step.verb for step in table.record.steps] == ["classify", "keep_columns", "where"]
    assert [step.released for step in table.record.steps] == [True, True, False]


def test_workers_and_batches_change_nothing_and_a_run_continues(released: Path, tmp_path: Path) -> None:
    inputs = [released / "more.parquet"]
    api.apply(released / "out", inputs, tmp_path / "one" / "run", workers=1)
    api.apply(released / "out", inputs, tmp_path / "two" / "run", workers=2)
    api.apply(released / "out", inputs, tmp_path / "two" / "run")
    assert final_files(tmp_path / "one" / "run") == final_files(tmp_path / "two" / "run")


def test_another_release_is_not_mixed_in(released: Path, tmp_path: Path) -> None:
    inputs = [released / "more.parquet"]
    other = filtered(released, seed=6)
    work = tmp_path / "run"
    api.apply(released / "out", inputs, work)
    copy = shutil.copytree(released / "out", tmp_path / "out")
    api.apply(copy, inputs, tmp_path / "run2")
    made = other.run(tmp_path / "other", release=False).tables["surest"]
    other.releases[0].layout.write(made, tmp_path / "other-out", other.releases[0].about)
    with pytest.raises(ChangedError, match="another release"):
        api.apply(tmp_path / "other-out", inputs, work)


def test_damaged_and_missing_releases_are_told(released: Path, tmp_path: Path) -> None:
    inputs = [released / "more.parquet"]
    with pytest.raises(RecipeError, match="no release in this folder"):
        api.apply(tmp_path, inputs)
    copy = shutil.copytree(released / "out", tmp_path / "out")
    next((copy / "lineage").glob("*/states/*.classifier*.parquet")).write_bytes(b"x")
    with pytest.raises(InputError, match="damaged"):
        api.apply(copy, inputs)
    state = next((copy / "lineage").glob("*/states/01-classify.json"))
    state.write_text(state.read_text().replace("threshold", "threshhold"))
    with pytest.raises(RecipeError, match="missing or changed"):
        api.apply(copy, inputs)


def test_rows_of_another_model_or_without_vectors_are_refused(released: Path, tmp_path: Path) -> None:
    rows = pq.read_table(released / "more.parquet")
    pq.write_table(rows.drop_columns(["clip"]), tmp_path / "bare.parquet")
    with pytest.raises(RecipeError, match=r"needs the column 'clip'.*models: \{clip"):
        api.apply(released / "out", [tmp_path / "bare.parquet"])
    with pytest.raises(RecipeError, match=r"no step 'topp'.*'top'"):
        api.apply(released / "out", [released / "more.parquet"], skip=["topp"])
    with pytest.raises(RecipeError, match="no such file"):
        api.apply(released / "out", ["gone.jpg"])


def test_single_pictures_go_through_what_they_can(tmp_path: Path) -> None:
    draw_world(tmp_path / "world", 500, 3)
    shutil.copytree(clip_folder(), tmp_path / "clip")
    data = {
        "recipe": 1,
        "name": "drawn",
        "max_bad": "5%",
        "models": {"clip": f"onnx:{tmp_path / 'clip'}"},
        "pools": {"world": {"read": "table", "path": "world/metadata.parquet", "images": "world/images"}},
        "tables": {
            "labelled": {
                "from": "world",
                "steps": [
                    "size",
                    {"embed": {"image": "clip", "text": "words", "model": "clip"}},
                    {"label": {"with": "clip", "vocabulary": ["bicycle", "tree", "house"], "model": "clip"}},
                    {"similarity": {"of": "clip", "to": "words", "into": "fit"}},
                    {"top": {"by": "similarity", "fraction": "50%"}},
                ],
            }
        },
        "releases": [{"table": "labelled", "layout": "image_folder", "figures": False, "to": "out"}],
    }
    result = Recipe.from_data(data, tmp_path).run(tmp_path / "run")
    table = result.tables["labelled"]
    known = {row["image_path"]: row for row in table.read(["image_path", "label", "similarity"]).to_pylist()}
    paths = sorted((tmp_path / "world" / "images").rglob("*.jpg"))[:12]
    applied = api.apply(tmp_path / "out", paths)
    assert applied.folder is None
    assert applied.left_out == {"similarity": ("words",)}
    assert len(applied.stories) == len(paths)
    for path, story in zip(paths, applied.stories, strict=True):
        then = known.get(path.relative_to(tmp_path / "world" / "images").as_posix())
        assert story.kept == (then is not None), story
        if then:
            label = next(chapter for chapter in story.chapters if chapter.verb == "label")
            assert label.values["label"] == then["label"]
            assert label.values["similarity"] == pytest.approx(then["similarity"], abs=1e-3)
    told = call("apply", tmp_path / "out", *paths[:2])
    assert told.code == 0, told
    assert "left out: similarity; the rows have no words" in told.out


def test_a_table_of_a_release_that_lost_its_forebears_is_refused(released: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(released / "out", tmp_path / "out")
    shutil.rmtree(copy / "lineage")
    with pytest.raises(RecipeError, match="does not record how its table 'decided' was made"):
        api.apply(copy, [released / "more.parquet"])


def test_width_is_checked_where_no_model_is_known(released: Path, tmp_path: Path) -> None:
    rows = pq.read_table(released / "more.parquet", columns=["uid", "text"])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([0.1] * 20 * rows.num_rows, pa.float32()), 20)
    pq.write_table(rows.append_column("clip", vectors), tmp_path / "wide.parquet")
    with pytest.raises(RecipeError, match=r"width 20.*width 16"):
        api.apply(released / "out", [tmp_path / "wide.parquet"])
