"""The Hugging Face layout: read by those who read such folders, the same bytes every time, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import verify
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.table import Table
from poolwright.release.checksums import files_of
from poolwright.release.data.shards import GROUP_BYTES
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.layout import About
from tests.release.build import pictures, toy_rows, write_table
from tests.release.conftest import ABOUT


def _bytes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _load(folder: Path, tmp_path: Path):
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def test_load_dataset_sees_images_classes_splits_and_vectors(released: Path, toy: Table, tmp_path: Path) -> None:
    dataset = _load(released, tmp_path)
    assert {name: part.num_rows for name, part in dataset.items()} == {"train": 87, "test": 43}
    features = dataset["train"].features
    assert features["label"].names == ["Katze", "a|b <i>", "犬"]
    assert features["clip"].length == 8
    assert features["clip"].feature.dtype == "float16"
    row = dataset["test"][0]
    assert row["uid"] == "row-0002"
    assert row["image"].size == (32, 24)
    assert row["image"].format == "PNG"
    assert features["label"].int2str(row["label"]) == "a|b <i>"
    assert row["continent"] == "Europe"


def test_image_bytes_are_copied_and_hashed_and_rows_keep_their_order(released: Path, toy: Table) -> None:
    rows = pa.concat_tables(pq.read_table(path) for path in sorted((released / "data").glob("train-*"))).to_pylist()
    wanted = [row for row in toy.read().to_pylist() if row["split"] == "train"]
    assert [row["uid"] for row in rows] == [row["uid"] for row in wanted]
    root = Path(str(toy.record.image_root))
    for row, source in zip(rows, wanted, strict=True):
        data = (root / source["image_path"]).read_bytes()
        assert row["image"] == {"bytes": data, "path": source["image_path"]}
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert "image_path" not in rows[0]


def test_shards_are_cut_and_row_groups_are_small(released: Path) -> None:
    shards = sorted((released / "data").glob("train-*"))
    assert [path.name for path in shards] == ["train-00000-of-00001.parquet"]
    assert GROUP_BYTES < 100_000_000
    record = json.loads((released / "release.json").read_text())
    assert sum(file["rows"] for file in record["files"]) == 130


def test_a_full_shard_is_closed(toy: Table, tmp_path: Path) -> None:
    rows = pa.concat_tables([toy.read()] * 10)
    rows = rows.set_column(0, "uid", pa.array([str(number) for number in range(len(rows))])).drop_columns(["split"])
    table = write_table(tmp_path / "run" / "toy", rows, image_root=Path(str(toy.record.image_root)))
    HuggingFace(shard_bytes=400_000, figures=False).write(table, tmp_path / "out", About())
    shards = sorted((tmp_path / "out" / "data").iterdir())
    assert [path.name for path in shards] == [
        f"train-{at:05d}-of-{len(shards):05d}.parquet" for at in range(len(shards))
    ]
    assert len(shards) > 2
    with pq.ParquetFile(shards[0]) as file:
        assert file.metadata.row_group(0).num_rows == 100
    assert [str(number) for number in range(len(rows))] == pq.read_table(tmp_path / "out/data")["uid"].to_pylist()


def test_the_same_table_gives_the_same_bytes_wherever_it_lies(toy: Table, released: Path, tmp_path: Path) -> None:
    shutil.copytree(Path(str(toy.record.image_root)), tmp_path / "moved" / "images")
    moved = write_table(
        tmp_path / "moved" / "tables" / "toy", toy_rows(130), cuts=(50,), image_root=tmp_path / "moved" / "images"
    )
    layout = HuggingFace(class_label="label", shard_bytes=60_000)
    layout.write(moved, tmp_path / "again", ABOUT)
    assert _bytes(tmp_path / "again") == _bytes(released)


def test_nothing_in_a_release_names_a_local_folder(released: Path, toy: Table) -> None:
    for name in files_of(released):
        if not name.endswith((".parquet", ".png", ".jpg")):
            assert str(toy.folder.parent) not in (released / name).read_text(encoding="utf-8"), name
    assert json.loads((released / "table.json").read_text())["steps"][0]["parameters"]["list"] == "names.txt"


def test_a_second_call_finds_the_release_and_changes_nothing(toy: Table, released: Path, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(released, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    written = HuggingFace(class_label="label", shard_bytes=60_000).write(toy, folder, ABOUT)
    assert not written.fresh
    assert "unchanged" in written.words
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_release_of_something_else_is_not_replaced_unasked(toy: Table, released: Path, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(released, folder)
    layout = HuggingFace(figures=False)
    with pytest.raises(ReleaseError, match="made from another table, card or layout"):
        layout.write(toy, folder, ABOUT)
    assert _bytes(folder) == _bytes(released)
    assert layout.write(toy, folder, ABOUT, overwrite=True).fresh
    assert verify(folder).ok
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_damaged_release_is_not_taken_for_the_wanted_one(toy: Table, released: Path, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(released, folder)
    (folder / "README.md").write_text("changed")
    with pytest.raises(ReleaseError, match=r"'README\.md' has changed"):
        HuggingFace(class_label="label", shard_bytes=60_000).write(toy, folder, ABOUT)


def test_a_folder_of_the_user_is_never_replaced(toy: Table, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ReleaseError, match="not a release"):
            HuggingFace().write(toy, tmp_path / "mine", About(), overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_kill_leaves_no_release_and_the_next_call_writes_it(toy: Table, released: Path, tmp_path: Path) -> None:
    script = f"""
    import os, signal
    from pathlib import Path
    import poolwright.release.card.documents as documents
    from poolwright.core.table import Table
    from poolwright.release.layouts.huggingface import HuggingFace
    from poolwright.release.layouts.layout import About
    documents.write_sums = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    HuggingFace(figures=False).write(Table(Path({str(toy.folder)!r})), Path({str(tmp_path / "out")!r}), About())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert HuggingFace(figures=False).write(toy, tmp_path / "out", About()).fresh
    assert verify(tmp_path / "out").ok
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_nothing_behind_and_names_the_row(tmp_path: Path) -> None:
    rows = toy_rows(20)
    pictures(tmp_path / "images", rows.column("image_path").to_pylist())
    (tmp_path / "images" / "1" / "13.jpg").unlink()
    table = write_table(tmp_path / "tables" / "toy", rows, image_root=tmp_path / "images")
    with pytest.raises(ReleaseError, match=r"uid 'row-0013' \(1/13\.jpg\) cannot be released: .*not there"):
        HuggingFace(figures=False).write(table, tmp_path / "out" / "toy", About())
    assert list((tmp_path / "out").iterdir()) == []


def test_an_image_that_is_not_the_one_the_table_knows_is_refused(tmp_path: Path) -> None:
    rows = toy_rows(4)
    data = pictures(tmp_path / "images", rows.column("image_path").to_pylist())
    digests = [hashlib.sha256(image).hexdigest() for image in data]
    rows = rows.append_column("sha256", pa.array([None, digests[1].upper(), "0" * 64, digests[3]]))
    table = write_table(tmp_path / "tables" / "toy", rows, image_root=tmp_path / "images")
    with pytest.raises(ReleaseError, match=r"'row-0002'.*not the one the table knows"):
        HuggingFace(figures=False).write(table, tmp_path / "out", About())


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path / "tables" / "toy", toy_rows(3).slice(0, 0), image_root=tmp_path)
    with pytest.raises(ReleaseError, match="table 'toy' has no rows"):
        HuggingFace().write(table, tmp_path / "out", About())


def test_urls_only_keeps_urls_and_no_bytes(toy: Table, tmp_path: Path) -> None:
    layout = HuggingFace(images="urls", columns=("label", "url", "clip"), figures=False)
    layout.write(toy, tmp_path / "out", About())
    table = pq.read_table(tmp_path / "out" / "data")
    assert table.column_names == ["uid", "label", "url", "clip"]
    assert table.num_rows == 130
    assert "Images are given by URL" in (tmp_path / "out" / "README.md").read_text()
    assert verify(tmp_path / "out").ok
    assert _load(tmp_path / "out", tmp_path)["train"].num_rows == 87


def test_images_stored_in_the_table_are_released(tmp_path: Path) -> None:
    rows = toy_rows(6).drop_columns(["image_path"])
    data = pictures(tmp_path / "images", [str(number) for number in range(6)])
    table = write_table(tmp_path / "tables" / "toy", rows.append_column("image", pa.array(data)))
    HuggingFace(figures=False).write(table, tmp_path / "out", About())
    images = pq.read_table(tmp_path / "out" / "data" / "test-00000-of-00001.parquet")["image"].to_pylist()
    assert images == [{"bytes": data[2], "path": "row-0002.png"}, {"bytes": data[5], "path": "row-0005.png"}]


def test_what_a_layout_needs_is_found_before_anything_runs(toy: Table) -> None:
    schema = toy.schema
    HuggingFace().check(schema)
    with pytest.raises(StepError, match="neither 'image' nor 'image_path'"):
        HuggingFace().check(schema.remove(schema.get_field_index("image_path")))
    with pytest.raises(StepError, match="did you mean 'label'"):
        HuggingFace(class_label="labels").check(schema)
    with pytest.raises(StepError, match="'columns' leaves out"):
        HuggingFace(class_label="label", columns=("url",)).check(schema)
    with pytest.raises(StepError, match="column 'split' has type float"):
        HuggingFace().check(schema.set(schema.get_field_index("split"), pa.field("split", pa.float32())))


def test_split_names_that_readers_refuse_are_changed_and_told(toy: Table, tmp_path: Path) -> None:
    rows = toy.read().slice(0, 6)
    splits = pa.array(["Test-GBL", "all", None, "2004/05", "Test GBL", "Test-GBL"])
    rows = rows.set_column(rows.schema.get_field_index("split"), "split", splits)
    table = write_table(tmp_path / "tables" / "toy", rows, image_root=Path(str(toy.record.image_root)))
    HuggingFace(figures=False).write(table, tmp_path / "out", About())
    dataset = _load(tmp_path / "out", tmp_path)
    assert sum(part.num_rows for part in dataset.values()) == 6
    assert {"all_split", "unassigned", "2004_05"} < set(dataset)
    assert verify(tmp_path / "out").ok


def test_classes_are_numbered_as_the_table_does(toy: Table, tmp_path: Path) -> None:
    rows = toy.read().slice(0, 3).append_column("label_index", pa.array([2, 1, 0], pa.int32()))
    table = write_table(tmp_path / "tables" / "toy", rows, image_root=Path(str(toy.record.image_root)))
    HuggingFace(class_label="label", figures=False).write(table, tmp_path / "out", About())
    dataset = _load(tmp_path / "out", tmp_path)
    assert dataset["train"].features["label"].names == ["a|b <i>", "犬", "Katze"]
    assert dataset["train"]["label"][:] == [2, 1]


def test_nulls_and_infinities_are_released_as_they_are(toy: Table, tmp_path: Path) -> None:
    rows = toy.read().slice(0, 3)
    label, similarity = rows.schema.get_field_index("label"), rows.schema.get_field_index("similarity")
    rows = rows.set_column(label, "label", pa.array([None, "x", None]))
    rows = rows.set_column(similarity, "similarity", pa.array([float("nan"), None, float("inf")], pa.float32()))
    table = write_table(tmp_path / "tables" / "toy", rows, image_root=Path(str(toy.record.image_root)))
    HuggingFace(class_label="label").write(table, tmp_path / "out", About())
    assert verify(tmp_path / "out").ok
    assert _load(tmp_path / "out", tmp_path)["train"]["label"][:] == [None, 0]


def test_mlcroissant_reads_the_rows_without_complaint(released: Path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=released / "croissant.json")
    assert not dataset.metadata.ctx.issues.warnings
    records = list(dataset.records("rows"))
    assert len(records) == 130
    assert records[0]["rows/image"].size == (32, 24)
    assert len(records[0]["rows/clip"]) == 8
    names = {record["classes/index"]: record["classes/name"] for record in dataset.records("classes")}
    assert names == {0: "Katze", 1: "a|b <i>", 2: "犬"}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_sha256sum_agrees(released: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=released, check=False)
    assert done.returncode == 0
    listed = {line.split("  ", 1)[1] for line in (released / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.relative_to(released).as_posix() for path in released.rglob("*") if path.is_file()} - {
        "SHA256SUMS"
    }


def test_the_card_says_what_was_done(released: Path) -> None:
    text = (released / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "cc-by-4.0"
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"][0] == {"split": "train", "path": "data/train-*"}
    for words in (
        "**130 rows** · 3 classes · 2 splits",
        "| `toy` | 1. `top` | ",
        "similarity \\>= 0.2731",
        "open_clip:ViT-B-32/openai",
        "| a\\|b \\<i\\> | 43 | 33.1% |",
        "| CC0-1.0 | 65 | 50.0% |",
        "- Random.",
        "@misc{toy, title={Toy}}",
    ):
        assert words in text
    funnel = (released / "funnel.md").read_text(encoding="utf-8")
    assert "| 1. `top` | 135 | 5: below the top 100 by similarity | 130 |" in funnel
    assert (released / "ATTRIBUTION.csv").read_text(encoding="utf-8").splitlines()[1] == (
        'row-0000,"Zoë, ""0""",CC0-1.0,https://example.org/0.jpg'
    )


def test_the_card_tells_the_whole_lineage(toy: Table, tmp_path: Path) -> None:
    root = Path(str(toy.record.image_root))
    write_table(tmp_path / "tables" / "wide", toy.read(), quarantined="cut off at byte 7", image_root=root)
    table = write_table(
        tmp_path / "tables" / "narrow", toy.read().slice(0, 120), dropped=10, source="tables.wide", image_root=root
    )
    HuggingFace().write(table, tmp_path / "out", About())
    text = (tmp_path / "out" / "funnel.md").read_text(encoding="utf-8")
    assert "Table `wide`, from pool pictures" in text
    assert "Table `narrow`, from table wide" in text
    assert "cut off at byte 7" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "lineage" / "wide" / "states" / "01-top.json").exists()
    assert verify(tmp_path / "out").ok
