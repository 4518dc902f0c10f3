"""What goes wrong on real machines, and the stated outcome of each."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from poolwright import api
from poolwright.core.errors import ChangedError, CountError, InputError, PoolwrightError, RecipeError, TooManyBad
from poolwright.core.rows import vector_array
from poolwright.demo.demo import clip_folder
from poolwright.models.encoders.load import forget_encoders
from poolwright.run import table_run, write
from poolwright.run.sources import source
from tests.run.pools import STEPS, final_files, make_recipe, make_rows, recipe_data, write_pool


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    write_pool(tmp_path, make_rows(4000), parts=4)
    return tmp_path


def test_nan_vectors_are_dropped_and_told(pool: Path) -> None:
    rows = make_rows(4000)
    vectors = rows["embedding"].combine_chunks().values.to_numpy().reshape(4000, -1).copy()
    vectors[::500] = np.nan
    write_pool(pool, rows.set_column(4, "embedding", vector_array(vectors)), parts=4)
    record = api.run(make_recipe(pool, steps=STEPS[:1]), pool / "run").tables["chosen"].record
    assert record.funnel[1].dropped == {"no_vector": 8}
    with pytest.raises(TooManyBad, match="8 of 4,000 rows are bad"):
        api.run(make_recipe(pool, steps=STEPS[:1], max_bad="0.1%"), pool / "strict")


def test_vectors_shorter_than_their_table_are_quarantined(tmp_path: Path) -> None:
    rows = make_rows(3000)
    (tmp_path / "shards").mkdir()
    for shard in range(3):
        piece = rows.slice(shard * 1000, 1000)
        pq.write_table(piece.drop_columns(["embedding"]), tmp_path / "shards" / f"{shard}.parquet")
        vectors = piece["embedding"].combine_chunks().values.to_numpy().reshape(1000, -1)
        np.savez(tmp_path / "shards" / f"{shard}.npz", img=vectors[: 999 if shard == 1 else 1000])
    write_pool(tmp_path, rows.slice(0, 10))
    vectors = {"embedding": {"file": "{stem}.npz", "key": "img"}}
    pools = {"rows": {"read": "table", "path": "shards/*.parquet", "vectors": vectors}}
    recipe = make_recipe(tmp_path, steps=STEPS[:1], pools=pools, max_bad="40%")
    record = api.run(recipe, tmp_path / "run").tables["chosen"].record
    (bad,) = record.quarantined
    assert "999" in (bad.quarantined or "")
    assert "1,000" in (bad.quarantined or "") or "1000" in (bad.quarantined or "")
    assert record.rows_in == record.rows_kept == 2000


def test_unreadable_images_go_to_the_ledger(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(30):
        pixels = generator.integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    (folder / "00.png").write_bytes(b"")
    (folder / "01.png").write_bytes(b"no picture")
    cut = (folder / "02.png").read_bytes()
    (folder / "02.png").write_bytes(cut[: len(cut) // 2])
    pools = {"pictures": {"read": "image_folder", "path": "pictures"}}
    tables = {"seen": {"from": "pictures", "steps": ["size", {"hash": {"kinds": ["phash"]}}]}}
    recipe = make_recipe(tmp_path, pools=pools, tables=tables, max_bad="20%")
    table = api.run(recipe, tmp_path / "run").tables["seen"]
    dropped = {name for row in table.record.funnel for name in row.dropped}
    assert table.record.rows_kept == 27
    assert len(dropped) == 3
    (story,) = api.why(tmp_path / "run", "01.png")
    assert not story.kept
    assert "not an image" in (story.chapters[-1].dropped or "")
    (folder / "03.png").unlink()
    with pytest.raises(ChangedError):
        api.run(make_recipe(tmp_path, pools=pools, tables=tables, max_bad="20%"), tmp_path / "run")


def test_a_full_disk_is_told_and_the_run_continues(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write.write_atomically
    written = []

    def full(path: Path, writer: object) -> str:
        if path.name == "part-00000.parquet" and path.parent.name == "chosen" and not written:
            written.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return whole(path, writer)  # type: ignore[arg-type]

    monkeypatch.setattr(write, "write_atomically", full)
    recipe = make_recipe(pool)
    with pytest.raises(PoolwrightError, match="the disk is full; make room and run the same command again"):
        api.run(recipe, pool / "run")
    api.run(recipe, pool / "run")
    api.run(recipe, pool / "undisturbed")
    assert final_files(pool / "run") == final_files(pool / "undisturbed")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_small_disk_really_full(pool: Path) -> None:
    disk = pool / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(PoolwrightError, match="disk is full"):
            api.run(make_recipe(pool), disk / "run")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        api.run(make_recipe(pool), disk / "run")
        api.run(make_recipe(pool), pool / "undisturbed" / "run")  # as deep, since tables know their images by it
        assert final_files(disk / "run") == final_files(pool / "undisturbed" / "run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def run_without_privilege(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the recipe in `folder` as a root whose word does not go above file modes."""
    weak = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [sys.executable, "-m", "poolwright", "run", str(folder / "recipe.yaml")]
    return subprocess.run(
        [*weak, *command, "--run", str(folder / "out" / "run")], capture_output=True, text=True, cwd=folder
    )


@pytest.mark.skipif(os.name == "nt" or (os.geteuid() == 0 and not which("setpriv")), reason="modes bind nobody here")
@pytest.mark.parametrize("closed", ["input", "output"])
def test_no_permission_is_told(pool: Path, closed: str) -> None:
    (pool / "recipe.yaml").write_text(yaml.safe_dump(recipe_data()))
    (pool / "out").mkdir()
    (pool / "rows" / "001.parquet" if closed == "input" else pool / "out").chmod(0o000)
    try:
        result = run_without_privilege(pool)
    finally:
        (pool / "out").chmod(0o755)
    assert result.returncode in (1, 2)
    assert "permission" in result.stderr.lower()
    assert ("001.parquet" if closed == "input" else "out") in result.stderr
    assert "Traceback" not in result.stderr


def test_a_changed_model_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for file in clip_folder().iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    rows = make_rows(200).drop_columns(["embedding"])
    write_pool(tmp_path, rows)
    steps = [{"embed": {"text": "words", "model": "clip"}}]
    recipe = make_recipe(tmp_path, steps=steps, models={"clip": "onnx:clip"})
    api.run(recipe, tmp_path / "run")
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text(vocabulary.read_text() + "zebra\n")
    forget_encoders()
    with pytest.raises(ChangedError, match=r"model onnx:.*clip: weights \w+ -> \w+"):
        api.run(make_recipe(tmp_path, steps=steps, models={"clip": "onnx:clip"}), tmp_path / "run")


def test_an_input_that_is_gone(pool: Path) -> None:
    recipe = make_recipe(pool)
    api.run(recipe, pool / "run", tables=["chosen"])
    for path in (pool / "rows").iterdir():
        path.unlink()
    with pytest.raises((RecipeError, InputError), match="rows"):
        api.run(make_recipe(pool), pool / "run")


def cut(data: bytes) -> bytes:
    return data[:-1]


def flip(data: bytes) -> bytes:
    return data[:20] + bytes([data[20] ^ 1]) + data[21:]


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize("file", ["part-00001.parquet", "dropped/part-00001.parquet"])
def test_a_damaged_output_part_is_made_again_and_no_other(
    pool: Path, monkeypatch: pytest.MonkeyPatch, file: str, damage: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(source, "UNIT_ROWS", 64 * 1000)
    recipe = make_recipe(pool, steps=STEPS[:3])
    api.run(recipe, pool / "undisturbed")
    with monkeypatch.context() as patches:
        patches.setattr(table_run, "check_counts", interrupt)
        with pytest.raises(KeyboardInterrupt):  # all units are done, and their marks are there
            api.run(recipe, pool / "run")
    folder = pool / "run" / "tables" / "chosen"
    (folder / file).write_bytes(damage((folder / file).read_bytes()))
    inodes = {path: path.stat().st_ino for path in folder.glob("part-*.parquet")}
    assert len(inodes) == 4
    api.run(recipe, pool / "run")
    assert final_files(pool / "run") == final_files(pool / "undisturbed")
    assert [path.name for path in sorted(inodes) if path.stat().st_ino != inodes[path]] == ["part-00001.parquet"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_unit_that_loses_a_row_makes_no_table(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write.regroup

    def lossy(batches: Any, schema: pa.Schema) -> Iterator[pa.Table]:
        for table in whole(batches, schema):
            yield table.slice(1)

    monkeypatch.setattr(write, "regroup", lossy)
    with pytest.raises(CountError, match=r"4000 rows in, \d+ kept, \d+ dropped.*the counts do not reconcile"):
        api.run(make_recipe(pool), pool / "run")
    assert not (pool / "run" / "tables" / "chosen" / "table.json").exists()


def test_a_ledger_that_loses_a_row_makes_no_table(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = write.Ledger._note

    def lossy(self: write.Ledger, batch: Any) -> None:
        note(self, batch)
        self.dropped = {code: count - 1 for code, count in self.dropped.items()}

    monkeypatch.setattr(write.Ledger, "_note", lossy)
    with pytest.raises(CountError, match="the counts do not reconcile"):
        api.run(make_recipe(pool), pool / "run")


def test_unicode_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "мир 写真 🌍"
    rows = make_rows(300)
    rows = rows.set_column(0, "uid", pa.array([f"ключ/{row}/写真\u0000🌍" for row in range(300)]))
    write_pool(folder, rows)
    table = api.run(make_recipe(folder, steps=[{"top": {"by": "width", "n": 50}}]), folder / "бег").tables["chosen"]
    assert table.record.rows_kept == 50
    stories = api.why(folder / "бег", "ключ/7/写真\u0000🌍")
    assert stories[0].chapters[-1].verb == "top"
