"""Layout `webdataset`: tars that webdataset, datasets and the pools of poolwright read back, row for row."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from poolwright import verify
from poolwright.core.columns import vector_field
from poolwright.core.errors import StepError
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.pools.img2dataset import Img2dataset
from poolwright.pools.webdataset.webdataset import WebDatasetPool
from poolwright.release import checksums
from poolwright.release.checks.loaders import with_webdataset
from poolwright.release.checksums import read_sums
from poolwright.release.layouts.webdataset import WebDatasetLayout
from poolwright.release.record import ReleaseRecord
from poolwright.testing.layouts import ABOUT
from tests.pools.reading import read_all
from tests.release.build import picture, write_table


def table(folder: Path, kinds: str, **columns: Any) -> Table:
    """A table with an image of each kind, 'j' for JPEG and 'p' for PNG, most values of its other columns missing."""
    count = len(kinds)
    images = [picture(row, {"j": "JPEG", "p": "PNG", "w": "WEBP"}[kind]) for row, kind in enumerate(kinds)]
    vectors = np.eye(16, dtype=np.float16)[:count]
    rows = pa.table(
        {
            "uid": [f"r{row}" for row in range(count)],
            "image": images,
            "text": [f"täxt {row}" if row % 3 else None for row in range(count)],
            "author": [None if row < 6 else "me" for row in range(count)],
            "rating": pa.array([None if row < 6 else row / 4 for row in range(count)], pa.float32()),
            "tags": [["a", "b"][: row % 3] or None for row in range(count)],
            "box": [{"x": row, "y": row / 2 if row % 2 else None} for row in range(count)],
            "taken_at": pa.array([10**15 + row for row in range(count)], pa.timestamp("us", tz="UTC")),
            **columns,
        }
    )
    rows = rows.append_column(vector_field("clip", 16, "m", "0" * 64), vector_array(vectors))
    return write_table(folder / "table", rows)


def written(folder: Path, kinds: str, columns: dict[str, Any] | None = None, **parameters: Any) -> Path:
    layout = WebDatasetLayout.model_validate({"figures": False, **parameters})
    layout.write(table(folder, kinds, **(columns or {})), folder / "out", ABOUT)
    return folder / "out"


def samples(tars: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    return found


@pytest.mark.parametrize(
    ("kinds", "ending"),
    [("jjjjjjjj", "jpg"), ("pppppppp", "png"), ("jjjjjjjp", "jpg"), ("ppppppjj", "jpg"), ("wwwwwwww", "webp")],
)
def test_readers(kinds: str, ending: str, tmp_path: Path) -> None:
    """In any order of formats, every sample has the same files, and every reader has every picture."""
    out = written(tmp_path, kinds, shard_rows=3)
    assert sorted(file.name for file in (out / "train").iterdir()) == [
        f"{shard:05d}{end}" for shard in range(3) for end in (".parquet", ".tar", "_stats.json")
    ]
    found = samples(f"{out}/train/{{00000..00002}}.tar")
    assert [sample["__key__"] for sample in found] == [f"{row // 3:05d}{row % 3}" for row in range(8)]
    assert {tuple(name for name in sample if name[0] != "_") for sample in found} == {(ending, "txt", "json")}
    assert [sample[ending].size for sample in found] == [(32, 24)] * 8
    assert [sample["json"]["uid"] for sample in found] == [f"r{row}" for row in range(8)]
    card = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"), split="train")
    assert [row[ending].format for row in card] == [{"j": "JPEG", "p": "PNG", "w": "WEBP"}[kind] for kind in kinds]
    assert [row["json"]["rating"] for row in card] == [None] * 6 + [1.5, 1.75]
    tars = sorted(map(str, (out / "train").glob("*.tar")))
    bare = datasets.load_dataset("webdataset", data_files=tars, split="train", cache_dir=str(tmp_path / "bare"))
    assert [row[ending].size for row in bare] == [(32, 24)] * 8
    assert [row["json"]["author"] for row in bare] == [""] * 6 + ["me"] * 2
    record = ReleaseRecord.load(out)
    files = ", ".join(sorted(("json", "txt", ending)))
    assert with_webdataset.load(out, record, True) == ([], f"WebDataset gives 8 samples with {files}")
    assert with_webdataset.load_with_datasets(out, record, True)[0] == []


def test_pools_read_it_back(tmp_path: Path) -> None:
    """The pool of tars gives all rows but vectors; that of img2dataset, by the Parquet files, gives these too."""
    out = written(tmp_path, "jjpjjpjjpj", {"split": ["train", "test"] * 5}, shard_bytes=4_000)
    source = Table(tmp_path / "table").read()
    names = ["uid", "text", "author", "rating", "tags", "box", "taken_at", "split", "image"]
    for pool, wanted in ((WebDatasetPool, names), (Img2dataset, [*names, "clip"])):
        given = pool.model_validate({"path": str(out)})
        rows = read_all(given, wanted).sort_by("uid")
        assert rows.cast(pa.schema([source.schema.field(name) for name in wanted])).to_pylist() == (
            source.select(wanted).sort_by("uid").to_pylist()
        )
    assert len(list((out / "train").glob("*.tar"))) > 1
    keys = pq.read_table(sorted((out / "test").glob("*.parquet"))).column("key").to_pylist()
    assert keys[0] == "000000000"
    assert len(set(keys)) == 5


def test_classes(tmp_path: Path) -> None:
    """Classes are indices, -1 without one; columns of the table that have the names of the layout's are kept."""
    columns = {"label": ["dog", None, "cat", "dog"], "key": list("abcd"), "cls": [7, 8, 9, 9]}
    out = written(tmp_path, "jjjj", columns, class_label="label")
    found = samples(f"{out}/train/00000.tar")
    assert [sample["cls"] for sample in found] == [1, -1, 0, 1]
    assert [sample["json"]["source_key"] for sample in found] == list("abcd")
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.features["cls"].names == ["cat", "dog"]
    assert loaded["cls"][:] == [1, -1, 0, 1]
    rows = pq.read_table(out / "train" / "00000.parquet")
    assert rows.select(["cls", "source_cls", "label"]).to_pydict() == {
        "cls": [1, -1, 0, 1], "source_cls": [7, 8, 9, 9], "label": ["dog", None, "cat", "dog"],
    }  # fmt: skip
    assert verify(out).ok
    with pytest.raises(StepError, match="'source_key', which it has already"):
        written(tmp_path / "other", "jj", {"key": ["a", "b"], "source_key": ["a", "b"]})


def test_tars_are_the_same_everywhere(tmp_path: Path) -> None:
    out = written(tmp_path, "jpj", columns={"width": [1, 2, 3]}, images={"format": "png", "resize": 12})
    with tarfile.open(out / "train" / "00000.tar") as tar:
        members = tar.getmembers()
    assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {
        (0, 0, 0, "", 0o444)
    }
    assert [member.name for member in members[:3]] == ["000000000.png", "000000000.txt", "000000000.json"]
    assert [sample["png"].size for sample in samples(f"{out}/train/00000.tar")] == [(16, 12)] * 3
    stats = json.loads((out / "train" / "00000_stats.json").read_text())
    assert stats == {"count": 3, "successes": 3, "failed_to_download": 0, "failed_to_resize": 0}
    assert "train/{00000..00000}" not in (out / "README.md").read_text()
    tar_file = out / "train" / "00000.tar"
    data = tar_file.read_bytes()
    for place in (100, 700, len(data) - 2_000, len(data) - 1):
        tar_file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        check = next(check for check in verify(out).checks if check.name == "tars")
        assert not check.ok
        assert "'train/00000.tar': " in check.words


@pytest.mark.parametrize(("kinds", "renamed"), [("jjjjjjjj", 0), ("pppppppj", 2)])
def test_tars_are_digested_while_they_are_written(
    kinds: str, renamed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def sha256_file(path: Path) -> str:
        read.append(path.relative_to(path.parents[1]).as_posix())
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(checksums, "sha256_file", sha256_file)
    monkeypatch.setattr("poolwright.release.data.images.BATCH_ROWS", 2)  # the last format is not known at first
    out = written(tmp_path, kinds, shard_rows=3)
    digests = {f"train/{tar.name}": hashlib.sha256(tar.read_bytes()).hexdigest() for tar in out.glob("train/*.tar")}
    assert len(digests) == 3
    assert {name: digest for name, digest in read_sums(out).items() if name in digests} == digests
    assert {name for name in read if name.endswith(".tar")} == set(sorted(digests)[:renamed])
