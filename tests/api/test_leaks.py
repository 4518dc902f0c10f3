"""Datasets are compared with each other: counts, examples, a page, errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright import leaks, write_leaks
from poolwright.core.errors import RecipeError
from poolwright.core.rows import vector_array
from tests.calling import call


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two folders: one file is the same in both, one is encoded anew, one is twice in the second."""
    draw = np.random.default_rng(5)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    pixels = draw.integers(0, 255, (7, 6, 6, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        image = Image.fromarray(picture).resize((64, 64), Image.Resampling.BICUBIC)
        image.save(tmp_path / ("one" if number < 4 else "two") / f"{number}.png")
        if number == 1:
            image.save(tmp_path / "two/again.bmp")
    shutil.copy(tmp_path / "one/0.png", tmp_path / "two/copy.png")
    shutil.copy(tmp_path / "two/5.png", tmp_path / "two/twin.png")
    (tmp_path / "two/broken.png").write_bytes(b"no image")
    return tmp_path


def test_folders_of_images_are_compared_by_their_files_and_what_they_show(folders: Path) -> None:
    report = leaks(folders / "one", folders / "two", pictures=True)
    assert [(one.rows, one.unreadable) for one in report.sets] == [(4, 0), (7, 1)]
    found = {leak.how: (leak.rows, leak.pairs[0].examples) for leak in report.found}
    assert found == {
        "sha256": (1, (("0.png", "copy.png"),)),
        "phash": (2, (("0.png", "copy.png"), ("1.png", "again.bmp"))),
    }
    assert report.rows == 2
    page = write_leaks(report, folders / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 2 + 4
    assert "again.bmp" in page


def test_rows_of_one_set_are_compared_if_asked_for(folders: Path) -> None:
    report = leaks(folders / "two", within=True)
    pair = report.found[0].pairs[0]
    assert (pair.one, pair.other, pair.rows_one, pair.examples) == (
        str(folders / "two"), str(folders / "two"), 2, (("5.png", "twin.png"),),
    )  # fmt: skip
    assert report.found[0].rows == 0


def test_files_of_rows_are_compared_by_their_columns(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(50, 16)).astype(np.float32)
    near = vectors[:5] + 0.05 * draw.normal(size=(5, 16))
    for name, matrix in (("a", vectors), ("b", near.astype(np.float32))):
        uids = [f"{at}" for at in range(len(matrix))]
        split = ["test" if at % 2 else "train" for at in range(len(matrix))]
        pq.write_table(
            pa.table({"uid": uids, "split": split, "clip": vector_array(matrix)}), tmp_path / f"{name}.parquet"
        )
    report = leaks(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert report.compared == ("clip",)
    assert set(report.left_out) == {"sha256", "phash"}
    assert (report.found[0].rows, report.found[0].later) == (5, 5)
    document = json.loads(call("leaks", "a.parquet", "b.parquet", "--by", "split", "--json", folder=tmp_path).out)
    (leak,) = document["found"]
    assert leak["by"] == "split"
    assert {(pair["one"], pair["other"]): pair["values"] for pair in leak["pairs"]} == {
        ("a.parquet train", "b.parquet train"): 3, ("a.parquet test", "b.parquet test"): 2,
    }  # fmt: skip


def test_mistakes_are_found(tmp_path: Path) -> None:
    pq.write_table(pa.table({"uid": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"uid": ["b"]}), tmp_path / "b.parquet")
    one, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    with pytest.raises(RecipeError, match="two or more different sets"):
        leaks(one, one)
    with pytest.raises(RecipeError, match="nothing to compare"):
        leaks(one, other)
    with pytest.raises(RecipeError, match="no such file or folder"):
        leaks(one, tmp_path / "gone")
    with pytest.raises(RecipeError, match="has no column 'kind'"):
        leaks(one, other, by="kind")
