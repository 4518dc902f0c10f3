"""Datasets that `datasets` wrote, or that are laid out as it reads them: our rows are its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from poolwright import api
from poolwright.core.columns import classes_of
from poolwright.core.errors import RecipeError
from poolwright.core.images.image_files import read_bytes
from poolwright.pools.huggingface.data_files import inferred, kind_of
from poolwright.pools.huggingface.huggingface import HuggingFacePool
from tests.calling import call
from tests.models.making import encoded, picture
from tests.pools.reading import column, read_all

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

NAMES = ["wren", "auk", "owl"]
"""Names of classes, in an order of their own."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / ".cache"))


def birds(first: int, rows: int) -> Any:
    """Rows as a user of `datasets` makes them: with pictures, classes, lists."""
    numbers = range(first, first + rows)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=NAMES),
            "caption": datasets.Value("string"),
            "boxes": datasets.List(datasets.Value("float32")),
        }
    )
    values = {
        "image": [picture(number, 20, 16) for number in numbers],
        "label": [number % 3 for number in numbers],
        "caption": [f"bird {number}" for number in numbers],
        "boxes": [[0.5] * (number % 3) for number in numbers],
    }
    return datasets.Dataset.from_dict(values, features)


def write_shards(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    for shard in range(2):
        birds(shard * 5, 5).to_parquet(folder / f"data/train-0000{shard}-of-00002.parquet", batch_size=2)
    birds(20, 3).to_parquet(folder / "data/test-00000-of-00001.parquet")


CARD = """\
---
license: cc0-1.0
configs:
- config_name: small
  default: true
  data_files:
  - split: train
    path: [s/one.parquet, s/tw*.parquet]
  - split: held
    path: s/held/**
- config_name: large
  data_dir: l
---
# Birds
"""


def write_configs(folder: Path) -> None:
    for name in ("s/one", "s/two", "s/held/x", "l/train", "l/valid", "other/left"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        birds(len(name), 3).to_parquet(folder / f"{name}.parquet")
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def write_saved(folder: Path) -> None:
    datasets.DatasetDict({"train": birds(0, 5), "test": birds(9, 2)}).save_to_disk(folder)


def write_folders(folder: Path) -> None:
    for number in range(8):
        file = folder / ("train" if number % 4 else "test") / NAMES[number % 3] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(picture(number, 12, 9), "PNG"))


def write_metadata(folder: Path) -> None:
    for split in ("train", "validation"):
        (folder / split / "pictures").mkdir(parents=True)
        lines = []
        for number in range(3):
            for name, seed in ((f"pictures/{number}.png", number), (f"mask {number}.png", number + 50)):
                (folder / split / name).write_bytes(encoded(picture(seed, 12, 9), "PNG"))
            masks = {"mask_file_name": f"mask {number}.png", "score": number / 2}
            lines.append(json.dumps({"file_name": f"pictures/{number}.png", "caption": f"{split} {number}", **masks}))
        (folder / split / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def theirs(folder: Path, config: str | None = None, column: str = "image") -> list[tuple[Any, ...]]:
    """Split, bytes of the picture, class and caption of each row, by `datasets`."""
    if (folder / "dataset_dict.json").exists():
        loaded = datasets.load_from_disk(folder)
    else:
        loaded = datasets.load_dataset(str(folder), config)
    found = []
    for split, rows in loaded.items():
        names = rows.features["label"].names if "label" in rows.features else None
        for row in rows.cast_column(column, datasets.Image(decode=False)):
            data = row[column]["bytes"] or Path(row[column]["path"]).read_bytes()
            found.append((split, data, names and names[row["label"]], row.get("caption"), row.get("boxes")))
    return found


def ours(pool: HuggingFacePool) -> list[tuple[Any, ...]]:
    found = []
    for row in read_all(pool).to_pylist():
        data = row["image"] if "image" in row else read_bytes(pool.image_root(), row["image_path"])
        found.append((row["split"], data, row.get("label"), row.get("caption"), row.get("boxes")))
    return found


@pytest.mark.parametrize("write", [write_shards, write_saved, write_folders, write_metadata])
def test_rows_are_those_of_datasets(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "birds")
    pool = HuggingFacePool(path=str(tmp_path / "birds"))
    found = ours(pool)
    assert len(found) >= 6
    # Their order of splits is that of names if files are images.
    assert sorted(found, key=lambda row: row[0]) == sorted(theirs(tmp_path / "birds"), key=lambda row: row[0])
    uids = column(pool, "uid")
    assert len(set(uids)) == len(uids)
    assert set(column(pool, "config")) == {"default"}


def test_configs_and_splits_are_those_of_the_card(tmp_path: Path) -> None:
    write_configs(tmp_path / "birds")
    pool = HuggingFacePool(path=str(tmp_path / "birds"))
    assert ours(pool) == theirs(tmp_path / "birds", "small") + theirs(tmp_path / "birds", "large")
    configs, splits = column(pool, "config"), column(pool, "split")
    assert list(dict.fromkeys(zip(configs, splits, strict=True))) == [
        ("small", "train"),
        ("small", "held"),
        ("large", "train"),
        ("large", "validation"),
    ]
    assert column(pool, "uid")[:2] == ["s/one:0", "s/one:1"]
    assert pool.remarks() == ["1 other files of the folder are not read: 1 .parquet"]
    some = HuggingFacePool(path=str(tmp_path / "birds"), configs=["large"], splits=["validation"], keep=["split"])
    assert read_all(some).to_pylist() == [{"uid": f"l/valid:{row}", "split": "validation"} for row in range(3)]


def test_another_picture_is_chosen(tmp_path: Path) -> None:
    write_metadata(tmp_path / "birds")
    pool = HuggingFacePool(path=str(tmp_path / "birds"), image="mask")
    assert [row[1] for row in ours(pool)] == [row[1] for row in theirs(tmp_path / "birds", column="mask")]
    (tmp_path / "two").mkdir()
    values = {"front": birds(0, 3)["image"][:], "back": birds(5, 3)["image"][:]}
    features = datasets.Features({"front": datasets.Image(), "back": datasets.Image()})
    datasets.Dataset.from_dict(values, features).to_parquet(tmp_path / "two" / "train.parquet")
    with pytest.raises(RecipeError, match=r"front, back; choose one with 'image: front'"):
        HuggingFacePool(path=str(tmp_path / "two")).arrow_schema()
    with pytest.raises(RecipeError, match=r"no column 'bakc' of images; did you mean 'back'"):
        HuggingFacePool(path=str(tmp_path / "two"), image="bakc").arrow_schema()
    chosen = HuggingFacePool(path=str(tmp_path / "two"), image="back")
    assert column(chosen, "image") == [row["bytes"] for row in pq.read_table(tmp_path / "two")["back"].to_pylist()]
    assert "front" not in chosen.arrow_schema().names
    assert chosen.remarks() == ["columns of media that are not read: front; 'image' names the one to read"]
    assert "front" in HuggingFacePool(path=str(tmp_path / "two"), image="back", keep=["front"]).arrow_schema().names


def test_pictures_by_path_alone_are_read_below_images(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "1.png").write_bytes(encoded(picture(1, 9, 9), "PNG"))
    images = pa.array([{"bytes": None, "path": "1.png"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    (tmp_path / "birds").mkdir()
    pq.write_table(pa.table({"photo": images}), tmp_path / "birds" / "x.parquet")
    pool = HuggingFacePool(path=str(tmp_path / "birds"), images=str(tmp_path / "files"))
    assert column(pool, "image") == [(tmp_path / "files" / "1.png").read_bytes()]


@pytest.mark.parametrize("values", [[2, 0, 1], ["owl", "wren", "1"]])
def test_names_of_classes_come_from_the_card(values: list[Any], tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("label\n" + "".join(f"{value}\n" for value in values))
    names = "".join(f"          '{number}': {name}\n" for number, name in enumerate(NAMES))
    card = f"dataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n{names}"
    (tmp_path / "README.md").write_text(f"---\n{card}---\n")
    pool = HuggingFacePool(path=str(tmp_path))
    assert column(pool, "label") == ["owl", "wren", "auk"]
    assert classes_of(pool.arrow_schema().field("label")) == tuple(NAMES)


def test_a_folder_of_the_hubs_cache_is_its_newest_snapshot(tmp_path: Path) -> None:
    cache = tmp_path / "datasets--u--birds"
    write_shards(cache / "snapshots" / "abc")
    blobs = cache / "blobs"
    blobs.mkdir()
    for file in (cache / "snapshots" / "abc" / "data").iterdir():
        file.rename(blobs / file.name)
        file.symlink_to(blobs / file.name)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\npools: {p: {read: huggingface, path: datasets--u--birds}}\n"
        "tables: {t: {from: p, steps: [where: \"label = 'auk'\", keep_columns: [label, split]]}}\n"
    )
    called = call("run", "r.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    assert "4 of 13 rows kept" in called.out


def rewrite(folder: Path, path: str, text: str) -> None:
    (folder / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("README.md", "---\nconfigs: {a: b}\n---\n", "'configs' is a list of mappings with 'config_name'"),
        ("README.md", "---\nconfigs: [\n---\n", "README.md:2: not valid YAML"),
        ("README.md", "---\nconfigs: [{config_name: a, data_files: none*}]\n---\n", "no file matches 'none*'"),
        ("README.md", "---\nconfigs: [{config_name: a, data_files: 3}]\n---\n", "'data_files' is a path, a list of"),
        ("README.md", "---\nconfigs: [{config_name: a, data_files: ../x}]\n---\n", "leads out of the repository"),
        ("README.md", "---\nconfigs: [{config_name: a, data_files: '**x'}]\n---\n", "is no pattern of files"),
        (
            "README.md",
            "---\nconfigs: [{config_name: a, data_files: data/*}, {config_name: b, data_dir: data}]\n---\n",
            "is in the configs 'a' and 'b', so its rows would be read twice; choose with 'configs: [a]'",
        ),
        ("data/train-00000-of-00002.parquet", "version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    ],
)
def test_what_cannot_be_read_is_one_error(path: str, text: str, words: str, tmp_path: Path) -> None:
    write_shards(tmp_path / "birds")
    rewrite(tmp_path / "birds", path, text)
    with pytest.raises(RecipeError) as caught:
        HuggingFacePool(path=str(tmp_path / "birds")).arrow_schema()
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_names_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    write_configs(tmp_path / "birds")
    for more, words in (
        ({"configs": ["smal"]}, "no config 'smal'; did you mean 'small'"),
        ({"splits": ["dev"]}, "no split 'dev'; "),
        ({"uid": "id"}, "no column 'id' for the uid"),
    ):
        with pytest.raises(RecipeError, match=words):
            HuggingFacePool(path=str(tmp_path / "birds"), **more).arrow_schema()
    with pytest.raises(RecipeError, match="is a file; read it with 'read: table'"):
        HuggingFacePool(path=str(tmp_path / "birds/README.md")).arrow_schema()


@pytest.mark.parametrize(
    "names",
    [
        ["README.md", "a.csv"],
        ["data/train-00000-of-00001.parquet", "data/odd-00000-of-00001.parquet", "x/test.parquet"],
        ["a/train/x.csv", "a/dev-2/y.csv", "b/testing/z.csv", "loose.csv"],
        ["my-train.csv", "my_training_1.csv", "my.eval.csv", "validation0.csv", "trainer.csv"],
        ["trains/a.csv", "contest/b.csv"],
        ["__pycache__/train.csv", "c.csv"],
    ],
)
def test_splits_without_a_card_are_those_of_datasets(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n1\n")
    from datasets.data_files import DataFilesDict, get_data_patterns

    patterns = get_data_patterns(str(tmp_path))
    wanted = DataFilesDict.from_patterns(patterns, str(tmp_path))
    relative = {
        str(split): [Path(file).relative_to(tmp_path.resolve()).as_posix() for file in dict.fromkeys(files)]
        for split, files in wanted.items()
    }
    assert {split: sorted(files) for split, files in inferred(sorted(names)).items()} == {
        split: sorted(files) for split, files in relative.items()
    }
    assert list(inferred(sorted(names))) == list(relative)


def test_the_kind_is_that_of_most_files() -> None:
    assert kind_of(["a.parquet", "b.csv"], "") == "parquet"
    assert kind_of(["metadata.csv", "1.JPG"], "") == "images"
    assert kind_of(["000.tar", "001.tar"], "") == "tars"
    assert kind_of(["a.jsonl.gz", "b.jsonl.gz", "c.csv"], "") == "jsonl"
    for names, words in ((["a.zip"], "unpack"), (["a.bin"], r"extensions there: \.bin"), (["a"], "none")):
        with pytest.raises(RecipeError, match=words):
            kind_of(names, "here")


def test_numbers_of_classes_stay_when_a_dataset_is_released_again(tmp_path: Path) -> None:
    write_shards(tmp_path / "birds")
    recipe = {
        "recipe": 1,
        "name": "again",
        "pools": {"p": {"read": "huggingface", "path": "birds"}, "back": {"read": "table", "path": "out/one/data"}},
        "tables": {
            "few": {"from": "p", "steps": [{"where": "label <> 'wren'"}]},
            "again": {"from": "back", "steps": [{"rename": {"label": "bird"}}, {"where": "bird = 'owl'"}]},
        },
        "releases": [
            {"table": "few", "layout": "huggingface", "class_label": "label", "to": "out/one", "figures": False}
        ],
    }
    api.run(api.Recipe.from_data({**recipe, "tables": {"few": recipe["tables"]["few"]}}, tmp_path), tmp_path / "run")
    recipe["releases"] = [
        {"table": "again", "layout": "huggingface", "class_label": "bird", "to": "out/two", "figures": False}
    ]
    api.run(
        api.Recipe.from_data({**recipe, "tables": {"again": recipe["tables"]["again"]}}, tmp_path), tmp_path / "two"
    )
    for place, name in (("one", "label"), ("two", "bird")):
        loaded = datasets.load_dataset("parquet", data_files=f"{tmp_path}/out/{place}/data/*.parquet", split="train")
        assert loaded.features[name].names == NAMES
        assert set(loaded[name]) == ({1, 2} if place == "one" else {2})
    assert api.verify(tmp_path / "out/two").ok
    assert all(isinstance(image, Pillow.Image) for image in loaded["image"])


def test_arrow_files_are_tables(tmp_path: Path) -> None:
    from poolwright.pools.table import TablePool

    rows = pa.table({"uid": [str(number) for number in range(10)], "score": pa.array(range(10), pa.int32())})
    with pa.OSFile(str(tmp_path / "stream.arrow"), "wb") as out, pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=3)
    with pa.OSFile(str(tmp_path / "file.feather"), "wb") as out, pa.ipc.new_file(out, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=4)
    for name in ("stream.arrow", "file.feather"):
        assert read_all(TablePool(path=str(tmp_path / name)), batch_rows=2).to_pylist() == rows.to_pylist()
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:-9])
        with pytest.raises(Exception, match="is no Arrow file, or cut off"):
            TablePool(path=str(tmp_path / name)).arrow_schema()
