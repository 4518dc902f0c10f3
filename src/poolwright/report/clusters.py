"""Show the clusters of a table: a map of each of some classes, and the nearest and farthest rows of each cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from poolwright.core.columns import UID, is_vector
from poolwright.core.errors import MissingExtra
from poolwright.core.rows import one_array
from poolwright.core.table import StepRecord, Table
from poolwright.kernels.selection.groups import Groups, groups_of
from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.report.charts.distributions import BATCH_ROWS
from poolwright.report.charts.maps import ROWS, map_of
from poolwright.report.sheets import Budget, SheetCard, fetch, sheets_of
from poolwright.report.view import TableView

CLASSES, CLUSTERS, PER_SIDE = 4, 10, 4
KIND, GROUPS = "clusters", "groups"


@dataclass(frozen=True)
class ClusterOfClass:
    """One cluster: its number by size, attribute, kept rows, and cards of the rows nearest and farthest."""

    number: int
    attribute: int
    rows: int
    nearest: tuple[SheetCard, ...]
    farthest: tuple[SheetCard, ...]


@dataclass(frozen=True)
class ClassMap:
    """The clusters of one class.

    Attributes:
        name: the class; 'all rows' if there are no groups.
        attribute: column of the attribute.
        rows: kept rows.
        clusters: the largest ones.
        more: clusters that are not shown.
        points: (n, 2) within 0 .. 1, positions on the map of rows sampled by hash.
        members: (n,), clusters of those rows.
        problem: reason for a missing map.
        failed: reason for missing pictures.
    """

    name: str
    attribute: str
    rows: int
    clusters: tuple[ClusterOfClass, ...]
    more: int = 0
    points: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    members: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    problem: str = ""
    failed: str = ""


@dataclass
class _Members:
    """Kept rows of one class: number in the table, cluster, attribute, distance and hash rank."""

    columns: tuple[npt.NDArray[Any], ...]

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Indices by distance; equal distances by hash rank."""
        _, _, _, distance, rank = self.columns
        return np.lexsort((rank, distance))


def class_maps(view: TableView, budget: Budget, wanted: Sequence[str] = ()) -> list[ClassMap]:
    """Return maps and contact sheets of the classes with most rows, or of the wanted classes.

    The list is empty if nothing was clustered.
    """
    step = clustering(view.table)
    if step is None or not view.table.record.rows_kept:
        return []
    table = view.table
    groups = groups_of(table.state(step.index).tables[GROUPS])
    picked = _picked(table, step, groups, wanted)
    members = _read(table, step, groups, picked)
    classes = [
        (groups.names()[group], rows) for group, rows in zip(picked, members, strict=True) if len(rows.columns[0])
    ]
    return _drawn(view, step, classes, budget)


def class_names(table: Table) -> list[str]:
    """Return the classes that were clustered; none if the table has no clusters."""
    step = clustering(table)
    return groups_of(table.state(step.index).tables[GROUPS]).names() if step else []


def clustering(table: Table) -> StepRecord | None:
    """Return the last clustering step of a table whose columns all still exist; None if there is none."""
    names = set(table.schema.names)
    steps = [step for step in table.record.steps if step.state_kind == KIND and step.gives]
    steps = [step for step in steps if {*step.gives, *_group_columns(step)} <= names]
    return steps[-1] if steps else None


def _group_columns(step: StepRecord) -> list[str]:
    group = step.parameters.get("group") or []
    return [group] if isinstance(group, str) else list(group)


def _picked(table: Table, step: StepRecord, groups: Groups, wanted: Sequence[str]) -> list[int]:
    """Return the indices of the groups that are shown."""
    if wanted:
        names = groups.names()
        return [names.index(name) for name in dict.fromkeys(wanted) if name in names]
    rows = one_array(table.state(step.index).tables[GROUPS].column("rows")).to_numpy()
    return [int(index) for index in np.argsort(-rows, kind="stable")[:CLASSES]]


def _read(table: Table, step: StepRecord, groups: Groups, picked: Sequence[int]) -> list[_Members]:
    *above, cluster, distance = step.gives  # of a tree, the attribute is the cluster at its top
    attribute = above[0] if above else cluster
    key = hash_key(table.record.seed, table.name, "clusters")
    found: list[list[tuple[npt.NDArray[Any], ...]]] = [[] for _ in picked]
    start = 0
    for rows in table.batches([UID, *groups.columns, attribute, cluster, distance], BATCH_ROWS):
        ids, ranks = groups.ids(rows), hash_ranks(rows.column(UID), key)
        numbers = [pc.fill_null(rows.column(name), -1).to_numpy() for name in (cluster, attribute)]
        values = (np.arange(start, start + len(rows)), *numbers, rows.numbers(distance), ranks)
        for index, group in enumerate(picked):
            selected = (ids == group) & (numbers[0] >= 0)
            found[index].append(tuple(column[selected] for column in values))
        start += len(rows)
    return [_Members(tuple(np.concatenate(column) for column in zip(*parts, strict=True))) for parts in found]


def _drawn(view: TableView, step: StepRecord, classes: list[tuple[str, _Members]], budget: Budget) -> list[ClassMap]:
    number = sum(len(_largest(members)) for _, members in classes)
    each = max(1, min(PER_SIDE, budget.pictures // (4 * max(1, number))))
    sides = [side for _, members in classes for cluster in _largest(members) for side in _sides(members, cluster, each)]
    sheets = iter(sheets_of(view, [""] * len(sides), [0] * len(sides), sides, budget, [step.gives[-1]]))
    maps = []
    for name, members in classes:
        clusters, failed = [], ""
        _, labels, attributes, *_ = members.columns
        for cluster in _largest(members):
            near, far = next(sheets), next(sheets)
            failed = near.failed
            first = int(np.flatnonzero(labels == cluster)[0])
            rows = int((labels == cluster).sum())
            clusters.append(ClusterOfClass(cluster, int(attributes[first]), rows, near.cards, far.cards))
        points, shown, problem = _map(view.table, step, members)
        more = len(np.unique(labels)) - len(clusters)
        maps.append(ClassMap(name, step.gives[0], len(labels), tuple(clusters), more, points, shown, problem, failed))
    return maps


def _largest(members: _Members) -> list[int]:
    """Return the clusters that are shown, in order."""
    return [int(cluster) for cluster in np.unique(members.columns[1])[:CLUSTERS]]


def _sides(members: _Members, cluster: int, each: int) -> tuple[list[int], list[int]]:
    """Return the row numbers of the nearest rows of a cluster, and of the farthest others, the farthest last."""
    rows, labels, *_ = members.columns
    order = members.order
    own = rows[order[labels[order] == cluster]]
    near, rest = own[:each], own[each:]
    return near.tolist(), rest[-each:].tolist()


def _map(
    table: Table, step: StepRecord, members: _Members
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], str]:
    """Return the positions of rows sampled by hash, their clusters, and the reason if there is no map."""
    nothing = np.empty((0, 2)), np.empty(0, np.int64)
    of = str(step.parameters["of"])
    if of not in table.schema.names or not is_vector(table.schema.field(of).type):
        return *nothing, f"no map: the table does not keep '{of}'"
    rows, labels, _, _, ranks = members.columns
    drawn = np.argsort(ranks, kind="stable")[:ROWS]
    vectors = fetch(table, rows[drawn].tolist(), [of]).vectors(of).astype(np.float32)
    if step.parameters.get("metric") == "cosine":
        vectors = unit_rows(vectors)
    try:
        points = map_of(vectors)
    except MissingExtra as missing:
        return *nothing, f"no map: {missing}"
    if points is None:
        return *nothing, "no map: too few rows"
    return points, labels[drawn].astype(np.int64), ""
