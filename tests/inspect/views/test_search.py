"""Search and map: scores are those of the step, thresholds are steps, points are those of scikit-learn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from tests.conftest import MadeDemo
from tests.inspect.views.world import World, make_world, pool_rows
from tests.run.pools import class_features, recipe_data

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import InputError, PoolwrightError, RecipeError
from poolwright.core.results.search_result import Query, SearchResult
from poolwright.inspect.search import SCORE, search, search_steps
from poolwright.inspect.search_texts import text_classes, text_encoder
from poolwright.inspect.views import projection
from poolwright.inspect.views.clauses import Between, Filter, HasOutcome
from poolwright.inspect.views.colours import NOTHING, OTHER, SHADES, colours
from poolwright.inspect.views.projection import known_projection, project
from poolwright.inspect.views.vectors import vectors_at
from poolwright.inspect.views.view import View
from poolwright.kernels.clusters.pca import principal_components


def truth(world: World, feature: np.ndarray) -> np.ndarray:
    vectors = np.array(world.rows["embedding"].combine_chunks().values, np.float64).reshape(world.rows.num_rows, -1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # float16 leaves lengths off
    return vectors @ feature.astype(np.float64)


def scored(view: View, found: SearchResult) -> View:
    return view.with_column(SCORE, found.scores)


def like_row(view: View, position: int) -> Query:
    return Query(like=str(view.read([position], ["uid"])[0]["uid"]), column="embedding")


def test_kept_and_dropped_rows_are_scored(world: World, view: View) -> None:
    found = search(view, Query("Class 3", column="embedding"))
    wanted = truth(world, class_features()[3])
    assert found.rows == view.rows
    assert np.allclose(scored(view, found).column(SCORE).take(np.arange(view.rows)), wanted, atol=1e-6)
    best = scored(view, found).page(sort=SCORE, descending=True, size=50)
    assert np.allclose(sorted(wanted)[::-1][:50], wanted[list(best.positions)], atol=1e-6)
    assert (
        scored(view, found).count(Filter((Between(SCORE, 0.2), HasOutcome(False)))).rows
        == (wanted[view.kept :] >= 0.2).sum()
    )
    assert SCORE not in [column.name for column in view.columns]


@pytest.mark.parametrize("cut", [{"threshold": 0.27}, {"n": 100}])
def test_a_threshold_is_a_step(cut: dict, world: World, view: View, tmp_path: Path) -> None:
    found = search(view, like_row(view, 2500))
    steps = yaml.safe_load(search_steps(view, found, **cut))
    assert [next(iter(step)) for step in steps] == ["similarity", "top" if "n" in cut else "where"]
    data = recipe_data(steps)
    for name in ("rows", "run"):
        shutil.copytree(world.folder / name, tmp_path / name)
    made = api.run(Recipe.from_data(data, tmp_path), tmp_path / "again").tables["chosen"]
    if "n" in cut:
        positions = scored(view, found).page(sort=SCORE, descending=True, size=100).positions
    else:
        positions = tuple(np.flatnonzero(scored(view, found).rows_of(Filter((Between(SCORE, 0.27),)))).tolist())
    assert set(made.read(["uid"])["uid"].to_pylist()) == {row["uid"] for row in view.read(positions, ["uid"])}
    scores = dict(zip(*(made.read(["uid", "match"])[name].to_pylist() for name in ("uid", "match")), strict=True))
    assert all(scores[row["uid"]] == row[SCORE] for row in scored(view, found).read(positions, ["uid", SCORE]))


def test_more_like_this_finds_the_row_first(view: View) -> None:
    query = like_row(view, 11)
    found = search(view, query)
    assert scored(view, found).page(sort=SCORE, descending=True, size=1).positions == (11,)
    assert np.linalg.norm(found.feature) == pytest.approx(1)
    assert found.words == f"like {view.read([11], ['uid'])[0]['uid']}"


def test_rows_without_a_vector_have_no_score(tmp_path: Path) -> None:
    rows = pool_rows(300)
    vectors = np.array(rows["embedding"].combine_chunks().values, np.float16).reshape(300, -1).copy()
    vectors[5], vectors[6] = np.nan, 0
    place = rows.schema.get_field_index("embedding")
    array = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 16)
    world = make_world(tmp_path, rows.set_column(place, "embedding", array), steps=[])
    view = world.view()
    found = search(view, like_row(view, 0))
    assert found.rows == 298
    assert np.flatnonzero(np.isnan(scored(view, found).column(SCORE).take(np.arange(300)))).tolist() == [5, 6]
    assert project(view, "embedding").positions.tolist() == [at for at in range(300) if at not in (5, 6)]
    with pytest.raises(InputError, match="no usable vector"):
        search(view, like_row(view, 5))


def test_what_cannot_be_searched_is_told(view: View) -> None:
    with pytest.raises(RecipeError, match="no column 'clip'; known: embedding"):
        search(view, Query("cat", column="clip"))
    with pytest.raises(RecipeError, match="search for the name of a class"):
        search(view, Query("a red car", column="embedding"))
    with pytest.raises(RecipeError, match="write what to look for"):
        search(view, Query("  ", column="embedding"))
    with pytest.raises(InputError, match="rows 0 to 2999"):
        view.locate(3000)
    assert text_encoder(view.run, view.table.schema.field("embedding")) is None
    assert len(text_classes(view.run, "embedding")) == 12


def test_words_are_encoded_by_the_encoder_of_the_recipe(made_demo: MadeDemo, tmp_path: Path) -> None:
    shutil.copytree(made_demo.folder / "demo", tmp_path / "demo")
    view = api.explore(tmp_path / "demo" / "run", "classes")
    found = search(view, Query("a red car", column="clip"))
    assert yaml.safe_load(search_steps(view, found, 0.5))[0]["similarity"]["prompt"] == "a red car"
    best = scored(view, found).page(sort=SCORE, descending=True, size=10).positions
    assert {row["label"] for row in view.read(best, ["label"])} == {"car"}
    # The steps, put into the recipe over the same rows, keep the rows above the threshold.
    text = (tmp_path / "demo" / "recipe.yaml").read_text()
    data = yaml.safe_load(text.split("releases:")[0])
    data = {key: value for key, value in data.items() if key not in ("releases", "figures")}
    data["tables"] = {
        "described": data["tables"]["described"],
        "cars": {"from": "described", "steps": yaml.safe_load(search_steps(view, found, 0.5))},
    }
    made = api.run(Recipe.from_data(data, tmp_path / "demo"), tmp_path / "demo" / "run").tables["cars"]
    wanted = list(scored(view, found).uids(Filter((Between(SCORE, 0.5),))))
    assert sorted(made.read(["uid"])["uid"].to_pylist()) == sorted(map(str, wanted))


def test_the_map_is_that_of_scikit_learn(world: World, view: View) -> None:
    from sklearn.decomposition import PCA

    found = project(view, "embedding")
    vectors = np.array(world.rows["embedding"].combine_chunks().values, np.float64).reshape(view.rows, -1)
    wanted = PCA(2, svd_solver="full").fit_transform(vectors)
    assert found.positions.tolist() == list(range(view.rows))
    for axis in (0, 1):
        assert abs(np.corrcoef(found.coordinates[:, axis], wanted[:, axis])[0, 1]) > 0.99999
    assert np.abs(found.coordinates).max() == pytest.approx(1)
    again = known_projection(view, "embedding", "pca")
    assert again is not None
    assert np.array_equal(again.coordinates, found.coordinates)


def test_components_are_exact_and_do_not_flip() -> None:
    vectors = np.random.default_rng(1).standard_normal((9_000, 7)) @ np.diag([5, 3, 1, 0.1, 0.1, 0.1, 0.1])
    found = principal_components(vectors, 3)
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(found), np.abs(centred @ axes[:3].T), atol=1e-4)
    assert np.array_equal(principal_components(-vectors, 3), -found)
    assert principal_components(vectors[:1], 2).tolist() == [[0, 0]]
    assert principal_components(vectors[:0], 2).shape == (0, 2)
    assert principal_components(vectors[:, :1], 2)[:, 1].tolist() == [0] * 9_000


def test_of_many_rows_the_same_are_on_the_map_however_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = []
    for parts in (1, 4):
        folder = tmp_path / str(parts)
        folder.mkdir()
        view = make_world(folder, pool_rows(500), parts=parts, steps=[{"where": "width > 1500"}]).view()
        found = project(view, "embedding", most=120)
        assert (len(found.positions), found.of) == (120, 500)
        maps.append({row["uid"] for row in view.read(found.positions, ["uid"])})
    assert maps[0] == maps[1]
    assert projection.MOST_POINTS == 100_000


def test_tsne_finds_the_same_places_again(tmp_path: Path) -> None:
    pytest.importorskip("openTSNE")
    view = make_world(tmp_path, pool_rows(150), steps=[]).view()
    first = project(view, "embedding", "tsne").coordinates
    projection.map_file(view, "embedding", "tsne").unlink()
    assert np.array_equal(project(view, "embedding", "tsne").coordinates, first)


def test_points_are_coloured_by_values_and_numbers(world: World, view: View) -> None:
    positions = np.arange(0, view.rows, 3)
    found = colours(view, "year", positions)
    values = world.rows["year"].take(pa.array(positions)).to_pylist()
    for hue in found.hues:
        mine = found.codes == hue.code
        assert mine.sum() == hue.rows
        assert {values[at] for at in np.flatnonzero(mine)} == {None if hue.code == NOTHING else int(str(hue.words))}
    shades = colours(view, "score", positions)
    numbers = np.array(world.rows["score"].to_numpy())[positions]
    assert (shades.codes[np.isnan(numbers)] == NOTHING).all()
    order = np.argsort(numbers[~np.isnan(numbers)], kind="stable")
    assert (np.diff(shades.codes[~np.isnan(numbers)][order].astype(int)) >= 0).all()
    assert shades.codes[~np.isnan(numbers)].max() == SHADES - 1
    days = colours(view, "kind", positions)
    assert OTHER not in days.codes
    with pytest.raises(PoolwrightError, match="too many"):
        colours(view, "text", positions)


def test_vectors_of_single_rows(world: World, view: View) -> None:
    wanted = np.array(world.rows["embedding"].combine_chunks().values, np.float16).reshape(view.rows, -1)
    positions = np.array([0, 1, view.kept - 1, view.kept, 2222, 2999])
    assert np.array_equal(vectors_at(view, "embedding", positions), wanted[positions])
