"""The DomainNet layout: lists that loaders of DomainNet read, and everything agrees with them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import verify
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.table import Table
from poolwright.release.checksums import write_sums
from poolwright.release.layouts.domainnet import DomainNet
from poolwright.release.layouts.layout import About
from tests.release.build import pictures, toy_rows, write_table
from tests.release.conftest import ABOUT

CONTINENTS = ("North America", "Africa", "Asia")
CLASSES = (("zebra", 7), ("crane", 3), ("crane", 9), ("aircraft carrier", 5))


def _table(folder: Path, count: int = 48, splits: bool = True, **columns: Any) -> Table:
    rows = toy_rows(count)
    made = {
        "continent": pa.array([CONTINENTS[at % 3] for at in range(count)]).dictionary_encode(),
        "label": pa.array([CLASSES[at % 4][0] for at in range(count)]),
        "label_index": pa.array([CLASSES[at % 4][1] for at in range(count)], pa.int32()),
        "split": pa.array(["train" if at % 5 else "test" for at in range(count)]),
        **{name: pa.array(values) for name, values in columns.items()},
    }
    for name, values in made.items():
        index = rows.schema.get_field_index(name)
        rows = rows.append_column(name, values) if index < 0 else rows.set_column(index, name, values)
    rows = rows if splits else rows.drop_columns(["split"])
    pictures(folder / "images", toy_rows(count).column("image_path").to_pylist())
    return write_table(folder / "tables" / "toy", rows, cuts=(20,) if count > 20 else (), image_root=folder / "images")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path]:
    """A table of three domains and four classes, two of one name, and its release; do not change it."""
    root = tmp_path_factory.mktemp("domainnet")
    table = _table(root)
    DomainNet().write(table, root / "out", ABOUT)
    return table, root / "out"


def _domainnet(root: Path, domains: list[str], split: str) -> list[tuple[str, int, int]]:
    """Image path, class and domain of each item, read as loaders of DomainNet do."""
    items = []
    for number, domain in enumerate(domains):
        for line in (root / "domain_net" / f"{domain}_{split}.txt").open():
            path, label = line.split()
            items.append((path, int(label), number))
    return items


def test_a_loader_of_domainnet_reads_images_classes_and_domains(made: tuple[Table, Path]) -> None:
    table, folder = made
    domains = (folder / "domains.txt").read_text().splitlines()
    assert domains == ["africa", "asia", "north_america"]
    rows = table.read().to_pylist()
    root = Path(str(table.record.image_root))
    found = {}
    for split in ("train", "test"):
        for path, label, domain in _domainnet(folder, domains, split):
            found[hashlib.sha256((folder / "domain_net" / path).read_bytes()).hexdigest()] = (label, domain, split)
    assert len(found) == len(rows)
    order = sorted(set(CLASSES))
    for row in rows:
        label, domain, split = found[hashlib.sha256((root / row["image_path"]).read_bytes()).hexdigest()]
        assert order[label] == (row["label"], row["label_index"])
        assert domain == sorted(CONTINENTS).index(row["continent"])
        assert split == row["split"]


def test_paths_are_in_lower_case_and_name_domain_class_and_uid(made: tuple[Table, Path]) -> None:
    _, folder = made
    first = (folder / "domain_net/north_america_train.txt").read_text(encoding="utf-8").splitlines()[0]
    assert first == "north_america/aircraft_carrier/row-0003.jpg 0"
    assert (
        (folder / "domain_net/north_america_test.txt").read_bytes().startswith(b"north_america/zebra/row-0000.jpg 3\n")
    )


def test_the_folder_that_loaders_are_pointed_to_has_the_domains_alone(made: tuple[Table, Path]) -> None:
    _, folder = made
    assert {path.name for path in (folder / "domain_net").iterdir() if path.is_dir()} == {
        "africa",
        "asia",
        "north_america",
    }
    assert "`domain_net`" in (folder / "README.md").read_text()


def test_two_classes_of_one_name_stay_two(made: tuple[Table, Path]) -> None:
    _, folder = made
    assert (folder / "class_names.txt").read_text() == "aircraft carrier\ncrane (3)\ncrane (9)\nzebra\n"
    assert {path.name for path in (folder / "domain_net/asia").iterdir()} == {
        "aircraft_carrier",
        "crane_(3)",
        "crane_(9)",
        "zebra",
    }


def test_the_release_verifies_and_load_dataset_reads_its_rows(made: tuple[Table, Path], tmp_path: Path) -> None:
    from datasets import load_dataset

    table, folder = made
    found = verify(folder, full=True)
    assert found.ok, found.words
    assert {check.name: check.words for check in found.checks}["lists"].startswith("48 lines in 6 lists")
    dataset = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: part.num_rows for name, part in dataset.items()} == dict(Counter(table.read()["split"].to_pylist()))
    features = dataset["train"].features
    assert features["class_id"].names == ["aircraft carrier", "crane (3)", "crane (9)", "zebra"]
    row = dataset["train"][0]
    assert hashlib.sha256((folder / "domain_net" / row["file_name"]).read_bytes()).hexdigest() == row["sha256"]
    assert {"uid", "url", "clip", "label_index"} <= set(features)


def test_mlcroissant_reads_rows_and_images(made: tuple[Table, Path]) -> None:
    import mlcroissant

    _, folder = made
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.warnings
    assert len(list(dataset.records("rows"))) == 48
    paths = [record["png_images/path"].decode() for record in dataset.records("png_images")]
    assert len(paths) == 16
    assert all((folder / path).is_file() for path in paths)
    assert not [path for path in paths if path.startswith("figures")]


def test_the_same_table_gives_the_same_bytes(made: tuple[Table, Path], tmp_path: Path) -> None:
    table, folder = made
    DomainNet().write(table, tmp_path / "again", ABOUT)
    assert (tmp_path / "again" / "SHA256SUMS").read_bytes() == (folder / "SHA256SUMS").read_bytes()
    assert not DomainNet().write(table, tmp_path / "again", ABOUT).fresh


def test_without_images_the_lists_have_the_paths_of_the_pool(made: tuple[Table, Path], tmp_path: Path) -> None:
    table, _ = made
    layout = DomainNet(images="none", figures=False, index="label_index")
    layout.write(table, tmp_path / "out", About())
    lines = (tmp_path / "out" / "domain_net/africa_train.txt").read_text().splitlines()
    assert lines[0] == "0/1.jpg 1"
    assert not list(tmp_path.rglob("*.jpg"))
    assert json.loads((tmp_path / "out" / "release.json").read_text())["images"] is None
    found = verify(tmp_path / "out")
    assert found.ok, found.words


def test_white_space_in_a_path_of_the_pool_is_refused_with_its_row(tmp_path: Path) -> None:
    table = _table(tmp_path, 2, image_path=["a/1.jpg", "my photos/2.jpg"])
    with pytest.raises(ReleaseError, match=r"'my photos/2\.jpg' of uid 'row-0001' has white space.*images: copy"):
        DomainNet(images="none", figures=False).write(table, tmp_path / "out", About())
    assert not (tmp_path / "out").exists()


def test_no_path_has_white_space_or_leads_elsewhere(tmp_path: Path) -> None:
    labels = ["a b", "a  b", "A B", "..", "x/y", "\u00e9\u2003\u00e9", " ", "Bernard's \u72ac"]
    uids = ["../e", "a b", "a_b", "a\u00a0b.jpg", "A B", "nul", "\n", "\u72ac 1.png"]
    continents = ["Metadata", "metadata", "N A", "n_a", "figures", "README.md", "..", "\u4e9a \u6d32"]
    table = _table(
        tmp_path,
        8,
        uid=uids,
        label=labels,
        continent=continents,
        label_index=list(range(8)),
    )
    DomainNet(figures=False).write(table, tmp_path / "out", About())
    domains = (tmp_path / "out" / "domains.txt").read_text(encoding="utf-8").split("\n")[:-1]
    items = [item for split in ("train", "test") for item in _domainnet(tmp_path / "out", domains, split)]
    assert len({path.casefold() for path, _, _ in items}) == 8
    assert sorted(label for _, label, _ in items) == list(range(8))
    for path, _, _ in items:
        assert (tmp_path / "out/domain_net" / path).resolve().is_relative_to((tmp_path / "out/domain_net").resolve())
        assert path.count("/") == 2
    found = verify(tmp_path / "out", full=True)
    assert found.ok, found.words


def test_every_domain_has_a_list_in_every_split(tmp_path: Path) -> None:
    table = _table(tmp_path, 6, split=["train", "train", "val", "train", "train", "val"])
    DomainNet(figures=False).write(table, tmp_path / "out", About())
    lists = {path.name: len(path.read_text().splitlines()) for path in (tmp_path / "out/domain_net").glob("*_*.txt")}
    assert lists == {
        "africa_train.txt": 2,
        "africa_val.txt": 0,
        "asia_train.txt": 0,
        "asia_val.txt": 2,
        "north_america_train.txt": 2,
        "north_america_val.txt": 0,
    }
    assert verify(tmp_path / "out").ok


def test_a_table_without_splits_is_all_train(tmp_path: Path) -> None:
    DomainNet(figures=False).write(_table(tmp_path, 6, splits=False), tmp_path / "out", About())
    assert sorted(path.name for path in (tmp_path / "out/domain_net").glob("*_*.txt")) == [
        "africa_train.txt",
        "asia_train.txt",
        "north_america_train.txt",
    ]


@pytest.mark.parametrize(("column", "words"), [("continent", "domain"), ("label", "class")])
def test_a_row_without_domain_or_class_is_refused_before_anything_is_written(
    tmp_path: Path, column: str, words: str
) -> None:
    table = _table(tmp_path, 3, **{column: ["Asia", None, "Asia"]})
    with pytest.raises(ReleaseError, match=rf"'row-0001' has no {words}.*`where: {column} is not null`"):
        DomainNet(figures=False).write(table, tmp_path / "out", About())


def test_what_cannot_be_lists_is_found_before_anything_runs(made: tuple[Table, Path]) -> None:
    schema = made[0].schema
    DomainNet().check(schema)
    with pytest.raises(StepError, match="did you mean 'continent'"):
        DomainNet(domain="continents").check(schema)
    with pytest.raises(StepError, match="a column of integers"):
        DomainNet(index="label").check(schema)
    with pytest.raises(StepError, match="'class_id', which the table already has"):
        DomainNet().check(schema.append(pa.field("class_id", pa.int64())))
    without = schema.remove(schema.get_field_index("image_path"))
    with pytest.raises(StepError, match="neither 'image' nor 'image_path'"):
        DomainNet().check(without)
    with pytest.raises(StepError, match="'image_path'"):
        DomainNet(images="none").check(without)


def test_a_class_number_with_two_names_is_refused(tmp_path: Path) -> None:
    table = _table(tmp_path, 3, label=["a", "b", "c"], label_index=[1, 2, 1])
    with pytest.raises(ReleaseError, match="class 1 of 'label_index' has two names in 'label', 'a' and 'c'"):
        DomainNet(figures=False).write(table, tmp_path / "out", About())


@pytest.mark.parametrize("damage", ["class", "gone", "twice", "order", "image", "names"])
def test_verify_finds_lists_that_do_not_agree(made: tuple[Table, Path], tmp_path: Path, damage: str) -> None:
    DomainNet(figures=False).write(made[0], tmp_path / "out", About())
    path = tmp_path / "out" / "domain_net/africa_train.txt"
    lines = path.read_text().splitlines(keepends=True)
    if damage == "class":
        lines[2] = lines[2].replace(lines[2].split()[1], "9")
    elif damage == "gone":
        del lines[1]
    elif damage == "twice":
        lines.append(lines[0])
    elif damage == "order":
        lines[0], lines[1] = lines[1], lines[0]
    elif damage == "image":
        (tmp_path / "out/domain_net" / lines[0].split()[0]).unlink()
    else:
        (tmp_path / "out" / "class_names.txt").write_text("a\nb\nc\nd\n")
    path.write_text("".join(lines))
    write_sums(tmp_path / "out", {})
    assert "lists" in {check.name for check in verify(tmp_path / "out").failed}


def test_nothing_is_lost_in_the_metadata(made: tuple[Table, Path]) -> None:
    table, folder = made
    wanted = table.read().to_pylist()
    rows = [
        row for split in ("train", "test") for row in pq.read_table(folder / f"metadata/{split}.parquet").to_pylist()
    ]
    assert sorted(row["uid"] for row in rows) == sorted(row["uid"] for row in wanted)
    known = {row["uid"]: row for row in wanted}
    for row in rows:
        assert all(known[row["uid"]][name] == value for name, value in row.items() if name in known[row["uid"]])
