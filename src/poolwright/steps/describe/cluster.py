"""cluster: K-means of all rows or within each group, up to a million clusters, in levels, or by given centroids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from poolwright.core.columns import ATTRIBUTE, CLUSTER, UID
from poolwright.core.files import sha256_file
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Columns
from poolwright.core.pool import PathOrUrl
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.clusters.centroids import nearest_centroids
from poolwright.kernels.clusters.drawn_rows import drawn_rows
from poolwright.kernels.clusters.group_vectors import collect_groups, usable_type
from poolwright.kernels.clusters.kmeans import KMeansOptions, clustered
from poolwright.kernels.clusters.large import train_centroids
from poolwright.kernels.clusters.levels import levels_of
from poolwright.kernels.clusters.lloyd import Metric
from poolwright.kernels.clusters.trained import Trained
from poolwright.kernels.selection.group_counts import Counted, count_groups
from poolwright.kernels.selection.groups import check_groupable, groups_of, lacks_value
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.kernels.similarity.cosine import Integers
from poolwright.steps.describe.clusters.centroid_file import read_centroids
from poolwright.steps.describe.clusters.numbers import FEW_CLUSTERS, MOST_CLUSTERS, Numbers
from poolwright.steps.describe.clusters.state import (
    GROUPS,
    centroid_table,
    centroids_in,
    cluster_state,
    group_table,
    held,
    level_name,
    levels_above,
)
from poolwright.steps.describe.vector_columns import NO_VECTOR, vector_column

_FEW_ROWS = 50_000
"""Most rows of a group that up to 1,000 clusters are learned from."""

_PER_CLUSTER, _SAMPLE = 256, 4 << 30
"""Most rows for each of more clusters, and bytes of vectors, that are learned from."""

_MAPPED = 100_000
"""Centroids of small groups from which on they are not read into memory with the state."""

_FEWER_NAMED = 5


class Cluster(Step):
    """Cluster the vectors of each group by K-means, and number its clusters by size, the largest 0.

    The clusters of a class are its pretext attributes. A row gets the number of the nearest centroid of its own group,
    its distance from it, and the attribute: the number, after neighbours in the order of size are merged by `merge`.
    The same rows give the same clusters, whatever their order, their cut and the number of workers. A group with
    fewer distinct rows than `k` has as many clusters as distinct rows.

    More than 1,000 clusters are learned from a sample, by a tree of small K-means and sweeps over all of it. Every row
    then gets its nearest centroid, exactly.

    `levels: [100_000, 10_000, 1_000]` clusters the centroids again, as Vo et al. (2024, arXiv 2405.15613) do to curate
    training data: `cluster_1` is the nearest of 100,000 centroids, `cluster_2` the cluster of that centroid among
    10,000, `cluster_3` that among 1,000. `sample` with `balance` draws evenly from such a tree. Clusters of higher
    levels are numbered by the clusters in them. `centroids` assigns rows to the centroids of a file, in its order.
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
    levels: tuple[Annotated[int, Field(ge=1, le=MOST_CLUSTERS)], ...] | None = Field(
        default=None, min_length=1, description="clusters of each level instead of k, the finest first"
    )
    centroids: PathOrUrl | None = Field(
        default=None, description=".npy or Parquet file of centroids to assign rows to, instead of k"
    )
    metric: Literal["euclidean", "cosine", "inner_product"] = Field(
        default="euclidean",
        description="euclidean; cosine, which clusters directions; or inner_product with given centroids as they are",
    )
    restarts: int = Field(
        default=10,
        ge=1,
        description="runs from different seeds, up to 1,000 clusters; the one with the lowest inertia is used",
    )
    merge: int = Field(default=1, ge=1, description="number of neighbours in the order of size that make one attribute")
    at_most: int | None = Field(
        default=None,
        ge=1,
        description="most rows of a group to learn from; drawn by hash from a larger group. Default: 50,000; with more "
        "than 1,000 clusters 256 each, as far as 4 GiB hold their vectors",
    )
    into: Column = Field(default=ATTRIBUTE, description="column of the attribute; others are named after it")

    @model_validator(mode="after")
    def _fits_together(self) -> Cluster:
        low, high = self.k
        if low > high:
            raise ValueError(f"k: choose takes the fewest first, not [{low}, {high}]")
        if low != high and low < 2:
            raise ValueError("k: choose takes at least 2: one cluster has no silhouette")
        if self.levels and any(above >= below for below, above in pairwise(self.levels)):
            raise ValueError(f"levels takes the finest first, each with fewer clusters, not {list(self.levels)}")
        if self.metric == "inner_product" and self.centroids is None:
            raise ValueError("metric inner_product is for given centroids; K-means takes euclidean or cosine")
        unused = sorted(self.model_fields_set & self._without_effect())
        if unused:
            raise ValueError(f"'{unused[0]}' has no effect {self._because()}; remove it")
        taken = {UID, self.of, *self.by()} & set(self._names())
        if taken:
            raise ValueError(f"cannot write '{min(taken)}'; name another column in 'into'")
        return self

    def _without_effect(self) -> set[str]:
        if self.centroids is not None:
            return {"k", "levels", "group", "restarts", "at_most"}
        if self.levels is not None:
            return {"k", "group", "restarts", "merge"}
        return {"restarts"} if self._many else set()

    def _because(self) -> str:
        if self.centroids is not None:
            return "with the centroids of a file"
        return "with levels" if self.levels is not None else f"with more than {FEW_CLUSTERS:,} clusters"

    @property
    def _kernel_metric(self) -> Metric:
        """The metric of K-means and of centroids; cosine compares inner products, also with centroids of any length."""
        return "euclidean" if self.metric == "euclidean" else "cosine"

    @property
    def _many(self) -> bool:
        """Whether centroids are too many for K-means on all rows with restarts."""
        return self.levels is not None or self.k[1] > FEW_CLUSTERS

    def by(self) -> tuple[str, ...]:
        """Return the group columns."""
        return self.group or ()

    def _names(self) -> tuple[str, ...]:
        """Return the columns of the attribute and the cluster, or of all levels from the top; and of the distance."""
        stem = CLUSTER if self.into == ATTRIBUTE else self.into
        if self.levels is not None:
            return (*(level_name(level, stem) for level in range(len(self.levels), 0, -1)), f"{stem}_distance")
        return (self.into, CLUSTER if stem == CLUSTER else f"{stem}_{CLUSTER}", f"{stem}_distance")

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.of, *self.by())))

    def files(self) -> tuple[str, ...]:
        """Return the file of given centroids."""
        return (self.centroids,) if self.centroids is not None else ()

    def check_files(self, given: pa.Schema) -> None:
        if self.centroids is not None:
            read_centroids(
                self.centroids, vector_column(given, self.of, self.verb), self.metric == "cosine", MOST_CLUSTERS
            )

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        vector_column(given, self.of, self.verb)
        check_groupable(self.verb, given, self.by())
        *numbers, distance = self._names()
        return [*(pa.field(name, pa.int32()) for name in numbers), pa.field(distance, pa.float32())]

    def fit(self, frame: Frame, context: Context) -> State:
        field = vector_column(frame.schema, self.of, self.verb)
        counted = count_groups(frame, self.by())
        groups, counts = counted.groups, counted.counts
        found: list[Trained | None] = [None] * len(counts)
        if self.centroids is not None:
            vectors = read_centroids(self.centroids, field, self.metric == "cosine", MOST_CLUSTERS)
            nothing = np.zeros(len(vectors))
            found[0] = Trained(vectors, nothing.astype(np.int64), nothing, 0.0)
            return self._state(field, counted, found)
        wanted = np.minimum(counts, self._at_most(field))
        ranks = cut_ranks(frame, groups, counts, context.key, wanted[None, :])[0]
        keys = hash64(groups.tokens(), context.key) if self.by() else np.array([context.key], np.uint64)
        if self._many:
            k = self.levels[0] if self.levels else self.k[0]
            for group, rows in drawn_rows(frame, self.of, groups, ranks, context.key, context.work):
                found[group] = train_centroids(rows, k, self._kernel_metric, int(keys[group]))
            return self._state(field, counted, found, context.key)
        low, high = self.k
        options = KMeansOptions(low, high if high > low else None, self._kernel_metric, self.restarts)
        for collected in collect_groups(frame, self.of, groups, wanted, ranks, context.key):
            for group, clusters in clustered(collected, keys, options):
                found[group] = Trained.of(clusters, self._kernel_metric)
        return self._state(field, counted, found)

    def _at_most(self, field: pa.Field) -> int:
        """Return the most rows of a group that are learned from."""
        if self.at_most is not None:
            return self.at_most
        if not self._many:
            return _FEW_ROWS
        row_bytes: int = field.type.list_size * min(4, field.type.value_type.bit_width // 8)
        return max(_FEW_ROWS, min(_PER_CLUSTER * (self.levels or self.k)[0], _SAMPLE // row_bytes))

    def _state(self, field: pa.Field, counted: Counted, found: list[Trained | None], key: int = 0) -> State:
        there = [trained for trained in found if trained is not None]
        groups = group_table(counted, found, silhouettes=self.k[0] < self.k[1])
        values: dict[str, Any] = {"metric": self._kernel_metric}
        above: list[Integers] = []
        if self.centroids is not None:
            values |= {"centroids": Path(self.centroids).name, "sha256": sha256_file(self.centroids)}
        elif self.levels is not None:
            above = levels_of(there[0].centroids, self.levels[1:], self._kernel_metric, key) if there else []
            above = above or [np.empty(0, np.int64)] * (len(self.levels) - 1)
            values |= {"levels": list(self.levels), "at_most": self._at_most(field)}
        else:
            values |= {"least": self.k[0], "most": self.k[1], "at_most": self._at_most(field)}
        table = centroid_table(field, groups, there, self.merge, above)
        return cluster_state(values, groups, table, mapped=self._many or len(table) > _MAPPED)

    def apply(self, rows: Rows, state: State) -> Outcome:
        groups = groups_of(state.tables[GROUPS])
        centroids = held(state)
        ids = groups.ids(rows)
        cluster, distance = nearest_centroids(usable_type(rows.vectors(self.of)), ids, centroids)
        without = ids < 0
        without[~without] = centroids.counts[ids[~without]] == 0
        drop = (cluster < 0).astype(np.uint8)
        drop[without] = 3
        drop[lacks_value(rows, self.by())] = 2
        if self.levels is None:
            numbers = [cluster // self.merge, cluster]
        else:
            above = [np.append(of, -1)[cluster] for of in levels_above(state, len(self.levels))]
            numbers = [*reversed(above), cluster]
        arrays = [pa.array(values, pa.int32(), mask=drop > 0) for values in numbers]
        arrays.append(pa.array(distance, pa.float32(), mask=drop > 0))
        return Outcome(dict(zip(self._names(), arrays, strict=True)), drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        *above, cluster, distance = (row.get(name) for name in self._names())
        if cluster is None or distance is None:
            return ""
        table = state.tables[GROUPS]
        groups = groups_of(table)
        group = groups.index_of(row)
        if group < 0:
            return ""
        first = int(pc.sum(table.column("clusters").slice(0, group)).as_py() or 0)
        rows = centroids_in(state).column("rows")[first + int(cluster)].as_py()
        of = f"{table.column('clusters')[group].as_py():,} of {groups.names()[group]}"
        size = "" if self.centroids is not None else f" ({in_rows(rows)})"
        level = f"attribute {above[0]}"
        if self.levels is not None:
            level = ", ".join(f"{name} {number}" for name, number in zip(self._names(), above, strict=False))
        parts = [f"cluster {cluster} of {of}{size}", *([level] if level else [])]
        return f"{', '.join(parts)}; {distance:.4f} from its centroid"

    def learned(self, state: State) -> str:
        table = state.tables[GROUPS]
        numbers = table.column("clusters").to_numpy()
        if not numbers.sum():
            return "no rows, no clusters"
        where = f"{in_groups(int((numbers > 0).sum()))} of {', '.join(self.by())}" if self.by() else "all rows"
        if self.centroids is not None:
            return f"{numbers.sum():,} centroids of {state.values['centroids']}; nothing was learned from the rows"
        parts = [f"{numbers.sum():,} clusters in {where}", *self._in_levels(state), *self._chosen(numbers)]
        parts += self._fewer(table, numbers)
        seen, rows = (int(pc.sum(table.column(name)).as_py()) for name in ("learned_from", "rows"))
        inertia = pc.sum(table.column("inertia")).as_py() / seen
        parts.append(f"{'cosine' if self.metric == 'cosine' else 'squared'} distance {inertia:.4g} on the mean")
        if state.values["at_most"] < table.column("rows").to_numpy().max():
            parts.append(f"learned from {seen:,} of {in_rows(rows)}")
        return "; ".join(parts)

    def _in_levels(self, state: State) -> list[str]:
        if self.levels is None:
            return []
        counts = [len(np.unique(of)) for of in levels_above(state, len(self.levels))]
        return [f"these in {count:,}" for count in counts]

    def _chosen(self, numbers: npt.NDArray[np.int64]) -> list[str]:
        if self.k[0] == self.k[1]:
            return []
        counts = sorted(Counter(numbers[numbers > 0].tolist()).items())
        return ["chosen by silhouette: " + some([f"{k} in {groups:,}" for k, groups in counts])]

    def _fewer(self, table: pa.Table, numbers: npt.NDArray[np.int64]) -> list[str]:
        """Describe the groups that have fewer clusters than asked for."""
        least = self.levels[0] if self.levels else self.k[0]
        fewer = np.flatnonzero(numbers < least)
        if not len(fewer):
            return []
        if not self.by():
            return [f"fewer than {least:,}, as fewer rows differ"]
        names = groups_of(table).names()
        named = some([f"{names[group]} {numbers[group]}" for group in fewer], _FEWER_NAMED)
        return [f"{in_groups(len(fewer))} with fewer than {least:,}, as fewer rows differ: {named}"]
