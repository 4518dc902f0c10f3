"""Verify finds every kind of damage, and never raises."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import verify
from poolwright.release.checks.result import Verification
from poolwright.release.checksums import write_sums


@pytest.fixture
def folder(released: Path, tmp_path: Path) -> Path:
    """A release to damage."""
    shutil.copytree(released, tmp_path / "toy")
    return tmp_path / "toy"


def _failed(found: Verification) -> set[str]:
    return {check.name for check in found.failed}


def _shard(folder: Path) -> Path:
    return folder / "data" / "train-00000-of-00001.parquet"


def _edit(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text(encoding="utf-8")
    assert change(text) != text
    path.write_text(change(text), encoding="utf-8")


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


@pytest.mark.loads
def test_a_whole_release_holds(released: Path) -> None:
    found = verify(released, full=True)
    assert found.ok
    assert [check.name for check in found.checks] == [
        "record",
        "checksums",
        "schema",
        "counts",
        "card",
        "croissant",
        "images",
        "leaks",
        "datasets",
        "mlcroissant",
    ]
    assert "whole" in found.words


def test_a_flipped_byte_is_found(folder: Path) -> None:
    data = bytearray(_shard(folder).read_bytes())
    data[len(data) // 2] ^= 1
    _shard(folder).write_bytes(data)
    assert "checksums" in _failed(verify(folder))


def test_a_changed_image_is_found_though_checksums_were_made_anew(folder: Path) -> None:
    def swap(table: pa.Table) -> pa.Table:
        images = table["image"].to_pylist()
        images[3] = images[4]
        index = table.schema.get_field_index("image")
        return table.set_column(index, table.schema.field("image"), pa.array(images, table.schema.field("image").type))

    _rewrite(_shard(folder), swap)
    write_sums(folder, {})
    found = verify(folder, full=True)
    assert {"images", "croissant"} <= _failed(found)
    assert "row-0004" in found.words


def test_lost_rows_are_found_though_checksums_were_made_anew(folder: Path) -> None:
    _rewrite(_shard(folder), lambda table: table.slice(0, 80))
    write_sums(folder, {})
    found = verify(folder)
    assert "counts" in _failed(found)
    assert "80 rows, release.json says 87" in found.words


def test_a_missing_file_is_found(folder: Path) -> None:
    _shard(folder).unlink()
    found = verify(folder)
    assert {"checksums", "schema", "counts"} <= _failed(found)
    assert "'data/train-00000-of-00001.parquet' is missing" in found.words


def test_an_added_file_is_found(folder: Path) -> None:
    (folder / "data" / "train-00001-of-00001.parquet").write_bytes(b"")
    assert _failed(verify(folder)) == {"checksums"}


def test_what_downloaders_leave_is_not_damage(folder: Path) -> None:
    (folder / ".gitattributes").write_text("*.parquet filter=lfs")
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "state").write_text("")
    assert verify(folder).ok


def test_another_column_is_found(folder: Path) -> None:
    _rewrite(_shard(folder), lambda table: table.append_column("more", pa.array([1] * len(table))))
    write_sums(folder, {})
    assert "schema" in _failed(verify(folder))


@pytest.mark.parametrize(
    ("name", "old", "new", "check"),
    [
        ("release.json", '"rows":130', '"rows":131', "counts"),
        ("table.json", '"rows_kept":130', '"rows_kept":131', "counts"),
        ("statistics.json", '"rows": 130', '"rows": 131', "counts"),
        ("README.md", "num_examples: 87", "num_examples: 88", "card"),
        ("README.md", "**130 rows**", "**131 rows**", "card"),
        ("README.md", "license: cc-by-4.0\n", "", "card"),
        ("README.md", "pretty_name: ", "pretty_name: [", "card"),
        ("croissant.json", '"splits/rows": 87', '"splits/rows": 88', "croissant"),
        ("croissant.json", '"column": "url"', '"column": "link"', "croissant"),
        ("croissant.json", "{", "", "croissant"),
        ("release.json", "{", "", "record"),
        ("release.json", "data/train-", "../train-", "record"),
        ("SHA256SUMS", "  ", " ", "checksums"),
    ],
)
def test_changed_words_are_found_though_checksums_were_made_anew(
    folder: Path, name: str, old: str, new: str, check: str
) -> None:
    path = folder / name
    if name in ("release.json", "table.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":")), encoding="utf-8")
    _edit(path, lambda text: text.replace(old, new, 1))
    if name != "SHA256SUMS":
        write_sums(folder, {})
    assert check in _failed(verify(folder))


def test_a_missing_figure_is_found(folder: Path) -> None:
    (folder / "figures" / "funnel.png").unlink()
    write_sums(folder, {})
    assert _failed(verify(folder)) == {"card"}


@pytest.mark.parametrize("what", ["nothing", "empty", "file"])
def test_no_release_is_told_not_raised(tmp_path: Path, what: str) -> None:
    path = tmp_path / "there"
    if what == "empty":
        path.mkdir()
    if what == "file":
        path.write_text("")
    found = verify(path)
    assert not found.ok
    assert found.words
