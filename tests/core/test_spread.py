"""Rows dealt out to partitions on disk come back whole, whatever the cuts, and are not dealt again after a kill."""

from __future__ import annotations

import os
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.frame import MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.core.runtime import spread as spread_module
from poolwright.core.runtime.spread import Spread, WriteSpread, dealt_schema
from poolwright.testing.steps import Sent

VECTORS = np.arange(3_000, dtype=np.float16).reshape(1_000, 3)
TABLE = pa.table(
    {
        "uid": [f"r{number}" for number in range(1_000)],
        "class": pa.array(["ab"[number % 2] for number in range(1_000)]).dictionary_encode(),
        "vector": vector_array(VECTORS),
    }
)


def by_rest(rows: Rows, places: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    """Write rows divisible by 5 twice, and none whose number ends in 9."""
    number = np.array([int(uid[1:]) for uid in rows.strings("uid") if uid], np.int64)
    taken = np.repeat(np.arange(len(rows)), np.where(number % 10 == 9, 0, np.where(number % 5 == 0, 2, 1)))
    table = rows.table.append_column("place", pa.array(places)).take(pa.array(taken))
    return table, number[taken] % 7


def count(partition: int, spread: Spread) -> pa.Table:
    """Count the rows of a partition and of the next one."""
    following = spread.read((partition + 1) % spread.partitions)
    return pa.table({"rows": [len(spread.read(partition))], "next": [len(following)]})


@pytest.mark.parametrize("frame", [MemoryFrame(TABLE), Sent(TABLE, (10, 10, 700), 64)])
def test_rows_come_back_in_their_order(frame: MemoryFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition holds its rows in the order of the table, in batches or not, dictionaries decoded."""
    monkeypatch.setattr(spread_module, "_BUFFERED", 4_000)
    numbers = [n for n in range(1_000) if n % 10 != 9 for _ in range(2 if n % 5 == 0 else 1)]
    with frame.spread(["uid", "class", "vector"], by_rest, 7, "rest") as dealt:
        assert dealt.rows.tolist() == [sum(n % 7 == part for n in numbers) for part in range(7)]
        for partition in range(7):
            table = dealt.read(partition)
            wanted = [n for n in numbers if n % 7 == partition]
            assert table.column("uid").to_pylist() == [f"r{n}" for n in wanted]
            assert table.column("class").type == pa.string()
            assert (Rows(table).vectors("vector") == VECTORS[wanted]).all()
            assert len(set(table.column("place").to_pylist())) == len(set(wanted))
        found = list(dealt.map("count", count))
        assert [partition for partition, _ in found] == list(range(7))
        assert [table.to_pylist()[0]["rows"] for _, table in found] == dealt.rows.tolist()
        assert [table.to_pylist()[0]["next"] for _, table in found] == np.roll(dealt.rows, -1).tolist()
        assert dealt.folder.exists()
    assert not dealt.folder.exists()


def test_no_rows_give_empty_partitions() -> None:
    """A table without rows has partitions with its columns."""
    with MemoryFrame(TABLE.slice(0, 0)).spread(["uid", "class", "vector"], by_rest, 3, "rest") as dealt:
        assert dealt.rows.tolist() == [0, 0, 0]
        assert dealt.read(2).schema.names == ["uid", "class", "vector", "place"]


def test_what_is_written_is_not_written_again(tmp_path: Path) -> None:
    """A unit or partition that is done is read, not made, by the next attempt; an error keeps the files."""
    schema = dealt_schema(by_rest, TABLE.schema)
    whole = WriteSpread(tmp_path, 7, by_rest, schema, lambda unit: iter([Rows(TABLE)]))
    rows = whole(0)
    files = {path: os.stat(path).st_ino for path in tmp_path.iterdir()}
    again = WriteSpread(tmp_path, 7, by_rest, schema, partial(pytest.fail, "read again"))
    assert (again(0) == rows).all()
    assert {path: os.stat(path).st_ino for path in tmp_path.iterdir()} == files

    def fail_late(partition: int, spread: Spread) -> pa.Table:
        if partition == 3:
            raise ValueError("killed")
        return count(partition, spread)

    def run(function, number):  # type: ignore[no-untyped-def]
        return ((at, function(at)) for at in range(number))

    dealt = Spread(tmp_path, 1, 7, rows, schema, run)
    with pytest.raises(ValueError, match="killed"), dealt:
        list(dealt.map("count", fail_late))
    done = {path.name: os.stat(path).st_ino for path in (tmp_path / "count").iterdir()}
    assert len(done) == 3
    with dealt:
        list(dealt.map("count", count))
        assert done.items() <= {path.name: os.stat(path).st_ino for path in (tmp_path / "count").iterdir()}.items()
    sent = pickle.loads(pickle.dumps(dealt))
    with pytest.raises(RuntimeError, match="only the process"):
        list(sent.map("count", count))
