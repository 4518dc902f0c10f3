"""Pool `commonpool`: shards as DataComp publishes them; vectors and metadata can never drift apart unseen."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.api import Recipe
from poolwright.core.columns import vector_model
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.core.pool import Part
from poolwright.core.rows import one_array, vectors_of
from poolwright.pools.columns import shards
from poolwright.pools.columns.sidecar_vectors import VectorReader
from poolwright.pools.commonpool import CommonPool
from poolwright.pools.readers.parquet import read_parquet
from tests.pools.reading import column, read_all

WIDTHS = {"b32_img": 512, "b32_txt": 512, "l14_img": 768, "l14_txt": 768}
PUBLISHED = (
    "uid", "url", "text", "original_width", "original_height", "clip_b32_similarity_score",
    "clip_l14_similarity_score", "face_bboxes", "sha256",
)  # fmt: skip
GIVEN = [
    "uid", "url", "text", "width", "height", "clip_b32_similarity_score", "clip_l14_similarity_score", "face_bboxes",
    "sha256", "b32_img", "b32_txt", "l14_img", "l14_txt",
]  # fmt: skip


def uid(row: int) -> str:
    return f"{row * 0x9E3779B97F4A7C15 % 2**64:016x}{row:016x}"


def vectors(name: str, start: int, rows: int) -> np.ndarray:
    generator = np.random.default_rng([start, *name.encode()])
    values = generator.standard_normal((rows, WIDTHS[name])).astype(np.float32)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


def metadata(start: int, rows: int) -> dict[str, Any]:
    numbers = range(start, start + rows)
    return {
        "uid": [uid(row) for row in numbers],
        "url": [f"https://example.org/{row}.jpg" for row in numbers],
        "text": [f"picture {row}" if row % 5 else None for row in numbers],
        "original_width": pa.array([100 + row for row in numbers], pa.int64()),
        "original_height": pa.array([200 + row for row in numbers], pa.int64()),
        "clip_b32_similarity_score": pa.array([row / 1000 for row in numbers], pa.float32()),
        "clip_l14_similarity_score": pa.array([row / 2000 for row in numbers], pa.float32()),
        "face_bboxes": [[[0.1, 0.2, 0.3, 0.4]] if row % 3 == 0 else [] for row in numbers],
        "sha256": [f"{row:064x}" for row in numbers],
    }


def write(
    folder: Path | str,
    name: str,
    start: int,
    rows: int,
    *,
    leave: tuple[str, ...] = (),
    arrays: dict[str, np.ndarray] | None = None,
    packed: bool = False,
    group: int = 1_000,
) -> None:
    """One shard as it is published."""
    table = pa.table({key: values for key, values in metadata(start, rows).items() if key not in leave})
    arrays = {key: vectors(key, start, rows) for key in WIDTHS} if arrays is None else arrays
    with fsspec.open(f"{folder}/{name}.parquet", "wb") as out:
        pq.write_table(table, out, row_group_size=group)
    with fsspec.open(f"{folder}/{name}.npz", "wb") as out:
        (np.savez_compressed if packed else np.savez)(out, **arrays)


def pool(path: Path | str, **parameters: Any) -> CommonPool:
    return CommonPool.model_validate({"path": str(path), **parameters})


@pytest.mark.parametrize("packed", [False, True])
def test_all_that_is_published(packed: bool, tmp_path: Path) -> None:
    write(tmp_path, "0", 0, 40, packed=packed)
    given = pool(tmp_path)
    found = read_all(given, batch_rows=7)
    assert found.column_names == GIVEN
    assert found.column("uid").to_pylist() == [uid(row) for row in range(40)]
    assert found.column("width").to_pylist() == [100 + row for row in range(40)]
    assert found.schema.field("height").type == pa.int32()
    assert found.column("face_bboxes").to_pylist()[:2] == [[[0.1, 0.2, 0.3, 0.4]], []]
    assert found.column("text").to_pylist()[5] is None
    for name in WIDTHS:
        assert np.array_equal(vectors_of(one_array(found.column(name))), vectors(name, 0, 40))
    assert vector_model(found.schema.field("l14_txt")) == ("ViT-L-14/openai", "")
    assert vector_model(found.schema.field("b32_img")) == ("ViT-B-32/openai", "")
    assert read_all(given, batch_rows=1_000).equals(found)
    assert read_all(pickle.loads(pickle.dumps(given))).equals(found)


def test_only_the_arrays_and_columns_asked_for_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "0", 0, 30)
    given = pool(tmp_path)
    part = given.parts()[0]
    asked: list[object] = []

    def parquet(path: str, groups: Any, columns: Any, rows: int) -> Any:
        asked.append(list(columns))
        return read_parquet(path, groups, columns, rows)

    def opened(part: Part, columns: Any) -> VectorReader:
        asked.append(list(columns))
        return VectorReader(part, columns)

    monkeypatch.setattr(shards, "read_parquet", parquet)
    monkeypatch.setattr(shards, "VectorReader", opened)
    next(given.read(part, ["l14_img", "uid"], 10))
    assert asked == [["l14_img"], ["uid"]]
    assert len(read_all(given, [])) == 30


def test_shards_come_in_numeric_order_and_large_ones_are_cut(tmp_path: Path) -> None:
    for index, name in enumerate(("10", "2", "1")):
        write(tmp_path, name, index * 100, 20)
    given = pool(tmp_path, vectors=[])
    assert [part.name for part in given.parts()] == ["1.parquet", "2.parquet", "10.parquet"]
    assert column(given, "uid")[:20] == [uid(200 + row) for row in range(20)]
    assert given.parts()[0].files == (str(tmp_path / "1.parquet"),)
    rows = 140_000
    names = {"l14_img": np.full((rows, 16), 0.25, np.float16)}
    write(tmp_path, "3", 0, rows, arrays=names, group=35_000)
    parts = pool(tmp_path / "3.parquet").parts()
    assert [(part.start, part.rows) for part in parts] == [(0, 105_000), (105_000, 35_000)]
    assert parts[0].files == (str(tmp_path / "3.parquet"), str(tmp_path / "3.npz"))
    write(tmp_path, "3", 0, rows, arrays=names, group=35_000, packed=True)
    packed = pool(tmp_path / "3.parquet")
    assert [(part.start, part.rows) for part in packed.parts()] == [(0, rows)]
    assert read_all(packed, ["l14_img"], 50_000).num_rows == rows


def test_smaller_releases(tmp_path: Path) -> None:
    some = {"l14_img": vectors("l14_img", 0, 10)}
    write(tmp_path, "0", 0, 10, leave=("face_bboxes", "sha256", "clip_b32_similarity_score"), arrays=some)
    expected = ["uid", "url", "text", "width", "height", "clip_l14_similarity_score", "l14_img"]
    assert pool(tmp_path).arrow_schema().names == expected
    assert pool(tmp_path, keep=["text", "l14_img"]).arrow_schema().names == ["uid", "text", "l14_img"]
    with pytest.raises(RecipeError, match="holds no array 'b32_img'"):
        pool(tmp_path, vectors=["b32_img"]).arrow_schema()
    with pytest.raises(ValueError, match="l14_img"):
        pool(tmp_path, vectors=["l14"])
    with pytest.raises(RecipeError, match="'keep' names 'txt', which does not exist; did you mean 'text'"):
        pool(tmp_path, keep=["txt"]).arrow_schema()


def test_a_shard_without_its_vectors(tmp_path: Path) -> None:
    write(tmp_path, "0", 0, 10)
    write(tmp_path, "1", 10, 10)
    (tmp_path / "1.npz").unlink()
    with pytest.raises(RecipeError, match=r"1\.parquet: there is no 1\.npz with its vectors; download it"):
        pool(tmp_path).arrow_schema()
    assert len(read_all(pool(tmp_path, vectors=[]))) == 20
    assert column(pool(tmp_path, keep=["url"]), "url")[19] == "https://example.org/19.jpg"


def test_rows_and_vectors_of_different_length_are_quarantined(tmp_path: Path) -> None:
    for shard in range(4):
        write(tmp_path, str(shard), shard * 10, 10)
    short = {name: vectors(name, 10, 9 if name == "l14_txt" else 10) for name in WIDTHS}
    write(tmp_path, "1", 10, 10, arrays=short)
    write(tmp_path, "2", 20, 10, arrays={name: vectors(name, 20, 10) for name in ("l14_img", "l14_txt")})
    (tmp_path / "3.npz").write_bytes((tmp_path / "3.npz").read_bytes()[:20_000])
    given = pool(tmp_path)
    parts = given.parts()
    words = r"1\.parquet: has 10 rows and 1\.npz has 9 rows of 'l14_txt'; the numbers must be equal"
    with pytest.raises(BadPart, match=words):
        next(given.read(parts[1], ["uid"], 10))  # whatever is read of it
    with pytest.raises(BadPart, match="holds no array 'b32_img'"):
        next(given.read(parts[2], ["uid"], 10))
    with pytest.raises(BadPart, match=r"is no \.npz file"):
        next(given.read(parts[3], ["uid"], 10))
    assert next(given.read(parts[0], ["uid"], 10)).num_rows == 10


@pytest.mark.parametrize("kind", ["pairs", "strings", "bytes"])
def test_uids_beside_the_vectors_must_be_those_of_the_rows(kind: str, tmp_path: Path) -> None:
    def uids(rows: list[int]) -> np.ndarray:
        texts = [uid(row) for row in rows]
        if kind == "pairs":
            return np.array([(int(text[:16], 16), int(text[16:], 16)) for text in texts], "u8,u8")
        return np.array(texts, "S32" if kind == "bytes" else "U32")

    arrays = {"l14_img": vectors("l14_img", 0, 10)}
    write(tmp_path, "0", 0, 10, arrays={**arrays, "uid": uids(list(range(10)))})
    write(tmp_path, "1", 10, 10, arrays={**arrays, "uid": uids([*range(10, 17), 18, 17, 19])})
    write(tmp_path, "2", 20, 10, arrays={**arrays, "uid": uids(list(range(20, 29)))})
    given = pool(tmp_path)
    parts = given.parts()
    assert sum(table.num_rows for table in given.read(parts[0], ["l14_img"], 4)) == 10
    with pytest.raises(BadPart, match=f"has uid '{uid(17)}' in row 7 but 'uid' of .*1.npz has '{uid(18)}'"):
        list(given.read(parts[1], ["l14_img"], 4))
    with pytest.raises(BadPart, match=r"has 10 rows and 2\.npz has 9 rows of 'uid'"):
        list(given.read(parts[2], ["l14_img"], 4))
    assert given.arrow_schema().names[-1] == "l14_img"


def subset_file(path: Path, rows: list[int]) -> Path:
    pairs = [(int(uid(row)[:16], 16), int(uid(row)[16:], 16)) for row in rows]
    np.save(path, np.sort(np.array(pairs, "u8,u8")))
    return path


def test_a_subset(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    write(tmp_path / "pool", "0", 0, 50)
    write(tmp_path / "pool", "1", 50, 50, packed=True)
    chosen = sorted(np.random.default_rng(1).choice(100, 33, replace=False).tolist())
    given = pool(tmp_path / "pool", subset=str(subset_file(tmp_path / "s.npy", [*chosen, 5_000, 6_000])))
    for batch_rows in (4, 1_000):
        found = read_all(given, ["l14_img", "uid"], batch_rows)
        assert found.column("uid").to_pylist() == [uid(row) for row in chosen]
        expected = np.concatenate([vectors("l14_img", 0, 50), vectors("l14_img", 50, 50)])[chosen]
        assert np.array_equal(vectors_of(one_array(found.column("l14_img"))), expected)
    assert len(read_all(given, [])) == 33
    assert all(str(tmp_path / "s.npy") in part.files for part in given.parts())  # its content is part of the input
    assert len(read_all(pickle.loads(pickle.dumps(given)), ["uid"])) == 33
    empty = pool(tmp_path / "pool", subset=str(subset_file(tmp_path / "e.npy", [])))
    assert len(read_all(empty, ["uid"])) == 0


def test_a_subset_that_is_none(tmp_path: Path) -> None:
    write(tmp_path, "0", 0, 10)
    np.save(tmp_path / "wild.npy", np.array([(3, 1), (2, 1)], "u8,u8"))
    np.save(tmp_path / "flat.npy", np.arange(10))
    (tmp_path / "cut.npy").write_bytes(subset_file(tmp_path / "s.npy", [1, 2]).read_bytes()[:-8])
    for name, error, words in (
        ("wild.npy", RecipeError, "the uids are not sorted"),
        ("flat.npy", RecipeError, r"dtype 'u8,u8', as DataComp writes it; this is int64 of \(10,\)"),
        ("none.npy", RecipeError, "no such file"),
        ("cut.npy", InputError, "cut off"),
    ):
        with pytest.raises(error, match=words):
            pool(tmp_path, subset=str(tmp_path / name)).arrow_schema()
    with pytest.raises(RecipeError, match="download it first"):
        pool(tmp_path, subset="memory://s.npy").arrow_schema()


def test_uids_that_are_no_hex_are_in_no_subset(tmp_path: Path) -> None:
    write(tmp_path, "0", 0, 4)
    table = pq.read_table(tmp_path / "0.parquet")
    uids = [uid(0), "g" * 32, None, uid(3).upper()]
    pq.write_table(table.set_column(0, "uid", [uids]), tmp_path / "0.parquet")
    subset = subset_file(tmp_path / "s.npy", [0, 1, 2, 3])
    assert column(pool(tmp_path, subset=str(subset)), "uid") == [uids[0], uids[3]]
    assert column(pool(tmp_path), "uid") == uids


def test_behind_a_url() -> None:
    root = "memory://commonpool-test"
    for name, start in (("2", 0), ("10", 10)):
        write(root, name, start, 10)
    given = pool(root)
    assert [part.name for part in given.parts()] == ["2.parquet", "10.parquet"]
    assert [file.rpartition("/")[2] for file in given.parts()[1].files] == ["10.parquet", "10.npz"]
    found = read_all(given, ["uid", "b32_txt"], 6)
    assert found.column("uid").to_pylist() == [uid(row) for row in range(20)]
    assert np.array_equal(vectors_of(one_array(found.column("b32_txt")))[10:], vectors("b32_txt", 10, 10))
    fsspec.filesystem("memory").rm("/commonpool-test/10.npz")
    with pytest.raises(RecipeError, match=r"there is no 10\.npz"):
        pool(root).arrow_schema()


def test_a_recipe_over_shards_one_of_which_is_broken(tmp_path: Path) -> None:
    for shard in range(3):
        write(tmp_path, str(shard), shard * 100, 100)
    write(tmp_path, "1", 100, 100, arrays={name: vectors(name, 100, 99) for name in WIDTHS})
    pools = {"pool": {"read": "commonpool", "path": ".", "vectors": ["l14_img"]}}
    steps = [{"top": {"by": "clip_l14_similarity_score", "n": 30}}]
    tables = {"best": {"from": "pool", "max_bad": 1, "steps": steps}}
    recipe = {"recipe": 1, "name": "filter", "pools": pools, "tables": tables}
    table = Recipe.from_data(recipe, tmp_path).run().tables["best"]
    assert [part.name for part in table.record.quarantined] == ["1.parquet"]
    assert "has 100 rows and 1.npz has 99 rows" in str(table.record.quarantined[0].quarantined)
    assert (table.record.rows_in, table.record.rows_kept) == (200, 30)
    kept = table.read()
    assert kept.column("uid").to_pylist() == [uid(row) for row in range(270, 300)]
    assert np.array_equal(vectors_of(one_array(kept.column("l14_img"))), vectors("l14_img", 200, 100)[70:])
    assert vector_model(kept.schema.field("l14_img")) == ("ViT-L-14/openai", "")
