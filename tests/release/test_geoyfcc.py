"""The GeoYFCC layout: the published columns and files, read as their description tells."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from poolwright import Recipe, verify
from poolwright.core.errors import InputError, RecipeError, ReleaseError, StepError
from poolwright.core.table import Table
from poolwright.release.checksums import write_sums
from poolwright.release.layouts.geoyfcc import GeoYfccLayout
from poolwright.release.layouts.layout import About
from tests.release.build import write_table
from tests.release.conftest import ABOUT

PUBLISHED = [
    "yfcc_row_id",
    "label_ids",
    "in_imagenet21k_label_indices",
    "continent",
    "region",
    "country",
    "country_id",
    "is_train",
    "file_name",
    "yfcc_metadata",
]
COUNTRIES = (("Kenya", "Eastern Africa", "Africa"), ("Japan", "Eastern Asia", "Asia"), ("Fiji", "Melanesia", "Oceania"))
VOCABULARY = {
    0: (17, "n03727067", "zebra"),
    1: (18, "n01503061", "crane"),
    2: (900, "n03126707", "crane"),
    3: (21_842, "n0", "x"),
}


def _rows(count: int, **columns: Any) -> pa.Table:
    countries = [COUNTRIES[at % 3] for at in range(count)]
    kinds = [(at * 7) % 4 for at in range(count)]
    made: dict[str, Any] = {
        "uid": [f"{at:05d}" for at in range(count)],
        "yfcc_row_id": pa.array([99_000_000 - at for at in range(count)], pa.int64()),
        "class_index": pa.array(kinds, pa.int32()),
        "label_index": pa.array([VOCABULARY[kind][0] for kind in kinds], pa.int32()),
        "wnid": pa.array([VOCABULARY[kind][1] for kind in kinds]).dictionary_encode(),
        "label": [VOCABULARY[kind][2] for kind in kinds],
        "country": pa.array([country[0] for country in countries]).dictionary_encode(),
        "region": [country[1] for country in countries],
        "continent": pa.array([country[2] for country in countries]).dictionary_encode(),
        "is_train": [at % 5 > 0 for at in range(count)],
        "image_path": [f"{at}.jpg" for at in range(count)],
        "yfcc_metadata": [f"{at}\tZo\u00eb+{at}" for at in range(count)],
        "similarity": pa.array([0.3 - at * 1e-5 for at in range(count)], pa.float32()),
        **columns,
    }
    return pa.table({name: values for name, values in made.items() if values is not None})


def _base(folder: Path, rows: pa.Table, cuts: tuple[int, ...] = ()) -> Table:
    return write_table(folder / "tables" / "base", rows, cuts=cuts)


def _subset(folder: Path, name: str, rows: pa.Table, source: str = "tables.base", dropped: int = 0) -> Table:
    return write_table(folder / "tables" / name, rows, source=source, dropped=dropped)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path]:
    """A table of 400 rows and 4 classes, with subsets of 3 and of 2 classes; do not change it."""
    root = tmp_path_factory.mktemp("geoyfcc")
    rows = _rows(400)
    base = _base(root, rows, (150, 151))
    kinds = np.array(rows["class_index"])
    three, two = rows.take(np.flatnonzero(kinds != 0)), rows.take(np.flatnonzero(kinds % 2 == 1)[::-1])
    _subset(root, "three", three, dropped=100)
    _subset(root, "two", two, "tables.three", dropped=100)
    layout = GeoYfccLayout(subsets=("three", "two"), pickle=True, more=("similarity",))
    layout.write(base, root / "out", ABOUT)
    return base, root / "out"


def test_the_metadata_has_the_published_columns_in_their_order(made: tuple[Table, Path]) -> None:
    base, folder = made
    frame = pd.read_parquet(folder / "metadata.parquet")
    assert list(frame.columns) == [*PUBLISHED, "similarity"]
    types = {
        name: str(field.type)
        for name in PUBLISHED
        for field in [pq.read_schema(folder / "metadata.parquet").field(name)]
    }
    assert [types[name] for name in PUBLISHED] == [*["int64"] * 3, *["string"] * 3, "int64", "bool", "string", "string"]
    rows = base.read().to_pylist()
    assert frame["yfcc_row_id"].tolist() == [row["yfcc_row_id"] for row in rows]
    assert frame["label_ids"].tolist() == [row["class_index"] for row in rows]
    assert frame["file_name"].tolist() == [row["image_path"] for row in rows]
    order = {"Fiji": 0, "Japan": 1, "Kenya": 2}
    assert frame["country_id"].tolist() == [order[row["country"]] for row in rows]


def test_the_pickle_is_the_same_frame_of_plain_objects(made: tuple[Table, Path]) -> None:
    _, folder = made
    frame = pd.read_pickle(folder / "metadata.pkl")
    assert list(frame.columns) == [*PUBLISHED, "similarity"]
    assert [str(kind) for kind in frame.dtypes[:10]] == [
        *["int64"] * 3, *["object"] * 3, "int64", "bool", "object", "object",
    ]  # fmt: skip
    assert type(frame["country"].iloc[0]) is str
    pd.testing.assert_frame_equal(
        frame, pd.read_parquet(folder / "metadata.parquet"), check_dtype=False, check_column_type=False
    )
    data = (folder / "metadata.pkl").read_bytes()
    assert data[:2] == b"\x80\x04"
    # Neither strings of Arrow nor the new string type: pandas of before 3.0 knows neither.
    assert b"StringDtype" not in data
    assert b"pyarrow" not in data


@pytest.mark.parametrize(("count", "name"), [(3, "three"), (2, "two")])
def test_subsets_are_rows_and_wnids_of_the_metadata(made: tuple[Table, Path], count: int, name: str) -> None:
    base, folder = made
    indices = np.load(folder / f"{count}_sample_indices.npy")
    wnids = pd.read_csv(folder / f"{count}_label_wnids.csv")["wnid"].tolist()
    assert indices.dtype == np.int64
    assert (np.diff(indices) > 0).all()
    frame = pd.read_pickle(folder / "metadata.pkl")
    part = frame.iloc[indices]
    known = {number: wnid for number, (_, wnid, _) in VOCABULARY.items()}
    assert [known[number] for number in sorted(set(part["label_ids"]))] == wnids
    wanted = Table(base.folder.parent / name).read(["yfcc_row_id"])["yfcc_row_id"].to_pylist()
    assert set(part["yfcc_row_id"]) == set(wanted)
    assert len(part) == len(wanted)


def test_classes_tell_numbers_wnids_and_names(made: tuple[Table, Path]) -> None:
    classes = pd.read_csv(made[1] / "classes.csv")
    assert classes["wnid"].tolist() == [wnid for _, wnid, _ in VOCABULARY.values()]
    assert classes["name"].tolist() == ["zebra", "crane", "crane", "x"]
    assert classes["rows"].sum() == 400


def test_the_release_verifies_and_others_read_it(made: tuple[Table, Path], tmp_path: Path) -> None:
    import mlcroissant
    from datasets import load_dataset

    _, folder = made
    found = verify(folder)
    assert found.ok, found.words
    assert "4 classes and 3 (300 rows), 2 (200 rows)" in {check.name: check.words for check in found.checks}["subsets"]
    assert load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["metadata"].num_rows == 400
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.warnings
    records = list(dataset.records("rows"))
    assert records[1]["rows/country"] == b"Japan"
    described = {node["@id"] for node in json.loads((folder / "croissant.json").read_text())["distribution"]}
    assert {"3_sample_indices.npy", "2_label_wnids.csv", "metadata.pkl"} <= described


def test_the_card_tells_how_to_load_and_how_subsets_were_made(made: tuple[Table, Path]) -> None:
    text = (made[1] / "README.md").read_text(encoding="utf-8")
    assert 'metadata.iloc[np.load("3_sample_indices.npy")]' in text
    assert "| `two` | 2 | 200 | `2_sample_indices.npy` |" in text
    assert "Table `two`, from table three" in text
    assert "load_dataset" not in text
    assert (made[1] / "lineage" / "three" / "table.json").is_file()
    assert (made[1] / "lineage" / "two" / "states" / "01-top.json").is_file()


def test_the_code_of_the_card_runs(made: tuple[Table, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    text = (made[1] / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(made[1])
    found: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], found)
    assert len(found["subset"]) == 300
    assert len(found["wnids"]) == 3


def test_the_same_tables_give_the_same_bytes_and_other_subsets_another_release(
    made: tuple[Table, Path], tmp_path: Path
) -> None:
    base, folder = made
    layout = GeoYfccLayout(subsets=("three", "two"), pickle=True, more=("similarity",))
    layout.write(base, tmp_path / "again", ABOUT)
    assert (tmp_path / "again" / "SHA256SUMS").read_bytes() == (folder / "SHA256SUMS").read_bytes()
    rows = base.read()
    moved = _base(tmp_path, rows, (150, 151))
    _subset(tmp_path, "three", rows.slice(0, 300), dropped=100)
    _subset(tmp_path, "two", rows.slice(0, 100), "tables.three", dropped=200)
    with pytest.raises(ReleaseError, match="made from another table"):
        layout.write(moved, tmp_path / "again", ABOUT)


def test_published_columns_come_from_where_the_recipe_says(tmp_path: Path) -> None:
    rows = _rows(9, yfcc_row_id=None, region=None, is_train=None, split=["train", "test", "train"] * 3)
    table = _base(tmp_path, rows)
    columns = {"yfcc_row_id": "uid", "region": None, "is_train": "split"}
    GeoYfccLayout(columns=columns, figures=False).write(table, tmp_path / "out", About())
    frame = pd.read_parquet(tmp_path / "out" / "metadata.parquet")
    assert list(frame.columns) == [name for name in PUBLISHED if name != "region"]
    assert frame["yfcc_row_id"].tolist() == list(range(9))
    assert frame["is_train"].tolist() == [True, False, True] * 3
    assert verify(tmp_path / "out").ok


def test_a_table_without_the_line_of_metadata_gives_its_fields(tmp_path: Path) -> None:
    taken = pa.array([0, None, 10**15, 1], pa.timestamp("us", tz="UTC"))
    rows = _rows(4, yfcc_metadata=None, photo_id=[7, 8, 9, 10], taken_at=taken, author=["a", "\u00fc", None, ""])
    GeoYfccLayout(pickle=True, figures=False).write(_base(tmp_path, rows), tmp_path / "out", About())
    frame = pd.read_pickle(tmp_path / "out" / "metadata.pkl")
    assert frame["yfcc_metadata"].iloc[1] == {"photo_id": 8, "author": "\u00fc", "taken_at": None}
    assert frame["yfcc_metadata"].iloc[0]["taken_at"] == "1970-01-01 00:00:00.000000Z"
    assert pq.read_table(tmp_path / "out" / "metadata.parquet")["yfcc_metadata"].to_pylist() == list(
        frame["yfcc_metadata"]
    )
    assert verify(tmp_path / "out").ok


def test_a_missing_column_is_told_with_what_to_do(made: tuple[Table, Path]) -> None:
    schema = made[0].schema
    GeoYfccLayout(subsets="three").check(schema)
    with pytest.raises(
        StepError, match=r"'yfcc_row_id' is made from 'yfcc_row_id'.*with `columns: \{yfcc_row_id: COLUMN\}`"
    ):
        GeoYfccLayout().check(schema.remove(schema.get_field_index("yfcc_row_id")))
    with pytest.raises(StepError, match="'country_id' is made from 'land', which"):
        GeoYfccLayout(columns={"country_id": "land"}).check(schema)
    with pytest.raises(StepError, match="'label_ids' cannot be made from 'label', which has type string"):
        GeoYfccLayout(columns={"label_ids": "label"}).check(schema)
    with pytest.raises(StepError, match="'wnid' names the column 'wnids'"):
        GeoYfccLayout(subsets="three", wnid="wnids").check(schema)
    with pytest.raises(StepError, match="'more' names 'country', which this layout has"):
        GeoYfccLayout(more=("country",)).check(schema)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"country": ["Kenya", None, "Fiji"]},
            r"'country' of uid '00001' is null.*'country_id'.*where: country is not",
        ),
        ({"class_index": [0, 1, None]}, "'class_index' of uid '00002' is null"),
        ({"class_index": [0, 3, 1]}, "no row has class 2 in 'class_index', and 3 classes.*renumber"),
        ({"yfcc_row_id": ["1", "x1", "3"]}, "'yfcc_row_id' of uid '00001' is 'x1', which is not a 64-bit integer"),
        ({"class_index": [0, 1, 0]}, "class 0 has two values of 'label_index'"),
    ],
)
def test_values_that_cannot_be_published_name_their_row(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(ReleaseError, match=words):
        GeoYfccLayout(figures=False).write(_base(tmp_path, _rows(3, **columns)), tmp_path / "out", About())
    assert not (tmp_path / "out").exists()


def test_subsets_of_equal_size_are_named_by_the_recipe(tmp_path: Path) -> None:
    rows = _rows(40)
    base = _base(tmp_path, rows)
    _subset(tmp_path, "one", rows.slice(0, 20), dropped=20)
    _subset(tmp_path, "other", rows.slice(10, 20), dropped=20)
    with pytest.raises(ReleaseError, match=r"'one' and 'other' both have 4 classes.*subsets: \{4a: one, 4b: other\}"):
        GeoYfccLayout(subsets=("one", "other"), figures=False).write(base, tmp_path / "out", About())
    GeoYfccLayout(subsets={4: "one", "4b": "other"}, figures=False).write(base, tmp_path / "out", About())
    assert np.load(tmp_path / "out" / "4b_sample_indices.npy").tolist() == list(range(10, 30))
    assert verify(tmp_path / "out").ok
    with pytest.raises(ValidationError, match="the names of files begin with"):
        GeoYfccLayout(subsets={"../4": "one"})


def test_rows_that_are_not_in_the_table_are_refused(tmp_path: Path) -> None:
    rows = _rows(40)
    base = _base(tmp_path, rows.slice(0, 30))
    _subset(tmp_path, "half", rows.slice(20, 20))
    with pytest.raises(ReleaseError, match=r"'half' has 10 rows that 'base' does not have, such as uid '00030'"):
        GeoYfccLayout(subsets="half", figures=False).write(base, tmp_path / "out", About())
    with pytest.raises(InputError, match="no finished table in this folder"):
        GeoYfccLayout(subsets="gone", figures=False).write(base, tmp_path / "out", About())


def test_a_recipe_names_tables_that_come_from_the_released_one(tmp_path: Path) -> None:
    steps = [{"sample": {"fraction": 0.5}}]
    data = {
        "recipe": 1,
        "name": "toy",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {
            "base": {"from": "rows", "steps": steps},
            "half": {"from": "base", "steps": steps},
            "less": {"from": "half", "steps": steps},
            "apart": {"from": "rows", "steps": steps},
        },
    }

    def load(subsets: Any) -> Recipe:
        return Recipe.from_data(
            {**data, "releases": [{"table": "base", "layout": "geoyfcc", "to": "o", "subsets": subsets}]}
        )

    assert load(["half", "less"]).releases[0].layout.tables() == ("half", "less")
    assert load({350: "less"}).releases[0].layout.tables() == ("less",)
    with pytest.raises(RecipeError, match=r"releases\[0\].*no table 'hald'; did you mean 'half'"):
        load(["hald"])
    with pytest.raises(RecipeError, match="'apart' as a part of it, and 'apart' comes from a pool"):
        load(["apart"])
    with pytest.raises(RecipeError, match="'base' as a part of it"):
        load(["base"])


@pytest.mark.parametrize("damage", ["type", "range", "order", "rows", "wnids", "classes"])
def test_verify_finds_subsets_that_do_not_agree(made: tuple[Table, Path], tmp_path: Path, damage: str) -> None:
    GeoYfccLayout(subsets=("three",), figures=False).write(made[0], tmp_path / "out", About())
    path = tmp_path / "out" / "3_sample_indices.npy"
    rows = np.load(path)
    if damage == "type":
        np.save(path, rows.astype(np.int32))
    elif damage == "range":
        np.save(path, np.append(rows[:-1], 400))
    elif damage == "order":
        np.save(path, rows[::-1])
    elif damage == "rows":
        np.save(path, rows[1:])
    elif damage == "wnids":
        names = path.with_name("3_label_wnids.csv")
        names.write_text("wnid\n" + "".join(f"{line}\n" for line in names.read_text().split()[:0:-1]))
    else:
        names = path.with_name("classes.csv")
        names.write_text(names.read_text().replace("900", "901"))
    write_sums(tmp_path / "out", {})
    assert {check.name for check in verify(tmp_path / "out").failed} >= {"subsets"}


def test_a_pickle_is_never_opened_by_verify(made: tuple[Table, Path], tmp_path: Path) -> None:
    GeoYfccLayout(pickle=True, figures=False).write(made[0], tmp_path / "out", About())
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    (tmp_path / "out" / "metadata.pkl").write_bytes(pickle.dumps(Evil()))
    assert {check.name for check in verify(tmp_path / "out").failed} >= {"checksums"}
    assert not marker.exists()


def test_the_classes_may_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="'label_ids' out"):
        GeoYfccLayout(columns={"label_ids": None}, subsets="half").check(_rows(3).schema)
    base = _base(tmp_path, _rows(3))
    GeoYfccLayout(columns={"label_ids": None}, figures=False).write(base, tmp_path / "out", About())
    found = verify(tmp_path / "out")
    assert found.ok, found.words
    assert "label_ids" not in pq.read_schema(tmp_path / "out" / "metadata.parquet").names
