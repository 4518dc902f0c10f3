"""Groups: one table whatever the order, the coding and the type of the columns."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import StepError
from poolwright.core.frame import MemoryFrame
from poolwright.core.rows import Rows
from poolwright.kernels.selection import group_counts
from poolwright.kernels.selection.apportion import apportion, largest_total
from poolwright.kernels.selection.group_counts import count_groups
from poolwright.kernels.selection.groups import Groups, check_groupable, groups_of, lacks_value
from poolwright.kernels.selection.lookup import value_index as lookups
from poolwright.kernels.selection.lookup.value_index import ValueIndex


def table(rows: int = 500) -> pa.Table:
    draw = np.random.default_rng(3)
    words = np.array(["", "b", "a", "🙂", "\0", "é"], dtype=object)
    return pa.table(
        {
            "word": pa.array(words[draw.integers(0, 6, rows)], mask=draw.random(rows) < 0.1),
            "year": pa.array(draw.integers(-2, 3, rows), pa.int16(), mask=draw.random(rows) < 0.1),
            "flag": pa.array(draw.random(rows) < 0.5, mask=draw.random(rows) < 0.1),
        }
    )


def counted(frame: MemoryFrame, columns: list[str]) -> dict[tuple[Any, ...], int]:
    found = count_groups(frame, columns)
    rows = zip(*(values.to_pylist() for values in found.groups.values), strict=True)
    assert found.total == frame.table.num_rows
    return dict(zip(rows, found.counts.tolist(), strict=True))


@pytest.mark.parametrize("columns", [["word"], ["year"], ["flag"], ["word", "year"], ["flag", "word", "year"]])
def test_counts_and_ids(columns: list[str]) -> None:
    pool = table()
    rows = list(zip(*(pool.column(name).to_pylist() for name in columns), strict=True))
    expected = Counter(row for row in rows if None not in row)
    found = counted(MemoryFrame(pool, (3, 3, 200), 64), columns)
    assert found == expected
    # Sorted by the values, strings by their bytes.
    assert list(found) == sorted(found, key=lambda row: [v.encode() if isinstance(v, str) else v for v in row])
    groups = count_groups(MemoryFrame(pool), columns).groups
    names = list(found)
    assert groups.ids(Rows(pool)).tolist() == [names.index(row) if None not in row else -1 for row in rows]
    assert lacks_value(Rows(pool), columns).tolist() == [None in row for row in rows]


@pytest.mark.parametrize("columns", [["word"], ["word", "year"]])
def test_dictionaries_change_nothing(columns: list[str]) -> None:
    pool = table()
    coded = pool.set_column(0, "word", pool["word"].combine_chunks().dictionary_encode())
    # A dictionary may hold a value twice, a null, and values no row has.
    odd = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, None]), pa.array(["b", None, "a", "b", "unused"]))
    assert counted(MemoryFrame(coded, (100,), 32), columns) == counted(MemoryFrame(pool), columns)
    found = count_groups(MemoryFrame(pa.table({"word": odd})), ["word"])
    assert (found.groups.names(), found.counts.tolist()) == (["a", "b"], [1, 2])
    assert found.groups.ids(Rows(pa.table({"word": odd}))).tolist() == [1, -1, 0, 1, -1]
    assert lacks_value(Rows(pa.table({"word": odd})), ["word"]).tolist() == [False, True, False, False, True]


def test_summing_now_and_then_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pa.table({"number": np.random.default_rng(0).integers(0, 300, 5_000)})
    whole = counted(MemoryFrame(pool), ["number"])
    monkeypatch.setattr(group_counts, "_COMPACT_AT", 10)
    assert counted(MemoryFrame(pool, batch_rows=100), ["number"]) == whole


def test_no_rows_and_no_columns() -> None:
    empty = table(0)
    assert counted(MemoryFrame(empty), ["word", "flag"]) == {}
    found = count_groups(MemoryFrame(pa.table({"uid": ["a", "b"]})), [])
    assert (len(found.groups), found.counts.tolist()) == (1, [2])
    assert found.groups.ids(Rows.of({"uid": ["x", None]})).tolist() == [0, 0]


def test_a_state_table_gives_the_groups_back() -> None:
    groups = count_groups(MemoryFrame(table()), ["word", "year"]).groups
    again = groups_of(groups.table({"rows": np.arange(len(groups))}))
    assert again.columns == ("word", "year")
    assert again.ids(Rows(table())).tolist() == groups.ids(Rows(table())).tolist()
    assert pickle.loads(pickle.dumps(groups)).names() == groups.names()


def test_groups_of_other_rows() -> None:
    groups = Groups([pa.array(["a", "b"])], ["word"])
    assert groups.ids(Rows.of({"word": ["c", "b", None]})).tolist() == [-1, 1, -1]
    assert Groups([pa.array([1, 5])], ["year"]).ids(Rows.of({"year": pa.array([5, 7], pa.uint64())})).tolist() == [
        1,
        -1,
    ]


def test_tokens_tell_all_groups_apart() -> None:
    values = [pa.array(["a", "a, b", "a"]), pa.array(["b, c", "c", "c"])]
    assert len(set(Groups(values, ["x", "y"]).tokens().to_pylist())) == 3


@pytest.mark.parametrize("dtype", [pa.float32(), pa.timestamp("us"), pa.list_(pa.int32())])
def test_what_cannot_be_grouped_is_refused(dtype: pa.DataType) -> None:
    with pytest.raises(StepError, match=r"cap: .*'x'"):
        check_groupable("cap", pa.schema({"x": dtype}), ["x"])


@pytest.mark.parametrize("values", [pa.array([f"v{n}" for n in range(0, 900, 3)]), pa.array(range(-300, 600, 3))])
def test_lookup_finds_the_same_by_hash(values: pa.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    sought = (
        pa.array([f"v{n}" for n in range(50)] + [None])
        if pa.types.is_string(values.type)
        else pa.array([*range(-50, 9), None])
    )
    found = ValueIndex(values).find(sought)
    monkeypatch.setattr(lookups, "_MANY", 0)
    assert ValueIndex(values).find(sought).tolist() == found.tolist()
    known = values.to_pylist()
    assert found.tolist() == [known.index(value) if value in known else -1 for value in sought.to_pylist()]


def test_lookup_tells_values_with_one_hash_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_MANY", 0)
    monkeypatch.setattr(lookups, "hash64", lambda values, key: np.zeros(len(values), np.uint64))
    values = pa.array([f"v{n}" for n in range(20)])
    assert ValueIndex(values).find(pa.array(["v3", "v19", "w"])).tolist() == [3, 19, -1]


def test_apportion() -> None:
    from fractions import Fraction as F

    assert apportion(10, [F(1, 3)] * 3) == [4, 3, 3]
    assert apportion(0, [F(1), F(2)]) == [0, 0]
    assert apportion(7, [F(0), F(0)]) == [0, 0]
    for total in range(50):
        sizes = apportion(total, [F(7), F(2), F(1)])
        assert sum(sizes) == total
        assert all(abs(size - total * share) < 1 for size, share in zip(sizes, (0.7, 0.2, 0.1), strict=True))


def test_largest_total_is_the_largest() -> None:
    from fractions import Fraction as F

    for counts in ([5, 9, 2], [100, 1, 7], [3, 3, 3], [0, 4, 4]):
        for weights in ([F(7), F(2), F(1)], [F(1), F(1), F(1)], [F(1), F(0), F(3)]):
            fits = [
                total
                for total in range(sum(counts) + 1)
                if all(a <= b for a, b in zip(apportion(total, weights), counts, strict=True))
            ]
            assert largest_total(counts, weights) == max(fits)
