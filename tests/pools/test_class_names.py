"""Names of classes that `datasets` keeps in the metadata of Parquet files are read by every pool of such files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.columns import classes_of, united_field, with_classes
from poolwright.core.pool import Pool
from poolwright.pools.clip_retrieval import ClipRetrieval
from poolwright.pools.commonpool import CommonPool
from poolwright.pools.img2dataset import Img2dataset
from poolwright.pools.table import TablePool
from tests.pools import test_clip_retrieval, test_commonpool, test_img2dataset
from tests.pools.reading import column

NAMES = ("wren", "auk", "owl")


def with_labels(file: Path) -> None:
    """Add a column of indices with names to a Parquet file."""
    table = pq.read_table(file)
    labels = pa.array([number % 4 - 1 for number in range(len(table))], pa.int64())
    feature = {"names": list(NAMES), "_type": "ClassLabel"}
    document = json.dumps({"info": {"features": {"species": feature, "label": feature}}})
    table = table.append_column("label", labels).append_column("species", labels)
    pq.write_table(table.replace_schema_metadata({"huggingface": document}), file)


def write_clip_retrieval(folder: Path) -> Pool:
    test_clip_retrieval.write(folder, 0, 8)
    return ClipRetrieval(path=str(folder))


def write_commonpool(folder: Path) -> Pool:
    test_commonpool.write(folder, "0" * 32, 0, 8)
    return CommonPool(path=str(folder))


def write_img2dataset(folder: Path) -> Pool:
    test_img2dataset.write_shard(folder, 0)
    return Img2dataset(path=str(folder))


def write_table(folder: Path) -> Pool:
    pq.write_table(pa.table({"uid": list("abcdefgh")}), folder / "rows.parquet")
    return TablePool(path=str(folder))


@pytest.mark.parametrize("write", [write_clip_retrieval, write_commonpool, write_img2dataset, write_table])
def test_labels_are_names_and_keep_their_order(write: Callable[[Path], Pool], tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    pool = write(tmp_path / "source")
    (file,) = (tmp_path / "source").rglob("*.parquet")
    with_labels(file)
    for name in ("label", "species"):
        assert column(pool, name)[:8] == [None, *NAMES, None, *NAMES][:8]
        assert pool.class_names()[name] == NAMES
        assert classes_of(pool.arrow_schema().field(name)) == NAMES


def test_a_union_keeps_the_numbers_that_all_sources_agree_on() -> None:
    one, other = (with_classes(pa.field("label", pa.string()), names) for names in (NAMES, ("auk", "wren")))
    plain = pa.field("label", pa.string())
    assert classes_of(united_field({"a": one, "b": plain})) == NAMES
    assert classes_of(united_field({"a": plain, "b": one})) == NAMES
    assert classes_of(united_field({"a": one, "b": one})) == NAMES
    assert classes_of(united_field({"a": one, "b": other})) == ()
