"""Shards of Parquet that a thread writes: their digests, and what goes wrong in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.release.data import shards
from poolwright.release.data.shards import Shards, finish_all

SCHEMA = pa.schema([("uid", pa.string()), ("image", pa.binary())])


def rows(start: int, count: int) -> pa.Table:
    uids = [f"{number:05d}" for number in range(start, start + count)]
    return pa.table({"uid": uids, "image": [uid.encode() * 100 for uid in uids]}, schema=SCHEMA)


def test_digests_are_those_of_the_files(tmp_path: Path) -> None:
    splits = {name: Shards(tmp_path, name, SCHEMA, 60_000, embedded=True) for name in ("train", "test")}
    for start in range(0, 1_000, 70):
        splits["train"].add(rows(start, 70), [500] * 70)
    splits["test"].add(rows(0, 3), [500] * 3)
    files, digests = finish_all(splits.values())
    for one in splits.values():
        one.abandon()
    assert len(files) > 3
    assert {file.path for file in files} == digests.keys()
    assert {path: hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() for path in digests} == digests
    uids = [uid for file in files[:-1] for uid in pq.read_table(tmp_path / file.path).column("uid").to_pylist()]
    assert uids == [f"{number:05d}" for number in range(1_050)]


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "parquet_writer", full)
    for count in (1_000, 3):  # while rows are added, and at the end
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path, count)


def write(folder: Path, count: int) -> None:
    """Write rows, a hundred at a time."""
    split = Shards(folder, "train", SCHEMA, 60_000, embedded=True)
    try:
        for start in range(0, count, 100):
            split.add(rows(start, min(100, count)), [500] * min(100, count))
        split.finish()
    finally:
        split.abandon()
