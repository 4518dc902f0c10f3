"""sample with balance: evenly from the top of a tree down, exact in number, the same in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.apportion import share_evenly
from poolwright.steps.choose.sample import Sample


def tree(rows: int = 2_000, seed: int = 0) -> pa.Table:
    """Rows in a tree of very uneven clusters: 3 at the top, 9 in these, 40 leaves."""
    draw = np.random.default_rng(seed)
    leaf = (40 * draw.random(rows) ** 3).astype(np.int32)
    columns = {
        "uid": [f"r{row}" for row in range(rows)],
        "cluster_1": leaf,
        "cluster_2": leaf % 9,
        "cluster_3": leaf % 3,
    }
    return pa.table(columns)


def drawn(table: pa.Table, **parameters: Any) -> set[str]:
    step = Sample.model_validate({"balance": "cluster", "levels": 3, **parameters})
    state = step.fit(MemoryFrame(table, [table.num_rows // 3]), Context(5))
    drop = step.apply(Rows(table), state).drop
    assert drop is not None
    return set(table.filter(pa.array(drop == 0)).column("uid").to_pylist())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=9), total=st.integers(0, 80))
def test_shares_are_those_of_giving_one_at_a_time(sizes: list[int], total: int) -> None:
    order = np.random.default_rng(1).permutation(len(sizes)).astype(np.uint64)
    plain = [0] * len(sizes)
    for _ in range(min(total, sum(sizes))):
        part = min((at for at in range(len(sizes)) if plain[at] < sizes[at]), key=lambda at: (plain[at], order[at]))
        plain[part] += 1
    assert share_evenly(total, np.array(sizes), order).tolist() == plain


def test_branches_get_even_shares_from_the_top_down() -> None:
    table = tree()
    kept = drawn(table, n=300)
    assert len(kept) == 300
    frame = table.filter(pa.array([uid in kept for uid in table.column("uid").to_pylist()])).to_pandas()
    whole = table.to_pandas()
    for parent, name, share in (
        (None, "cluster_3", 100),
        ("cluster_3", "cluster_2", None),
        ("cluster_2", "cluster_1", None),
    ):
        for _, of in frame.groupby(parent) if parent else [(None, frame)]:
            counts = of[name].value_counts()
            sizes = whole[name].value_counts().loc[counts.index]
            cut = counts[counts < sizes]  # those that could have given more are equal, and none has more than they
            assert share is None or set(counts) == {share}
            assert cut.empty or (cut.max() - cut.min() <= 1 and counts.max() <= cut.max())


def test_order_changes_nothing_and_a_larger_sample_keeps_the_smaller_one() -> None:
    table = tree()
    mixed = table.take(pa.array(np.random.default_rng(2).permutation(table.num_rows)))
    small, large = drawn(table, n=211), drawn(table, n=640)
    assert small == drawn(mixed, n=211)
    assert small < large
    assert drawn(table, n=211, levels=[40, 9, 3]) == small
    assert drawn(table, n=211, balance=["cluster_3", "cluster_2", "cluster_1"], levels=None) == small
    assert len(drawn(table, fraction="12.5%")) == 250
    assert len(drawn(table, n=10**6)) == table.num_rows


def test_parameters_that_do_not_go_together() -> None:
    for parameters, words in (
        ({"n": 1, "group": "label", "balance": "label"}, "not both"),
        ({"n": 1, "levels": 3}, "needs one name in 'balance'"),
        ({"n": 1, "balance": ["a", "b"], "levels": 2}, "needs one name in 'balance'"),
    ):
        with pytest.raises(ValidationError, match=words):
            Sample.model_validate(parameters)
    with pytest.raises(StepError, match="too fine to group by"):
        Sample(n=1, balance=("score",)).gives(pa.schema([("score", pa.float32())]))
