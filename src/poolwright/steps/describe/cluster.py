"""cluster: K-means within each group of rows, and attributes from its clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from poolwright.core.columns import ATTRIBUTE, CLUSTER, CLUSTER_DISTANCE, UID
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Columns
from poolwright.core.rows import Rows, one_array, vector_array, vectors_of
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.clusters.centroids import Centroids, nearest_centroids
from poolwright.kernels.clusters.group_vectors import GroupVectors, collect_groups, usable_type
from poolwright.kernels.clusters.kmeans import Clusters, KMeansOptions, kmeans_groups
from poolwright.kernels.clusters.lloyd import Metric
from poolwright.kernels.selection.group_counts import Counted, count_groups
from poolwright.kernels.selection.groups import check_groupable, groups_of, lacks_value
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.steps.describe.vector_columns import NO_VECTOR, vector_column

GROUPS = "groups"
CENTROIDS = "centroids"
_MOST_CLUSTERS = 1_000
_FEWER_NAMED = 5


def _numbers(value: Any) -> Any:
    """6 -> (6, 6); {choose: [2, 8]} -> (2, 8).

    Raises:
        ValueError: neither of the two, or not within 1 .. 1,000.
    """
    if isinstance(value, Mapping) and set(value) == {"choose"}:
        value = value["choose"]
    numbers = tuple(value) if isinstance(value, list | tuple) else (value, value)
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if len(numbers) != 2 or not whole or not 1 <= min(numbers) <= max(numbers) <= _MOST_CLUSTERS:
        raise ValueError(
            f"k is a number of clusters from 1 to {_MOST_CLUSTERS:,}, or {{choose: [2, 8]}}, the fewest and most "
            f"to choose from, not {value!r}"
        )
    return numbers


Numbers = Annotated[
    tuple[int, int],
    BeforeValidator(_numbers),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": _MOST_CLUSTERS},
                {
                    "type": "object",
                    "properties": {
                        "choose": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
                    },
                    "required": ["choose"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class Cluster(Step):
    """Cluster the vectors of each group by K-means, and number its clusters by size, the largest 0.

    The clusters of a class are its pretext attributes. A row gets the number of the nearest centroid of its own group,
    its distance from it, and the attribute: the number, after neighbours in the order of size are merged by `merge`.
    The same rows give the same clusters, whatever their order, their cut and the number of workers. A group with
    fewer distinct rows than `k` has as many clusters as distinct rows.
    """

    verb: ClassVar[str] = "cluster"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "cluster: {of: clip, group: label, k: 6, merge: 2}"
    state_kind: ClassVar[str] = "clusters"
    fits_rows: ClassVar[bool] = True
    costly: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (
        NO_VECTOR,
        Reason("no_group", "no value in the group column"),
        Reason("no_clusters", "its group had no rows when clusters were made"),
    )

    of: str = Field(description="column with the vectors")
    group: Columns | None = Field(
        default=None, description="column or columns whose values make a group, such as the class; default: one group"
    )
    k: Numbers = Field(
        default=6,
        validate_default=True,
        description="clusters per group; {choose: [2, 8]} takes the number with each group's highest mean silhouette",
    )
    metric: Metric = Field(default="euclidean", description="euclidean, or cosine, which clusters directions")
    restarts: int = Field(
        default=10, ge=1, description="runs from different seeds; the one with the lowest inertia is used"
    )
    merge: int = Field(default=1, ge=1, description="number of neighbours in the order of size that make one attribute")
    at_most: int = Field(
        default=50_000, ge=1, description="most rows of a group to learn from; drawn by hash from a larger group"
    )
    into: Column = Field(default=ATTRIBUTE, description="column of the attribute; others are named after it")

    @model_validator(mode="after")
    def _fits_together(self) -> Cluster:
        low, high = self.k
        if low > high:
            raise ValueError(f"k: choose takes the fewest first, not [{low}, {high}]")
        if low != high and low < 2:
            raise ValueError("k: choose takes at least 2: one cluster has no silhouette")
        taken = {UID, self.of, *self.by()} & set(self._names())
        if taken:
            raise ValueError(f"cannot write '{min(taken)}'; name another column in 'into'")
        return self

    def by(self) -> tuple[str, ...]:
        """Return the group columns."""
        return self.group or ()

    def _names(self) -> tuple[str, str, str]:
        """Return the columns of the attribute, the cluster and the distance."""
        if self.into == ATTRIBUTE:
            return ATTRIBUTE, CLUSTER, CLUSTER_DISTANCE
        return self.into, f"{self.into}_{CLUSTER}", f"{self.into}_distance"

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.of, *self.by())))

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        vector_column(given, self.of, self.verb)
        check_groupable(self.verb, given, self.by())
        return [pa.field(name, kind) for name, kind in zip(self._names(), _TYPES, strict=True)]

    def fit(self, frame: Frame, context: Context) -> State:
        field = vector_column(frame.schema, self.of, self.verb)
        counted = count_groups(frame, self.by())
        groups, counts = counted.groups, counted.counts
        wanted = np.minimum(counts, self.at_most)
        ranks = cut_ranks(frame, groups, counts, context.key, wanted[None, :])[0]
        keys = hash64(groups.tokens(), context.key) if self.by() else np.array([context.key], np.uint64)
        low, high = self.k
        options = KMeansOptions(low, high if high > low else None, self.metric, self.restarts)
        found: list[Clusters | None] = [None] * len(counts)
        for vectors in collect_groups(frame, self.of, groups, wanted, ranks, context.key):
            for group, clusters in _clustered(vectors, keys, options):
                found[group] = clusters
        return self._state(field, counted, found)

    def _state(self, field: pa.Field, counted: Counted, found: list[Clusters | None]) -> State:
        there = [clusters for clusters in found if clusters is not None]
        numbers = np.array([0 if clusters is None else len(clusters.rows) for clusters in found], np.int64)
        seen = np.array([0 if clusters is None else clusters.rows.sum() for clusters in found], np.int64)
        inertia = np.array([0.0 if clusters is None else clusters.inertia(self.metric) for clusters in found])
        figures: dict[str, Any] = {
            "rows": counted.counts,
            "learned_from": seen,
            "clusters": numbers,
            "inertia": inertia,
        }
        if self.k[0] < self.k[1]:
            figures["silhouette"] = pa.array([None if one is None else one.silhouette for one in found], pa.float64())
        groups = counted.groups.table(figures)
        values = {"metric": self.metric, "least": self.k[0], "most": self.k[1], "at_most": self.at_most}
        return State(values, {GROUPS: groups, CENTROIDS: self._centroids(field, groups, numbers, there)})

    def _centroids(
        self, field: pa.Field, groups: pa.Table, numbers: npt.NDArray[np.int64], there: list[Clusters]
    ) -> pa.Table:
        """Return one row per cluster: the group, its number by size, the attribute, rows, mean distance, centroid."""
        group = np.repeat(np.arange(len(numbers)), numbers)
        cluster = np.arange(len(group)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        names = [name for name in groups.column_names if name.startswith("group.")]
        table = groups.select(names).take(pa.array(group)) if names else pa.table({"group": np.zeros(len(group), int)})
        width = field.type.list_size
        vectors = np.concatenate([np.empty((0, width), np.float32), *(one.centroids for one in there)])
        means = [np.bincount(one.labels, one.distances, len(one.rows)) / one.rows for one in there]
        centroid = vector_array(vectors)
        columns = {
            "cluster": pa.array(cluster.astype(np.int32)),
            "attribute": pa.array((cluster // self.merge).astype(np.int32)),
            "rows": pa.array(np.concatenate([np.empty(0, np.int64), *(one.rows for one in there)])),
            "distance": pa.array(np.concatenate([np.empty(0), *means])),
        }
        for name, values in columns.items():
            table = table.append_column(name, values)
        return table.append_column(pa.field("centroid", centroid.type, metadata=field.metadata), centroid)

    def apply(self, rows: Rows, state: State) -> Outcome:
        groups = groups_of(state.tables[GROUPS])
        held = once("centroids", state, _held)
        ids = groups.ids(rows)
        cluster, distance = nearest_centroids(usable_type(rows.vectors(self.of)), ids, held)
        without = ids < 0
        without[~without] = held.counts[ids[~without]] == 0
        drop = (cluster < 0).astype(np.uint8)
        drop[without] = 3
        drop[lacks_value(rows, self.by())] = 2
        columns = (cluster // self.merge, cluster, distance)
        arrays = (pa.array(values, kind, mask=drop > 0) for values, kind in zip(columns, _TYPES, strict=True))
        return Outcome(dict(zip(self._names(), arrays, strict=True)), drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        attribute, cluster, distance = (row.get(name) for name in self._names())
        if cluster is None or distance is None:
            return ""
        table = state.tables[GROUPS]
        groups = groups_of(table)
        group = groups.index_of(row)
        if group < 0:
            return ""
        first = int(pc.sum(table.column("clusters").slice(0, group)).as_py() or 0)
        rows = state.tables[CENTROIDS].column("rows")[first + int(cluster)].as_py()
        of = f"{table.column('clusters')[group].as_py()} of {groups.names()[group]}"
        return f"cluster {cluster} of {of} ({in_rows(rows)}), attribute {attribute}; {distance:.4f} from its centroid"

    def learned(self, state: State) -> str:
        table = state.tables[GROUPS]
        numbers = table.column("clusters").to_numpy()
        if not numbers.sum():
            return "no rows, no clusters"
        where = f"{in_groups(int((numbers > 0).sum()))} of {', '.join(self.by())}" if self.by() else "all rows"
        parts = [f"{numbers.sum():,} clusters in {where}", *self._chosen(numbers), *self._fewer(table, numbers)]
        seen, rows = (int(pc.sum(table.column(name)).as_py()) for name in ("learned_from", "rows"))
        inertia = pc.sum(table.column("inertia")).as_py() / seen
        parts.append(f"{'cosine' if self.metric == 'cosine' else 'squared'} distance {inertia:.4g} on the mean")
        if self.at_most < table.column("rows").to_numpy().max():
            parts.append(f"learned from {seen:,} of {in_rows(rows)}")
        return "; ".join(parts)

    def _chosen(self, numbers: npt.NDArray[np.int64]) -> list[str]:
        if self.k[0] == self.k[1]:
            return []
        counts = sorted(Counter(numbers[numbers > 0].tolist()).items())
        return ["chosen by silhouette: " + some([f"{k} in {groups:,}" for k, groups in counts])]

    def _fewer(self, table: pa.Table, numbers: npt.NDArray[np.int64]) -> list[str]:
        """Describe the groups that have fewer clusters than asked for."""
        fewer = np.flatnonzero(numbers < self.k[0])
        if not len(fewer):
            return []
        if not self.by():
            return [f"fewer than {self.k[0]}, as fewer rows differ"]
        names = groups_of(table).names()
        named = some([f"{names[group]} {numbers[group]}" for group in fewer], _FEWER_NAMED)
        return [f"{in_groups(len(fewer))} with fewer than {self.k[0]}, as fewer rows differ: {named}"]


_TYPES = (pa.int32(), pa.int32(), pa.float32())


def _clustered(
    vectors: GroupVectors, keys: npt.NDArray[np.uint64], options: KMeansOptions
) -> Iterator[tuple[int, Clusters]]:
    """Yield (group, its clusters) for all groups that have vectors."""
    counts = vectors.counts
    here = [int(group) for group in np.flatnonzero(counts)]
    sizes, own_keys = [int(counts[group]) for group in here], [int(keys[group]) for group in here]

    def load(group: int) -> npt.NDArray[np.floating]:
        return vectors.of(here[group])

    yield from zip(here, kmeans_groups(load, sizes, vectors.width, own_keys, options), strict=True)


def _held(state: State) -> Centroids:
    """Return the centroids of a state, built once per process."""
    counts = state.tables[GROUPS].column("clusters").to_numpy()
    vectors = vectors_of(one_array(state.tables[CENTROIDS].column("centroid")))
    return Centroids(vectors, np.cumsum(counts) - counts, counts, state.values["metric"])
