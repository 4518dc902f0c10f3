"""A kill, or a power cut, at any change of the disk while images are fetched: the same call ends with all of them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import PoolwrightError
from poolwright.fetch.fetch import fetch_images
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards import shard_files
from poolwright.fetch.shards.journal import Journal
from tests.fetch.conftest import QUICK, fetch_rows, outcomes
from tests.fetch.server import BadServer, picture, sha256
from tests.fetch.test_shards import members
from tests.run.disk import Disk
from tests.run.test_crash import SELDOM

pytestmark = pytest.mark.skipif(os.name == "nt", reason="files are told apart by their inodes")

ROWS = 5


async def at_once(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function in the thread of the loop."""
    return function(*given)


def found(out: Path) -> dict[str, Any]:
    """What must be the same whatever happened: rows, images, names of files. How long it took is not."""
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in outcomes(out)]
    images = {path.name: path.read_bytes() for path in out.rglob("*.jpg")}
    for tar in out.glob("*.tar"):
        images |= {name: data for name, data in members(tar).items() if name.endswith("jpg")}
    for path in out.glob("*_stats.json"):
        assert json.loads(path.read_bytes())["count"] > 0
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    return {"rows": rows, "images": images, "names": names}


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_a_crash_at_any_change_of_the_disk_loses_no_image(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    urls = [server.url(f"ok/{row}") for row in range(ROWS - 1)] + [server.url("status/404")]
    pq.write_table(pa.table({"url": urls}), tmp_path / "rows.parquet")
    options = FetchOptions(**QUICK, shard_rows=3, concurrency=1, format=layout)
    known = options.model_copy(update={"placeholders": (sha256(picture(0)),)})
    (tmp_path / "disk").mkdir()
    out = tmp_path / "disk" / "out"

    def fetch(*chosen: FetchOptions) -> None:
        for one in chosen:
            fetch_images(tmp_path / "rows.parquet", out, one)

    with monkeypatch.context() as patches, closing(Disk(tmp_path / "disk", patches)) as disk:
        disk.watch(patches, Journal, "_write_line")
        patches.setattr(asyncio, "to_thread", at_once)  # one change of the disk at a time
        fetch(options)
        first = disk.killed[:], disk.cut[:]
        fetch(known)  # writes a finished shard again, without its first image
    expected = found(out)
    assert [row["sha256"] for row in expected["rows"][1:-1]] == [sha256(picture(row)) for row in range(1, ROWS - 1)]
    assert sorted(expected["images"].values()) == sorted(map(picture, range(1, ROWS - 1)))
    assert len(disk.killed) > 40
    assert len(disk.cut) > 12
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for of_first, of_both in zip(first, (disk.killed, disk.cut), strict=True):
        for number in range(0, len(of_both), SELDOM):
            disk.put_back(of_both[number])
            fetch(*([options, known] if number < len(of_first) else [known]))
            assert found(out) == expected


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_placeholders_are_named_again_after_an_interruption(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    rows, out = {"url": [server.url(f"ok/{row}") for row in range(2)]}, tmp_path / "out"
    known = (sha256(picture(0)),)
    fetch_rows(rows, out, format=layout)
    monkeypatch.setattr(shard_files, "write_parquet", full)
    with pytest.raises(PoolwrightError, match="No space left"):
        fetch_rows(rows, out, format=layout, placeholders=known)
    monkeypatch.undo()
    with pytest.raises(PoolwrightError, match=r"row 0 is missing: a call with other `placeholders`.* repeat that call"):
        fetch_rows(rows, out, format=layout)
    assert fetch_rows(rows, out, format=layout, placeholders=known).statuses["success"] == 1


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")
