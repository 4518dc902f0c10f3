"""Make the tables that `cluster` learns, and read its centroids from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.rows import one_array, vector_array, vectors_of
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.kernels.clusters.centroids import Centroids
from poolwright.kernels.clusters.trained import Trained
from poolwright.kernels.selection.group_counts import Counted

GROUPS = "groups"
CENTROIDS = "centroids"

Integers = npt.NDArray[np.int64]


def cluster_state(values: dict[str, Any], groups: pa.Table, centroids: pa.Table, mapped: bool) -> State:
    """Return the state; `mapped` if the centroids are so many that they are read from the file when they are needed."""
    tables = {GROUPS: groups} if mapped else {GROUPS: groups, CENTROIDS: centroids}
    return State(values, tables, mapped={CENTROIDS: centroids} if mapped else {})


def centroids_in(state: State) -> pa.Table:
    """Return the table with a row for each cluster."""
    return state.mapped[CENTROIDS] if CENTROIDS in state.mapped else state.tables[CENTROIDS]


def group_table(counted: Counted, found: Sequence[Trained | None], silhouettes: bool) -> pa.Table:
    """Return one row per group: rows, those learned from, clusters, inertia, and the mean silhouettes if wanted."""

    def of_each(figure: Callable[[Trained], float], dtype: Any) -> npt.NDArray[Any]:
        return np.array([0 if one is None else figure(one) for one in found], dtype)

    figures: dict[str, Any] = {
        "rows": counted.counts,
        "learned_from": of_each(lambda one: int(one.rows.sum()), np.int64),
        "clusters": of_each(lambda one: len(one.rows), np.int64),
        "inertia": of_each(lambda one: one.inertia, np.float64),
    }
    if silhouettes:
        figures["silhouette"] = pa.array([None if one is None else one.silhouette for one in found], pa.float64())
    return counted.groups.table(figures)


def centroid_table(
    field: pa.Field,
    groups: pa.Table,
    there: Sequence[Trained],
    merge: int,
    above: Sequence[Integers] = (),
) -> pa.Table:
    """Return one row per cluster: the group, its number by size, the attribute, rows, mean distance, centroid.

    Args:
        field: that of the vectors, for the model they are of.
        groups: the group table.
        there: the centroids of the groups that have some.
        merge: clusters that make an attribute.
        above: the cluster of each higher level that every cluster is in; they replace the attribute.
    """
    numbers = groups.column("clusters").to_numpy()
    group = np.repeat(np.arange(len(numbers)), numbers)
    cluster = np.arange(len(group)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    names = [name for name in groups.column_names if name.startswith("group.")]
    table = groups.select(names).take(pa.array(group)) if names else pa.table({"group": np.zeros(len(group), int)})
    centroid = vector_array(
        np.concatenate([np.empty((0, field.type.list_size), np.float32), *(one.centroids for one in there)])
    )
    columns = {"cluster": pa.array(cluster.astype(np.int32))}
    if above:
        columns |= {level_name(level): pa.array(of, pa.int32()) for level, of in enumerate(above, 2)}
    else:
        columns["attribute"] = pa.array((cluster // merge).astype(np.int32))
    columns["rows"] = pa.array(np.concatenate([np.empty(0, np.int64), *(one.rows for one in there)]))
    columns["distance"] = pa.array(np.concatenate([np.empty(0), *(one.distances for one in there)]))
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table.append_column(pa.field("centroid", centroid.type, metadata=field.metadata), centroid)


def level_name(level: int, stem: str = "cluster") -> str:
    """Return the column of the clusters of one level, the finest 1."""
    return f"{stem}_{level}"


def held(state: State) -> Centroids:
    """Return the centroids of a state, built once per process."""

    def made(state: State) -> Centroids:
        counts = state.tables[GROUPS].column("clusters").to_numpy()
        vectors = vectors_of(one_array(centroids_in(state).column("centroid")))
        return Centroids(vectors, np.cumsum(counts) - counts, counts, state.values["metric"])

    return once("centroids", state, made)


def levels_above(state: State, levels: int) -> list[npt.NDArray[np.int32]]:
    """Return the cluster of each level above the first that every cluster is in, the lowest level first."""
    table = centroids_in(state)
    return [table.column(level_name(level)).to_numpy() for level in range(2, levels + 1)]
