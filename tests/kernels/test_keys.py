"""Rows found by their keys, in chunks, with hashes that collide; rows sorted on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from poolwright.kernels.selection.lookup import key_index as keys
from poolwright.kernels.selection.lookup.key_index import KeyIndex, key_hashes, take_or_null
from poolwright.steps.describe.columns import sorted_rows
from poolwright.steps.describe.columns.sorted_rows import sort_rows


def few(columns: list[pa.Array]) -> np.ndarray:
    """Hashes of which many are equal."""
    return key_hashes(columns) & np.uint64(0xC000_0000_0000_0001)


def rows_of(names: list[str], numbers: list[int]) -> pa.Table:
    columns = [pa.array(names), pa.array(numbers, pa.int64())]
    place = [pa.array(np.zeros(len(names), np.int32)), pa.array(np.arange(len(names)))]
    values = pa.array([f"value of {name} {number}" for name, number in zip(names, numbers, strict=True)])
    return pa.table([pa.array(keys.key_hashes(columns)), *columns, values, *place], schema=SCHEMA)


SCHEMA = pa.schema(
    [
        ("hash", pa.uint64()),
        ("key.name", pa.string()),
        ("key.number", pa.int64()),
        ("value.text", pa.string()),
        ("part", pa.int32()),
        ("row", pa.int64()),
    ]
)


@pytest.mark.parametrize("collide", [False, True])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 27])
def test_every_row_is_found_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collide: bool, chunk_bytes: int
) -> None:
    hashed = few if collide else key_hashes
    monkeypatch.setattr(keys, "key_hashes", hashed)
    monkeypatch.setattr(sorted_rows, "_CHUNK_BYTES", chunk_bytes)
    numbers = np.random.default_rng(1).permutation(600) % 20
    names = [f"name {number}" for number in np.random.default_rng(2).permutation(600) // 20]
    tables = [rows_of(names[at : at + 70], numbers[at : at + 70].tolist()) for at in range(0, 600, 70)]
    table, repeats = sort_rows(iter(tables), SCHEMA, tmp_path)
    pairs = set(zip(names, numbers.tolist(), strict=True))
    assert len(table) == len(pairs) == 600 - repeats.equal
    assert repeats.differing == 0
    assert not list(tmp_path.iterdir())
    index = KeyIndex(table.column("hash"), [table.column("key.name"), table.column("key.number")])
    wanted = [(f"name {name}", number) for name in range(31) for number in range(21)]
    found = index.find([pa.array([name for name, _ in wanted]), pa.array([number for _, number in wanted])])
    expected = [f"value of {name} {number}" if (name, number) in pairs else None for name, number in wanted]
    assert take_or_null(table.column("value.text"), found).to_pylist() == expected


def test_nothing_is_found_among_no_rows_or_without_a_key(tmp_path: Path) -> None:
    table, _ = sort_rows(iter([]), SCHEMA, tmp_path)
    none = KeyIndex(table.column("hash"), [table.column("key.name"), table.column("key.number")])
    assert none.find([pa.array(["a"]), pa.array([1])]).tolist() == [-1]
    assert take_or_null(table.column("value.text"), np.array([-1, -1])).to_pylist() == [None, None]
    one, _ = sort_rows(iter([rows_of(["a"], [1])]), SCHEMA, tmp_path)
    index = KeyIndex(one.column("hash"), [one.column("key.name"), one.column("key.number")])
    assert index.find([pa.array(["a", None, "a"]), pa.array([1, 1, None])]).tolist() == [0, -1, -1]


def test_keys_of_any_type_are_hashed_apart() -> None:
    numbers = np.arange(1_000)
    for column in (pa.array(numbers), pa.array(numbers.astype(np.uint64)), pa.array(numbers.astype(str))):
        hashes = key_hashes([column])
        assert len(set(hashes.tolist())) == 1_000
        assert 400 < int((hashes >> np.uint64(63)).sum()) < 600
    one, two = pa.array([1, 2]), pa.array([2, 1])
    assert len({*key_hashes([one, two]).tolist(), *key_hashes([two, one]).tolist()}) == 2
