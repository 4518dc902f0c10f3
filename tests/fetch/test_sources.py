"""Sources of rows, and the errors for those that cannot be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import InputError, RecipeError
from poolwright.fetch.options import FetchOptions, parse_bytes
from poolwright.fetch.sources import FetchSource, open_source

ROWS = [
    {"uid": "a", "url": "http://x/1", "text": 'one, "quoted"\nline', "n": 1},
    {"uid": "b", "url": "http://x/2", "text": None, "n": None},
    {"uid": "c", "url": None, "text": "", "n": 3},
]


def opened(source: object, **options: object) -> FetchSource:
    return open_source(source, FetchOptions(**options))  # type: ignore[arg-type]


def read(source: FetchSource, rows: int = 100) -> list[dict[str, object]]:
    return [row for table in source.shards(rows) for row in table.to_pylist()]


def test_parquet_files_are_cut_into_shards(tmp_path: Path) -> None:
    for number in range(3):
        pq.write_table(pa.table({"url": [f"{number}-{row}" for row in range(7)]}), tmp_path / f"{number}.parquet")
    source = opened(tmp_path)
    assert source.rows == 21
    assert [len(table) for table in source.shards(5)] == [5, 5, 5, 5, 1]
    assert [row["url"] for row in read(source, 4)] == [f"{number}-{row}" for number in range(3) for row in range(7)]
    assert read(opened(str(tmp_path / "*.parquet"))) == read(source)
    assert read(opened([tmp_path / "0.parquet", tmp_path / "1.parquet"])) == read(source)[:14]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_csv(tmp_path: Path, name: str) -> None:
    data = b'uid,url,text,n\n007,http://x/1,"one, ""quoted""\nline",1\nb,,,x\n'
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read(opened(tmp_path / name)) == [
        {"url": "http://x/1", "caption": 'one, "quoted"\nline', "uid": "007", "n": "1"},
        {"url": "", "caption": "", "uid": "b", "n": "x"},
    ]


def test_json_lines(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n\n" + '{"url": "u", "more": {"b": 1}}')
    rows = read(opened(tmp_path / "rows.jsonl"))
    assert rows[0] == {"url": "http://x/1", "caption": 'one, "quoted"\nline', "uid": "a", "n": "1", "more": None}
    assert (rows[2]["url"], rows[3]["more"], rows[3]["uid"]) == (None, '{"b": 1}', None)


def test_vectors_and_bytes_stay_behind_unless_asked_for(tmp_path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4, np.float16)), 2)
    table = {
        "url": ["a", "b"],
        "clip": vectors,
        "image": [b"1", b"2"],
        "tags": [["x"], []],
        "n": [1, 2],
        "uid": ["u", "v"],
    }
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    assert opened(tmp_path / "rows.parquet").schema.names == ["url", "n", "uid"]
    assert opened(tmp_path / "rows.parquet", columns=["tags"]).schema.names == ["url", "uid", "tags"]


def test_columns_by_other_names(tmp_path: Path) -> None:
    rows = {"URL": ["u"], "url": ["other"], "TEXT": ["t"], "hash": ["AB" * 32], "key": ["k"], "sha256": ["s"]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    (row,) = read(opened(tmp_path / "rows.parquet", url="URL", caption="TEXT", sha256="hash"))
    assert row == {"url": "u", "caption": "t", "expected_sha256": "ab" * 32, "input_url": "other", "input_key": "k",
                   "input_sha256": "s"}  # fmt: skip


def test_dictionary_and_large_strings(tmp_path: Path) -> None:
    table = pa.table(
        {"url": pa.array(["a", None], pa.large_string()), "text": pa.array(["x", "x"]).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    assert read(opened(tmp_path / "rows.parquet")) == [{"url": "a", "caption": "x"}, {"url": None, "caption": "x"}]


def test_a_release_and_what_lies_beside_its_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "states").mkdir()
    (tmp_path / "release.json").write_text("{}")
    (tmp_path / "table.json").write_text("{}")
    pq.write_table(pa.table({"url": ["a"]}), tmp_path / "data" / "train.parquet")
    pq.write_table(pa.table({"x": ["a"]}), tmp_path / "states" / "01.parquet")
    assert [file.name for file in opened(tmp_path).files] == ["train.parquet"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"url": "ulr"}, "no column 'ulr' for url; did you mean 'url'"), ({"caption": "txet"}, "did you mean 'text'"),
     ({"sha256": "sha"}, "no column 'sha'"), ({"columns": ["widht"]}, "did you mean 'width'"),
     ({"uid": "id"}, "no column 'id' for uid"), ({"url": "width"}, "holds int64, not text")],
)  # fmt: skip
def test_a_column_that_is_not_there(tmp_path: Path, options: dict[str, object], message: str) -> None:
    pq.write_table(pa.table({"url": ["a"], "text": ["b"], "width": [1]}), tmp_path / "rows.parquet")
    with pytest.raises(RecipeError, match=message):
        opened(tmp_path / "rows.parquet", **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("rows.txt", "http://x", "not one of .csv"), ("rows.parquet", "no parquet", "rows.parquet"),
     ("rows.csv", "", "rows.csv"),
     ("rows.jsonl", '{"url": "a"}\n{"url"', "line 2"), ("rows.jsonl", "[1]", "not an object")],
)  # fmt: skip
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        opened(tmp_path / name)


def test_a_broken_line_of_csv(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("url,text\na,b\nc,d,e\n")
    with pytest.raises(InputError, match=r"rows\.csv: CSV parse error"):
        read(opened(tmp_path / "rows.csv"))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        opened(tmp_path / "nothing.parquet")
    with pytest.raises(InputError, match="no Parquet"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"), [("50MB", 50_000_000), ("1 KiB", 1024), ("10_000", 10_000), ("1.5mb", 1_500_000), (7, 7)]
)
def test_sizes(text: object, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["50 MBit", "much", "-1"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_bytes(text)


def test_quotes_in_tsv_are_characters(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text('text\turl\n"so" he said\ta\n"begun\tb\nit\'s 5" wide\tc\n')
    assert [row["caption"] for row in read(opened(tmp_path / "rows.tsv"))] == [
        '"so" he said',
        '"begun',
        "it's 5\" wide",
    ]


def test_a_list_without_names(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("a cat\thttp://example.org/1.jpg\na dog\thttp://example.org/2.jpg\n")
    with pytest.raises(RecipeError, match=r"first line is data.*column 2 is 'http://example\.org/1\.jpg'"):
        opened(tmp_path / "rows.tsv")


def test_half_of_a_surrogate_pair(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"url": "a", "text": "cut \\ud83d"}\n')
    assert read(opened(tmp_path / "rows.jsonl")) == [{"url": "a", "caption": "cut \ufffd"}]


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.jsonl.gz"])
def test_a_compressed_list_that_is_cut_off(tmp_path: Path, name: str) -> None:
    lines = "".join(f'{{"url": "{number * 7919 % 10007}"}}\n' for number in range(2000))
    packed = gzip.compress(lines.encode() if "json" in name else b"url\n" + lines.replace('"', "").encode())
    (tmp_path / name).write_bytes(packed[:-100])
    with pytest.raises(InputError, match=name):
        read(opened(tmp_path / name), 10_000)


def test_no_column_of_digests(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["a"], "sha256": ["none of these"]}), tmp_path / "rows.parquet")
    with pytest.raises(RecipeError, match="not a digest"):
        opened(tmp_path / "rows.parquet")
    (row,) = read(opened(tmp_path / "rows.parquet", sha256=""))
    assert row == {"url": "a", "input_sha256": "none of these"}


def test_files_with_other_names_of_classes(tmp_path: Path) -> None:
    for number, names in enumerate((["a", "b"], ["b", "a"])):
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = pa.table({"url": ["u"], "label": [0]}).replace_schema_metadata({"huggingface": json.dumps(features)})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    assert read(opened(tmp_path / "1.parquet")) == [{"url": "u", "label": "b"}]
    with pytest.raises(InputError, match="other names of classes"):
        opened(tmp_path)


def test_a_quote_that_is_never_closed_hides_no_rows(tmp_path: Path) -> None:
    text = 'url,text\nhttp://x/1,"an owl\nhttp://x/2,b\nhttp://x/3,c\n'
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(InputError, match=r"rows\.csv\.gz: line 2: a quote mark opens a value that is never closed"):
        read(opened(tmp_path / "rows.csv.gz"))
