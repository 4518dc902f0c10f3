"""Releases of several configs: one for each value of a column, such as a time bucket."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import verify
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.table import Table
from poolwright.release.checksums import write_sums
from poolwright.release.data import splits
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.layout import About
from tests.release.build import pictures, toy_rows, write_table
from tests.release.conftest import ABOUT

LAYOUT = HuggingFace(configs="bucket", class_label="label")


def _table(folder: Path, buckets: Any, count: int = 60) -> Table:
    rows = toy_rows(count)
    values = [buckets(number) for number in range(count)]
    rows = rows.append_column("bucket", pa.array(values))
    # The first bucket is there to pre-train on.
    parts = ["pretrain" if value == 0 else ("train", "test")[at % 3 == 0] for at, value in enumerate(values)]
    rows = rows.set_column(rows.schema.get_field_index("split"), "split", pa.array(parts))
    pictures(folder / "images", rows.column("image_path").to_pylist())
    return write_table(folder / "tables" / "toy", rows, cuts=(7,), image_root=folder / "images")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path]:
    """Buckets 0, 1, 2 and 10, and their release; do not change it."""
    root = tmp_path_factory.mktemp("configs")
    table = _table(root, lambda number: (0, 1, 10, 2)[number % 4])
    LAYOUT.write(table, root / "out", ABOUT)
    return table, root / "out"


def test_load_dataset_reads_each_config_by_its_name(made: tuple[Table, Path], tmp_path: Path) -> None:
    from datasets import get_dataset_config_names, load_dataset

    table, folder = made
    assert get_dataset_config_names(str(folder)) == ["0", "1", "2", "10"]
    rows = table.read().to_pylist()
    for bucket in (0, 1, 2, 10):
        dataset = load_dataset(str(folder), str(bucket), cache_dir=str(tmp_path))
        wanted = [row for row in rows if row["bucket"] == bucket]
        assert {name: part.num_rows for name, part in dataset.items()} == Counter(row["split"] for row in wanted)
        for name, part in dataset.items():
            assert part["uid"] == [row["uid"] for row in wanted if row["split"] == name]
            assert part.features["label"].names == ["Katze", "a|b <i>", "犬"]
            assert part[0]["image"].size == (32, 24)


def test_header_and_text_of_the_card_name_the_configs(made: tuple[Table, Path]) -> None:
    text = (made[1] / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---")[1])
    assert [config["config_name"] for config in header["configs"]] == ["0", "1", "2", "10"]
    assert header["configs"][0]["data_files"] == [{"split": "pretrain", "path": "data/0/pretrain-*"}]
    assert [info["config_name"] for info in header["dataset_info"]] == ["0", "1", "2", "10"]
    assert 'load_dataset("path/or/name/of/this/folder", "0")' in text
    assert "The values of `bucket` are configs: `0`, `1`, `2`, `10`." in text


def test_it_verifies_and_croissant_readers_find_all_rows(made: tuple[Table, Path]) -> None:
    import mlcroissant

    found = verify(made[1], full=True)
    assert found.ok, found.words
    dataset = mlcroissant.Dataset(jsonld=made[1] / "croissant.json")
    assert sorted(row["rows/uid"].decode() for row in dataset.records("rows")) == sorted(
        made[0].read(["uid"])["uid"].to_pylist()
    )


def test_the_same_table_gives_the_same_bytes(made: tuple[Table, Path], tmp_path: Path) -> None:
    LAYOUT.write(made[0], tmp_path / "out", ABOUT)
    assert (tmp_path / "out" / "SHA256SUMS").read_bytes() == (made[1] / "SHA256SUMS").read_bytes()


def test_lost_rows_of_one_config_are_found(made: tuple[Table, Path], tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(made[1], folder)
    shard = next((folder / "data" / "10").glob("train-*"))
    pq.write_table(pq.read_table(shard).slice(1), shard)
    write_sums(folder, {})
    assert {"counts", "croissant"} <= {check.name for check in verify(folder).failed}


def test_a_value_may_be_null_or_no_word(tmp_path: Path) -> None:
    table = _table(tmp_path, lambda number: [None, "a/b", "data"][number % 3], 9)
    HuggingFace(configs="bucket", images="none", figures=False).write(table, tmp_path / "out", About())
    record = json.loads((tmp_path / "out" / "release.json").read_text(encoding="utf-8"))
    assert record["configs"] == {"a_b": "a/b", "data_split": "data", "unassigned": None}
    assert verify(tmp_path / "out").ok


def test_what_cannot_be_configs_is_refused(
    made: tuple[Table, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = made[0].schema
    with pytest.raises(StepError, match=r"'configs' names the column 'buckets'.*did you mean 'bucket'"):
        HuggingFace(configs="buckets").check(schema)
    with pytest.raises(StepError, match="'configs: similarity' has type float; configs are strings or integers"):
        HuggingFace(configs="similarity").check(schema)
    monkeypatch.setattr(splits, "MOST_CONFIGS", 3)
    with pytest.raises(ReleaseError, match="column 'bucket', which has 4 values; a release has at most 3 configs"):
        LAYOUT.write(made[0], tmp_path / "out", About())
