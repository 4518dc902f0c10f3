"""A kill, or a power cut, at any change of the disk: the same command ends with the files of an undisturbed run."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from poolwright import api
from poolwright.run import admit
from poolwright.run.sources import source
from tests.run.disk import Disk, Tree
from tests.run.pools import STEPS, make_recipe, make_rows, write_pool

RELEASE = {"table": "chosen", "layout": "huggingface", "images": "none", "figures": False, "to": "disk/release"}
EVERY = int(os.environ.get("POOLWRIGHT_CRASH_EVERY", "5"))
"""Only every n-th state is continued; set it to 1 for all of them."""
SELDOM = EVERY if EVERY == 1 else 2 * EVERY
"""The same for programs with many states."""


def lasting(tree: Tree) -> dict[str, bytes | None]:
    """What must be the same from run to run."""
    varying = ("timings.json", "inputs.parquet")
    return {
        name: content
        for name, content in tree.items()
        if not name.endswith(varying) and not name.startswith("run/logs")
    }


pytestmark = pytest.mark.skipif(os.name == "nt", reason="files are told apart by their inodes")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> api.Recipe:
    """A table of two units with a stage, whose rows are admitted by partitions, and a release, below `disk`."""
    monkeypatch.setattr(source, "UNIT_ROWS", 64 * 30)
    monkeypatch.setattr(admit, "_AT_ONCE", 30)
    monkeypatch.setattr(admit, "_HASHES_AT_ONCE", 30)
    monkeypatch.setattr(admit, "_FEWEST", 2)
    write_pool(tmp_path, make_rows(60), parts=2)
    (tmp_path / "disk" / "run").mkdir(parents=True)
    return make_recipe(tmp_path, steps=STEPS[:3], releases=[RELEASE])


def test_a_crash_at_any_change_of_the_disk_changes_no_byte(
    recipe: api.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patches, closing(Disk(tmp_path / "disk", patches)) as disk:
        api.run(recipe, tmp_path / "disk" / "run", workers=1)
    expected = lasting(disk.now())
    assert {"run/tables/chosen/part-00001.parquet", "release/SHA256SUMS"} <= set(expected)
    assert len(disk.killed) > 60
    assert len(disk.cut) > 20
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for tree in [*disk.killed[::EVERY], *disk.cut[::EVERY]]:
        disk.put_back(tree)
        api.run(recipe, tmp_path / "disk" / "run", workers=1)
        assert lasting(disk.now()) == expected


def test_what_a_run_says_is_done_outlives_a_power_cut(
    recipe: api.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Disk(tmp_path / "disk", monkeypatch)) as disk:
        api.run(recipe, tmp_path / "disk" / "run", workers=1)
    assert len(disk.written) > 30
    assert all(".partial" in name for name in disk.written), "a file had its name before it was whole"
    durable = disk.durable()
    lost = {name for name, content in lasting(disk.now()).items() if durable.get(name, b"gone") != content}
    assert not lost
    stage = "run/tables/chosen/work/stage-02"
    begun = [tree for tree in disk.cut if stage in tree]
    assert begun
    assert all(f"{stage}/unit-0000{unit}.arrow" in tree for tree in begun for unit in (0, 1))
