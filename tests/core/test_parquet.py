"""Parquet options reach every leaf column, however it is nested; rows are regrouped without a copy or a loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import MadeDemo

import poolwright
from poolwright.core.columns import is_text, is_vector
from poolwright.core.parquet import parquet_options, parquet_writer, row_group_rows, write_parquet
from poolwright.core.rows import RowGroups, in_row_groups

TEXTS = pa.struct([("words", pa.list_(pa.string())), ("more", pa.map_(pa.string(), pa.list_(pa.int32())))])
NESTED = pa.schema(
    {
        "uid": pa.string(),
        "a.b": pa.int64(),
        "kind": pa.dictionary(pa.int32(), pa.string()),
        "vector": pa.list_(pa.float16(), 4),
        "wide": pa.list_(pa.float32(), 4),
        "boxes": pa.list_(pa.list_(pa.float32())),
        "counts": pa.map_(pa.string(), pa.int64()),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "texts": TEXTS,
        "vectors": pa.large_list(pa.list_(pa.float16(), 4)),
        "pairs": pa.list_(TEXTS, 2),
    }
)


def leaves(path: Path) -> Iterator[tuple[str, pq.ColumnChunkMetaData]]:
    metadata = pq.ParquetFile(path).metadata
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            yield chunk.path_in_schema, chunk


def test_every_leaf_of_every_nesting_has_its_options(tmp_path: Path) -> None:
    write_parquet(tmp_path / "one.parquet", pa.table([pa.nulls(9, kind) for kind in NESTED.types], schema=NESTED))
    raw = {"vector.list.element", "wide.list.element", "image.bytes", "vectors.list.element.list.element"}
    options, found = parquet_options(NESTED), dict(leaves(tmp_path / "one.parquet"))
    assert set(options["compression"]) == set(found)
    assert {path for path, chunk in found.items() if chunk.compression == "UNCOMPRESSED"} == raw
    assert {path for path, chunk in found.items() if chunk.compression == "ZSTD"} == set(found) - raw
    assert {path for path, chunk in found.items() if chunk.is_stats_set} <= set(options["write_statistics"])
    assert set(options["write_statistics"]) == set(found) - raw
    assert {"kind", "image.path", "texts.words.list.element", "counts.key_value.key"} <= set(options["use_dictionary"])
    assert "uid" not in options["use_dictionary"], "a dictionary of values that never repeat"
    with parquet_writer(str(tmp_path / "two.parquet"), NESTED) as writer:
        writer.write_table(NESTED.empty_table())
    assert pq.read_schema(tmp_path / "two.parquet").equals(NESTED)


def of_the_demo(made_demo: MadeDemo) -> list[Path]:
    """Parquet files of the pool, the run (tables, ledgers, states, caches) and the releases."""
    return sorted(path for path in (made_demo.folder / "demo").rglob("*.parquet") if path.is_file())


def test_files_of_the_demo_are_compressed_throughout(made_demo: MadeDemo) -> None:
    files = of_the_demo(made_demo)
    assert len({path.parent for path in files}) > 8
    for path in files:
        schema = pq.read_schema(path)
        assert pq.ParquetFile(path).metadata.format_version == "2.6", path
        for name, chunk in leaves(path):
            top = next(field.type for field in schema if f"{name}.".startswith(f"{field.name}."))
            raw = is_vector(top) or name.endswith(".bytes") or pa.types.is_binary(top)
            assert chunk.compression == ("UNCOMPRESSED" if raw else "ZSTD"), (path, name)
            assert not chunk.has_offset_index, (path, name)
            if name == "uid":
                assert "RLE_DICTIONARY" not in chunk.encodings, (path, name)
            elif is_text(top):
                assert "RLE_DICTIONARY" in chunk.encodings or not chunk.num_values, (path, name)
            elif "dropped" not in path.parts:
                assert "RLE_DICTIONARY" not in chunk.encodings or chunk.physical_type == "BYTE_ARRAY", (path, name)


@pytest.mark.parametrize(
    ("types", "rows"),
    [
        ({"uid": pa.string()}, 1_000),
        ({"vector": pa.list_(pa.float16(), 512)}, 1_024),
        ({"image": pa.binary()}, 64),
        ({"wanted": pa.bool_()}, 1_000),
    ],
)
def test_rows_of_a_row_group_follow_their_width(types: dict[str, pa.DataType], rows: int) -> None:
    found = row_group_rows(pa.schema(types), 1 << 20, 64, 1_024)
    assert found == min(rows, 1_024) or (rows == 1_000 and found == 1_024)


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 25))
def test_groups_depend_on_the_rows_alone(pieces: list[int], rows: int) -> None:
    whole = pa.table({"n": np.arange(sum(pieces))})
    starts = np.cumsum([0, *pieces])
    found = list(in_row_groups((whole.slice(at, size) for at, size in zip(starts, pieces, strict=False)), rows))
    assert [len(one) for one in found[:-1]] == [rows] * (len(found) - 1)
    assert all(0 < len(one) <= rows for one in found)
    assert pa.concat_tables([whole.slice(0, 0), *found]).equals(whole)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 9), st.integers(1, 90), st.integers(1, 20))
def test_a_group_ends_at_the_row_that_fills_it(sizes: list[int], rows: int, most_bytes: int, piece: int) -> None:
    whole, groups = pa.table({"n": np.arange(len(sizes))}), RowGroups(rows, most_bytes)
    found: list[list[int]] = []
    for at in range(0, len(sizes), piece):
        found += [one["n"].to_pylist() for one in groups.add(whole.slice(at, piece), sizes[at : at + piece])]
    rest = groups.rest()
    wanted, waiting = [], []  # one row at a time
    for row, size in enumerate(sizes):
        waiting.append(row)
        if len(waiting) == rows or sum(sizes[one] for one in waiting) >= most_bytes:
            wanted.append(waiting)
            waiting = []
        assert size >= 0
    assert found == wanted
    assert (rest["n"].to_pylist() if rest is not None else []) == waiting
    assert groups.rest() is None


def test_no_file_has_options_of_its_own() -> None:
    """`testing` and `conformance` make files as strangers do; the ledger of a run adds to the options."""
    root = Path(poolwright.__file__).parent
    own = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if {"pq.write_table(", "pq.ParquetWriter("} & set(re.findall(r"pq\.\w+\(", path.read_text(encoding="utf-8")))
    }
    assert {path for path in own if not path.startswith(("testing/", "conformance/"))} == {
        "core/parquet.py",
        "run/write.py",
    }
