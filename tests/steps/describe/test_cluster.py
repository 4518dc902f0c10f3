"""cluster: attributes inside groups, what is learned of them, and rows that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from poolwright.core.columns import vector_field, vector_model
from poolwright.core.errors import PoolwrightError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.core.state import State
from poolwright.kernels.clusters import group_vectors
from poolwright.kernels.clusters.kmeans import KMeansOptions, kmeans
from poolwright.steps.describe.cluster import Cluster

KEY = 99
D = 12


def pool(seed: int = 0, sizes: dict[str, int] | None = None, dtype: Any = np.float16) -> pa.Table:
    """Classes of four uneven, well separated clusters, in mixed order; `truth` is the cluster by size."""
    draw = np.random.default_rng(seed)
    labels, truth, vectors = [], [], []
    for label, size in (sizes or {"cat": 200, "dog": 120, "fox": 80}).items():
        centres = 3 * draw.normal(size=(4, D))
        kinds = np.repeat(np.arange(4), [size - 3 * (size // 5), size // 5 + 2, size // 5, size // 5 - 2])
        labels += [label] * size
        truth += kinds.tolist()
        vectors.append(centres[kinds] + 0.3 * draw.normal(size=(size, D)))
    order = draw.permutation(len(labels))
    table = pa.table({"label": np.array(labels)[order], "truth": np.array(truth)[order]})
    table = table.append_column("uid", pa.array([f"u{place}" for place in range(len(labels))]))
    made = vector_array(np.concatenate(vectors)[order].astype(dtype))
    return table.append_column(pa.field("clip", made.type), made)


def run(table: pa.Table, **parameters: Any) -> tuple[dict[str, npt.NDArray[Any]], State, Cluster]:
    step = Cluster.model_validate({"of": "clip", "group": "label", "k": 4, "restarts": 4, **parameters})
    state = step.fit(MemoryFrame(table, [30]), Context(KEY))
    outcome = step.apply(Rows(table), state)
    fields = step.gives(table.schema)
    assert [(name, values.type) for name, values in outcome.columns.items()] == [(f.name, f.type) for f in fields]
    columns = {name: values.to_numpy(zero_copy_only=False) for name, values in outcome.columns.items()}
    assert outcome.drop is not None
    return {**columns, "drop": outcome.drop}, state, step


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_clusters_are_found_inside_each_class_and_numbered_by_size(metric: str, dtype: Any) -> None:
    table = pool(dtype=dtype)
    said, state, step = run(table, metric=metric, merge=2)
    truth = table.column("truth").to_numpy()
    np.testing.assert_array_equal(said["cluster"], truth)
    np.testing.assert_array_equal(said["attribute"], truth // 2)
    assert not said["drop"].any()
    assert state.tables["groups"].column("clusters").to_pylist() == [4, 4, 4]
    centroids = state.tables["centroids"]
    assert centroids.column("group.label").to_pylist()[::4] == ["cat", "dog", "fox"]
    assert centroids.column("rows").to_pylist()[:4] == [80, 42, 40, 38]
    assert centroids.column("attribute").to_pylist()[:4] == [0, 0, 1, 1]
    assert step.learned(state).startswith("12 clusters in 3 groups of label; ")


def test_the_distance_is_that_from_the_own_centroid() -> None:
    table = pool(dtype=np.float32)
    said, state, _ = run(table)
    vectors = Rows(table).vectors("clip").astype(np.float64)
    centroids = Rows(state.tables["centroids"]).vectors("centroid").astype(np.float64)
    places = np.array([{"cat": 0, "dog": 4, "fox": 8}[label] for label in table.column("label").to_pylist()])
    wanted = np.linalg.norm(vectors - centroids[places + said["cluster"]], axis=1)
    np.testing.assert_allclose(said["cluster_distance"], wanted, rtol=1e-6)
    inertia = state.tables["groups"].column("inertia").to_numpy()
    np.testing.assert_allclose(inertia.sum(), (wanted**2).sum(), rtol=1e-5)
    means = [said["cluster_distance"][(places == 0) & (said["cluster"] == cluster)].mean() for cluster in range(4)]
    np.testing.assert_allclose(state.tables["centroids"].column("distance").to_numpy()[:4], means, rtol=1e-6)


def test_rows_are_clustered_in_the_order_of_their_hash() -> None:
    """What the step does with a class is K-means over its rows, whatever passes they are collected in."""
    table = pool()
    _, state, _ = run(table, group=None, k=5)
    ranks = MemoryFrame(table)
    (found,) = group_vectors.collect_groups(
        ranks, "clip", group_vectors.Groups([], ()), np.array([400]), np.array([2**63 - 1]), KEY
    )
    rows = found.of(0)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, Rows(table).vectors("clip")))
    clusters = kmeans(rows, KMeansOptions(5, restarts=4), KEY)
    np.testing.assert_array_equal(Rows(state.tables["centroids"]).vectors("centroid"), clusters.centroids)


def test_memory_decides_how_often_rows_are_read_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pool()
    _, once, _ = run(table)
    monkeypatch.setattr(group_vectors, "MEMORY", 1_000)
    _, often, _ = run(table)
    assert once == often


def test_other_rows_get_the_cluster_of_their_own_class() -> None:
    _, state, step = run(pool())
    later = pool()
    outcome = step.apply(Rows(later.filter(pa.array(later.column("truth").to_numpy() == 2))), state)
    assert set(outcome.columns["cluster"].to_pylist()) == {2}


def test_rows_without_a_vector_a_class_or_clusters_are_dropped() -> None:
    table = pool(sizes={"cat": 50, "bad": 20})
    vectors = Rows(table).vectors("clip").copy()
    labels = np.array(table.column("label").to_pylist(), object)
    vectors[labels == "bad"] = np.nan
    cats = np.flatnonzero(labels == "cat")
    vectors[cats[0]], vectors[cats[1], 3], labels[cats[2]] = 0, np.inf, None
    table = table.set_column(0, "label", pa.array(labels, pa.string()))
    table = table.set_column(3, "clip", vector_array(vectors))
    said, state, step = run(table)
    names = ["", *(reason.name for reason in step.reasons)]
    dropped = [names[code] for code in said["drop"]]
    assert [dropped[row] for row in cats[:4]] == ["no_vector", "no_vector", "no_group", ""]
    assert {dropped[row] for row in np.flatnonzero(labels == "bad")} == {"no_clusters"}
    assert state.tables["groups"].column("learned_from").to_pylist() == [0, 47]
    new = step.apply(Rows(table.set_column(0, "label", pa.array(["new"] * table.num_rows))), state)
    assert new.drop is not None
    assert set(new.drop) == {3}


def test_small_classes_have_fewer_clusters_and_that_is_said() -> None:
    table = pool(sizes={"cat": 50, "dog": 20})
    rows = Rows.of(
        {"label": ["two"] * 5 + ["one"], "truth": [0] * 6, "uid": [f"x{i}" for i in range(6)],
         "clip": np.repeat(np.eye(3, D, dtype=np.float16), [2, 3, 1], axis=0)}
    ).table  # fmt: skip
    said, state, step = run(pa.concat_tables([table, rows.cast(table.schema)]))
    np.testing.assert_array_equal(said["cluster"][-6:], [1, 1, 0, 0, 0, 0])
    assert "2 groups with fewer than 4, as fewer rows differ: one 1, two 2" in step.learned(state)
    lone, state, step = run(rows, group=None)
    assert lone["cluster"].max() == 2
    assert "fewer than 4, as fewer rows differ" in step.learned(state)


def test_the_number_of_clusters_can_be_chosen_for_each_class() -> None:
    said, state, step = run(pool(), k={"choose": [2, 6]})
    assert said["cluster"].max() == 3
    groups = state.tables["groups"]
    assert groups.column("clusters").to_pylist() == [4, 4, 4]
    assert min(groups.column("silhouette").to_pylist()) > 0.5
    assert "chosen by silhouette: 4 in 3" in step.learned(state)


def test_large_classes_are_learned_from_a_sample() -> None:
    said, state, step = run(pool(), at_most=60)
    assert state.tables["groups"].column("learned_from").to_pylist() == [60, 60, 60]
    assert state.tables["groups"].column("rows").to_pylist() == [200, 120, 80]
    assert "learned from 180 of 400 rows" in step.learned(state)
    assert (said["cluster"] == pool().column("truth").to_numpy()).mean() > 0.5  # sizes of samples order clusters
    assert not said["drop"].any()


def test_a_row_is_explained() -> None:
    table = pool()
    _said, state, step = run(table, merge=2)
    row = {"label": "dog", "cluster": 1, "attribute": 0, "cluster_distance": 1.25}
    assert step.explain(row, state) == "cluster 1 of 4 of dog (26 rows), attribute 0; 1.2500 from its centroid"
    assert step.explain({**row, "label": "new"}, state) == ""
    assert step.explain({**row, "cluster": None}, state) == ""


def test_another_column_names_the_others() -> None:
    said, _, _ = run(pool(), into="style")
    assert list(said) == ["style", "style_cluster", "style_distance", "drop"]


def test_centroids_say_whose_vectors_they_are_of() -> None:
    table = pool()
    table = table.set_column(3, vector_field("clip", D, "ViT-B/32", "abc"), table.column("clip"))
    _, state, _ = run(table)
    assert vector_model(state.tables["centroids"].schema.field("centroid")) == ("ViT-B/32", "abc")


def test_every_row_may_be_its_own_group() -> None:
    said, state, _ = run(pool(sizes={"cat": 12}), group="uid")
    assert set(said["cluster"]) == {0}
    assert state.tables["groups"].num_rows == 12


def test_no_rows() -> None:
    _said, state, step = run(pool().slice(0, 0))
    assert step.learned(state) == "no rows, no clusters"
    _lone, state, step = run(pool().slice(0, 0), group=None)
    assert step.learned(state) == "no rows, no clusters"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"k": 0}, "from 1 to 1,000,000"),
        ({"k": 1_000_001}, "from 1 to 1,000,000"),
        ({"k": {"choose": [2, 1_001]}}, "up to 1,000"),
        ({"k": 2_000, "restarts": 3}, "'restarts' has no effect with more than 1,000 clusters"),
        ({"levels": [10, 20]}, "the finest first"),
        ({"levels": [20, 10], "group": "label"}, "'group' has no effect with levels"),
        ({"centroids": "a.npy"}, "'group' has no effect with the centroids of a file"),
        ({"k": True}, "k is a number of clusters"),
        ({"k": "six"}, "not 'six'"),
        ({"k": {"choose": [3]}}, r"not \[3\]"),
        ({"k": {"choose": [1, 5]}}, "at least 2"),
        ({"k": {"choose": [5, 3]}}, "the fewest first"),
        ({"k": {"pick": 3}}, "not {'pick': 3}"),
        ({"into": "label"}, "cannot write 'label'"),
        ({"into": "uid"}, "cannot write 'uid'"),
        ({"metric": "l1"}, "euclidean"),
        ({"merge": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Cluster.model_validate({"of": "clip", "group": "label", **parameters})


def test_wrong_columns() -> None:
    schema = pool().schema
    with pytest.raises(StepError, match="column 'truth' is int64, not vectors"):
        Cluster(of="truth").gives(schema)
    with pytest.raises(StepError, match="cannot group by 'clip'"):
        Cluster(of="clip", group=("clip",)).gives(schema)


def test_levels_are_clusters_of_centroids() -> None:
    """By the plain definition: the nearest centroid of every row, then the clusters of these centroids."""
    table = pool(sizes={"all": 900}, dtype=np.float32)
    step = Cluster.model_validate({"of": "clip", "levels": [60, 12, 3]})
    state = step.fit(MemoryFrame(table, [300]), Context(KEY))
    again = step.fit(MemoryFrame(table.take(pa.array(np.random.default_rng(1).permutation(900))), [50]), Context(KEY))
    assert state.mapped["centroids"].equals(again.mapped["centroids"])
    outcome = step.apply(Rows(table), state)
    assert list(outcome.columns) == ["cluster_3", "cluster_2", "cluster_1", "cluster_distance"]
    said = {name: values.to_numpy() for name, values in outcome.columns.items()}
    centroids = Rows(state.mapped["centroids"]).vectors("centroid").astype(np.float64)
    distances = np.linalg.norm(Rows(table).vectors("clip").astype(np.float64)[:, None] - centroids, axis=2)
    np.testing.assert_array_equal(said["cluster_1"], distances.argmin(axis=1))
    np.testing.assert_allclose(said["cluster_distance"], distances.min(axis=1), rtol=1e-6)
    parents = state.mapped["centroids"].select(["cluster_2", "cluster_3"]).to_pandas()
    assert parents.groupby("cluster_2")["cluster_3"].nunique().max() == 1
    np.testing.assert_array_equal(said["cluster_2"], parents["cluster_2"].to_numpy()[said["cluster_1"]])
    # The four kinds are far apart, so that no cluster of any level has rows of two.
    truth = table.column("truth").to_numpy()
    assert all(len(np.unique(truth[said["cluster_1"] == number])) <= 1 for number in range(60))
    assert step.learned(state).startswith("60 clusters in all rows; these in 12; these in 3; squared distance")
    row = {name: values[0].as_py() for name, values in outcome.columns.items()}
    assert f"cluster_3 {said['cluster_3'][0]}, cluster_2 {said['cluster_2'][0]};" in step.explain(row, state)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
def test_rows_are_assigned_to_the_centroids_of_a_file(metric: str, tmp_path: Path) -> None:
    table = pool(dtype=np.float32)
    vectors = Rows(table).vectors("clip")[:7] * np.linspace(0.5, 2, 7, dtype=np.float32)[:, None]
    np.save(tmp_path / "seven.npy", vectors)
    column = pa.field("centroid", pa.list_(pa.float32(), D))
    pq.write_table(pa.table([vector_array(vectors)], schema=pa.schema([column])), tmp_path / "seven.parquet")
    found = []
    for name in ("seven.npy", "seven.parquet"):
        step = Cluster.model_validate({"of": "clip", "centroids": str(tmp_path / name), "metric": metric})
        assert step.files() == (str(tmp_path / name),)
        step.check_files(table.schema)
        state = step.fit(MemoryFrame(table), Context(KEY))
        found.append(step.apply(Rows(table), state).columns["cluster"])
        assert step.learned(state) == f"7 centroids of {name}; nothing was learned from the rows"
    rows = Rows(table).vectors("clip").astype(np.float64)
    wanted = np.linalg.norm(rows[:, None] - vectors, axis=2).argmin(axis=1)
    if metric == "cosine":
        wanted = (rows @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T).argmax(axis=1)
    if metric == "inner_product":
        wanted = (rows @ vectors.T).argmax(axis=1)
    np.testing.assert_array_equal(found[0], wanted)
    assert found[0] == found[1]


def test_centroids_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    schema = pool().schema
    np.save(tmp_path / "wide.npy", np.ones((3, D + 1)))
    np.save(tmp_path / "nan.npy", np.full((3, D), np.nan))
    np.save(tmp_path / "flat.npy", np.ones(D))
    wrong = {
        "wide.npy": f"width {D + 1}",
        "nan.npy": "centroid 0 is not finite",
        "flat.npy": "shape",
        "no.npy": "No such",
    }
    for name, words in wrong.items():
        step = Cluster.model_validate({"of": "clip", "centroids": str(tmp_path / name)})
        with pytest.raises(PoolwrightError, match=words):
            step.check_files(schema)
