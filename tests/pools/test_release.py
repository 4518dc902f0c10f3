"""Releases read back as pools: rows, images, classes, splits and encoders are those of the released table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from poolwright import api
from poolwright.core.columns import classes_of, vector_model
from poolwright.core.errors import InputError, PoolwrightError, RecipeError
from poolwright.core.images.image_files import read_bytes
from poolwright.pools.release import ReleasePool
from poolwright.release.layouts.domainnet import DomainNet
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.image_folder import ImageFolderLayout
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import ReleaseRecord
from poolwright.testing.layouts import ABOUT, LayoutSuite
from tests.calling import call
from tests.pools.reading import column, read_all
from tests.release import test_every_layout as cases
from tests.release.build import pictures, toy_rows, write_table


def released(folder: Path, layout: Layout, rows: pa.Table | None = None) -> Path:
    """Release a table of toy rows."""
    rows = toy_rows(12, ("wren", "auk", "owl")) if rows is None else rows
    domains = pa.array(["Europe", "Asia"] * (len(rows) // 2))
    rows = rows.set_column(rows.schema.get_field_index("continent"), "continent", domains)
    pictures(folder / "images", rows.column("image_path").to_pylist())
    table = write_table(folder / "table", rows, cuts=(5,), image_root=folder / "images")
    layout.write(table, folder / "out", ABOUT)
    return folder / "out"


def images(pool: ReleasePool) -> list[Any]:
    rows = read_all(pool).to_pylist()
    return [row["image"] if "image" in row else read_bytes(pool.image_root(), row["image_path"]) for row in rows]


@pytest.mark.parametrize(
    "case",
    [
        cases.TestHuggingFace,
        cases.TestHuggingFaceUrls,
        cases.TestImageFolder,
        cases.TestImageFolderCsv,
        cases.TestCoco,
        cases.TestParquet,
        cases.TestWebDataset,
        cases.TestDataComp,
        cases.TestDataCompTars,
        cases.TestDomainNet,
        cases.TestDomainNetPaths,
        cases.TestAvalanchePaths,
        cases.TestGlt,
        cases.TestMapPool,
        cases.TestGeoYfcc,
        cases.TestALayoutOfOthers,
    ],
)
def test_every_layout_is_read(case: type[LayoutSuite], tmp_path: Path) -> None:
    suite = case()
    table = suite.build_table(tmp_path / "table")
    suite.layout.model_copy(update={"figures": False}).write(table, tmp_path / "out", ABOUT)
    record = ReleaseRecord.load(tmp_path / "out")
    pool = ReleasePool(path=str(tmp_path / "out"))
    rows = read_all(pool)
    assert sorted(rows["uid"].to_pylist()) == sorted(table.read(["uid"])["uid"].to_pylist())
    held = {column.name for column in record.columns} - {"file_name", "class_id"}
    assert held <= set(rows.column_names)
    by_uid = {row["uid"]: row for row in table.read().to_pylist()}
    same = [name for name in ("label", "url", "similarity", "split") if name in rows.column_names and name in held]
    for row in rows.select(["uid", *same]).to_pylist():
        assert {name: by_uid[row["uid"]][name] for name in same} == {name: row[name] for name in same}
    if record.images is not None:
        assert all(isinstance(image, bytes) for image in images(pool))
        assert pool.remarks() == []
    else:
        assert any("images of layout" in words for words in pool.remarks())


def test_vectors_keep_their_encoder_and_classes_their_numbers(tmp_path: Path) -> None:
    folder = released(tmp_path, HuggingFace(class_label="label", figures=False))
    pool = ReleasePool(path=str(folder))
    field = pool.arrow_schema().field("clip")
    assert vector_model(field) is not None
    assert field.type.list_size == 8
    assert classes_of(pool.arrow_schema().field("label")) == ("auk", "owl", "wren")
    assert set(column(pool, "split")) == {"train", "test"} or set(column(pool, "split")) >= {"train"}


@pytest.mark.parametrize("layout", ["huggingface", "domainnet"])
def test_a_part_of_a_release_keeps_the_numbers_when_it_is_released_again(layout: str, tmp_path: Path) -> None:
    first = {"huggingface": HuggingFace(class_label="label", figures=False), "domainnet": DomainNet(figures=False)}
    released(tmp_path, first[layout])
    more = {"huggingface": {"class_label": "label"}, "domainnet": {}}
    recipe = {
        "recipe": 1,
        "name": "again",
        "pools": {"first": {"read": "release", "path": "out"}},
        "tables": {"few": {"from": "first", "steps": [{"where": "label <> 'auk'"}]}},
        "releases": [{"table": "few", "layout": layout, "to": "two", "figures": False, **more[layout]}],
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    assert call("run", "r.yaml", folder=tmp_path).code == 0
    before, after = (json.loads((tmp_path / name / "release.json").read_text()) for name in ("out", "two"))
    assert before["classes"] == after["classes"] == ["auk", "owl", "wren"]
    assert api.verify(tmp_path / "two").ok
    record = json.loads((tmp_path / "runs/again/tables/few/table.json").read_text())
    assert {"out/release.json", "out/SHA256SUMS"} <= {file["path"] for file in record["files"]}


def test_texts_of_csv_files_are_as_they_were(tmp_path: Path) -> None:
    rows = toy_rows(4)
    odd = pa.array(["=1+1", "007", "'quoted", None], pa.string())
    rows = rows.append_column("code", odd).select([*rows.column_names, "code"])
    folder = released(tmp_path, ImageFolderLayout(metadata="csv", figures=False), rows)
    assert sorted(map(str, column(ReleasePool(path=str(folder)), "code"))) == sorted(map(str, odd.to_pylist()))


def test_images_elsewhere_are_named(tmp_path: Path) -> None:
    folder = released(tmp_path, DomainNet(images="none", figures=False))
    pool = ReleasePool(path=str(folder))
    assert pool.remarks() == [
        "the images of layout 'domainnet' are not in the release; 'images' names the folder that 'file_name' is "
        "relative to"
    ]
    assert "image_path" not in pool.arrow_schema().names
    assert all(
        isinstance(data, bytes) for data in images(ReleasePool(path=str(folder), images=str(tmp_path / "images")))
    )


def damaged(folder: Path, name: str, how: str) -> None:
    file = next(folder.glob(name))
    data = file.read_bytes()
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(data[:-20] + bytes(20) if how == "changed" else b"{}")


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        (
            "data/train-*.parquet",
            "changed",
            "train-00000-of-00001.parquet: the release is damaged: the file is not as it",
        ),
        ("data/train-*.parquet", "gone", "train-00000-of-00001.parquet"),
        ("release.json", "gone", "no release here (release.json is missing)"),
        ("release.json", "other", "release.json or SHA256SUMS is damaged"),
        ("SHA256SUMS", "gone", "no release here (SHA256SUMS is missing)"),
        ("SHA256SUMS", "other", "is damaged"),
    ],
)
def test_a_damaged_release_is_one_error(name: str, how: str, words: str, tmp_path: Path) -> None:
    folder = released(tmp_path, HuggingFace(figures=False))
    damaged(folder, name, how)
    with pytest.raises(PoolwrightError) as caught:
        ReleasePool(path=str(folder)).parts()
    assert words in str(caught.value)
    if how == "changed":
        assert isinstance(caught.value, InputError)
        assert len(ReleasePool(path=str(folder), check=False).parts()) >= 1


def test_a_release_without_uids_says_so(tmp_path: Path) -> None:
    suite = cases.TestGeoYfcc()
    layout = suite.layout.model_copy(update={"more": ("similarity",)})
    layout.write(suite.build_table(tmp_path / "table"), tmp_path / "out", ABOUT)
    with pytest.raises(RecipeError, match="layout 'geoyfcc' keeps no 'uid'; name a column with 'uid: COLUMN'"):
        ReleasePool(path=str(tmp_path / "out")).arrow_schema()
    assert column(ReleasePool(path=str(tmp_path / "out"), uid="yfcc_row_id"), "uid")


def test_a_release_is_read_from_a_url(tmp_path: Path) -> None:
    folder = released(tmp_path, HuggingFace(class_label="label", figures=False))
    remote, local = ReleasePool(path=f"file://{folder}"), ReleasePool(path=str(folder))
    assert read_all(remote).equals(read_all(local))
