"""Releases of strangers' data: what their loaders, spreadsheets and readers make of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright.core.table import Table
from tests.calling import Called, call


def picture(path: Path, shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 24), (shade % 256, 40, 7)).save(path)


def released(folder: Path, rows: dict[str, Any], layouts: Sequence[str], pool: str = "", code: int = 0) -> Called:
    """Release a table of these rows, as layout number n to `out/n`."""
    pq.write_table(pa.table(rows), folder / "pool.parquet")
    entries = "\n".join(f"  - {{table: t, {text}, figures: false, to: out/{at}}}" for at, text in enumerate(layouts))
    (folder / "r.yaml").write_text(
        f"recipe: 1\nname: r\npools: {{p: {{read: table, path: pool.parquet{pool}}}}}\n"
        f"tables: {{t: {{from: p, steps: [where: uid is not null]}}}}\nreleases:\n{entries}\n"
    )
    called = call("run", "r.yaml", folder=folder)
    assert called.code == code, called.err
    return called


def features(shard: Path) -> dict[str, Any]:
    file = next(shard.glob("data/*.parquet"))
    found: dict[str, Any] = json.loads(pq.read_schema(file).metadata[b"huggingface"])["info"]["features"]
    return found


def classes_in(folder: Path, index: list[int], **more: Any) -> dict[str, Any]:
    for number in range(len(index)):
        picture(folder / f"d/{number}.png", number * 9)
    sides = ["train", "test"] * (len(index) // 2)
    return {
        "uid": [f"u{number}" for number in range(len(index))],
        "image_path": [f"{number}.png" for number in range(len(index))],
        "label_index": index,
        "continent": ["Africa"] * len(index),
        "bucket": [0] * len(index),
        "split": sides,
        **more,
    }


@pytest.mark.loads
def test_dates_times_and_decimals_are_in_the_spelling_of_datasets(tmp_path: Path) -> None:
    from datasets import load_dataset

    rows = {
        "uid": ["a", "b"],
        "day": [date(2011, 4, 5), None],
        "noon": pa.array([43_200, None], pa.time32("s")),
        "length": pa.array([5, None], pa.duration("us")),
        "price": pa.array([Decimal("1.25"), None], pa.decimal128(9, 2)),
        "week": pa.array([0, None], pa.date64()),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "days": pa.array([[date(2011, 4, 5)], None]),
        "words": pa.array([{"kind": "x"}, None], pa.struct([("kind", pa.dictionary(pa.int32(), pa.string()))])),
    }
    released(tmp_path, rows, ["layout: huggingface, images: none"])
    verified = call("verify", tmp_path / "out/0")
    assert verified.code == 0
    assert "load_dataset gives 2 rows" in verified.out
    found = load_dataset(str(tmp_path / "out/0"), cache_dir=str(tmp_path / "cache"))["train"]
    assert found.features["day"].dtype == "date32"
    assert found[0]["day"] == date(2011, 4, 5)
    assert found[0]["price"] == Decimal("1.25")
    assert found[0]["words"] == {"kind": "x"}


def test_two_classes_of_one_name_stay_two_in_every_layout(tmp_path: Path) -> None:
    index = [3, 3, 8, 8, 5, 5]
    rows = classes_in(tmp_path, index, label=["seal", "seal", "seal", "seal", "tie", "tie"])
    layouts = [
        "layout: huggingface, images: none, class_label: label",
        "layout: avalanche, testset_ratio: 50%, features: []",
        "layout: domainnet",
        "layout: image_folder",
    ]
    released(tmp_path, rows, layouts, ", images: d")
    wanted = ["seal (3)", "seal (8)", "tie"]
    assert features(tmp_path / "out/0")["label"]["names"] == wanted
    for layout in "12":
        assert (tmp_path / "out" / layout / "class_names.txt").read_text().split("\n")[:3] == wanted
    assert sorted(path.name for path in (tmp_path / "out/3/train").iterdir() if path.is_dir()) == wanted
    (file,) = (tmp_path / "out/0/data").glob("train*")
    assert pq.read_table(file).column("label").to_pylist() == [0, 1, 2]


def test_word_net_ids_distinguish_classes_of_one_name(tmp_path: Path) -> None:
    wnid = ["n02077923", "n02077923", "n04160372", "n04160372"]
    rows = classes_in(tmp_path, [3, 3, 8, 8], label=["seal"] * 4, wnid=wnid)
    released(tmp_path, rows, ["layout: huggingface, images: none, class_label: label"], ", images: d")
    assert features(tmp_path / "out/0")["label"]["names"] == ["seal (n02077923)", "seal (n04160372)"]


def test_names_that_look_alike_are_said(tmp_path: Path) -> None:
    rows = {"uid": list("abc"), "label": ["Ice cream", "ice_cream", "laptop"]}
    called = released(tmp_path, rows, ["layout: huggingface, images: none, class_label: label"])
    assert "'Ice cream' and 'ice_cream'" in called.out
    assert "'Ice cream' and 'ice_cream'" in (tmp_path / "out/0/README.md").read_text()


@pytest.mark.parametrize("values", [[2, 10, 24, 134], [0, 1, 2, 10], [-1, 0, 9, 11]])
def test_classes_that_are_numbers_are_in_the_order_of_the_numbers(tmp_path: Path, values: list[int]) -> None:
    released(
        tmp_path,
        {"uid": list("abcd"), "grade": values[::-1]},
        ["layout: huggingface, images: none, class_label: grade"],
    )
    assert features(tmp_path / "out/0")["grade"]["names"] == list(map(str, values))


def test_avalanche_finds_both_forms_of_clear(tmp_path: Path) -> None:
    rows = classes_in(tmp_path, [0, 0, 1, 1], label=["owl", "owl", "fox", "fox"])
    rows["moco"] = pa.array(np.eye(32, dtype=np.float32)[:4].tolist(), pa.list_(pa.float32()))
    layout = "testset_ratio: 50%, features: {moco_b0: moco}"
    released(tmp_path, rows, [f"layout: clear, {layout}", f"layout: avalanche, {layout}"], ", images: d")
    for root in (tmp_path / "out/0", tmp_path / "out/1"):
        assert (root / "training_folder/bucket_indices.json").is_file()
        for side in ("train", "test"):
            index = json.loads((root / side / "labeled_metadata.json").read_text())
            names = (root / side / "class_names.txt").read_text().split("\n")
            assert list(index) == ["0"]
            assert sorted(index["0"]) == names == ["fox", "owl"]
            for name in names:
                (entry,) = json.loads((root / side / index["0"][name]).read_text()).values()
                assert (root / side / entry["IMG_PATH"]).is_file()
            assert (root / side / "features/moco_b0/0/fox.pth").is_file()
        assert call("verify", root).code == 0


def test_a_row_without_a_vector_has_null(tmp_path: Path) -> None:
    import duckdb

    rows = {"uid": list("abcd"), "v": pa.array([*np.eye(32)[:3].tolist(), None], pa.list_(pa.float32()))}
    released(tmp_path, rows, ["layout: huggingface, images: none"], ", vectors: {v: {model: m}}")
    query = f"select count(v) from read_parquet('{tmp_path}/out/0/data/*.parquet')"
    assert duckdb.sql(query).fetchall() == [(3,)]


def test_the_card_names_the_encoder_of_the_table(tmp_path: Path) -> None:
    rows = {"uid": list("ab"), "v": pa.array(np.eye(32)[:2].tolist(), pa.list_(pa.float32()))}
    others = ["url", "text", "sha256", "original_width", "original_height", "l14_txt", "clip_l14_similarity_score"]
    columns = ", ".join([*(f"{name}: null" for name in others), "l14_img: v"])
    called = released(
        tmp_path, rows, [f"layout: mappool, columns: {{{columns}}}"], ", vectors: {v: {model: tiny-encoder}}"
    )
    card = (tmp_path / "out/0/README.md").read_text()
    assert "Vector of the image, by tiny-encoder" in card
    assert "ViT-L/14" not in card
    assert "ViT-L/14; here they are by tiny-encoder" in called.out + called.err


def test_texts_in_released_csv_files_are_no_formulas(tmp_path: Path) -> None:
    picture(tmp_path / "d/0.png")
    rows = {
        "uid": ["a"],
        "image_path": ["0.png"],
        "label": ["@SUM(1)"],
        "d": ["+x"],
        "author": ["=1+1"],
        "title": ["-3"],
        "price": [-3],
    }
    layouts = ["layout: image_folder, metadata: csv, domain: d"]
    released(tmp_path, rows, layouts, ", images: d")
    for name in ("ATTRIBUTION.csv", "domain_by_class.csv", "train/metadata.csv"):
        text = (tmp_path / "out/0" / name).read_text().replace('"', "")
        assert not [cell for line in text.split("\n") for cell in line.split(",") if cell.startswith(("=", "@", "+"))]
    assert "'=1+1" in text
    assert ",-3" in text
    assert "apostrophe" in (tmp_path / "out/0/README.md").read_text()
    assert call("verify", tmp_path / "out/0").code == 0


def test_csv_whose_types_differ_by_split_is_loaded_by_what_the_card_names(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    rows = classes_in(tmp_path, [0, 0, 1, 1], label=["owl", "owl", "fox", "fox"], size=[1, 2, None, 4])
    released(tmp_path, rows, ["layout: image_folder, metadata: csv"], ", images: d")
    card = (tmp_path / "out/0/README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("path/or/name/of/this/folder", str(tmp_path / "out/0"))
    found: dict[str, Any] = {}
    exec(code, found)
    assert len(found["dataset"]) == 2
    assert found["row"]["label"] in ("owl", "fox")
    assert "CSV has no types" in card


@pytest.mark.parametrize("how", ["absolute", "parent", "link", "url"])
def test_image_paths_stay_below_the_folder_of_the_table(tmp_path: Path, how: str) -> None:
    picture(tmp_path / "elsewhere/secret.png")
    project = tmp_path / "project"
    picture(project / "own.png")
    (project / "link.png").symlink_to(tmp_path / "elsewhere/secret.png")
    path = {
        "absolute": str(tmp_path / "elsewhere/secret.png"),
        "parent": "../elsewhere/secret.png",
        "link": "link.png",
        "url": (tmp_path / "elsewhere/secret.png").as_uri(),
    }[how]
    rows = {"uid": ["own", "whole", "other"], "image_path": ["own.png", str(project / "own.png"), path]}
    pq.write_table(pa.table(rows), project / "m.parquet")
    text = (
        "recipe: 1\nname: r\nmax_bad: 100%%\npools: {p: {read: table, path: m.parquet%s}}\n"
        "tables: {t: {from: p, steps: [size]}}\n"
        "releases: [{table: t, layout: huggingface, figures: false, to: out}]\n"
    )
    (project / "r.yaml").write_text(text % "")
    called = call("run", "r.yaml", folder=project)
    assert called.code == 0, called.err
    assert "1 the image path leads out" in " ".join(called.out.split())
    assert pq.read_table(project / "out/data").column("uid").to_pylist() == ["own", "whole"]
    (project / "r.yaml").write_text(text % ", outside: true")
    assert call("run", "r.yaml", "--fresh", "t", "--overwrite", folder=project).code == 0
    assert pq.read_table(project / "out/data").column("uid").to_pylist() == ["own", "whole", "other"]
    assert "`outside: true`" in (project / "out/README.md").read_text()


def test_a_snapshot_of_the_hubs_cache_has_its_files_next_to_it(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--some--photos"
    snapshot = repository / "snapshots" / "0a1b"
    for folder in (repository / "blobs", snapshot / "data"):
        folder.mkdir(parents=True)
    pq.write_table(pa.table({"uid": ["a"]}), repository / "blobs" / "9f")
    Image.new("RGB", (8, 8), (9, 80, 7)).save(repository / "blobs" / "7c", "PNG")
    (snapshot / "data" / "train.parquet").symlink_to("../../../blobs/9f")
    (snapshot / "data" / "lake.png").symlink_to("../../../blobs/7c")
    text = (
        f"recipe: 1\nname: r\npools:\n  rows: {{read: table, path: {snapshot}/data/*.parquet}}\n"
        f"  photos: {{read: image_folder, path: {snapshot}/data}}\n"
        "tables:\n  t: {from: rows, steps: []}\n  u: {from: photos, steps: [hash]}\n"
    )
    (tmp_path / "r.yaml").write_text(text)
    called = call("run", "r.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    assert [Table(tmp_path / "runs/r/tables" / name).record.rows_kept for name in "tu"] == [1, 1]


def test_captions_and_tables_behind_links_stay_outside(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project / "photos", project / "tables", elsewhere):
        folder.mkdir(parents=True)
    picture = Image.new("RGB", (8, 8), (9, 80, 7))
    taken = Image.Exif()
    taken.get_ifd(0x8769)[0x9003] = "2014:05:06 07:08:09"
    picture.save(elsewhere / "lake.jpg", exif=taken)
    picture.save(project / "photos/own.jpg", exif=taken)
    (elsewhere / "note.txt").write_text("a key that nobody may see")
    (project / "photos/own.txt").symlink_to(elsewhere / "note.txt")
    (project / "photos/lake.jpg").symlink_to(elsewhere / "lake.jpg")
    (project / "photos/lake.txt").write_text("a lake")
    text = (
        "recipe: 1\nname: r\npools: {p: {read: image_folder, path: photos, captions: txt, exif: true%s}}\n"
        "tables: {t: {from: p, steps: []}}\n"
    )
    (project / "r.yaml").write_text(text % "")
    called = call("run", "r.yaml", folder=project)
    assert called.code == 0, called.err
    assert {"own.txt", "lake.jpg"} <= set(called.out.replace(";", " ").split())
    table = Table(project / "runs/r/tables/t").read().to_pylist()
    assert [(row["uid"], row["text"], row["taken_at"] is None) for row in table] == [
        ("lake.jpg", "a lake", True),
        ("own.jpg", None, False),
    ]
    (project / "r.yaml").write_text(text % ", outside: true")
    called = call("run", "r.yaml", "--fresh", "t", folder=project)
    assert "'outside: true'" in called.out
    assert Table(project / "runs/r/tables/t").read()["text"].to_pylist() == ["a lake", "a key that nobody may see"]

    pq.write_table(pa.table({"uid": ["a"]}), project / "tables/a.parquet")
    pq.write_table(pa.table({"uid": ["b"]}), elsewhere / "b.parquet")
    (project / "tables/b.parquet").symlink_to(elsewhere / "b.parquet")
    text = "recipe: 1\nname: s\npools: {p: {read: table, path: %s}}\ntables: {t: {from: p, steps: []}}\n"
    for path in ("tables", '"tables/*.parquet"'):
        (project / "s.yaml").write_text(text % path)
        called = call("check", "s.yaml", folder=project)
        assert "b.parquet: a link that leads out of its folder" in " ".join(called.err.split())
    for path in ("tables, outside: true", "[tables/a.parquet, tables/b.parquet]"):
        (project / "s.yaml").write_text(text % path)
        assert call("check", "s.yaml", folder=project).code == 0, path


def test_a_figure_that_cannot_be_measured_stops_no_release(tmp_path: Path) -> None:
    pq.write_table(pa.table({"uid": list("ab"), "c": ["x", "x"], "label": ["x", None]}), tmp_path / "pool.parquet")
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\npools: {p: {read: table, path: pool.parquet}}\n"
        "tables: {t: {from: p, steps: [{where: label is null}]}}\n"
        "figures: [{name: pure, table: t, measure: purity, predicted: c, truth: label}]\n"
        "releases: [{table: t, layout: huggingface, images: none, figures: false, to: out}]\n"
    )
    called = call("run", "r.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    assert "pure not measured" in called.out
    assert "not measured" in (tmp_path / "out/README.md").read_text()


def test_large_integers_in_an_image_folder_are_texts(tmp_path: Path) -> None:
    rows = classes_in(tmp_path, [0, 1], code=pa.array([2**64 - 1, None], pa.uint64()))
    released(tmp_path, rows, ["layout: image_folder", "layout: huggingface"], ", images: d")
    folders = pq.read_table(tmp_path / "out/0/train/metadata.parquet")
    assert folders["code"].to_pylist() == [str(2**64 - 1)]
    assert features(tmp_path / "out/1")["code"]["dtype"] == "uint64"


def test_a_class_column_without_a_value_is_released(tmp_path: Path) -> None:
    rows = classes_in(tmp_path, [0, 1], label=pa.nulls(2, pa.string()))
    released(tmp_path, rows, ["layout: huggingface, class_label: label"], ", images: d")
    verified = call("verify", tmp_path / "out/0")
    assert verified.code == 0, verified.out


def test_a_box_on_a_picture_that_lies_on_its_side_is_where_fiftyone_shows_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8  # a quarter turn
    Image.new("RGB", (60, 20)).save(tmp_path / "0.jpg", exif=exif)
    rows = {"uid": ["a"], "image_path": ["0.jpg"], "bbox": [[0.0, 0.0, 30.0, 20.0]], "label": ["door"]}
    released(tmp_path, rows, ["layout: fiftyone", "layout: fiftyone, images: {resize: 10}"], ", images: .")
    for folder in ("out/0", "out/1"):
        (sample,) = json.loads((tmp_path / folder / "samples.json").read_text())["samples"]
        (found,) = sample["detections"]["detections"]
        assert (found["label"], found["bounding_box"]) == ("door", [0.0, 0.5, 1.0, 0.5])
