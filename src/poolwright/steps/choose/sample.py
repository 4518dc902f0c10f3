"""sample: n rows, or a share of them; of each group, or evenly from a tree of clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from poolwright.core.params import Columns, Count, Share, exact, exactly_one, share_of
from poolwright.core.runtime.spread import Integers
from poolwright.kernels.selection.apportion import branch_starts, even_share, share_down_tree, sum_branches
from poolwright.kernels.selection.by_group.comparison import (
    AmongGroups,
    CountedGroups,
    GroupComparison,
    GroupValues,
    count_table,
)
from poolwright.kernels.selection.controlled_rounding import rank_order, share_by_group
from poolwright.kernels.selection.groups import Groups, tokens_of
from poolwright.kernels.selection.hashing import hash64
from poolwright.steps.choose.sampling import SamplingStep


def _count(value: Any) -> Any:
    """3 and [100_000, 10_000, 1_000] as 3."""
    return len(value) if isinstance(value, list | tuple) else value


Levels = Annotated[
    int,
    BeforeValidator(_count),
    Field(ge=1),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "array", "items": {"type": "integer"}}]}),
]
"""The number of levels of a tree, or a list with an entry for each."""


class Sample(SamplingStep):
    """Keep exactly `n` rows, or the share `fraction` rounded half up; with `group`, of each group.

    Rows are drawn by the hash of (seed, step, uid): a larger n keeps all rows that a smaller one keeps. A fraction of
    groups holds over all of them, too: what rounding leaves of one group is carried over to the next, in hash order, so
    each group and the total are within a row of it, and 10% of groups of 4 rows keeps one row of four groups in ten.

    With `balance` the rows, `n` or the share of all, come as evenly from all groups as their sizes allow. Of several
    columns the first is the top of a tree: each of its groups gets an even share, which is shared out evenly among the
    groups within it, and so on down. This is the hierarchical sampling of Vo et al. (2024, arXiv 2405.15613).
    `balance: cluster, levels: 3` draws from the tree of `cluster_3`, `cluster_2` and `cluster_1`, which `cluster` makes
    with three `levels`.
    """

    verb: ClassVar[str] = "sample"
    example: ClassVar[str] = "sample: {fraction: 10%, group: label}"
    shorthand: ClassVar[str | None] = "n"

    n: Count | None = Field(default=None, description="rows to keep")
    fraction: Share | None = Field(default=None, description="share of the rows to keep, such as 10%")
    group: Columns | None = Field(default=None, description="keep this many of each group")
    balance: Columns | None = Field(
        default=None,
        description="keep this many of all rows, evenly from the groups of this column, or of a tree's, the top first",
    )
    levels: Levels | None = Field(
        default=None, description="levels of the tree of clusters that `balance` names, or the list that `cluster` has"
    )

    @model_validator(mode="after")
    def _one_amount(self) -> Sample:
        exactly_one(self, "n", "fraction")
        if self.group is not None and self.balance is not None:
            raise ValueError("takes group, this many of each, or balance, this many evenly from all; not both")
        if self.levels is not None and len(self.balance or ()) != 1:
            raise ValueError(
                "'levels' needs one name in 'balance': balance: cluster, levels: 3 is cluster_3 to cluster_1"
            )
        return self

    def by(self) -> tuple[str, ...]:
        if self.levels is not None and self.balance:
            return tuple(f"{self.balance[0]}_{level}" for level in range(self.levels, 0, -1))
        return self.balance or self.group or ()

    @property
    def top(self) -> int:
        return 1 if self.balance is not None and len(self.by()) > 1 else 0

    def compared(self, key: int) -> Callable[[CountedGroups], pa.Table]:
        return partial(_branches, key) if self.top else count_table

    def comparison(self, key: int) -> GroupComparison | None:
        if self.balance is not None:
            order = _larger_branches_first if self.top else partial(_larger_first, key)
            return GroupComparison(order, self._even_share)
        return GroupComparison(partial(rank_order, key)) if self.n is None else None

    def wanted(self, groups: Groups, counts: np.ndarray, key: int, among: AmongGroups) -> np.ndarray:
        if self.top:
            levels = [values.dictionary_encode().indices.to_numpy() for values in groups.values]
            shares = _even_shares(sum_branches(counts, branch_starts(levels[0])), among)
            return share_down_tree(shares, levels, counts, hash64(groups.tokens(), key))
        if self.balance is not None:
            return _even_shares(counts, among)
        if self.n is not None:
            return np.full(len(counts), self.n)
        return share_by_group(counts, among.before, exact(self.fraction or 0.0))

    def _total(self, rows: int) -> int:
        """Return the rows to keep of all."""
        return self.n if self.n is not None else share_of(self.fraction or 0.0, rows)

    def _even_share(self, groups: Iterable[tuple[GroupValues, Integers]]) -> tuple[int, int]:
        """Return the rows that a group gives at most, and how many of those with more rows give one more."""
        found = [np.unique(counts, return_counts=True) for _, counts in groups]
        sizes, inverse = np.unique(np.concatenate([sizes for sizes, _ in found]), return_inverse=True)
        parts = np.zeros(len(sizes), np.int64)
        np.add.at(parts, inverse, np.concatenate([parts for _, parts in found]))
        return even_share(self._total(int((sizes * parts).sum())), sizes, parts)


def _even_shares(counts: np.ndarray, among: AmongGroups) -> np.ndarray:
    """Return the rows that each group gives, int64 (k,): the same of all, as far as they have them."""
    each, left = among.known
    return np.asarray(np.minimum(counts, each) + ((counts > each) & (among.place < left)))


def _branches(key: int, counted: CountedGroups) -> pa.Table:
    """Return the branches at the top of a tree: value, hash of the first leaf, rows; see `count_table`."""
    values, counts = counted.groups.values, counted.counts
    starts = branch_starts(values[0].dictionary_encode().indices.to_numpy())
    order = hash64(counted.groups.tokens(), key)[starts]
    return pa.table([values[0].take(pa.array(starts)), order, sum_branches(counts, starts)], ["top", "order", "rows"])


def _larger_branches_first(
    branches: GroupValues, counts: Integers, known: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Order branches as `_larger_first` does groups, by the hashes of their first leaves."""
    return counts <= known[0], branches[-1].to_numpy()


def _larger_first(
    key: int, groups: GroupValues, counts: Integers, known: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Order groups that have more rows than each may give before the others, both by hash."""
    return counts <= known[0], hash64(tokens_of(groups), key)
