"""Make the shortlists of every bucket, for all prompts at once, in one pass over the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.groups import Groups, local_groups, plain_type
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.similarity.candidates import Shortlist
from poolwright.kernels.similarity.cosine import Float32, Integers
from poolwright.kernels.similarity.exact_matmul import grid_products


@dataclass(frozen=True)
class Prompts:
    """The prompts of all classes, one class after the other.

    Attributes:
        features: float32 (p, d), as `prompts_on_grid` gives them.
        classes: int (p,): the class of each, ascending from 0.
    """

    features: Float32
    classes: Integers

    @cached_property
    def _doubles(self) -> np.ndarray:
        return self.features.astype(np.float64)

    @cached_property
    def starts(self) -> Integers:
        """The first prompt of each class."""
        return np.flatnonzero(np.diff(self.classes, prepend=-1))

    def products(self, vectors: np.ndarray) -> tuple[Float32, np.ndarray]:
        """Cosines (p, n) of all prompts and rows, and which rows have a direction; see `grid_products`."""
        return grid_products(vectors, self._doubles)

    def scores(self, products: Float32) -> Float32:
        """Scores (m, n) of the classes: the highest of their prompts."""
        if len(self.starts) == len(products):
            return products
        return np.asarray(np.maximum.reduceat(products, self.starts, axis=0))

    def best_of(self, classes: Integers, products: Float32) -> Integers:
        """The prompt (n,) of highest product among those of each row's class, of equal ones the first."""
        best = self.starts[classes]
        if len(self.starts) == len(products):
            return np.asarray(best)
        ends = np.append(self.starts[1:], len(products))
        for one in np.unique(classes[(ends - self.starts)[classes] > 1]):
            rows = np.flatnonzero(classes == one)
            best[rows] += products[self.starts[one] : ends[one], rows].argmax(axis=0)
        return np.asarray(best)


@dataclass(frozen=True)
class Gathering:
    """Add rows to the shortlists of one pass.

    Attributes:
        vectors: column of the vectors.
        buckets: columns whose values make a bucket; () is one bucket of all rows.
        prompts: prompts that rows are scored by.
        key: of the hash ranks.
        size, worst: of the shortlists.
    """

    vectors: str
    buckets: tuple[str, ...]
    prompts: Prompts
    key: int
    size: int
    worst: bool

    def __call__(self, found: dict[tuple[Any, ...], Shortlist], rows: Rows) -> dict[tuple[Any, ...], Shortlist]:
        """Add a batch of rows to the shortlists of its buckets."""
        products, usable = self.prompts.products(rows.vectors(self.vectors))
        scores, ranks = self.prompts.scores(products), hash_ranks(rows.column(UID), self.key)
        if self.buckets:
            ids, values = local_groups([rows.column(name) for name in self.buckets])
            ids = np.where(usable, ids, -1)
        else:
            ids, values = np.where(usable, 0, -1), []
        order = np.argsort(ids, kind="stable")
        ends = np.searchsorted(ids[order], np.arange(ids.max(initial=-1) + 1), side="right")
        start = np.count_nonzero(ids < 0)
        for bucket, end in enumerate(ends):
            mine = order[start:end]
            if len(mine):
                name = tuple(column[bucket].as_py() for column in values)
                shortlist = found.setdefault(name, Shortlist(self.size, self.worst))
                shortlist.add(np.take(scores, mine, axis=1, mode="clip"), ranks[mine])
            start = end
        return found


def gather(frame: Frame, what: Gathering) -> tuple[Groups, list[Shortlist]]:
    """The buckets of all live rows, and the shortlist of each."""
    columns = list(dict.fromkeys([what.vectors, *what.buckets, UID]))
    found = frame.fold(columns, dict, what, _merge)
    if not what.buckets:
        shortlist = found.get((), Shortlist(what.size, what.worst))
        shortlist.add(np.empty((len(what.prompts.starts), 0), np.float32), np.empty(0, np.int64))  # there may be no row
        return Groups([], ()), [shortlist]
    types = [plain_type(frame.schema.field(name).type) for name in what.buckets]
    names = list(found)
    table = pa.table({str(at): pa.array([name[at] for name in names], kind) for at, kind in enumerate(types)})
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in table.column_names])
    groups = Groups([table.column(at).take(order).combine_chunks() for at in range(len(types))], what.buckets)
    return groups, [found[names[bucket]] for bucket in order.to_pylist()]


def _merge(
    one: dict[tuple[Any, ...], Shortlist], other: dict[tuple[Any, ...], Shortlist]
) -> dict[tuple[Any, ...], Shortlist]:
    for name, shortlist in other.items():
        if name in one:
            one[name].merge(shortlist)
        else:
            one[name] = shortlist
    return one
