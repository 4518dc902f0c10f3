"""Recipe YAML: lines in errors, suggestions, overrides, variables, paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.api import Recipe
from poolwright.core.errors import RecipeError

TEXT = """\
recipe: 1
name: test
seed: 3
pools:
  photos: {read: table, path: rows.parquet}
tables:
  best:
    from: photos
    steps:
      - where: width > 10
      - top: {by: similarity, n: 1_000}
      - cap:
          group: label
          n: 20
"""


def load(folder: Path, text: str, *sets: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return Recipe.load(path, sets)


def message(folder: Path, text: str, *sets: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(folder, text, *sets)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = load(tmp_path, TEXT)
    steps = [placed.step for placed in recipe.tables["best"].steps]
    assert [step.verb for step in steps] == ["where", "top", "cap"]
    assert steps[1].n == 1000
    assert recipe.pools["photos"].path == (str(tmp_path / "rows.parquet"),)
    assert recipe.default_run == tmp_path / "runs" / "test"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 3", "sed: 3", "recipe.yaml:3: sed: unknown key; did you mean 'seed'?"),
        ("n: 1_000", "m: 1_000", "recipe.yaml:11: tables.best.steps[1].top.m: unknown key"),
        (
            "group: label",
            "groups: label",
            "recipe.yaml:13: tables.best.steps[2].cap.groups: unknown key; did you mean 'group'?",
        ),
        ("- top:", "- topp:", "recipe.yaml:11: tables.best.steps[1].topp: unknown step 'topp'; did you mean 'top'?"),
        ("read: table", "read: tabel", "unknown pool kind 'tabel'; did you mean 'table'?"),
        (
            "from: photos",
            "from: photo",
            "recipe.yaml:8: tables.best.from: no pool or table 'photo'; did you mean 'photos'?",
        ),
        ("n: 20", "n: many", "recipe.yaml:14: tables.best.steps[2].cap.n"),
        ("          n: 20\n", "", "tables.best.steps[2].cap: 'n' is missing"),
        ("seed: 3", "seed: -3", "recipe.yaml:3: seed"),
        ("recipe: 1", "recipe: 2", "recipe.yaml:1: recipe"),
        ("name: test", "name: a/b", "recipe.yaml:2: name: 'a/b' is not a valid name"),
        ("seed: 3", "seed: 3\nseed: 4", "recipe.yaml:4: seed: the key is given twice"),
        ("from: photos", "from: best", "in a cycle: best -> best"),
        ("n: 20", "n: 20: 3", "recipe.yaml:14: not valid YAML"),
        (
            "path: rows.parquet",
            "path: '${NOT_SET_AT_ALL}/x'",
            "'NOT_SET_AT_ALL' is neither in 'variables' nor in the environment",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert told in message(tmp_path, TEXT.replace(old, new, 1))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe"):
        Recipe.load(tmp_path / "nothing.yaml")


def test_overrides(tmp_path: Path) -> None:
    recipe = load(
        tmp_path,
        TEXT,
        "pools.photos.path=/data/x.parquet",
        "tables.best.steps.top.n=5",
        "tables.best.steps.2.cap.n=7",
        "tables.best.steps.where=height > 3",
        "seed=9",
    )
    steps = [placed.step for placed in recipe.tables["best"].steps]
    assert (recipe.seed, steps[1].n, steps[2].n) == (9, 5, 7)
    assert recipe.pools["photos"].path == ("/data/x.parquet",)
    assert recipe.source.text.endswith("# --set seed=9\n")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("pools.photo.path=x", "pools has no 'photo'; did you mean 'photos'?"),
        ("tables.best.steps.tpo.n=5", "has no 'tpo'"),
        ("seed", "write it as key.path=value"),
        ("tables.best.steps.top.nn=5", "--set: tables.best.steps[1].top.nn: unknown key"),
        ("seed.x=5", "a single value"),
    ],
)
def test_wrong_overrides(tmp_path: Path, override: str, told: str) -> None:
    assert told in message(tmp_path, TEXT, override)


def test_variables_and_their_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOS", "/data")
    text = TEXT.replace("rows.parquet", "'${PHOTOS}/${PART:-one}.parquet'")
    assert load(tmp_path, text).pools["photos"].path == ("/data/one.parquet",)
    text = text.replace("seed: 3", "seed: 3\nvariables: {PHOTOS: /other}")
    assert load(tmp_path, text).pools["photos"].path == ("/other/one.parquet",)
    assert load(tmp_path, text, "variables.PHOTOS=/third").pools["photos"].path == ("/third/one.parquet",)
