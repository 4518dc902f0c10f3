"""Pool `clip_retrieval`: folders exactly as `clip-retrieval inference` writes them."""

from __future__ import annotations

import io
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
from poolwright.core.errors import BadPart, RecipeError
from poolwright.core.rows import one_array, vectors_of
from poolwright.pools.clip_retrieval import ClipRetrieval
from tests.pools.reading import column, read_all

WIDTH = 32


def vectors(kind: str, number: int, rows: int) -> np.ndarray:
    generator = np.random.default_rng([number, len(kind)])
    values = generator.standard_normal((rows, WIDTH)).astype(np.float32)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


def write(
    root: Path | str, number: int, rows: int, *, digits: int = 1, texts: bool = True, vector_rows: int | None = None
) -> None:
    """One partition: arrays of float16, and metadata with pandas' index as a column less."""
    label = str(number).zfill(digits)
    kinds = ("img_emb", "text_emb") if texts else ("img_emb",)
    for kind in kinds:
        space = io.BytesIO()
        np.save(space, vectors(kind, number, rows if vector_rows is None else vector_rows))
        with fsspec.open(f"{root}/{kind}/{kind}_{label}.npy", "wb", auto_mkdir=True) as out:
            out.write(space.getvalue())
    columns: dict[str, Any] = {"image_path": [f"{number:05d}{row:04d}" for row in range(rows)]}
    if texts:
        columns["caption"] = [f"caption {number} {row}" for row in range(rows)]
    columns |= {
        "url": [f"https://example.org/{number}/{row}.jpg" for row in range(rows)],
        "key": [f"{number:05d}{row:04d}" for row in range(rows)],
        "width": pa.array(range(rows), pa.int64()),
        "similarity": pa.array([0.5] * rows, pa.float64()),
    }
    with fsspec.open(f"{root}/metadata/metadata_{label}.parquet", "wb", auto_mkdir=True) as out:
        pq.write_table(pa.table(columns), out)


def pool(path: Path | str, **parameters: Any) -> ClipRetrieval:
    return ClipRetrieval.model_validate({"path": str(path), **parameters})


def test_all_that_is_written(tmp_path: Path) -> None:
    write(tmp_path, 0, 7)
    write(tmp_path, 1, 5)
    given = pool(tmp_path, model="ViT-B-32/openai", weights="abc")
    found = read_all(given, batch_rows=3)
    assert found.column_names == [
        "uid", "image_path", "text", "url", "key", "width", "similarity", "img_emb", "text_emb",
    ]  # fmt: skip
    assert found.column("uid").to_pylist() == [f"0:{row}" for row in range(7)] + [f"1:{row}" for row in range(5)]
    assert found.column("text").to_pylist()[8] == "caption 1 1"
    assert found.column("image_path").to_pylist()[-1] == "000010004"
    for kind in ("img_emb", "text_emb"):
        expected = np.concatenate([vectors(kind, 0, 7), vectors(kind, 1, 5)])
        assert np.array_equal(vectors_of(one_array(found.column(kind))), expected)
        assert vector_model(found.schema.field(kind)) == ("ViT-B-32/openai", "abc")
    assert vector_model(pool(tmp_path).arrow_schema().field("img_emb")) is None
    assert read_all(pickle.loads(pickle.dumps(given)), batch_rows=100).equals(found)


def test_partitions_in_numeric_order_padded_or_not(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        write(tmp_path / "plain", number, 3)
        write(tmp_path / "padded", number, 3, digits=4)
    plain, padded = pool(tmp_path / "plain"), pool(tmp_path / "padded")
    assert [part.name for part in plain.parts()] == ["metadata_0.parquet", "metadata_2.parquet", "metadata_10.parquet"]
    assert read_all(padded).equals(read_all(plain))
    assert column(padded, "uid") == [f"{number}:{row}" for number in (0, 2, 10) for row in range(3)]
    write(tmp_path / "plain", 2, 3, digits=2)
    with pytest.raises(RecipeError, match="are both partition 2; keep one"):
        pool(tmp_path / "plain").arrow_schema()


def test_uids_and_columns(tmp_path: Path) -> None:
    write(tmp_path, 0, 3, texts=False)
    given = pool(tmp_path, uid="key", keep=["img_emb", "url"])
    assert given.arrow_schema().names == ["uid", "url", "img_emb"]
    assert column(given, "uid") == ["000000000", "000000001", "000000002"]
    assert "text_emb" not in pool(tmp_path).arrow_schema().names
    with pytest.raises(RecipeError, match="'keep' names 'text_emb', which does not exist"):
        pool(tmp_path, keep=["text_emb"]).arrow_schema()
    with pytest.raises(RecipeError, match="no column 'sha256' for the uid"):
        pool(tmp_path, uid="sha256").arrow_schema()
    path = tmp_path / "metadata" / "metadata_0.parquet"
    pq.write_table(pq.read_table(path).append_column("uid", [["a", "b", "c"]]), path)
    assert column(pool(tmp_path), "uid") == ["a", "b", "c"]
    assert column(pool(tmp_path, uid="row"), "uid") == ["0:0", "0:1", "0:2"]


def test_vectors_that_are_no_unit_vectors(tmp_path: Path) -> None:
    write(tmp_path, 0, 3, texts=False)
    raw = np.ones((3, WIDTH), np.float32) * 5
    raw[1, 0] = np.nan
    np.save(tmp_path / "img_emb" / "img_emb_0.npy", raw)
    values = read_all(pool(tmp_path), ["img_emb"]).column("img_emb")
    assert values.null_count == 1
    assert np.allclose(np.linalg.norm(vectors_of(one_array(values))[[0, 2]].astype(float), axis=1), 1, atol=1e-3)


def test_partitions_that_are_not_whole_are_quarantined(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, number, 6)
    write(tmp_path, 1, 6, vector_rows=5)
    (tmp_path / "text_emb" / "text_emb_2.npy").unlink()
    (tmp_path / "metadata" / "metadata_3.parquet").unlink()
    (tmp_path / "metadata" / "metadata_4.parquet").write_bytes(b"PAR1")
    given = pool(tmp_path)
    expected = {
        1: r"metadata_1\.parquet: has 6 rows and img_emb_1\.npy has 5 rows",
        2: r"has no text_emb_2, which other partitions have",
        3: r"img_emb_3\.npy: has no metadata_3",
        4: r"metadata_4\.parquet: is no Parquet file, or cut off",
    }
    for part in given.parts():
        if part.index in expected:
            with pytest.raises(BadPart, match=expected[part.index]):
                next(given.read(part, ["uid"], 10))
    assert next(given.read(given.parts()[0], ["uid"], 10)).num_rows == 6


def test_what_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such folder"):
        pool(tmp_path / "none").arrow_schema()
    with pytest.raises(RecipeError, match=r"no metadata/metadata_N\.parquet here; name the output folder"):
        pool(tmp_path).arrow_schema()
    write(tmp_path, 0, 2)
    (tmp_path / "img_emb" / "notes.npy").write_bytes(b"")
    (tmp_path / "other.parquet").write_bytes(b"")
    assert len(read_all(pool(tmp_path))) == 2
    with pytest.raises(RecipeError, match="no such folder of images"):
        pool(tmp_path, images=str(tmp_path / "none")).arrow_schema()


def test_behind_a_url() -> None:
    root = "memory://clip-retrieval-test"
    for number in (0, 1):
        write(root, number, 4)
    found = read_all(pool(root))
    assert found.column("uid").to_pylist() == [f"{number}:{row}" for number in (0, 1) for row in range(4)]
    assert np.array_equal(vectors_of(one_array(found.column("img_emb")))[4:], vectors("img_emb", 1, 4))


def test_a_recipe(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "out", number, 10)
    pools = {"rows": {"read": "clip_retrieval", "path": "out", "model": "ViT-B-32/openai"}}
    tables = {"some": {"from": "rows", "steps": [{"where": "width >= 8"}]}}
    recipe = {"recipe": 1, "name": "some", "pools": pools, "tables": tables}
    table = Recipe.from_data(recipe, tmp_path).run().tables["some"]
    assert table.read().column("uid").to_pylist() == [f"{number}:{row}" for number in range(12) for row in (8, 9)]
    assert table.record.rows_in == 120


@pytest.mark.real
def test_real_embeddings(real_data: Path, tmp_path: Path) -> None:
    """The embeddings of seven photographs, laid out as clip-retrieval's own writer lays them out."""
    names: list[str] = []
    for folder in ("img_emb", "metadata"):
        (tmp_path / folder).mkdir()
    for number in range(4):
        held = pickle.loads((real_data / "clip_pairs" / "test_embeddings" / f"{number}.pkl").read_bytes())
        np.save(tmp_path / "img_emb" / f"img_emb_{number}.npy", held["image_embs"])
        files = [f"{name}.jpg" for name in held["image_filename"]]
        pq.write_table(pa.table({"image_path": files}), tmp_path / "metadata" / f"metadata_{number}.parquet")
        names += files
    given = pool(tmp_path, images=str(real_data / "clip_pairs" / "test_images"))
    found = read_all(given)
    assert found.column("image_path").to_pylist() == names
    assert found.column("img_emb").null_count == 0
    assert all((Path(str(given.image_root())) / name).is_file() for name in names)


def test_several_folders_are_one_pool(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "one", 0, 2)
    write(tmp_path / "runs" / "two", 0, 1)
    write(tmp_path / "runs" / "two", 1, 1)
    paths = [str(tmp_path / "runs" / name) for name in ("one", "two")]
    given = ClipRetrieval.model_validate({"path": paths})
    assert column(given, "uid") == ["one/0:0", "one/0:1", "two/0:0", "two/1:0"]
    assert column(given, "text") == ["caption 0 0", "caption 0 1", "caption 0 0", "caption 1 0"]
    (tmp_path / "runs/two/img_emb/img_emb_1.npy").unlink()
    bad = ClipRetrieval.model_validate({"path": paths}).parts()[-1]
    with pytest.raises(BadPart, match="has no img_emb_1, which other partitions have"):
        read_all(ClipRetrieval.model_validate({"path": paths}))
    assert bad.index == 2
