"""Files of strangers as `table` reads them: no value is changed, no column or row lost without a word."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.pools.arrays import Arrays
from poolwright.pools.geoyfcc.geoyfcc import GeoYfccPool
from poolwright.pools.table import TablePool
from tests.calling import call
from tests.pools.reading import column, read_all


def pool(path: Path, **parameters: object) -> TablePool:
    return TablePool(path=str(path), **parameters)


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(path: Path, columns: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=500)
    return path


def test_a_quote_mark_in_a_tsv_is_a_plain_character(tmp_path: Path) -> None:
    texts = ['"Owl" at dusk', '"never closed', 'a 3" lens', '""', "plain"]
    (tmp_path / "a.tsv").write_text("url\ttext\n" + "".join(f"u{n}\t{text}\n" for n, text in enumerate(texts)))
    assert column(pool(tmp_path / "a.tsv", uid="url"), "text") == texts
    quoted = pool(tmp_path / "a.tsv", uid="url", format="csv", delimiter="\t", types={"text": "string"})
    with pytest.raises(BadPart, match="line 3: a quote mark opens a value that is never closed"):
        read_all(quoted)


@pytest.mark.parametrize(
    ("value", "kept"),
    [({}, "{}"), ([{}], ["{}"]), ({"w": 3, "more": {}}, {"w": 3, "more": "{}"}), ([[], [{}]], [[], ["{}"]])],
)
def test_empty_objects_are_text(tmp_path: Path, value: object, kept: object) -> None:
    table = read_all(pool(lines(tmp_path / "a.jsonl", [{"uid": "a", "meta": value}])))
    assert table["meta"].to_pylist() == [kept]
    pq.write_table(table, tmp_path / "a.parquet")


@pytest.mark.parametrize("before", [0, 5_000])
@pytest.mark.parametrize("more", [{}, {"types": {"text": "string"}}, {"keep": ["text"]}])
def test_half_of_a_surrogate_pair_is_replaced(tmp_path: Path, before: int, more: dict[str, object]) -> None:
    rows = [{"uid": str(n), "text": "x"} for n in range(before)]
    cut = [{"uid": "half", "text": "an owl \ud83e"}, {"uid": "whole", "text": "an owl \U0001f989"}]
    table = read_all(pool(lines(tmp_path / "a.jsonl", [*rows, *cut]), **more))
    assert table["text"].to_pylist()[-2:] == ["an owl \ufffd", "an owl \U0001f989"]
    assert table["row_error"].null_count == len(table)


BIG = 2**64 - 5
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def test_integers_of_64_bits_keep_their_digits(tmp_path: Path) -> None:
    ids = [BIG, BIG - 1]
    (tmp_path / "a.csv").write_text("uid,simhash\n" + "".join(f"u{n},{n}\n" for n in ids))
    lines(tmp_path / "a.jsonl", [{"uid": f"u{n}", "simhash": n} for n in ids])
    parquet(tmp_path / "a.parquet", {"uid": [f"u{n}" for n in ids], "simhash": pa.array(ids, pa.uint64())})
    for kind in ("csv", "jsonl", "parquet"):
        assert column(pool(tmp_path / f"a.{kind}"), "simhash") == ids
    assert column(pool(lines(tmp_path / "u.jsonl", [{"uid": n} for n in ids])), "uid") == [str(n) for n in ids]
    mixed = lines(tmp_path / "m.jsonl", [{"uid": "a", "n": 2**53 + 1}, {"uid": "b", "n": 0.25}])
    assert column(pool(mixed), "n") == ["9007199254740993", "0.25"]
    (tmp_path / "huge.csv").write_text(f"uid,n,m\na,{2**64},-1\nb,5,{BIG}\n")
    huge = read_all(pool(tmp_path / "huge.csv"))
    assert (huge["n"].to_pylist(), huge["m"].to_pylist()) == ([str(2**64), "5"], ["-1", str(BIG)])


def test_a_number_that_would_be_rounded_later_is_an_error_of_its_row(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"uid": str(n), "score": n / 4, "pad": "x" * 5_000} for n in range(1_000)]
    rows[300]["score"] = 2**53 + 1
    for form in ("jsonl", "csv"):
        path = lines(tmp_path / f"a.{form}", rows)
        if form == "csv":
            path.write_text("uid,score,pad\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
        table = read_all(pool(path))
        assert table.schema.field("score").type == pa.float64()
        assert [n for n, error in enumerate(table["row_error"].to_pylist()) if error] == [300]


def test_codes_with_leading_zeros_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,wnid,n,f\na,0042,0,0.5\nb,42,10,-0.25\nc,,7,0\n")
    table = read_all(pool(tmp_path / "a.csv"))
    assert table["wnid"].to_pylist() == ["0042", "42", None]
    assert table.schema.types[2:4] == [pa.int64(), pa.float64()]
    assert column(pool(tmp_path / "a.csv", types={"wnid": "int32"}), "wnid") == [42, 42, None]


def test_a_list_without_a_header_is_named_or_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("val/owl/1.png 3\nval/owl/2.png 3\nval/emu/3.png 4\n")
    plain = {"format": "csv", "delimiter": " ", "uid": "row"}
    with pytest.raises(RecipeError, match=r"'val/owl/1.png' in column 1\).*'header: \[image_path, label_index\]'"):
        pool(tmp_path / "list.txt", **plain).arrow_schema()
    table = read_all(pool(tmp_path / "list.txt", **plain, names=["image_path", "label_index"]))
    assert table["image_path"].to_pylist() == ["val/owl/1.png", "val/owl/2.png", "val/emu/3.png"]
    assert table["label_index"].to_pylist() == [3, 3, 4]
    (tmp_path / "cc.tsv").write_text("an owl\thttps://example.org/1\nan emu\thttps://example.org/2\n")
    with pytest.raises(RecipeError, match=r"in column 2\).*'header: \[text, url\]'"):
        pool(tmp_path / "cc.tsv", uid="row").arrow_schema()
    assert column(pool(tmp_path / "cc.tsv", uid="url", names=["text", "url"]), "text") == ["an owl", "an emu"]
    (tmp_path / "wide.csv").write_text("uid,0,1,2\na,0,1,2\n")  # numbered columns, as pandas writes arrays
    assert read_all(pool(tmp_path / "wide.csv")).column_names == ["uid", "0", "1", "2", "row_error"]


@pytest.mark.parametrize("packed", [False, True])
def test_keys_that_first_occur_late_are_columns(tmp_path: Path, packed: bool) -> None:
    rows: list[dict[str, object]] = [{"uid": str(n), "of": {"w": n}, "score": None} for n in range(3_000)]
    rows[-1] = {"uid": "2999", "of": {"w": 1, "by": "me"}, "score": 0.5, "nsfw": True}
    path = lines(tmp_path / "a.jsonl", rows)
    if packed:
        path = tmp_path / "a.jsonl.gz"
        path.write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    table = read_all(pool(path))
    assert table.to_pylist()[-1] == {**rows[-1], "row_error": None}
    assert table.schema.field("score").type == pa.float64()


def test_a_key_that_no_sampled_line_has_is_an_error_of_its_row(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"uid": str(n), "of": {"w": n}, "pad": "x" * 5_000} for n in range(1_000)]
    rows[300]["nsfw"] = True
    rows[301]["of"] = {"w": 1, "by": "me"}
    path = lines(tmp_path / "a.jsonl", rows)
    errors = {n: error for n, error in enumerate(column(pool(path), "row_error")) if error}
    assert list(errors) == [300, 301]
    assert "line 301: the key 'nsfw'" in str(errors[300])
    assert "line 302: the key 'by'" in str(errors[301])
    named = pool(path, types={"nsfw": "bool"}, keep=["nsfw"])
    assert (column(named, "nsfw")[300], set(column(named, "row_error"))) == (True, {None})


def unit(rows: int) -> np.ndarray:
    return np.eye(16, dtype=np.float32)[np.arange(rows) % 16]


@pytest.mark.parametrize("case", ["null type", "late", "second file", "empty lists", "tensor"])
def test_vectors_are_found_where_they_are(tmp_path: Path, case: str) -> None:
    kind = pa.list_(pa.float32())
    missing: list[object] = [[]] * 1_200 if case == "empty lists" else [None] * 1_200
    if case == "tensor":
        columns = {"uid": ["a", "b"], "emb": pa.FixedShapeTensorArray.from_numpy_ndarray(unit(2))}
        parquet(tmp_path / "p/0.parquet", columns)
        missing = []
    elif case == "late":
        emb = pa.array(missing + unit(2).tolist(), kind)
        parquet(tmp_path / "p/0.parquet", {"uid": [str(n) for n in range(1_202)], "emb": emb})
    else:
        first = pa.nulls(1_200) if case == "null type" else pa.array(missing, kind)
        parquet(tmp_path / "p/0.parquet", {"uid": [str(n) for n in range(1_200)], "emb": first})
        parquet(tmp_path / "p/1.parquet", {"uid": ["a", "b"], "emb": pa.array(unit(2).tolist(), kind)})
    found = read_all(pool(tmp_path / "p"))["emb"]
    assert found.type == pa.list_(pa.float16(), 16)
    assert found.to_pylist()[:-2] == [None] * len(missing)
    assert found.to_pylist()[-2:] == unit(2).tolist()


def test_a_matrix_in_each_row_is_no_vector(tmp_path: Path) -> None:
    maps = pa.FixedShapeTensorArray.from_numpy_ndarray(unit(8).reshape(2, 4, 16))
    table = read_all(pool(parquet(tmp_path / "a.parquet", {"uid": ["a", "b"], "map": maps})))
    assert table["map"].type == pa.list_(pa.float32(), 64)


@pytest.mark.parametrize(
    "middle",
    [
        'b,"a 3 inch lens',
        'b,"a 3 inch lens\nc,"fine"',  # the mark of the next row would close it
        'b,"two\nlines" and more',
    ],
)
def test_a_quote_that_is_never_closed_is_an_error(tmp_path: Path, middle: str) -> None:
    (tmp_path / "a.csv").write_text(f"uid,text\na,fine\n{middle}\n" + "".join(f"d{n},fine\n" for n in range(9)))
    with pytest.raises(BadPart, match="line 3: a quote mark opens a value that is never closed"):
        read_all(pool(tmp_path / "a.csv"))


def test_quote_marks_within_values_are_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('uid,text\na,a 3" lens\nb,"two\nlines, ""so"" said"\nc,""\nd,fine')
    found = column(pool(tmp_path / "a.csv"), "text")
    assert found == ['a 3" lens', 'two\nlines, "so" said', None, "fine"]


def test_one_bad_line_costs_one_row(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"m{n}.csv").write_text("uid,w\n" + "".join(f"{n}-{row},{row}\n" for row in range(20)))
    with (tmp_path / "m9.csv").open("w") as file:
        file.write("uid,w\n" + "".join(f"9-{row},{row}\n" for row in range(3_000)) + "cut")
    data = {"recipe": 1, "name": "r", "max_bad": "1%", "pools": {"p": {"read": "table", "path": "m*.csv"}}}
    recipe = api.Recipe.from_data({**data, "tables": {"t": {"from": "p"}}}, tmp_path)
    record = api.run(recipe, tmp_path / "run").tables["t"].record
    assert (record.rows_in, record.rows_kept) == (3_061, 3_060)
    (tmp_path / "m9.csv").write_text((tmp_path / "m9.csv").read_text() + ',"open')
    with pytest.raises(Exception, match=r"1 of 4 input parts cannot be read, 9\d\.\d\d% of the rows"):
        api.run(recipe, tmp_path / "other")


CAT_DOG = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}


def test_class_names_of_hugging_face_are_labels(tmp_path: Path) -> None:
    table = pa.table({"uid": ["a", "b", "c"], "label": pa.array([1, 0, -1], pa.int64())})
    for name, features in (("0", CAT_DOG), ("1", CAT_DOG)):
        pq.write_table(
            table.replace_schema_metadata({"huggingface": json.dumps(features)}), tmp_path / f"{name}.parquet"
        )
    assert column(pool(tmp_path), "label") == ["dog", "cat", None] * 2
    assert column(pool(tmp_path, columns={"label_index": "label"}), "label_index") == [1, 0, -1] * 2
    assert column(pool(tmp_path, columns={"kind": "label"}), "kind")[:2] == ["dog", "cat"]
    other = json.dumps(CAT_DOG).replace("cat", "cow")
    pq.write_table(table.replace_schema_metadata({"huggingface": other}), tmp_path / "1.parquet")
    with pytest.raises(RecipeError, match="the classes of 'label' have other names in the second"):
        pool(tmp_path).arrow_schema()


def test_a_row_of_another_length_that_is_not_utf_8_costs_itself_alone(tmp_path: Path) -> None:
    rows = [b"uid,text,width", "1,caf\u00e9 \ufffd,10".encode(), b"2,caf\xe9,11", b"3,caf\xe9,extra,12", b"4,plain,13"]
    (tmp_path / "a.csv").write_bytes(b"\n".join(rows) + b"\n")
    found = read_all(pool(tmp_path)).to_pylist()
    assert [row["text"] for row in found] == ["caf\u00e9 \ufffd", None, None, "plain"]
    assert [row["width"] for row in found] == [10, 11, None, 13]
    assert [row["row_error"] is None for row in found] == [True, False, False, True]
    assert "row 3: 'text' is 'caf\ufffd', not UTF-8" in found[1]["row_error"]
    assert found[2]["row_error"] == "row 4: 4 values for 3 columns"


NAMED = {"names": ["owl", "emu", "rook"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    "feature", [{"feature": NAMED, "_type": "List"}, {"feature": NAMED, "_type": "Sequence"}, [NAMED]]
)
def test_lists_of_class_names_of_hugging_face_are_lists_of_names(tmp_path: Path, feature: object) -> None:
    features = json.dumps({"info": {"features": {"birds": feature, "pair": feature, "country": NAMED}}})
    rows = {
        "yfcc_row_id": [4, 5, 6, 7],
        "birds": pa.array([[2, 0], [], None, [1, None, -1, 3]], pa.large_list(pa.int64())),
        "pair": pa.array([[2, 0], [1, 1], None, [0, 7]], pa.list_(pa.int8(), 2)),
        "country": pa.array([1, 2, 0, -1], pa.int32()),
    }
    table = pa.table(rows, metadata=None).replace_schema_metadata({"huggingface": features})
    pq.write_table(table, tmp_path / "0.parquet")
    birds = [["rook", "owl"], [], None, ["emu", None, None, None]]
    geoyfcc = GeoYfccPool.model_validate({"path": str(tmp_path)})
    for found in (pool(tmp_path, uid="yfcc_row_id"), geoyfcc):
        assert column(found, "birds") == birds
        assert column(found, "pair") == [["rook", "owl"], ["emu", "emu"], None, ["owl", None]]
        assert column(found, "country") == ["emu", "rook", "owl", None]
    changed = table.replace_schema_metadata({"huggingface": features.replace("emu", "jay")})
    pq.write_table(changed, tmp_path / "1.parquet")
    for other in (pool(tmp_path, uid="yfcc_row_id"), GeoYfccPool.model_validate({"path": str(tmp_path)})):
        with pytest.raises(RecipeError, match="names"):
            other.arrow_schema()


def test_metadata_of_each_split_names_files_of_its_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "metadata.csv").write_text("file_name,label\n1.png,owl\nsub/2.png,emu\n")
    found = pool(tmp_path / "*/metadata.csv", images=str(tmp_path), columns={"image_path": "file_name"}, uid="row")
    assert column(found, "image_path") == ["test/1.png", "test/sub/2.png", "train/1.png", "train/sub/2.png"]
    assert column(found, "uid") == [f"{split}/metadata:{row}" for split in ("test", "train") for row in (0, 1)]
    named = pool(tmp_path, format="csv", images=str(tmp_path), columns={"image_path": "file_name"}, uid="file_name")
    assert column(named, "uid") == column(found, "image_path")
    alone = pool(tmp_path / "test", images=str(tmp_path / "test"), columns={"image_path": "file_name"}, uid="row")
    assert read_all(alone).to_pylist()[0] == {
        "uid": "metadata:0",
        "image_path": "1.png",
        "label": "owl",
        "row_error": None,
    }


def test_folders_of_a_data_set_are_columns(tmp_path: Path) -> None:
    for config in ("en", "fr"):
        parquet(tmp_path / f"hub/{config}/train-0.parquet", {"text": [f"{config} text"]})
        parquet(tmp_path / f"hive/lang={config}/year=2020/0.parquet", {"uid": [config]})
    hub = read_all(pool(tmp_path / "hub", uid="row", pattern="{config}/{split}-*"))
    assert hub.drop_columns("uid").to_pylist() == [
        {"text": "en text", "config": "en", "split": "train"},
        {"text": "fr text", "config": "fr", "split": "train"},
    ]
    assert hub["uid"].to_pylist() == ["en/train-0:0", "fr/train-0:0"]
    hive = read_all(pool(tmp_path / "hive"))
    assert hive.to_pylist() == [{"uid": "en", "lang": "en", "year": 2020}, {"uid": "fr", "lang": "fr", "year": 2020}]
    assert pool(tmp_path / "hive", keep=["lang"]).arrow_schema().names == ["uid", "lang"]
    with pytest.raises(RecipeError, match="does not match"):
        pool(tmp_path / "hub", uid="row", pattern="{config}/{a}/{b}").arrow_schema()


def test_a_row_that_does_not_fit_is_in_the_ledger_with_its_line(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"uid": str(n), "n": n} for n in range(200)]
    rows[120]["n"] = "many"
    lines(tmp_path / "a.jsonl", rows)
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\npools: {p: {read: table, path: a.jsonl, types: {n: int64}}}\ntables: {t: {from: p}}\n"
    )
    ran = call("run", "r.yaml", folder=tmp_path)
    assert (ran.code, "199 of 200 rows kept" in ran.out + ran.err) == (0, True)
    why = call("why", "runs/r", "120", folder=tmp_path)
    assert "line 121: 'n' is \"many\", not int64" in why.out


def test_a_file_without_rows_of_its_own_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("uid,größe\n1,2\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"names of the columns are not UTF-8; name the encoding"):
        pool(tmp_path / "a.csv").arrow_schema()
    (tmp_path / "b.csv").write_bytes("uid,n\n1,2\n".encode("utf-16"))  # with a mark that shows it
    assert column(pool(tmp_path / "b.csv"), "n") == [2]


def test_half_of_a_surrogate_pair_in_a_key_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"uid": "a", "size\\ud83e": 1, "more": {"k\\ud83e": 2}}\n')
    row = read_all(pool(tmp_path / "a.jsonl")).to_pylist()[0]
    assert (row["size\ufffd"], row["more"]) == (1, {"k\ufffd": 2})


@pytest.mark.parametrize("text", ['{\n "uid": "a"\n}\n', "{'uid': 'a'}\n", '{"uid": "a"},\n', '{"uid": 1, "uid": 2}\n'])
def test_a_file_without_a_line_of_json_says_what_is_wrong(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"a\.jsonl: (no JSON|the key 'uid' occurs twice).*write one JSON object per"):
        read_all(pool(tmp_path / "a.jsonl"))


def test_numbers_of_telephones_keep_their_plus(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,phone,shift\na,+491234,+0.5\nb,+49777,-1.5\n")
    table = read_all(pool(tmp_path / "a.csv"))
    assert table["phone"].to_pylist() == ["+491234", "+49777"]
    assert table["shift"].to_pylist() == [0.5, -1.5]


def test_a_header_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid," + "x" * 200_000)
    before = csv.field_size_limit(131_072)  # Python's own; other libraries raise it
    try:
        with pytest.raises(InputError, match="the first line, with the names of the columns, cannot be read"):
            read_all(pool(tmp_path / "a.csv"))
    finally:
        csv.field_size_limit(before)


def test_a_column_without_a_name_is_called_unnamed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",uid\n7,a\n")
    lines(tmp_path / "a.jsonl", [{"uid": "a", "": 7}])
    parquet(tmp_path / "a.parquet", {"uid": ["a"], "": [7]})
    for kind in ("csv", "jsonl", "parquet"):
        assert column(pool(tmp_path / f"a.{kind}"), "unnamed") == [7]


def test_lists_and_objects_of_nulls_in_one_file_have_the_types_of_another(tmp_path: Path) -> None:
    empty = {"uid": ["a"], "tags": pa.array([[]], pa.list_(pa.null())), "size": [{"w": None}]}
    parquet(tmp_path / "p" / "a.parquet", empty)
    parquet(tmp_path / "p" / "b.parquet", {"uid": ["b"], "tags": [["x"]], "size": [{"w": 3}]})
    table = read_all(pool(tmp_path / "p"))
    assert table["tags"].to_pylist() == [[], ["x"]]
    assert table["size"].to_pylist() == [{"w": None}, {"w": 3}]


def test_list_views_are_lists(tmp_path: Path) -> None:
    views = pa.array([[1, 2], None, [3]], pa.list_view(pa.int32()))
    parquet(tmp_path / "a.parquet", {"uid": ["a", "b", "c"], "v": views})
    assert column(pool(tmp_path / "a.parquet"), "v") == [[1, 2], None, [3]]


def test_arrays_of_either_byte_order_and_of_odd_texts_are_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", n=np.array([1, 2], ">i4"), b=np.array([b"a", b"\xff"]), u=np.array(["a", "b\ud83e"]))
    table = read_all(Arrays(path=str(tmp_path / "a.npz"), columns={"n": "n", "b": "b", "u": "u"}))
    assert [table[name].to_pylist() for name in "nbu"] == [[1, 2], ["a", None], ["a", "b\ufffd"]]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_structs_of_an_image_hold_base64_or_a_path_alone(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    structs = {
        "named": [{"bytes": None, "path": "a.png"}],
        "mixed": [{"bytes": base64.b64encode(PNG).decode(), "path": None}, {"bytes": "?", "path": None}],
    }
    for name, images in structs.items():
        rows = [{"uid": str(n), "image": image} for n, image in enumerate(images)]
        path = tmp_path / f"{name}.{kind}"
        lines(path, rows) if kind == "jsonl" else pq.write_table(pa.Table.from_pylist(rows), path)
        assert column(pool(path), "image") == [PNG, None][: len(images)]


def test_columns_with_the_names_that_the_pool_gives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,row_error\na,x\n")
    with pytest.raises(RecipeError, match=r"a\.csv: the pool itself gives 'row_error'.*under 'columns'"):
        read_all(pool(tmp_path / "a.csv"))
    assert column(pool(tmp_path / "a.csv", columns={"was_bad": "row_error"}), "was_bad") == ["x"]
    (tmp_path / "b.csv").write_text(",uid,unnamed\n0,a,x\n")
    with pytest.raises(RecipeError, match="two columns are called 'unnamed'"):
        read_all(pool(tmp_path / "b.csv"))
    assert column(pool(tmp_path / "b.csv", columns={"at": ""}), "unnamed") == ["x"]
