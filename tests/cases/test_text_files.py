"""Lists and tables as the data sets of this field are published: without names, packed, in other encodings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poolwright.core.errors import BadPart, RecipeError
from poolwright.core.runtime.packed import ENDINGS
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.sources import open_source
from poolwright.pools.table import TablePool
from tests.calling import call
from tests.packing import pack
from tests.pools.reading import column, read_all

PICTURES = "domain/owl/a b.jpg 3\ndomain/emu/c.jpg\t 7 \n"


def table(path: Path, **parameters: Any) -> TablePool:
    return TablePool(path=str(path), **parameters)


@pytest.mark.parametrize(
    ("name", "data", "parameters", "rows"),
    [
        (
            "val.txt",
            b"owl/1.JPEG 65\r\nemu/2.JPEG \t970\n\n",
            {"header": ["image_path", "label_index"], "uid": "image_path"},
            [("owl/1.JPEG", 65), ("emu/2.JPEG", 970)],
        ),
        ("names.txt", b'an "odd" name.jpg\nb\n', {"header": ["file"], "uid": "row"}, ['an "odd" name.jpg', "b"]),
        (
            "cc12m.tsv",
            b'http://e.org/1\t"begins with a mark\nhttp://e.org/2\tso "it" is\n',
            {"header": ["url", "text"], "uid": "url"},
            [("http://e.org/1", '"begins with a mark'), ("http://e.org/2", 'so "it" is')],
        ),
        ("marks.csv", b'uid,text\na,"open\nb,c"d\n', {"quote": "none"}, [("a", '"open'), ("b", 'c"d')]),
        ("marks.tsv", b'uid\ttext\na\t"tab\there"\n', {"quote": '"'}, [("a", "tab\there")]),
        ("stars.csv", b"uid::text::n\na::Heat, 1995::3\n", {"delimiter": "::"}, [("a", "Heat, 1995", 3)]),
        ("bar.csv", "uid¦text\na¦x y\n".encode(), {"delimiter": "¦"}, [("a", "x y")]),
        ("tabs.csv", b"uid\tn\na\t1\n", {"delimiter": "\\t"}, [("a", 1)]),
        ("west.csv", "uid,größe\na,50 €\n".encode("cp1252"), {"encoding": "windows-1252"}, [("a", "50 €")]),
        ("east.jsonl", '{"uid": "a", "text": "猫"}\n'.encode("shift_jis"), {"encoding": "shift_jis"}, [("a", "猫")]),
        ("marked.tsv", "uid\ttext\na\t猫\n".encode("utf-16"), {}, [("a", "猫")]),
    ],
)  # fmt: skip
def test_rows_are_read_as_they_are_written(
    tmp_path: Path, name: str, data: bytes, parameters: dict[str, Any], rows: list[Any]
) -> None:
    (tmp_path / name).write_bytes(data)
    found = read_all(table(tmp_path / name, **parameters))
    assert found["row_error"].null_count == len(found)
    names = parameters.get("header") or [one for one in found.column_names if one != "row_error"]
    given = [tuple(row[one] for one in names) for row in found.to_pylist()]
    assert given == [row if isinstance(row, tuple) else (row,) for row in rows]


def test_a_byte_that_an_encoding_lacks_is_an_error_of_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"uid,text\na,caf\xe9\nb,\x81\n")
    errors = read_all(table(tmp_path / "a.csv", encoding="cp1252"))
    assert errors["text"].to_pylist() == ["café", None]
    assert "row 3: 'text'" in errors["row_error"].to_pylist()[1]


@pytest.mark.parametrize("ending", [ending.removeprefix(".") for ending in ENDINGS])
def test_packed_files_are_read_whole_or_say_where_they_are_damaged(tmp_path: Path, ending: str) -> None:
    one, two = (
        b"".join(b"%d,%d\n" % (row, row * row) for row in range(*bounds)) for bounds in ((9_000,), (9_000, 9_100))
    )
    data = pack(ending, b"uid,n\n" + one) + pack(ending, two)  # two members, as bgzip and `cat` write them
    path = tmp_path / f"rows.csv.{ending}"
    path.write_bytes(data)
    pool = table(path)
    assert column(pool, "n") == [row * row for row in range(9_100)]
    path.write_bytes(data[:-5])
    with pytest.raises(
        BadPart, match=rf"csv\.{ending}: cannot be read: the packed data is damaged or cut off after [\d,]+ "
    ):
        column(pool, "n")


def test_a_packed_shard_that_is_cut_off_is_quarantined(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.tsv.bz2").write_bytes(pack("bz2", "".join(f"{name}{n}\tx\n" for n in range(50)).encode()))
    (tmp_path / "b.tsv.bz2").write_bytes((tmp_path / "b.tsv.bz2").read_bytes()[:-9])
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\nmax_bad: 1\npools: {p: {read: table, path: '*.bz2', format: tsv, header: [uid, text]}}\n"
        "tables: {t: {from: p}}\n"
    )
    ran = call("run", "r.yaml", folder=tmp_path)
    assert ran.code == 0
    assert "b.tsv.bz2" in ran.out
    assert "damaged or cut off after" in ran.out


def test_image_paths_follow_a_template_over_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,id,kind\nx,7,red fox\ny,,owl\nz,1200,\n")
    path = tmp_path / "a.csv"
    assert column(table(path, image_path="{kind}/{id:08d}.jpg"), "image_path") == ["red fox/00000007.jpg", None, None]
    made = {
        "derive": {"folder": "id // 1000", "big": "upper(kind)"},
        "image_path": "{folder:02d}/{uid:_>3}-{big[0:3]}.jpg",
    }
    assert read_all(table(path, keep=["image_path"], **made)).column_names == ["uid", "image_path", "row_error"]
    assert column(table(path, **made), "image_path") == ["00/__x-RED.jpg", None, None]
    assert column(table(path, columns={"number": "id"}, image_path="{number}.png"), "image_path")[2] == "1200.png"
    for template, words in (
        ("{knd}.jpg", "no column 'knd'; did you mean 'kind'"),
        ("{uid:08d}", "text, which ':08d' does"),
    ):
        with pytest.raises(RecipeError, match=words):
            table(path, image_path=template).arrow_schema()


def test_check_names_a_wrong_column_of_a_template_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(PICTURES.replace("a b", "ab"))
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\npools:\n  p: {read: table, path: list.txt, header: [f, n], uid: f, image_path: '{nn}'}\n"
        "tables: {t: {from: p}}\n"
    )
    checked = call("check", str(tmp_path / "r.yaml"))
    assert checked.code == 2
    assert "r.yaml:4" in checked.out + checked.err
    assert "no column 'nn'; did you mean 'n'" in checked.out + checked.err


def test_values_with_spaces_are_too_many_between_white_space(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(PICTURES)
    found = read_all(table(tmp_path / "list.txt", header=["file", "n"], uid="file"))
    assert found["n"].to_pylist() == [None, 7]
    assert found["row_error"].to_pylist() == ["row 1: 3 values for 2 columns", None]


def test_urls_are_fetched_from_packed_lists_without_names(tmp_path: Path) -> None:
    (tmp_path / "cc3m.tsv.bz2").write_bytes(pack("bz2", b'a "cat"\thttp://e.org/1\n'))
    source = open_source(tmp_path / "cc3m.tsv.bz2", FetchOptions(header="text,url"))
    (shard,) = source.shards(10)
    assert shard.to_pylist() == [{"url": "http://e.org/1", "caption": 'a "cat"'}]
