"""The layouts of streams: what readers of CLEAR and Avalanche find, file by file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import verify
from poolwright.core.errors import MissingExtra, ReleaseError, StepError
from poolwright.core.table import Table
from poolwright.release.checksums import files_of, write_sums
from poolwright.release.layouts.avalanche import Avalanche
from poolwright.release.layouts.clear import Clear
from poolwright.release.layouts.layout import About
from tests.release.conftest import ABOUT
from tests.release.streams import (
    BUCKETS,
    CLASSES,
    benchmark_of_images,
    benchmark_of_tensors,
    by_metadata,
    stream_table,
    whole_stream,
)

ORDER = sorted(CLASSES)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path]:
    """A stream of three buckets and its release with the whole stream; do not change it."""
    root = tmp_path_factory.mktemp("clear")
    table = stream_table(root)
    whole_stream(root, table)
    Clear(unlabelled="all").write(table, root / "out", ABOUT)
    return table, root / "out"


def _listed(table: Table) -> dict[int, list[dict[str, object]]]:
    """Rows by bucket as they are to be listed: class by class, then as in the table."""
    rows = sorted(table.read().to_pylist(), key=lambda row: (row["bucket"], ORDER.index(row["label"])))
    return {bucket: list(group) for bucket, group in groupby(rows, key=lambda row: row["bucket"])}


def test_the_folder_has_exactly_these_files(made: tuple[Table, Path]) -> None:
    table, folder = made
    wanted = {"class_names.txt", "labeled_metadata.json", "all_metadata.json", "training_folder/bucket_indices.json"}
    wanted |= {f"all_metadata/{bucket}.json" for bucket in (0, *BUCKETS)}
    folders = {"laptop": "laptop", "ice cream": "ice_cream", "BACKGROUND": "BACKGROUND"}
    for row in table.read().to_pylist():
        suffix = "png" if int(str(row["uid"])[4:]) % 3 == 2 else "jpg"
        wanted.add(f"labeled_images/{row['bucket']}/{folders[row['label']]}/{row['uid']}.{suffix}")
    for bucket in BUCKETS:
        wanted |= {f"labeled_metadata/{bucket}/{name}.json" for name in folders.values()}
        wanted |= {f"features/{of}/{bucket}/{name}.pth" for name in folders.values() for of in ("clip", "moco")}
        wanted |= {f"training_folder/features/{of}/{bucket}/all.pth" for of in ("clip", "moco")}
        wanted.add(f"training_folder/filelists/{bucket}/all.txt")
        ratio = f"training_folder/testset_ratio_0.3/split_{{}}/{bucket}"
        sides = ("train.txt", "test.txt", "train_indices.json", "test_indices.json")
        wanted |= {f"{ratio.format(split)}/{name}" for split in (0, 1) for name in sides}
        wanted.add(f"metadata/{bucket}.parquet")
    wanted |= {f"features/{of}/features.json" for of in ("clip", "moco")}
    for side in ("train", "test"):
        wanted |= {f"{side}/class_names.txt", f"{side}/labeled_metadata.json"}
        wanted |= {f"{side}/features/{of}/features.json" for of in ("clip", "moco")}
        wanted |= {
            f"{side}/{name}"
            for name in wanted
            if name.startswith(("labeled_metadata/", "features/")) and name.count("/") > 1
        }
    every_release = {
        "README.md",
        "CITATION.cff",
        "croissant.json",
        "datasheet.md",
        "funnel.md",
        "recipe.yaml",
        "release.json",
        "statistics.json",
        "table.json",
    }
    every_release |= {"ATTRIBUTION.csv", "domain_by_class.csv"}
    found = {name for name in files_of(folder) if not name.startswith(("states/", "figures/", "lineage/"))}
    assert found == wanted | every_release
    assert "lineage/all/table.json" in files_of(folder)


def test_class_names_are_by_the_alphabet_and_nothing_follows_the_last(made: tuple[Table, Path]) -> None:
    assert (made[1] / "class_names.txt").read_bytes() == b"BACKGROUND\nice cream\nlaptop"


def test_lists_make_a_benchmark_of_images(made: tuple[Table, Path]) -> None:
    table, folder = made
    root = Path(str(table.image_root))
    everything = benchmark_of_images(folder, "all")
    assert len(everything) == 3
    for samples, rows in zip(everything, _listed(table).values(), strict=True):
        assert [label for _, label in samples] == [ORDER.index(str(row["label"])) for row in rows]
        for (path, _), row in zip(samples, rows, strict=True):
            assert (folder / path).read_bytes() == (root / str(row["image_path"])).read_bytes()
    for seed in (0, 1):
        sides = {side: benchmark_of_images(folder, side, seed) for side in ("train", "test")}
        for number, rows in enumerate(_listed(table).values()):
            for side, found in sides.items():
                chosen = [row[f"split_{seed}"] == side for row in rows]
                assert found[number] == [pair for pair, is_in in zip(everything[number], chosen, strict=True) if is_in]


def test_tensors_make_a_benchmark_of_features(made: tuple[Table, Path]) -> None:
    table, folder = made
    for feature in ("clip", "moco"):
        for side in ("all", "train", "test"):
            seed = None if side == "all" else 1
            found = benchmark_of_tensors(folder, feature, side, seed)
            for (tensors, targets), rows in zip(found, _listed(table).values(), strict=True):
                kept = [row for row in rows if side in ("all", row["split_1"])]
                assert targets == [ORDER.index(str(row["label"])) for row in kept]
                assert str(tensors.dtype) == "torch.float32"
                assert np.array_equal(tensors.numpy(), np.array([row[feature] for row in kept], np.float32))


def test_features_of_a_class_are_tensors_by_id(made: tuple[Table, Path]) -> None:
    import torch

    table, folder = made
    index = json.loads((folder / "features" / "moco" / "features.json").read_text())
    vectors = {row["uid"]: row["moco"] for row in table.read(["uid", "moco"]).to_pylist()}
    seen = []
    for classes in index.values():
        assert sorted(classes) == ORDER
        for path in classes.values():
            tensors = torch.load(folder / path, weights_only=True)
            seen += list(tensors)
            assert all(tensors[key].tolist() == vectors[key] for key in tensors)
    assert sorted(seen) == sorted(vectors)


def test_metadata_leads_to_images_and_has_every_column(made: tuple[Table, Path]) -> None:
    table, folder = made
    rows = {row["uid"]: row for row in table.read().to_pylist()}
    found = by_metadata(folder)
    assert sorted(key for _, key, _, _ in found) == sorted(rows)
    for bucket, key, image, index in found:
        assert (bucket, ORDER[index]) == (rows[key]["bucket"], rows[key]["label"])
        assert (folder / image).is_file()
    one = json.loads((folder / "labeled_metadata/1/ice_cream.json").read_text(encoding="utf-8"))["row-0007"]
    assert one["ID"] == "row-0007"
    assert one["IMG_PATH"] == "labeled_images/1/ice_cream/row-0007.jpg"
    assert (one["EXT"], one["IMG_OR_VIDEO"], one["DATE_UPLOADED"]) == ("jpg", 0, 1_200_000_007)
    assert (one["DATE_TAKEN"], one["taken_at"]) == ("2008-06-08 11:13:23.0", "1970-03-23 00:26:40.000000Z")
    assert one["NICKNAME"] == 'Zoë, "7"'
    assert one["LAT"] is None
    assert one["tags"] == ["a"]
    assert {"label", "bucket", "similarity", "split_0", "continent", "license", "DOWNLOAD_URL"} <= set(one)


def test_metadata_of_the_whole_stream_is_by_bucket_with_the_one_to_pretrain_on(made: tuple[Table, Path]) -> None:
    table, folder = made
    index = json.loads((folder / "all_metadata.json").read_text())
    assert list(index) == ["0", "1", "2", "10"]
    found = {bucket: json.loads((folder / path).read_text(encoding="utf-8")) for bucket, path in index.items()}
    sizes = Counter(table.read(["bucket"])["bucket"].to_pylist())
    assert {int(bucket): len(rows) for bucket, rows in found.items()} == {0: 20, **sizes}
    assert set(found["0"]) == {f"more-{number}" for number in range(20)}
    assert "`all_metadata/0.json`: metadata of 20 images" in (folder / "README.md").read_text(encoding="utf-8")
    lines = (folder / "all_metadata/0.json").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 22  # an entry is a line
    assert json.loads("{" + lines[1].removesuffix(",") + "}")["more-0"]["ID"] == "more-0"


def test_the_rows_of_a_bucket_are_in_the_order_of_its_list(made: tuple[Table, Path]) -> None:
    table, folder = made
    for bucket, rows in _listed(table).items():
        found = pq.read_table(folder / f"metadata/{bucket}.parquet").to_pylist()
        assert [row["uid"] for row in found] == [row["uid"] for row in rows]
        lines = (folder / f"training_folder/filelists/{bucket}/all.txt").read_text().splitlines()
        assert [f"{row['file_name']} {row['class_id']}" for row in found] == lines
        assert "clip" not in found[0]


def test_it_verifies_and_others_read_it(made: tuple[Table, Path], tmp_path: Path) -> None:
    import mlcroissant
    from datasets import load_dataset

    folder = made[1]
    found = verify(folder, full=True)
    assert found.ok, found.words
    dataset = load_dataset(str(folder), cache_dir=str(tmp_path))
    assert list(dataset) == ["bucket_1", "bucket_2", "bucket_10"]
    assert dataset["bucket_1"].features["class_id"].names == ORDER
    croissant = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert not croissant.metadata.ctx.issues.warnings
    assert len(list(croissant.records("rows"))) == 63
    assert len(list(croissant.records("jpg_images"))) == 42


def test_the_card_shows_classes_by_bucket_in_the_order_of_time(made: tuple[Table, Path]) -> None:
    text = (made[1] / "README.md").read_text(encoding="utf-8")
    assert "| class | 1 | 2 | 10 | rows |" in text
    assert "Avalanche makes benchmarks from `training_folder`" in text
    assert "3 domains" in text


def test_the_same_table_gives_the_same_bytes(made: tuple[Table, Path], tmp_path: Path) -> None:
    table, folder = made
    Clear(unlabelled="all").write(table, tmp_path / "again", ABOUT)
    assert (tmp_path / "again" / "SHA256SUMS").read_bytes() == (folder / "SHA256SUMS").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name != "again"]


def test_avalanche_stands_alone(made: tuple[Table, Path], tmp_path: Path) -> None:
    table, folder = made
    Avalanche(features={"moco_b0": "moco"}).write(table, tmp_path / "out", ABOUT)
    out = tmp_path / "out"
    tops = {name.partition("/")[0] for name in files_of(out) if not name.startswith(("figures", "states"))}
    data = {"class_names.txt", "labeled_images", "training_folder", "metadata", "train", "test"}
    assert data <= tops
    assert not {"labeled_metadata", "all_metadata", "features"} & tops
    assert benchmark_of_images(out, "train", 0) == benchmark_of_images(folder, "train", 0)
    (tensors, targets), *_ = benchmark_of_tensors(out, "moco_b0", "all")
    assert tuple(tensors.shape) == (len(targets), 5)
    assert not (out / "training_folder/features/clip").exists()
    assert verify(out, full=True).ok


def test_lists_without_images_have_the_paths_of_the_pool(made: tuple[Table, Path], tmp_path: Path) -> None:
    Avalanche(images="none", features=[], splits=[], figures=False).write(made[0], tmp_path / "out", About())  # type: ignore[arg-type]
    first = (tmp_path / "out/training_folder/filelists/2/all.txt").read_text().splitlines()[0]
    assert first == "0/8.jpg 0"
    assert not list(tmp_path.rglob("*.jpg"))
    assert not list(tmp_path.rglob("*.pth"))
    assert not (tmp_path / "out/training_folder/testset_ratio_0.3").exists()
    found = verify(tmp_path / "out")
    assert found.ok, found.words


def test_a_class_that_a_bucket_lacks_has_empty_files(tmp_path: Path) -> None:
    import torch

    def without(rows: pa.Table) -> pa.Table:
        keep = [not (row["bucket"] == 2 and row["label"] == "laptop") for row in rows.to_pylist()]
        return rows.filter(pa.array(keep))

    table = stream_table(tmp_path, 40, without)
    Clear(figures=False, testset_ratio=0.3).write(table, tmp_path / "out", About())
    assert json.loads((tmp_path / "out/labeled_metadata/2/laptop.json").read_text()) == {}
    assert torch.load(tmp_path / "out/features/clip/2/laptop.pth", weights_only=True) == {}
    assert len(by_metadata(tmp_path / "out")) == len(table.read(["uid"]))
    assert verify(tmp_path / "out", full=True).ok


def test_names_that_lead_elsewhere_or_fall_together_are_told_apart(tmp_path: Path) -> None:
    def odd(rows: pa.Table) -> pa.Table:
        labels = ["../a", "A b", "a_b", "nul", "x/y", "a  b"]
        rows = rows.set_column(rows.schema.get_field_index("label"), "label", pa.array(labels))
        uids = ["../1", "a b", "a_b", "1.jpg", "1.png", "\n"]
        return rows.set_column(0, "uid", pa.array(uids))

    Clear(figures=False, splits=()).write(stream_table(tmp_path, 6, odd), tmp_path / "out", About())
    samples = [sample for samples in benchmark_of_images(tmp_path / "out", "all") for sample in samples]
    assert len({path.casefold() for path, _ in samples}) == 6
    assert all((tmp_path / "out" / path).resolve().is_relative_to(tmp_path / "out") for path, _ in samples)
    assert len(by_metadata(tmp_path / "out")) == 6
    found = verify(tmp_path / "out", full=True)
    assert found.ok, found.words


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("bucket", [1, None, 2], "'row-0001' has no bucket, as 'bucket' is null.*`where: bucket is not null`"),
        ("label", ["a", "b", None], "'row-0002' has no class, as 'label' is null"),
        ("split_1", ["train", "test", None], "'row-0002' has no side, as 'split_1' is null"),
        ("split_0", ["train", "val", "test"], "'split_0' is 'val' for uid 'row-0001'; layouts of streams know"),
        ("split_0", ["train", "test", "test"], r"66.7% of the rows are 'test' in 'split_0'.*`testset_ratio: 0.67`"),
    ],
)
def test_rows_that_have_no_place_are_refused(tmp_path: Path, column: str, values: list[object], words: str) -> None:
    def changed(rows: pa.Table) -> pa.Table:
        good = {"split_0": ["train", "test", "train"], "split_1": ["train", "test", "train"], column: values}
        for name, given in good.items():
            rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(given))
        return rows

    table = stream_table(tmp_path, 3, changed)
    with pytest.raises(ReleaseError, match=words):
        Clear(figures=False, testset_ratio=0.33).write(table, tmp_path / "out", About())
    assert not (tmp_path / "out").exists()


def test_white_space_in_a_path_of_the_pool_is_refused(tmp_path: Path) -> None:
    def spaced(rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index("image_path")
        return rows.set_column(index, "image_path", pa.array(["a/1.jpg", "my photos/2.jpg"]))

    table = stream_table(tmp_path, 2, spaced)
    with pytest.raises(ReleaseError, match=r"'my photos/2\.jpg' of uid 'row-0001' has white space.*images: copy"):
        Avalanche(images="none", splits=(), figures=False).write(table, tmp_path / "out", About())


def test_what_cannot_be_a_stream_is_found_before_anything_runs(
    made: tuple[Table, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = made[0].schema
    Clear(unlabelled="all").check(schema)
    Clear(unlabelled="all").check_tables({"all": schema})
    assert Clear().split_columns(schema) == ("split_0", "split_1")
    with pytest.raises(StepError, match="did you mean 'bucket'"):
        Clear(domain="buckets").check(schema)
    with pytest.raises(StepError, match=r"'features' names 'label', which has type dictionary.*features are vectors"):
        Clear(features={"x": "label"}).check(schema)
    with pytest.raises(StepError, match="'splits' names 'bucket', which has type int32; it must be text"):
        Clear(splits=("bucket",)).check(schema)
    with pytest.raises(StepError, match="'class_id', which the table already has"):
        Avalanche().check(schema.append(pa.field("class_id", pa.int64())))
    with pytest.raises(StepError, match="has a key 'ID' of its own"):
        Clear().check(schema.append(pa.field("ID", pa.int64())))
    with pytest.raises(StepError, match="'unlabelled' names the table 'all', which has no column 'bucket'"):
        Clear().check_tables({"all": schema.remove(schema.get_field_index("bucket"))})
    monkeypatch.setattr("poolwright.release.layouts.streams.stream_layout.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"features: \[\] leaves them out.*poolwright\[torch\]"):
        Clear().check(schema)
    Clear(features={}).check(schema)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("class", "all.txt' differs from the metadata: line 1 is 'labeled_images"),
        ("gone", "train.txt' differs from the metadata"),
        ("indices", "test_indices.json' does not have the rows of 'test'"),
        ("names", "'class_names.txt' does not have the 3 names"),
        ("buckets", "bucket_indices.json' does not name the buckets 1, 2, 10"),
        ("image", "is missing"),
        ("metadata", "'labeled_metadata/2/laptop.json' does not have the"),
        ("tensor", "all.pth' does not have the"),
    ],
)
def test_verify_finds_what_does_not_agree_though_checksums_were_made_anew(
    made: tuple[Table, Path], tmp_path: Path, damage: str, words: str
) -> None:
    import torch

    out = tmp_path / "out"
    shutil.copytree(made[1], out)
    lists, split = out / "training_folder/filelists/2/all.txt", out / "training_folder/testset_ratio_0.3/split_1/2"
    lines = lists.read_text().splitlines(keepends=True)
    if damage == "class":
        lists.write_text("".join([lines[0].replace(" 0\n", " 2\n"), *lines[1:]]))
    elif damage == "gone":
        (split / "train.txt").write_text("".join((split / "train.txt").read_text().splitlines(keepends=True)[1:]))
    elif damage == "indices":
        (split / "test_indices.json").write_text("[0]")
    elif damage == "names":
        (out / "class_names.txt").write_text("BACKGROUND\nlaptop\nice cream")
    elif damage == "buckets":
        (out / "training_folder/bucket_indices.json").write_text('["1", "10", "2"]')
    elif damage == "image":
        (out / lines[0].split()[0]).unlink()
    elif damage == "metadata":
        (out / "labeled_metadata/2/laptop.json").write_text("{}")
    else:
        tensor, kinds = torch.load(out / "training_folder/features/moco/2/all.pth")
        torch.save((tensor[1:], kinds[1:]), out / "training_folder/features/moco/2/all.pth")
    write_sums(out, {})
    failed = {check.name: check.words for check in verify(out).failed}
    assert words in failed["stream"]


def test_sha256_of_every_image_is_in_the_metadata(made: tuple[Table, Path]) -> None:
    for row in pq.read_table(made[1] / "metadata/2.parquet", columns=["file_name", "sha256"]).to_pylist():
        assert hashlib.sha256((made[1] / row["file_name"]).read_bytes()).hexdigest() == row["sha256"]
