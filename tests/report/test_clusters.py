"""Clusters on the page and as files: maps, and the nearest and farthest rows of each cluster."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.report.charts.maps import map_of
from poolwright.report.clusters import PER_SIDE, class_maps
from poolwright.report.sheets import Budget
from poolwright.report.view import TableView
from tests.calling import call
from tests.report.made import picture

D = 6
BUDGET = Budget(400, 9_000)


def pool(sizes: dict[str, int]) -> pa.Table:
    """Classes of three uneven clusters each, in mixed order, with pictures."""
    draw = np.random.default_rng(3)
    names = np.repeat(list(sizes), list(sizes.values()))
    kinds = draw.choice(3, len(names), p=[0.5, 0.3, 0.2])
    vectors = 4 * draw.normal(size=(len(sizes), 3, D))[np.unique(names, return_inverse=True)[1], kinds]
    order = draw.permutation(len(names))
    return pa.table(
        {
            "uid": [f"row-{row:03d}" for row in range(len(names))],
            "class": names[order],
            "clip": vector_array((vectors + draw.normal(size=vectors.shape))[order].astype(np.float16)),
            "image": pa.array([picture(int(kind) * 90) for kind in kinds[order]], pa.binary()),
        }
    )


def run(folder: Path, sizes: dict[str, int], then: list[Any] | None = None, **parameters: Any) -> Table:
    folder.mkdir(exist_ok=True)
    pq.write_table(pool(sizes), folder / "rows.parquet")
    step = {"of": "clip", "group": "class", "k": 3, "restarts": 2, **parameters}
    data = {
        "recipe": 1,
        "name": "attributes",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"clustered": {"from": "rows", "steps": [{"cluster": step}, *(then or [])]}},
    }
    return Recipe.from_data(data, folder).run(folder / "run").tables["clustered"]


SIZES = {"ant": 30, "bee": 60, "<b>cat</b>": 45, "dog": 20, "elk": 12}


def test_the_nearest_and_the_farthest_rows_of_each_cluster_are_shown(tmp_path: Path) -> None:
    table = run(tmp_path, SIZES, merge=2)
    rows = table.read(["uid", "class", "cluster", "attribute", "cluster_distance"]).to_pylist()
    maps = class_maps(TableView(table), BUDGET)
    assert [drawn.name for drawn in maps] == ["bee", "<b>cat</b>", "ant", "dog"]
    for drawn in maps:
        own = [row for row in rows if row["class"] == drawn.name]
        assert drawn.rows == len(own)
        assert [cluster.number for cluster in drawn.clusters] == [0, 1, 2]
        for cluster in drawn.clusters:
            members = {r["uid"]: r["cluster_distance"] for r in own if r["cluster"] == cluster.number}
            assert cluster.rows == len(members)
            assert {r["attribute"] for r in own if r["uid"] in members} == {cluster.attribute} == {cluster.number // 2}
            distances = sorted(members.values())
            assert [members[card.uid] for card in cluster.nearest] == distances[:PER_SIDE]
            assert [members[card.uid] for card in cluster.farthest] == distances[PER_SIDE:][-PER_SIDE:]
        by_uid = {row["uid"]: row["cluster"] for row in own}
        assert sorted(drawn.members) == sorted(by_uid.values())
        assert drawn.points.shape == (len(own), 2)


def test_the_page_has_maps_and_contact_sheets(tmp_path: Path) -> None:
    run(tmp_path, SIZES)
    html = api.report(tmp_path / "run").read_text("utf-8")
    section = html.split('<section id="t1-attributes"')[1].split("</section>")[0]
    assert section.count('<svg class="dots"') == 4
    assert section.count("<table") == 4
    assert "<bdi>&lt;b&gt;cat&lt;/b&gt;</bdi>" in section
    assert 'href="#t1-attributes"' in html
    assert len(re.findall('<img src="data:image/webp', section)) == sum(
        min(2 * PER_SIDE, cluster.rows)
        for drawn in class_maps(TableView(api.show(tmp_path / "run")[0]), BUDGET)
        for cluster in drawn.clusters
    )
    again = api.report(tmp_path / "run", tmp_path / "again.html").read_text("utf-8")
    assert again == html


@pytest.mark.draws
def test_files_are_the_same_each_time(tmp_path: Path) -> None:
    run(tmp_path, SIZES)
    called = call("report", str(tmp_path / "run"), "--figures", str(tmp_path / "one"), "--class", "<b>cat</b>")
    assert called.code == 0, called.err
    png, dark, svg = (Path(line) for line in called.out.split())
    assert (png.name, dark.name) == ("clustered-b-cat-b.png", "clustered-b-cat-b.dark.png")
    for path, paper in ((png, (255, 255, 255)), (dark, (13, 17, 23))):
        with Image.open(path) as opened:
            assert opened.width > 1_000
            assert opened.convert("RGB").getpixel((2, 2)) == paper
    root = ElementTree.parse(svg).getroot()
    assert len(root.findall(".//{*}image")) > 2 * 2 * PER_SIDE
    assert {"<b>cat</b>", "45 rows, 3 clusters"} <= {element.text for element in root.iterfind(".//{*}text")}
    for path in api.cluster_figures(tmp_path / "run", tmp_path / "two", ["<b>cat</b>"]):
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()


def test_without_opentsne_or_vectors_there_are_contact_sheets_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run(tmp_path / "narrow", SIZES, [{"keep_columns": ["class", "cluster", "attribute", "cluster_distance"]}])
    assert {drawn.problem for drawn in class_maps(TableView(table), BUDGET)} == {
        "no map: the table does not keep 'clip'"
    }
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    run(tmp_path, SIZES)
    html = api.report(tmp_path / "run").read_text("utf-8")
    assert "no map: the map of clusters needs openTSNE; install it with: pip install &#39;poolwright[tsne]&#39;" in html
    assert '<svg class="dots"' not in html
    assert '<table class="contact">' in html
    assert len(set(api.cluster_figures(tmp_path / "run", tmp_path / "files"))) == 12


def test_classes_whose_names_give_one_file_name_have_files_of_their_own(tmp_path: Path) -> None:
    run(tmp_path, {"a b": 9, "a/b": 9, "äß": 9, "a.dark": 9})
    names = {path.name for path in api.cluster_figures(tmp_path / "run", tmp_path / "files")}
    assert {"clustered-a-b.png", "clustered-a-b-2.png", "clustered-äß.svg", "clustered-a-dark.dark.png"} <= names
    assert len(names) == 12


def test_one_group_of_all_rows_and_many_clusters(tmp_path: Path) -> None:
    table = run(tmp_path, {"bee": 60}, group=None, k=14, into="style")
    (drawn,) = class_maps(TableView(table), BUDGET)
    assert (drawn.name, drawn.attribute, len(drawn.clusters), drawn.more) == ("all rows", "style", 10, 4)
    assert "14 clusters, only the largest shown" in api.report(tmp_path / "run").read_text("utf-8")


def test_small_classes_have_no_map_and_other_tables_no_section(tmp_path: Path) -> None:
    (drawn,) = class_maps(TableView(run(tmp_path / "few", {"elk": 5})), BUDGET)
    assert drawn.problem == "no map: too few rows"
    dropped = run(tmp_path / "none", SIZES, [{"where": "class = 'nothing'"}])
    assert class_maps(TableView(dropped), BUDGET) == []
    gone = run(tmp_path / "gone", SIZES, [{"keep_columns": ["class"]}])
    assert class_maps(TableView(gone), BUDGET) == []
    called = call("report", str(tmp_path / "gone" / "run"), "--figures", str(tmp_path / "files"))
    assert called.code == 1
    assert "no table has clusters to draw" in called.err


def test_wrong_classes_are_told(tmp_path: Path) -> None:
    run(tmp_path, SIZES)
    called = call("report", str(tmp_path / "run"), "--figures", str(tmp_path / "files"), "--class", "bea")
    assert called.code == 2
    assert "did you mean 'bee'?" in called.err
    assert "--class goes with --figures" in call("report", str(tmp_path / "run"), "--class", "bee").err


def test_near_vectors_are_near_on_the_map() -> None:
    draw = np.random.default_rng(0)
    kinds = np.repeat([0, 1], 30)
    vectors = (8 * kinds[:, None] + draw.normal(size=(60, 20))).astype(np.float32)
    points = map_of(vectors)
    assert points is not None
    assert points.min() >= 0
    assert points.max() <= 1
    centres = np.stack([points[kinds == kind].mean(axis=0) for kind in (0, 1)])
    far = np.linalg.norm(points[:, None] - centres, axis=2)
    np.testing.assert_array_equal(far.argmin(axis=1), kinds)
    np.testing.assert_array_equal(map_of(vectors), points)


@pytest.mark.parametrize("vectors", [np.ones((9, 3)), np.arange(10.0)[:, None], np.repeat(np.eye(2), 5, axis=0)])
def test_odd_vectors_have_a_map_too(vectors: np.ndarray) -> None:
    points = map_of(vectors.astype(np.float32))
    assert points is not None
    assert np.isfinite(points).all()
    assert map_of(vectors[:7].astype(np.float32)) is None


def test_of_a_tree_the_largest_clusters_are_drawn_with_those_at_the_top(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    pq.write_table(pool({"all": 240}), folder / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "tree",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"tree": {"from": "rows", "steps": [{"cluster": {"of": "clip", "levels": [40, 3]}}]}},
    }
    table = Recipe.from_data(data, folder).run(folder / "run").tables["tree"]
    (drawn,) = class_maps(TableView(table), BUDGET)
    assert [cluster.number for cluster in drawn.clusters] == list(range(10))
    assert drawn.more == 30
    assert drawn.attribute == "cluster_2"
    tops = dict(zip(*(table.read(["cluster_1", "cluster_2"]).to_pydict().values()), strict=True))
    assert [cluster.attribute for cluster in drawn.clusters] == [tops[number] for number in range(10)]
