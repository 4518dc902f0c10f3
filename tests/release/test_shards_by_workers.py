"""Shards of tars are the same bytes for any number of workers, whatever closes them."""

from __future__ import annotations

import random
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolwright.core.errors import ReleaseError
from poolwright.core.table import Table
from poolwright.release.checksums import read_sums, write_sums
from poolwright.release.layouts.datacomp import DataComp
from poolwright.release.layouts.shared import tar_writing
from poolwright.release.layouts.webdataset import WebDatasetLayout
from poolwright.release.statistics import gather
from poolwright.release.workers import HERE, Workers
from poolwright.run.engine.local import LocalEngine
from poolwright.testing.layouts import ABOUT
from tests.release.build import picture, write_table

PICTURES = {kind: [picture(row, kind) for row in range(4)] for kind in ("JPEG", "PNG")}
HEAVY = 9_000


def _table(folder: Path, splits: list[str | None], heavy: set[int], files: bool, cuts: tuple[int, ...] = ()) -> Table:
    """A table of small pictures, some of them with a large text, in files or in the table."""
    rows: dict[str, Any] = {
        "uid": [f"{row:032x}" for row in range(len(splits))],
        "split": pa.array(splits, pa.string()),
        "text": ["x" * HEAVY if row in heavy else f"text {row}" for row in range(len(splits))],
    }
    images = [PICTURES["PNG" if row % 5 == 3 else "JPEG"][row % 4] for row in range(len(splits))]
    if files:
        (folder / "pictures").mkdir(parents=True)
        for row, data in enumerate(images):
            (folder / "pictures" / f"{row}.jpg").write_bytes(data)
        rows["image_path"] = [str(folder / "pictures" / f"{row}.jpg") for row in range(len(splits))]
    else:
        rows["image"] = images
    return write_table(folder / "table", pa.table(rows), cuts=cuts)


def _written(table: Table, to: Path, workers: Workers) -> dict[str, str]:
    """Write shards of at most 5 samples, closed at 12,000 bytes; return the digests of all files."""
    to.mkdir()
    layout = WebDatasetLayout(shard_rows=5, shard_bytes=12_000)
    record = layout.write_with(workers, table, to, gather(table, []))
    write_sums(to, {})
    known = read_sums(to)
    assert {name: known[name] for name in record.digests} == record.digests
    return known


def _released(table: Table, to: Path, workers: Workers, **parameters: Any) -> dict[str, str]:
    kind = DataComp if "tars" in parameters else WebDatasetLayout
    kind.model_validate({"figures": False, **parameters}).write(table, to, ABOUT, workers=workers)
    return read_sums(to)


class Shuffled:
    """Does units in any order."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def map_apart(self, function: Any, units: Any, folder: Path, inputs: Any) -> Any:
        assert all(Path(path).exists() for path in inputs())
        for unit in self._rng.sample(units, len(units)):
            yield unit, function(unit)


SPLITS = st.lists(st.sampled_from(["train", "test", None]), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(splits=SPLITS, heavy=st.sets(st.integers(0, 39), max_size=12), files=st.booleans(), seed=st.integers(0, 9))
def test_shards_follow_from_the_rows(
    splits: list[str | None], heavy: set[int], files: bool, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every shard but the last is closed by the sample that fills it, and rows are in the order of the table."""
    folder, patch = tmp_path_factory.mktemp("shards"), pytest.MonkeyPatch()
    with patch.context() as here:
        here.setattr(tar_writing, "_FEW", 0)
        here.setattr("poolwright.release.data.images.BATCH_ROWS", 3)
        table = _table(folder, splits, heavy, files, tuple(cut for cut in (7, 20) if cut < len(splits)))
        sums = _written(table, folder / "here", HERE)
        assert sums == _written(table, folder / "again", Shuffled(seed))
    found = {value: [f"{row:032x}" for row, split in enumerate(splits) if split == value] for value in set(splits)}
    for value, uids in found.items():
        (name,) = {"train": ["train"], "test": ["test"]}.get(value or "", set(_splits(sums)) - {"train", "test"})
        tars = sorted((folder / "here" / name).glob("*.tar"))
        rows = [pq.read_table(tar.with_suffix(".parquet")).column("uid").to_pylist() for tar in tars]
        assert [uid for shard in rows for uid in shard] == uids
        for tar, shard in zip(tars, rows, strict=True):
            _check_shard(tar, shard, last=tar == tars[-1])


def _splits(sums: dict[str, str]) -> list[str]:
    return sorted({name.partition("/")[0] for name in sums if name.endswith(".tar")})


def _check_shard(tar: Path, uids: list[str], last: bool) -> None:
    with tarfile.open(tar) as opened:
        members = opened.getmembers()
    sizes = np.array([1024 + -(-member.size // 512) * 512 - 512 for member in members]).reshape(len(uids), -1).sum(1)
    before = sizes[:-1].sum()
    assert before < 12_000
    assert len(uids) <= 5
    assert last or len(uids) == 5 or sizes.sum() >= 12_000


def test_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_writing, "_FEW", 0)
    table = _table(tmp_path, ["train", "test", "train"] * 8, {7}, files=True, cuts=(10,))
    parameters = {"tars": True, "shard_rows": 6, "shard_bytes": 20_000}
    here = _released(table, tmp_path / "here", HERE, **parameters)
    assert here == _released(table, tmp_path / "there", LocalEngine(2), **parameters)
    counts = {"test": 2, "train": 4}  # of 8 and 16 rows; the heavy one closes a shard
    assert [name for name in here if name.endswith(".tar")] == [
        f"{split}/{shard:08d}.tar" for split, shards in counts.items() for shard in range(shards)
    ]


def test_an_error_of_a_process_is_the_one_of_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_writing, "_FEW", 0)
    table = _table(tmp_path, ["train"] * 8, set(), files=True)
    (tmp_path / "pictures" / "6.jpg").unlink()
    with pytest.raises(ReleaseError, match=f"the image of uid '{6:032x}' .*6.jpg.* cannot be released"):
        _released(table, tmp_path / "out", LocalEngine(2), shard_rows=2)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]
