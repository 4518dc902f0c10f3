from __future__ import annotations

import gzip
import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from poolwright.core.columns import vector_field, vector_model
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.core.rows import vector_array
from poolwright.pools.readers import parquet
from poolwright.pools.table import TablePool, read_parquet
from poolwright.recipe.recipe import make_pool
from tests.pools.reading import column, read_all

RANDOM = np.random.default_rng(0)


def unit(n: int, d: int = 16) -> np.ndarray:
    matrix = RANDOM.standard_normal((n, d))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float16)


def write(path: Path, columns: dict[str, object], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def shard(folder: Path, name: str, rows: int, **more: object) -> Path:
    return write(folder / f"{name}.parquet", {"uid": [f"{name}-{n}" for n in range(rows)], **more})


# --- columns ---


def test_columns_are_renamed_kept_and_typed(tmp_path: Path) -> None:
    write(
        tmp_path / "a.parquet",
        {
            "key": pa.array([7, 8], pa.int64()),
            "TEXT": ["a", None],
            "text": ["hidden", "hidden"],
            "original_width": pa.array([640.0, None], pa.float64()),
            "posted": ["2014-01-02T00:00:00Z", "not known"],
            "tags": [["x"], []],
            "box": [[0.0, 0.5, 1.0, 1.0]] * 2,
            "country": pa.array(["Chile", "Peru"]).dictionary_encode(),
            "__index_level_0__": [0, 1],
        },
    )
    names = {"text": "TEXT", "width": "original_width", "uploaded_at": "posted"}
    pool = TablePool(path=str(tmp_path / "a.parquet"), columns=names, uid="key")
    table = read_all(pool)
    assert table.column_names == ["uid", "key", "text", "width", "uploaded_at", "tags", "box", "country"]
    assert table.to_pylist()[0] == {
        "uid": "7",
        "key": 7,
        "text": "a",
        "width": 640,
        "uploaded_at": datetime(2014, 1, 2, tzinfo=UTC),
        "tags": ["x"],
        "box": [0.0, 0.5, 1.0, 1.0],
        "country": "Chile",
    }
    assert table["uploaded_at"].to_pylist()[1] is None
    assert table.schema.field("width").type == pa.int32()
    assert table.schema.field("country").type == pa.string()
    kept = TablePool(path=str(tmp_path), columns=names, uid="key", keep=["width"])
    assert kept.arrow_schema().names == ["uid", "width"]
    assert read_all(pool, []).num_rows == 2


def test_ids(tmp_path: Path) -> None:
    for name, ids, uids in [
        ("int", pa.array([2**62, None]), [str(2**62), None]),
        ("uuid", pa.array([bytes(16), bytes(range(16))], pa.uuid()), ["0" * 32, bytes(range(16)).hex()]),
        ("large", pa.array(["é", "b"], pa.large_string()), ["é", "b"]),
    ]:
        write(tmp_path / name / "x.parquet", {"uid": ids})
        assert column(TablePool(path=str(tmp_path / name)), "uid") == uids
    numbered = TablePool(path=str(tmp_path / "int"), uid="row")
    assert column(numbered, "uid") == ["x:0", "x:1"]
    write(tmp_path / "other" / "x.parquet", {"uid": [1.5]})
    with pytest.raises(RecipeError, match="'uid': has type double, but 'uid' is string"):
        TablePool(path=str(tmp_path / "other")).arrow_schema()
    nested = TablePool(path=[str(tmp_path / "int"), str(tmp_path / "large")], uid="row", keep=[])
    assert column(nested, "uid") == ["int/x:0", "int/x:1", "large/x:0", "large/x:1"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, r"no column 'uid'; name one with 'uid: COLUMN'.*there are: url, n"),
        ({"uid": "ulr"}, "no column 'ulr' for the uid; did you mean 'url'"),
        ({"uid": "url", "columns": {"text": "caption"}}, "no column 'caption' for 'text'; known: n, url"),
        ({"uid": "url", "keep": ["txt"]}, "'keep' names 'txt'"),
        ({"uid": "url", "images": "."}, "'images' needs a column 'image_path'"),
        ({"uid": "url", "vectors": {"clip": {"model": "x"}}}, "no column 'clip' with vectors"),
        ({"uid": "url", "vectors": {"n": {"model": "x"}}}, "int64, whose first rows are not vectors"),
        ({"uid": "url", "columns": {"taken_at": "n"}}, "'taken_at' are ISO 8601 times or Unix seconds, but none"),
        ({"uid": "url", "types": {"m": "int32"}}, "no column 'm' of 'types'"),
        ({"uid": "url", "names": ["n"]}, "Parquet files have names"),
    ],
)
def test_what_is_wrong_with_columns_is_reported(tmp_path: Path, parameters: dict[str, object], message: str) -> None:
    write(tmp_path / "a.parquet", {"url": ["u"], "n": [1999]})
    with pytest.raises(RecipeError, match=message):
        TablePool(path=str(tmp_path), **parameters).arrow_schema()


def test_wrong_parameters_are_refused() -> None:
    for parameters in (
        {"path": "a", "types": {"a": "integer"}},
        {"path": []},
        {"path": "a", "vectors": {"clip": {"file": "a.npy", "column": "b"}}},
        {"path": "a", "vectors": {"clip": {"key": "b"}}},
        {"path": "a", "delimiter": ""},
        {"path": "a", "quote": "'"},
        {"path": "a", "encoding": "klingon"},
        {"path": "a", "header": ["a"], "names": ["a"]},
        {"path": "a", "image_path": "/{a}.jpg"},
        {"path": "a", "derive": {"uid": "a"}},
        {"path": "a", "nonsense": 1},
    ):
        with pytest.raises(ValidationError):
            TablePool(**parameters)


def test_images_within_the_table(tmp_path: Path) -> None:
    images = [{"bytes": b"jpg", "path": "a.jpg"}, {"bytes": None, "path": None}]
    write(tmp_path / "hf.parquet", {"image": images, "label": [3, 4]})
    pool = TablePool(path=str(tmp_path / "hf.parquet"), uid="row")
    assert pool.known_images()
    assert read_all(pool, ["image", "image_path", "label"]).to_pylist() == [
        {"image": b"jpg", "image_path": "a.jpg", "label": "3"},
        {"image": None, "image_path": None, "label": "4"},
    ]
    write(tmp_path / "plain.parquet", {"image": pa.array([b"x"], pa.large_binary()), "image_path": ["b.jpg"]})
    plain = TablePool(path=str(tmp_path / "plain.parquet"), uid="image_path", images=str(tmp_path))
    assert column(plain, "image") == [b"x"]
    assert plain.image_root() == str(tmp_path)
    with pytest.raises(RecipeError, match="no such folder of images"):
        TablePool(path=str(tmp_path / "plain.parquet"), uid="image_path", images=str(tmp_path / "no")).arrow_schema()
    write(tmp_path / "path.parquet", {"image": ["a.jpg"]})
    with pytest.raises(RecipeError, match="'image' is binary"):
        TablePool(path=str(tmp_path / "path.parquet"), uid="image").arrow_schema()


# --- files ---


def test_files_of_a_pool(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a"):
        shard(tmp_path, name, 1)
    shard(tmp_path, ".hidden/x", 1)
    (tmp_path / "readme.md").write_text("x")
    assert column(TablePool(path=str(tmp_path)), "uid") == ["a-0", "b/10-0", "b/2-0"]
    assert column(TablePool(path=str(tmp_path / "b" / "*.parquet")), "uid") == ["b/10-0", "b/2-0"]
    listed = TablePool(path=[str(tmp_path / "b/2.parquet"), str(tmp_path / "a.parquet")])
    assert column(listed, "uid") == ["b/2-0", "a-0"]
    (tmp_path / "b/x.csv").write_text("uid\n1\n")
    with pytest.raises(RecipeError, match=r"holds csv \(x.csv\) and parquet \(a.parquet\); name one with 'format'"):
        TablePool(path=str(tmp_path)).arrow_schema()
    assert column(TablePool(path=str(tmp_path), format="csv"), "uid") == ["1"]
    for path, message in [
        (str(tmp_path / "c"), "no such file or folder; known:"),
        (str(tmp_path / "a.parque"), "did you mean 'a.parquet'"),
        (str(tmp_path / "*.pq"), "no file matches"),
        (str(tmp_path / "readme.md"), "the extension does not show the format"),
        (str(tmp_path / "no" / "x.csv"), "does not exist"),
    ]:
        with pytest.raises(RecipeError, match=message):
            TablePool(path=path).arrow_schema()
    with pytest.raises(RecipeError, match="named twice"):
        TablePool(path=[str(tmp_path / "a.parquet")] * 2).arrow_schema()


def test_parts_are_runs_of_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [str(n) for n in range(100)]
    write(tmp_path / "a.parquet", {"uid": ids}, row_group_size=10)
    write(tmp_path / "b.parquet", {"uid": ids}, row_group_size=60)
    monkeypatch.setattr(parquet.runs, "__defaults__", (35,))
    parts = TablePool(path=str(tmp_path)).parts()
    assert [(part.name, part.start, part.rows) for part in parts] == [
        ("a.parquet rows 0-29", 0, 30),
        ("a.parquet rows 30-59", 30, 30),
        ("a.parquet rows 60-89", 60, 30),
        ("a.parquet rows 90-99", 90, 10),
        ("b.parquet rows 0-59", 0, 60),
        ("b.parquet rows 60-99", 60, 40),
    ]
    pool = TablePool(path=str(tmp_path), uid="row")
    assert column(pool, "uid") == [f"{name}:{n}" for name in "ab" for n in range(100)]
    again = pickle.loads(pickle.dumps(pool))
    assert again == pool
    assert [len(table) for table in again.read(parts[4], ["uid"], 25)] == [25, 25, 10]


def test_files_must_give_the_same_columns(tmp_path: Path) -> None:
    shard(tmp_path, "a", 2, n=pa.array([1, 2], pa.int32()), width=pa.array([1, 2], pa.int64()), t=pa.nulls(2))
    shard(tmp_path, "b", 1, n=pa.array([1], pa.int32()), width=["7"], t=pa.array(["x"], pa.large_string()))
    shard(tmp_path, "c", 1, n=pa.nulls(1), width=pa.array([3.0]), t=["y"])
    assert read_all(TablePool(path=str(tmp_path))).select(["n", "width", "t"]).to_pydict() == {
        "n": [1, 2, 1, None],
        "width": [1, 2, 7, 3],
        "t": [None, None, "x", "y"],
    }
    shard(tmp_path, "d", 1, n=["1.5"], width=[1], t=["x"])
    with pytest.raises(RecipeError, match=r"a.parquet and d.parquet differ: column 'n' is int32 .* and string"):
        TablePool(path=str(tmp_path)).arrow_schema()
    assert TablePool(path=str(tmp_path), keep=["width"]).arrow_schema().names == ["uid", "width"]
    shard(tmp_path, "d", 1, n=pa.array([1], pa.int32()), width=[1])
    with pytest.raises(RecipeError, match="the second has no column 't'"):
        TablePool(path=str(tmp_path)).arrow_schema()
    shard(tmp_path, "d", 1, n=pa.array([1], pa.int32()), width=[1], t=["x"], more=[1])
    with pytest.raises(RecipeError, match="only the second has the column 'more'"):
        TablePool(path=str(tmp_path)).arrow_schema()


def test_damaged_files_are_bad_parts(tmp_path: Path) -> None:
    shard(tmp_path, "a", 20_000)
    data = shard(tmp_path, "b", 20_000).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[:-30_000])
    (tmp_path / "dirty.parquet").write_bytes(data[:1000] + b"\xff" * 20_000 + data[21_000:])
    (tmp_path / "empty.parquet").write_bytes(b"")
    pool = TablePool(path=str(tmp_path))
    parts = {part.name: part for part in pool.parts()}
    assert parts["cut.parquet"].rows is None
    for name in ("cut.parquet", "dirty.parquet", "empty.parquet"):
        with pytest.raises(BadPart, match=name):
            list(pool.read(parts[name], ["uid"], 1000))
    assert sum(len(table) for table in pool.read(parts["b.parquet"], ["uid"], 1000)) == 20_000
    only = TablePool(path=[str(tmp_path / "cut.parquet"), str(tmp_path / "empty.parquet")])
    with pytest.raises(InputError, match=r"cut\.parquet: is no Parquet file.*no file of the pool can be read"):
        only.arrow_schema()


def test_a_file_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    pool = TablePool(path=str(shard(tmp_path, "a", 1)))
    parts = pool.parts()
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(InputError, match="gone since it was listed") as caught:
        list(pool.read(parts[0], ["uid"], 10))
    assert not isinstance(caught.value, BadPart)


def test_empty_files_have_no_rows(tmp_path: Path) -> None:
    shard(tmp_path, "a", 0, emb=pa.array([], pa.list_(pa.float32(), 32)))
    shard(tmp_path, "b", 0, emb=pa.array([], pa.list_(pa.float32(), 32)))
    table = read_all(TablePool(path=str(tmp_path)))
    assert table.num_rows == 0
    assert [part.rows for part in TablePool(path=str(tmp_path)).parts()] == [0, 0]
    (tmp_path / "x.csv").write_text("uid,n\n")
    assert read_all(TablePool(path=str(tmp_path / "x.csv"))).schema.names == ["uid", "n", "row_error"]
    (tmp_path / "x.jsonl").write_text("\n\n")
    assert column(TablePool(path=str(tmp_path / "x.jsonl"), uid="row"), "uid") == []


def test_urls(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    shard(tmp_path, "s", 3)
    np.savez(tmp_path / "s.npz", clip=unit(3))
    np.savez_compressed(tmp_path / "p.npz", clip=unit(3))
    for name in ("s.parquet", "s.npz", "p.npz"):
        memory.pipe(f"/table-pool/{name}", (tmp_path / name).read_bytes())
    memory.pipe("/table-pool/t.csv.gz", gzip.compress(b"uid\n1\n"))
    for path in ("memory://table-pool/s.parquet", "memory://table-pool/*.parquet"):
        local = TablePool(path=str(tmp_path), vectors={"clip": {"file": "{stem}.npz"}})
        pool = TablePool(path=path, vectors={"clip": {"file": "{stem}.npz"}})
        assert read_all(pool).equals(read_all(local))
    packed = TablePool(path="memory://table-pool/s.parquet", vectors={"clip": {"file": "memory://table-pool/p.npz"}})
    assert read_all(packed)["clip"].null_count == 0
    assert column(TablePool(path="memory://table-pool", format="csv"), "uid") == ["1"]
    with pytest.raises(RecipeError, match="no such file or folder"):
        TablePool(path="memory://table-pool/none.parquet").arrow_schema()


# --- vectors ---


def test_lists_of_floats_are_embeddings(tmp_path: Path) -> None:
    clip = unit(6)
    lists = [row.tolist() for row in clip.astype(np.float64) * 3]
    lists[2], lists[3] = None, [1.0] * 5
    field = vector_field("made", 16, "clip", "abc")
    columns = {
        "uid": list("abcdef"),
        "list": pa.array(lists, pa.list_(pa.float32())),
        "fixed": pa.array(clip.tolist(), pa.list_(pa.float64(), 16)),
    }
    table = pa.table(columns).append_column(field, pa.array(clip.tolist(), field.type))
    pq.write_table(table, tmp_path / "a.parquet")
    found = read_all(TablePool(path=str(tmp_path / "a.parquet"), vectors={"fixed": {"model": "m", "weights": "w"}}))
    assert found["list"].type == pa.list_(pa.float32())  # the first rows differ in width
    assert np.array_equal(np.array(found["fixed"].to_pylist(), np.float16), clip)
    assert vector_model(found.schema.field("fixed")) == ("m", "w")
    assert vector_model(found.schema.field("made")) == ("clip", "abc")
    assert found["made"].combine_chunks().equals(table["made"].combine_chunks())


def test_a_list_of_another_width_further_on_is_null(tmp_path: Path) -> None:
    rows = [[1.0] + [0.0] * 15] * 1500
    rows[1200] = [1.0]
    shard(tmp_path, "a", 1500, emb=pa.array(rows, pa.list_(pa.float64())))
    pool = TablePool(path=str(tmp_path))
    assert pool.arrow_schema().field("emb").type == pa.list_(pa.float16(), 16)
    assert [n for n, value in enumerate(column(pool, "emb")) if value is None] == [1200]
    named = TablePool(path=str(tmp_path), vectors={"clip": {"column": "emb", "model": "m"}})
    assert named.arrow_schema().names == ["uid", "clip"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_vectors_beside_each_file(tmp_path: Path, save: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet.runs, "__defaults__", (7,))
    clips = {}
    for name, rows in (("00", 20), ("01", 5)):
        clips[name] = unit(rows)
        write(tmp_path / f"{name}.parquet", {"uid": [f"{name}-{n}" for n in range(rows)]}, row_group_size=5)
        save(tmp_path / f"{name}.npz", b32_img=clips[name], other=np.asfortranarray(clips[name]))
    spec = {"file": "{stem}.npz", "key": "b32_img", "model": "OpenAI ViT-B/32", "weights": "sha"}
    pool = TablePool(path=str(tmp_path), vectors={"clip": spec, "other": {"file": str(tmp_path / "*.npz")}})
    whole = np.concatenate([clips["00"], clips["01"]])
    for batch_rows in (1, 3, 100):
        table = read_all(pool, batch_rows=batch_rows)
        assert np.array_equal(np.array(table["clip"].to_pylist(), np.float16), whole)
        assert np.array_equal(np.array(table["other"].to_pylist(), np.float16), whole)
    assert vector_model(pool.arrow_schema().field("clip")) == ("OpenAI ViT-B/32", "sha")
    assert pool.parts()[0].files == (str(tmp_path / "00.parquet"), str(tmp_path / "00.npz"))
    assert len(read_all(pool, ["clip"])) == 25


def test_one_vector_file_for_all(tmp_path: Path) -> None:
    clip = unit(25)
    shard(tmp_path, "a", 20)
    shard(tmp_path, "b", 5)
    np.save(tmp_path / "all.npy", clip)
    pool = TablePool(path=str(tmp_path), vectors={"clip": {"file": str(tmp_path / "all.npy")}})
    assert np.array_equal(np.array(column(pool, "clip"), np.float16), clip)
    np.save(tmp_path / "all.npy", clip[:24])
    again = TablePool(path=str(tmp_path), vectors={"clip": {"file": str(tmp_path / "all.npy")}})
    with pytest.raises(BadPart, match=r"a.parquet.* has 25 rows and all.npy has 24 vectors"):
        read_all(again, ["uid", "clip"])
    (tmp_path / "c.parquet").write_bytes(b"broken")
    with pytest.raises(InputError, match="give one vector file for each"):
        TablePool(path=str(tmp_path), vectors={"clip": {"file": str(tmp_path / "all.npy")}}).parts()


def test_a_file_of_another_length_is_a_bad_part(tmp_path: Path) -> None:
    for name, rows in (("a", 5), ("b", 6)):
        shard(tmp_path, name, 5)
        np.savez(tmp_path / f"{name}.npz", clip=unit(rows))
    (tmp_path / "text").mkdir()
    for name, rows in (("a", 5), ("b", 6), ("c", 4)):
        (tmp_path / "text" / f"{name}.csv").write_text("uid\n" + "x\n" * 5)
        np.savez(tmp_path / "text" / f"{name}.npz", clip=unit(rows))
    for folder, bad in ((tmp_path, ["b"]), (tmp_path / "text", ["b", "c"])):
        pool = TablePool(path=str(folder / "*.*v") if bad[1:] else str(folder / "*.parquet"), vectors=BESIDE)
        for part in pool.parts():
            if part.name[0] in bad:
                with pytest.raises(BadPart, match=r"rows and [bc]\.npz has \d vectors of 'clip'"):
                    list(pool.read(part, ["uid", "clip"], 2))
            else:
                assert sum(map(len, pool.read(part, ["uid", "clip"], 2))) == 5
        assert len(read_all(pool, ["uid"])) == 5 * len(pool.parts())  # vectors are not looked at


BESIDE = {"clip": {"file": "{stem}.npz"}}


def test_vector_files_that_do_not_fit_are_reported(tmp_path: Path) -> None:
    shard(tmp_path, "a", 5)
    shard(tmp_path, "b", 5)
    path = str(tmp_path)
    with pytest.raises(RecipeError, match=r"no file .*a\.npz and 1 more"):
        TablePool(path=path, vectors=BESIDE).arrow_schema()
    np.savez(tmp_path / "a.npz", clip=unit(5), flat=np.zeros(5), other=np.array([None] * 5))
    np.savez(tmp_path / "b.npz", clip=unit(5))
    np.savez(tmp_path / "c.npz", clip=unit(5))
    with pytest.raises(RecipeError, match="3 files for 2 table files"):
        TablePool(path=path, vectors={"clip": {"file": str(tmp_path / "*.npz")}}).arrow_schema()
    with pytest.raises(RecipeError, match="holds no array 'clap'; did you mean 'clip'"):
        TablePool(path=path, vectors={"clap": {"file": "{stem}.npz"}}).arrow_schema()
    with pytest.raises(RecipeError, match="vectors are a 2-d array of floats; 'flat'"):
        TablePool(path=path, vectors={"clip": {"file": "{stem}.npz", "key": "flat"}}).arrow_schema()
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-400])
    pool = TablePool(path=path, vectors=BESIDE)
    with pytest.raises(BadPart, match="b"):
        list(pool.read(pool.parts()[1], ["clip"], 10))


# --- CSV and JSON Lines ---


def test_csv(tmp_path: Path) -> None:
    text = (
        "\ufeffid,label,country,width,score,day,note,quoted\n"
        '007,01,NA,640,NA,2014-01-02,,"two\nlines, é"\n'
        '008,02,,wide,0.5,2014-01-03,,""\n'
    )
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with gzip.open(tmp_path / "b.csv.gz", "wt", encoding="utf-8") as out:
        out.write(text.replace("\ufeff", "").replace(",", "\t").replace("lines\t", "lines,").replace("\t", ","))
    pool = TablePool(path=str(tmp_path), uid="id", columns={"taken_at": "day"})
    table = read_all(pool)
    assert len(table) == 4
    assert table.to_pylist()[:2] == table.to_pylist()[2:]
    assert table.schema.field("score").type == pa.float64()
    first, second = table.to_pylist()[:2]
    assert (first["uid"], first["id"], first["label"], first["country"]) == ("007", "007", "01", "NA")
    assert (first["width"], first["score"], first["note"]) == (640, None, None)
    assert first["taken_at"] == datetime(2014, 1, 2, tzinfo=UTC)
    assert first["quoted"] == "two\nlines, é"
    assert (second["country"], second["width"], second["score"], second["quoted"]) == (None, None, 0.5, None)


def test_what_is_wrong_in_csv_is_an_error_of_its_row(tmp_path: Path) -> None:
    lines = [f"{n},{n},{'x' * 60}\n" for n in range(60_000)]  # more than the samples
    lines[18_000], lines[42_000], lines[42_001] = "x,many,-\n", "y\n", "z,007,-\n"
    (tmp_path / "b.csv").write_text("uid,n,pad\n" + "".join(lines))
    pool = TablePool(path=str(tmp_path / "b.csv"))
    table = read_all(pool, batch_rows=5_000)
    assert (len(table), table.schema.field("n").type) == (60_000, pa.int64())
    errors = [(row, error) for row, error in enumerate(table["row_error"].to_pylist()) if error]
    assert [row for row, _ in errors] == [18_000, 42_000, 42_001]
    assert errors[0][1].startswith("row 18002: 'n' is 'many', not int64")
    assert errors[1][1] == "row 42002: 1 values for 3 columns"
    assert "'n' is '007'" in errors[2][1]
    assert table["uid"].to_pylist()[41_999:42_002] == ["41999", None, "z"]
    assert table["n"].to_pylist()[41_999:42_003] == [41_999, None, None, 42_002]
    assert read_all(pool, ["n"], 5_000).equals(table.select(["n"]))
    named = TablePool(path=str(tmp_path / "b.csv"), types={"n": "string"})
    assert column(named, "n")[18_000] == "many"
    assert read_all(named)["row_error"].null_count == 59_999
    declared = TablePool(path=str(tmp_path / "b.csv"), types={"n": "int32"})
    assert column(declared, "n")[42_001] == 7


def test_csv_files_that_cannot_be_read_are_bad_parts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,n\nx,1\n")
    (tmp_path / "c.csv").write_text("uid,m\nx,1\n")
    (tmp_path / "e.csv").write_text("")
    (tmp_path / "f.csv").write_bytes(b"uid,n\n\xff,1\n")
    pool = TablePool(path=str(tmp_path))
    for part, message in zip(pool.parts()[1:3], ["no column 'n'", "Empty"], strict=True):
        with pytest.raises(BadPart, match=message):
            list(pool.read(part, ["uid", "n"], 50_000))
    (table,) = pool.read(pool.parts()[3], ["uid", "n", "row_error"], 10)
    assert table["row_error"].to_pylist()[0].startswith("row 2: 'uid' is '\ufffd', not UTF-8")
    with pytest.raises(RecipeError, match="no column 'k' of 'types'"):
        TablePool(path=str(tmp_path / "c.csv"), types={"k": "string"}).arrow_schema()
    (tmp_path / "more.csv").write_text("uid,n,extra\nx,1,2\n")
    with pytest.raises(RecipeError, match=r"a\.csv and more\.csv differ: only the second has the column 'extra'"):
        TablePool(path=str(tmp_path)).arrow_schema()
    assert TablePool(path=str(tmp_path), keep=["n"]).arrow_schema().names == ["uid", "n", "row_error"]


def test_tsv_and_other_delimiters(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("uid\tn\nx\t1\n")
    (tmp_path / "a.txt").write_text("uid;n\nx;1\n")
    row = {"uid": "x", "n": 1, "row_error": None}
    assert read_all(TablePool(path=str(tmp_path / "a.tsv"))).to_pylist() == [row]
    other = TablePool(path=str(tmp_path / "a.txt"), format="csv", delimiter=";")
    assert read_all(other).to_pylist() == [row]


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"uid": 1, "label": "a", "uploaded_at": "2014-01-02T00:00:00Z", "tags": ["x"], "day": "2014-01-02", "n": 1},
        {"uid": 2, "label": 5, "width": "wide", "tags": [], "n": None, "new": "é"},
        {"uid": "c", "label": None, "n": 2},
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "a.jsonl").write_text(f"\ufeff{lines.splitlines()[0]}\n", encoding="utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as out:
        out.write(lines.replace('"c"', "3") + "\n\n")
    pool = TablePool(path=str(tmp_path), types={"width": "int64", "new": "string"})
    table = read_all(pool, batch_rows=2)
    assert table.schema.field("day").type == pa.string()
    assert table["uid"].to_pylist() == ["1", "1", "2", "3"]
    assert table["label"].to_pylist() == ["a", "a", "5", None]
    assert table["width"].to_pylist() == [None] * 4
    assert table["new"].to_pylist() == [None, None, "é", None]
    assert table["tags"].to_pylist() == [["x"], ["x"], [], None]
    assert table["uploaded_at"].to_pylist()[0] == datetime(2014, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"uid": 1, "n": ', "line 4: no JSON"),
        ("[1, 2]", "line 4: no JSON object but '[1, 2]'"),
        ('{"uid": 1, "n": "x"}', "line 4: 'n' is \"x\", not int64; name the column's type"),
        ('{"uid": 1} {"uid": 2}', "line 4: no JSON"),
        ('{"uid": 1, "n": 1.5}', "line 4: 'n' is 1.5, not int64"),
        ('{"uid": 1, "n": 1, "n": 2}', "line 4: the key 'n' occurs twice"),
    ],
)
def test_what_is_wrong_in_json_lines_is_an_error_of_its_row(tmp_path: Path, line: str, message: str) -> None:
    good = '{"uid": 1, "n": 1}\n'
    (tmp_path / "a.jsonl").write_text(good)
    (tmp_path / "b.jsonl").write_text(f"{good}\n{good}{line}\n{good}")
    pool = TablePool(path=str(tmp_path), types={"n": "int64"})
    errors = column(pool, "row_error")
    assert errors[3].startswith(message)
    assert errors == [None, None, None, errors[3], None]
    assert column(pool, "n") == [1, 1, 1, None, 1]


def test_a_json_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('[{"uid": 1}]')
    with pytest.raises(InputError, match="one JSON object per line, not one list"):
        TablePool(path=str(tmp_path)).arrow_schema()


def test_cut_gzip_is_a_bad_part(tmp_path: Path) -> None:
    data = gzip.compress("".join(f"u{n},{n * 7919}\n" for n in range(20_000)).encode())
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(b"uid,n\n") + data[: None if name == "a" else -99])
    pool = TablePool(path=str(tmp_path))
    with pytest.raises(BadPart, match=r"b\.csv\.gz"):
        list(pool.read(pool.parts()[1], ["uid"], 1000))


# --- any batches, any columns ---

TEXT = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8))


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(TEXT, max_size=30),
    batch_rows=st.integers(1, 40),
    asked=st.permutations(["uid", "text", "n", "clip"]),
    count=st.integers(0, 4),
    group=st.integers(1, 40),
)
def test_batches_and_columns_change_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    texts: list[str | None],
    batch_rows: int,
    asked: list[str],
    count: int,
    group: int,
) -> None:
    folder = tmp_path_factory.mktemp("table")
    table = pa.table({"text": pa.array(texts, pa.string()), "n": pa.array(range(len(texts)), pa.int64())})
    if form == "parquet":
        pq.write_table(table, folder / "猫.parquet", row_group_size=group)
    elif form == "csv":
        import pyarrow.csv as pacsv

        pacsv.write_csv(table, folder / "猫.csv")
    else:
        lines = [json.dumps(row, ensure_ascii=group % 2 == 0) + "\n" for row in table.to_pylist()]
        (folder / "猫.jsonl").write_text("".join(lines), encoding="utf-8")
    np.savez(folder / "猫.npz", clip=unit(len(texts)))
    pool = TablePool(
        path=str(folder / f"猫.{form}"), uid="row", vectors=BESIDE, **({} if form == "parquet" else {"types": TYPES})
    )
    whole = read_all(pool)
    assert whole["uid"].to_pylist() == [f"猫:{n}" for n in range(len(texts))]
    assert whole["text"].to_pylist() == ([text or None for text in texts] if form == "csv" else texts)
    assert read_all(pool, asked[:count], batch_rows).equals(whole.select(asked[:count]))


TYPES = {"n": "int64", "text": "string"}


def test_a_huge_row_group_is_never_in_memory_whole(tmp_path: Path) -> None:
    clip = np.tile(unit(1_000, 768), (50, 1))
    table = pa.table({"uid": pa.array(range(50_000)), "clip": vector_array(clip)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=50_000, use_dictionary=False, compression="none")
    pool = TablePool(path=str(tmp_path))
    (part,) = pool.parts()
    before, rows = pa.total_allocated_bytes(), 0
    for batch in pool.read(part, ["uid", "clip"], 1_000_000):
        assert pa.total_allocated_bytes() - before < 40_000_000  # of 77 MB
        rows += len(batch)
    assert rows == 50_000


def test_read_parquet_keeps_dictionaries_where_asked(tmp_path: Path) -> None:
    shard(tmp_path, "a", 4, label=["x", "y", "x", "x"])
    (table,) = read_parquet(str(tmp_path / "a.parquet"), None, ["label", "uid"], 10, dictionary=["label"])
    assert table.schema.types == [pa.dictionary(pa.int32(), pa.string()), pa.string()]
    assert table["label"].to_pylist() == ["x", "y", "x", "x"]


def test_images_named_by_a_struct_are_read_below_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("pictures/a.png", "outside.png"):
        (tmp_path / name).write_bytes(name.encode())
    full = str(tmp_path / "pictures/a.png")
    paths = ["a.png", full, str(tmp_path / "outside.png"), "../outside.png", None, "b.png"]
    images = [{"bytes": None, "path": path} for path in paths] + [{"bytes": b"own", "path": "a.png"}]
    write(tmp_path / "t.parquet", {"image": images})
    found = TablePool(path=str(tmp_path / "t.parquet"), uid="row", images=str(tmp_path / "pictures"))
    assert column(found, "image") == [b"pictures/a.png", b"pictures/a.png", None, None, None, None, b"own"]
    write(tmp_path / "pictures/t.parquet", {"image": images[:1]})
    assert column(TablePool(path=str(tmp_path / "pictures/t.parquet"), uid="row"), "image") == [b"pictures/a.png"]


def test_files_whose_types_drift_have_the_widest_type(tmp_path: Path) -> None:
    first = {"uid": ["1"], "x": pa.array([1]), "s": pa.nulls(1), "m": [{"a": 1}], "t": ["7"]}
    second = {"uid": ["2"], "x": [0.5], "s": ["text"], "m": [{"a": 2, "b": "more"}], "t": ["n/a"]}
    pq.write_table(pa.table(first), tmp_path / "0.parquet")
    pq.write_table(pa.table(second), tmp_path / "1.parquet")
    pool = make_pool("table", {"path": ".", "types": {"t": "int32"}}, tmp_path)
    assert read_all(pool).to_pylist() == [
        {"uid": "1", "x": 1.0, "s": None, "m": {"a": 1, "b": None}, "t": 7},
        {"uid": "2", "x": 0.5, "s": "text", "m": {"a": 2, "b": "more"}, "t": None},
    ]
    assert "'x' is double: int64 in 0.parquet" in pool.remarks()
    assert "'t' is int32: string in 0.parquet, 1.parquet" in pool.remarks()
    with pytest.raises(RecipeError, match="no column 'y' of 'types'"):
        make_pool("table", {"path": ".", "types": {"y": "int32"}}, tmp_path).arrow_schema()
    with pytest.raises(RecipeError, match=r"'m' is struct<.*cannot become int32"):
        make_pool("table", {"path": ".", "types": {"m": "int32"}}, tmp_path).arrow_schema()
