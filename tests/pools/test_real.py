"""Pools on real data; skipped where there is none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from poolwright.core.errors import RecipeError
from poolwright.core.rows import one_array, vectors_of
from poolwright.pools.arrays import Arrays
from poolwright.pools.image_folder import ImageFolder
from poolwright.pools.table import TablePool
from tests.pools.reading import column, read_all

pytestmark = pytest.mark.real


def test_pacs_is_four_domains_of_seven_classes(real_data: Path) -> None:
    table = read_all(ImageFolder(path=str(real_data / "pacs"), pattern="{domain}/{class}/{name}"))
    counts = Counter(zip(table["domain"].to_pylist(), table["class"].to_pylist(), strict=True))
    assert len(counts) == 28
    assert set(counts.values()) == {25}


def test_photographs_with_upper_case_extensions(real_data: Path) -> None:
    pool = ImageFolder(path=str(real_data / "imagenet_photos"), pattern="{synset}_{name}", exif=True)
    table = read_all(pool)
    assert len(table) == len(set(table["synset"].to_pylist())) == 250
    assert "great_white_shark" in table["name"].to_pylist()


def test_urls_with_texts(real_data: Path) -> None:
    pool = TablePool(path=str(real_data / "url_text"), uid="row", columns={"url": "URL", "text": "TEXT"})
    table = read_all(pool)
    assert table.column_names == ["uid", "url", "text"]
    assert len(set(table["uid"].to_pylist())) == 11_000
    assert table["url"].null_count == 0


def test_metadata_of_photographs(real_data: Path) -> None:
    names = {"latitude": "lat", "longitude": "lng", "title": "title_en"}
    table = read_all(TablePool(path=str(real_data / "taiwan_pictures" / "metadata.csv"), uid="id", columns=names))
    assert len(table) == 232
    assert table["latitude"].null_count == 0
    assert 21 < min(table["latitude"].to_pylist()) < max(table["latitude"].to_pylist()) < 27
    with pytest.raises(RecipeError, match="such as '1884'"):
        TablePool(
            path=str(real_data / "taiwan_pictures"), format="csv", uid="id", columns={"taken_at": "year"}
        ).arrow_schema()


def test_clip_vectors_of_imagenet(real_data: Path) -> None:
    path = real_data / "clip_vitb32" / "imagenet.npz"
    pool = Arrays(
        path=str(path),
        columns={
            "clip": {"array": "train4shot_emb", "model": "OpenAI ViT-B/32"},
            "label_index": "train4shot_label",
        },
        lookup={"label": {"values": "class_names", "by": "label_index"}},
    )
    table = read_all(pool)
    with np.load(path) as arrays:
        labels = arrays["train4shot_label"]
        assert np.array_equal(vectors_of(one_array(table["clip"])), arrays["train4shot_emb"])
        assert table["label"].to_pylist() == arrays["class_names"][labels].tolist()
    with pytest.raises(RecipeError, match="'train4shot_emb' has 4,000, 'class_names' has 1,000"):
        Arrays(path=str(path), columns={"clip": "train4shot_emb", "names": "class_names"}).arrow_schema()


def test_files_named_by_an_array(real_data: Path) -> None:
    pool = Arrays(
        path=str(real_data / "clip_vitb32" / "caltech101.npz"),
        columns={"clip": "test_emb", "image_path": "test_path"},
        uid="test_path",
    )
    assert len(set(column(pool, "uid"))) == 2465


def test_photographs_of_pairs_and_pickles_are_refused(real_data: Path) -> None:
    folder = real_data / "clip_pairs"
    pool = ImageFolder(path=str(folder), pattern="*/{left}_{right}")
    assert read_all(pool)["left"].to_pylist()[0] == "123"
    with pytest.raises(RecipeError, match=r"arrays are read from \.npz and \.npy"):
        Arrays(path=str(folder / "test_embeddings" / "0.pkl"), columns="clip").arrow_schema()
