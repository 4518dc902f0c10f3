"""`poolwright convert`: nothing is lost, a killed conversion continues, and nothing else is overwritten."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import poolwright
from poolwright import api
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.jobs import convert_units
from poolwright.pools.geoyfcc.geoyfcc import GeoYfccPool
from poolwright.run import write
from tests.calling import call
from tests.pools.reading import read_all

pd = pytest.importorskip("pandas")


def write_table(path: Path, start: int, rows: int = 3) -> None:
    uids = [f"u{row}" for row in range(start, start + rows)]
    pq.write_table(pa.table({"uid": uids, "width": list(range(start, start + rows))}), path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of two Parquet files."""
    folder = tmp_path / "source"
    folder.mkdir()
    write_table(folder / "a.parquet", 0)
    write_table(folder / "b.parquet", 3)
    return folder


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """A pickle of which one row cannot be used."""
    ids = pd.Series([5, None, 7], dtype=object)
    pd.DataFrame({"yfcc_row_id": ids, "label_ids": [[1], [2], []]}).to_pickle(tmp_path / "f.pkl")
    return tmp_path / "f.pkl"


def uids(*files: Path) -> list[str]:
    return [uid for file in files for uid in pq.read_table(file, columns=["uid"]).column("uid").to_pylist()]


def test_to_one_file(source: Path, tmp_path: Path) -> None:
    converted = api.convert("table", str(source), tmp_path / "all.parquet")
    assert converted.files == (tmp_path / "all.parquet",)
    assert (converted.rows, converted.rejected, converted.rejected_file) == (6, 0, None)
    assert converted.bytes == (tmp_path / "all.parquet").stat().st_size
    assert uids(tmp_path / "all.parquet") == ["u0", "u1", "u2", "u3", "u4", "u5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "source"]


def test_to_a_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_units, "UNIT_ROWS", 3)
    converted = api.convert("table", str(source), tmp_path / "out")
    assert [file.name for file in converted.files] == ["part-00000-00.parquet", "part-00001-00.parquet"]
    assert uids(*converted.files) == ["u0", "u1", "u2", "u3", "u4", "u5"]
    again = api.convert("table", str(tmp_path / "out"), tmp_path / "again.parquet")  # a folder is a pool
    assert again.rows == 6


def test_small_parts_are_put_together_and_large_ones_are_cut(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(api.convert("table", str(source), tmp_path / "together").files) == 1
    monkeypatch.setattr(convert_units, "FILE_ROWS", 2)
    monkeypatch.setattr(write, "ROW_GROUP_BYTES", 1)
    write_table(source / "a.parquet", 0, 600)
    converted = api.convert("table", str(source), tmp_path / "cut")
    assert [file.name for file in converted.files] == [f"part-00000-{cut:02d}.parquet" for cut in range(3)]
    assert len(uids(*converted.files)) == 603


def test_rows_that_cannot_be_read_are_kept_apart(frame: Path, tmp_path: Path) -> None:
    rejected = {"uid": "row:1", "error": "row 1: yfcc_row_id is missing"}
    for to, beside in (("out.parquet", "out.parquet.rejected.jsonl"), ("out", "out/rejected.jsonl")):
        for _ in range(2):  # the second time all is done
            converted = api.convert("geoyfcc", str(frame), tmp_path / to)
            assert (converted.rows, converted.rejected) == (2, 1)
            assert converted.rejected_file == tmp_path / beside
            assert [json.loads(line) for line in (tmp_path / beside).read_text().splitlines()] == [rejected]
        assert uids(*converted.files) == ["5", "7"]
    given = read_all(GeoYfccPool.model_validate({"path": str(tmp_path / "out")}))
    assert given.column("row_error").null_count == 2


def test_it_continues_where_it_was_stopped(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_units, "UNIT_ROWS", 3)
    whole = api.convert("table", str(source), tmp_path / "whole")
    expected = [file.read_bytes() for file in whole.files]
    good = (source / "b.parquet").read_bytes()
    (source / "b.parquet").write_bytes(good[:-20] + bytes(20))
    message = r"b\.parquet: .*; repair that file or leave it out, then run the same command"
    with pytest.raises(InputError, match=message):
        api.convert("table", str(source), tmp_path / "out")
    first = tmp_path / "out" / "part-00000-00.parquet"
    made = first.stat().st_mtime_ns
    (tmp_path / "out" / "part-00001-00.parquet.1.partial").write_bytes(b"half")
    (source / "b.parquet").write_bytes(good)
    converted = api.convert("table", str(source), tmp_path / "out")
    assert first.stat().st_mtime_ns == made
    assert [file.read_bytes() for file in converted.files] == expected
    assert not list((tmp_path / "out").glob("*.partial"))


@pytest.mark.parametrize("to", ["out", "out.parquet"])
def test_a_changed_source_is_noticed(to: str, source: Path, tmp_path: Path) -> None:
    api.convert("table", str(source), tmp_path / to)
    write_table(source / "b.parquet", 7)
    with pytest.raises(ChangedError, match=r"b\.parquet changed since"):
        api.convert("table", str(source), tmp_path / to)
    write_table(source / "b.parquet", 3)
    assert api.convert("table", str(source), tmp_path / to).rows == 6
    write_table(source / "c.parquet", 9)
    with pytest.raises(ChangedError, match=r"c\.parquet is new in the source"):
        api.convert("table", str(source), tmp_path / to)


def test_nothing_else_is_overwritten(source: Path, frame: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    write_table(tmp_path / "mine.parquet", 0)
    for to in ("mine", "mine.parquet", "mine/notes.txt"):
        with pytest.raises(RecipeError, match="exists already"):
            api.convert("table", str(source), tmp_path / to)
    for to in ("out", "out.parquet"):
        api.convert("table", str(source), tmp_path / to)
        with pytest.raises(RecipeError, match="something else"):
            api.convert("table", str(source), tmp_path / to, ["columns.uid=width"])
        with pytest.raises(RecipeError, match="something else"):
            api.convert("geoyfcc", str(frame), tmp_path / to)
    with pytest.raises(RecipeError, match=r"the source .* is in this folder"):
        api.convert("table", str(tmp_path / "mine.parquet"), tmp_path / "mine.parquet")


def test_an_unreadable_source_is_named(source: Path, tmp_path: Path) -> None:
    (source / "b.parquet").write_bytes(b"PAR1 broken")
    for to in ("out", "out.parquet"):
        called = call("convert", "table", "source", to, folder=tmp_path)
        assert (called.code, called.out) == (1, "")
        assert "error: b.parquet: is no Parquet file" in called.err
    assert not (tmp_path / "out.parquet").exists()
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(len))
    called = call("convert", "geoyfcc", "f.pkl", "f.parquet", folder=tmp_path)
    assert called.code == 1
    assert "f.pkl: the pickle asks for builtins.len" in called.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tabel", "source", "x"), "unknown pool kind 'tabel'; did you mean 'table'?"),
        (("table", "source", "x", "--set", "uidd=row"), "--set: uidd: unknown key; did you mean 'uid'?"),
        (("table", "source", "x", "--set", "keep=uid"), '--set: keep: Input should be a valid list (given: "uid")'),
        (("table", "source", "x", "--set", "keep"), "--set keep: write it as key.path=value"),
        (("table", "none", "x"), "no such file or folder"),
        (("geoyfcc", "source", "x"), "no column 'yfcc_row_id', so it is not GeoYFCC"),
    ],
)
def test_wrong_calls(arguments: tuple[str, ...], words: str, source: Path, tmp_path: Path) -> None:
    called = call("convert", *arguments, folder=tmp_path)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("to", ["out", "out.parquet"])
def test_a_moved_project_is_the_same(to: str, source: Path, tmp_path: Path) -> None:
    api.convert("table", str(source), tmp_path / to)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("source", to):
        (tmp_path / name).rename(moved / name)
    assert api.convert("table", str(moved / "source"), moved / to).rows == 6


def test_the_command(frame: Path, tmp_path: Path) -> None:
    called = call("convert", "geoyfcc", "f.pkl", "f.parquet", "--set", "images=.", "--set",
                  "image_path={yfcc_row_id}.jpg", folder=tmp_path)  # fmt: skip
    assert called.code == 0, called.err
    assert called.out.startswith("f.parquet: 2 rows, ")
    assert "rejected 1: rows that cannot be read" in called.out
    assert pq.read_table(tmp_path / "f.parquet").column("image_path").to_pylist() == ["5.jpg", "7.jpg"]
    assert poolwright.convert is api.convert  # type: ignore[attr-defined]


def test_vectors_and_types_come_through(tmp_path: Path) -> None:
    rows: dict[str, Any] = {"uid": ["a", "b"], "clip": [[0.6] * 16, [0.2] * 16], "n": [1, None]}
    pq.write_table(pa.table(rows), tmp_path / "v.parquet")
    api.convert("table", str(tmp_path / "v.parquet"), tmp_path / "w.parquet", ["vectors.clip.model=m"])
    schema = pq.read_schema(tmp_path / "w.parquet")
    assert schema.field("clip").type == pa.list_(pa.float16(), 16)
    assert schema.field("clip").metadata[b"poolwright.model"] == b"m"
