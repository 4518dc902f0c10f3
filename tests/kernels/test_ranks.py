"""Thresholds: exactly n rows, whatever the values, the ties, the cuts and the memory there is."""

from __future__ import annotations

import datetime
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import StepError
from poolwright.core.frame import MemoryFrame
from poolwright.core.rows import Rows
from poolwright.kernels.selection import passes as collecting
from poolwright.kernels.selection import sampling as hash_cuts
from poolwright.kernels.selection import thresholds
from poolwright.kernels.selection.group_counts import count_groups
from poolwright.kernels.selection.ranks import Ranking, check_orderable, hash_ranks
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.kernels.selection.thresholds import cut, survey

INFINITY = float("inf")


class Sent(MemoryFrame):
    """A frame whose functions and summaries are pickled, as on a cluster."""

    passes = 0

    def fold(
        self,
        columns: Sequence[str],
        start: Callable[[], Any],
        add: Callable[[Any, Rows], Any],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        self.passes += 1
        start, add, merge = pickle.loads(pickle.dumps((start, add, merge)))
        return super().fold(columns, start, add, lambda one, other: merge(*pickle.loads(pickle.dumps((one, other)))))


def columns(draw: np.random.Generator, rows: int) -> dict[str, pa.Array]:
    lacking = draw.random(rows) < 0.1
    strange = np.array([0.0, -0.0, np.nan, INFINITY, -INFINITY, 5e-324, -1.5])
    return {
        "float32": pa.array(draw.normal(size=rows).astype(np.float32), mask=lacking),
        "float64": pa.array(strange[draw.integers(0, 7, rows)], mask=lacking),
        "float16": pa.array(draw.integers(0, 4, rows).astype(np.float16)),
        "int8": pa.array(draw.integers(-128, 128, rows), pa.int8()),
        "int64": pa.array(draw.choice([-(2**63), -1, 0, 1, 2**63 - 1], rows), pa.int64(), mask=lacking),
        "uint64": pa.array(draw.choice(np.array([0, 1, 2**63, 2**64 - 1], np.uint64), rows)),
        "bool": pa.array(draw.random(rows) < 0.5, mask=lacking),
        "time": pa.array(draw.integers(-(10**15), 10**15, rows), mask=lacking).cast(pa.timestamp("us", tz="UTC")),
        "date": pa.array(draw.integers(0, 30, rows).astype(np.int32)).cast(pa.date32()),
        "same": pa.array([7] * rows, pa.int64()),
    }


def pool(seed: int, rows: int, by: str) -> pa.Table:
    draw = np.random.default_rng(seed)
    label = pa.array(draw.choice(["a", "b", "c"], rows), mask=draw.random(rows) < 0.1)
    flag = pa.array(draw.random(rows) < 0.5)
    uids = pa.array([f"u{number}" for number in range(rows)], pa.string())
    return pa.table({"uid": uids, "by": columns(draw, rows)[by], "label": label, "flag": flag})


def expected(table: pa.Table, groups: Sequence[str], n: int, order: Ranking) -> set[str]:
    """The n best rows of each group by sorting all of them."""
    ranks = hash_ranks(table["uid"].combine_chunks(), order.key)
    members: dict[Any, list[Any]] = {}
    for row, rank in zip(table.to_pylist(), ranks.tolist(), strict=True):
        group = tuple(row[name] for name in groups)
        if row["by"] is not None and row["by"] == row["by"] and None not in group:
            members.setdefault(group, []).append((_number(row["by"]) * (1 if order.lowest else -1), rank, row["uid"]))
    return {uid for rows in members.values() for _, _, uid in sorted(rows)[:n]}


def _number(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 10**6)
    return value.toordinal() if isinstance(value, datetime.date) else value


def found(table: pa.Table, groups: Sequence[str], n: int, order: Ranking, frame: MemoryFrame) -> set[str]:
    ranked = survey(frame, groups, order)
    cuts = cut(frame, ranked, order, np.full(len(ranked.counts), n))
    ids = ranked.groups.ids(Rows(table))
    keys, valid = order.keys(Rows(table))
    rows = np.flatnonzero(valid & (ids >= 0))
    some = table.take(pa.array(rows))
    keep = cuts.keeps(keys[rows], ids[rows], some["uid"].combine_chunks(), order)
    return set(some.filter(pa.array(keep))["uid"].to_pylist())


KINDS = list(columns(np.random.default_rng(0), 1))


@pytest.mark.parametrize("by", KINDS)
@pytest.mark.parametrize("lowest", [False, True])
@pytest.mark.parametrize("groups", [(), ("label",), ("label", "flag")])
def test_exactly_the_best(by: str, lowest: bool, groups: tuple[str, ...]) -> None:
    order = Ranking("by", lowest, key=99)
    for seed, rows, n in [(0, 0, 3), (1, 1, 1), (2, 300, 0), (3, 300, 10), (4, 300, 57), (5, 300, 1_000)]:
        table = pool(seed, rows, by)
        assert found(table, groups, n, order, Sent(table, (rows // 3,), 50)) == expected(table, groups, n, order)


@pytest.mark.parametrize("by", KINDS)
@pytest.mark.parametrize(("collect", "bins"), [(1, 2), (5, 64), (40, 1 << 12), (1, 1 << 22)])
def test_little_memory_changes_nothing(by: str, collect: int, bins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "COLLECT", collect)
    monkeypatch.setattr(thresholds, "BINS", bins)
    table = pool(6, 200, by)
    for groups in ((), ("label",), ("label", "flag")):
        for n in (1, 20):
            order = Ranking("by", False, key=7)
            assert found(table, groups, n, order, Sent(table, (90, 100))) == expected(table, groups, n, order)


@pytest.mark.parametrize("groups", [(), ("label", "flag")])
def test_hash_ranks_are_cut_exactly(groups: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    table = pool(8, 3_000, "int8")
    frame = Sent(table, (1_000,))
    counted = count_groups(frame, groups)
    ids = counted.groups.ids(Rows(table))
    ranks = hash_ranks(table["uid"].combine_chunks(), 5)
    wanted = np.array([[0], [1], [250], [10_000]]) * np.ones(len(counted.counts), np.int64)
    before = frame.passes
    cuts = cut_ranks(frame, counted.groups, counted.counts, 5, wanted)
    assert frame.passes == before + 1  # where the n-th lies is known well enough beforehand
    monkeypatch.setattr(hash_cuts, "_SIGMAS", 0.001)  # and looked for again where it lay elsewhere
    monkeypatch.setattr(collecting, "COLLECT", 100)
    assert cut_ranks(frame, counted.groups, counted.counts, 5, wanted).tolist() == cuts.tolist()
    for place, n in enumerate((0, 1, 250, 10_000)):
        for group, size in enumerate(counted.counts):
            assert (ranks[ids == group] <= cuts[place, group]).sum() == min(n, size)


def test_uids_are_read_once_for_a_top() -> None:
    table = pool(9, 5_000, "float32")
    asked: list[Sequence[str]] = []

    class Listed(MemoryFrame):
        def fold(
            self,
            columns: Sequence[str],
            start: Callable[[], Any],
            add: Callable[[Any, Rows], Any],
            merge: Callable[[Any, Any], Any],
        ) -> Any:
            asked.append(columns)
            return super().fold(columns, start, add, merge)

    order = Ranking("by", False, key=1)
    assert len(found(table, (), 100, order, Listed(table))) == 100
    assert asked == [["by"], ["by", "uid"]]


@pytest.mark.parametrize("by", KINDS)
def test_thresholds_can_be_told_as_values(by: str) -> None:
    table = pool(10, 50, by)
    values = table["by"].combine_chunks()
    for lowest in (False, True):
        order = Ranking("by", lowest, key=0)
        keys, valid = order.keys(Rows(table))
        told = order.value(keys[valid], values.type).to_pylist()
        # The extremes of 64-bit integers stand for "all" and "none" too, and are not told.
        extremes = (2**63 - 1, -(2**63)) if by == "int64" else (0, 2**64 - 1) if by == "uint64" else ()
        there = values.filter(pa.array(valid)).to_pylist()
        assert [value for value in told if value is not None] == [value for value in there if value not in extremes]


def test_uids_that_repeat_do_not_hang_the_search() -> None:
    table = pa.table({"uid": ["same"] * 500 + ["other"], "by": [1] * 501})
    order = Ranking("by", False, key=3)
    assert found(table, (), 10, order, MemoryFrame(table)) <= {"same", "other"}
    cuts = cut_ranks(
        MemoryFrame(table), count_groups(MemoryFrame(table), ()).groups, np.array([501]), 3, np.array([[10]])
    )
    assert cuts.shape == (1, 1)


@pytest.mark.parametrize("dtype", [pa.string(), pa.list_(pa.float32(), 2), pa.binary()])
def test_what_has_no_order_is_refused(dtype: pa.DataType) -> None:
    with pytest.raises(StepError, match="top: rows cannot be ranked by 'x'"):
        check_orderable("top", pa.schema({"x": dtype}), "x")
