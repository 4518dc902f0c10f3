"""The image folder layout: safe names, nothing lost, read by those who read folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright import verify
from poolwright.core.errors import StepError
from poolwright.core.table import Table
from poolwright.release.data.naming import safe_name, safe_names, split_names
from poolwright.release.layouts.image_folder import ImageFolderLayout
from poolwright.release.layouts.layout import About
from tests.release.build import pictures, toy_rows, write_table

STRANGE = [
    "a/b",
    "..",
    "CON",
    "con.txt",
    "a:b",
    "Dog",
    "dog",
    "",
    " ",
    "犬 と 猫",
    "e\u0301",
    "é",
    "x" * 300,
    "-rf",
    "a\nb",
    None,
]


def _table(folder: Path, labels: list[str | None], uids: list[str] | None = None, split: bool = False) -> Table:
    rows = toy_rows(len(labels))
    index = rows.schema.get_field_index("label")
    rows = rows.set_column(index, "label", pa.array(labels, pa.string()))
    rows = rows if split else rows.drop_columns(["split"])
    if uids:
        rows = rows.set_column(0, "uid", pa.array(uids))
    pictures(folder / "images", rows.column("image_path").to_pylist())
    return write_table(folder / "tables" / "toy", rows, image_root=folder / "images")


def test_strange_classes_and_uids_stay_inside_and_apart(tmp_path: Path) -> None:
    uids = ["../../etc/passwd", "a.jpg", "a.png", "A", "nul", "a/b", "a_b", "ü/ö", *map(str, range(len(STRANGE) - 8))]
    table = _table(tmp_path, STRANGE, uids)
    ImageFolderLayout(figures=False).write(table, tmp_path / "out", About())
    rows = pq.read_table(tmp_path / "out" / "train" / "metadata.parquet").to_pylist()
    assert [row["uid"] for row in rows] == uids
    assert [row["label"] for row in rows] == STRANGE
    folders = {}
    for row in rows:
        path = (tmp_path / "out" / "train" / row["file_name"]).resolve()
        assert path.is_relative_to((tmp_path / "out" / "train").resolve())
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        folders[row["label"]] = row["file_name"].split("/")[0]
    assert len({name.casefold() for name in folders.values()}) == len(STRANGE)
    assert folders["犬 と 猫"] == "犬 と 猫"
    assert folders[None] == "unlabelled"
    assert verify(tmp_path / "out", full=True).ok


@given(st.lists(st.text(), max_size=12))
def test_safe_names_are_distinct_and_safe_in_any_order(names: list[str]) -> None:
    safe = safe_names(names)
    assert safe == safe_names(reversed(names))
    assert len({name.casefold() for name in safe.values()}) == len(set(names))
    for name in safe.values():
        assert name == safe_name(name)
        assert not set(name) & set('<>:"/\\|?*\0\n')
        assert name not in ("", ".", "..")
        assert not name.endswith((".", " "))
        assert len(name.encode()) < 200


@given(st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=8))
def test_split_names_are_distinct_words(values: list[str | None]) -> None:
    names = split_names(values)
    assert len({name.casefold() for name in names.values()}) == len(set(values))
    assert all(name.replace("_", "a").isalnum() for name in names.values())


@pytest.mark.parametrize("metadata", ["parquet", "csv"])
def test_load_dataset_joins_files_and_rows(toy: Table, tmp_path: Path, metadata: str) -> None:
    from datasets import load_dataset

    ImageFolderLayout(metadata=metadata, figures=True).write(toy, tmp_path / "out", About())
    dataset = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: part.num_rows for name, part in dataset.items()} == {"train": 87, "test": 43}
    row = dataset["test"][1]
    assert row["uid"] == "row-0005"
    assert row["image"].size == (32, 24)
    assert row["label"] == "a|b <i>"
    assert ("clip" in row) == (metadata == "parquet")
    found = verify(tmp_path / "out", full=True)
    assert found.ok, found.words


def test_extensions_say_what_the_bytes_are(toy: Table, tmp_path: Path) -> None:
    ImageFolderLayout(figures=False).write(toy, tmp_path / "out", About())
    assert (tmp_path / "out" / "train" / "Katze" / "row-0000.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert (tmp_path / "out" / "test" / "a_b _i_" / "row-0002.png").read_bytes()[1:4] == b"PNG"


def test_mlcroissant_reads_images_and_rows(toy: Table, tmp_path: Path) -> None:
    import mlcroissant

    ImageFolderLayout(figures=False).write(toy, tmp_path / "out", About(license="MIT", published="2026-01-02"))
    dataset = mlcroissant.Dataset(jsonld=tmp_path / "out" / "croissant.json")
    assert len(list(dataset.records("rows"))) == 130
    paths = [record["png_images/path"].decode() for record in dataset.records("png_images")]
    assert len(paths) == 43
    assert all((tmp_path / "out" / path).is_file() for path in paths)


def test_a_lost_image_is_found_by_verify(toy: Table, tmp_path: Path) -> None:
    ImageFolderLayout(figures=False).write(toy, tmp_path / "out", About())
    (tmp_path / "out" / "train" / "Katze" / "row-0000.jpg").unlink()
    found = verify(tmp_path / "out", full=True)
    assert {check.name for check in found.failed} == {"checksums", "images"}


def test_a_table_with_file_names_of_its_own_is_refused(toy: Table) -> None:
    with pytest.raises(StepError, match="'file_name'"):
        ImageFolderLayout().check(toy.schema.append(pa.field("file_name", pa.string())))
