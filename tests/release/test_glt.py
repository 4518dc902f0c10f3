"""The GLT layout: two JSON files in the published form, one table, and everything agrees with them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from poolwright import Recipe, verify
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.release.checksums import write_sums
from poolwright.release.layouts.glt import GltLayout
from tests.release.build import write_table
from tests.release.conftest import ABOUT
from tests.steps.split.glt_rows import glt, rows_of

pytestmark = pytest.mark.draws

CELLS = {"n01": (90, 40, 20), "n02": (80, 40, 20), "n03": (60, 30, 20), "ä, \"é'": (50, 30, 20), "n05": (50, 25, 10)}
NUMBERS = {
    "test_bbl": 4,
    "test_bl": 10,
    "test_lt": 8,
    "val": 5,
    "balanced": 30,
    "sizes": {"shape": "exponential", "largest": 90, "imbalance": 4},
}
LT, BL = "imagenet_sup_intra_lt_inter_lt.json", "imagenet_sup_intra_lt_inter_bl.json"
SETS = ("train", "val", "test_lt", "test_bl", "test_bbl")


class ImageNetLT:
    """Reads an annotation file as the published loader does: paths, labels, frequencies, attributes.

    After the format that its public data loader expects; training sets give no attributes.
    """

    def __init__(self, path: Path, phase: str) -> None:
        with path.open() as file:
            annotations = json.load(file)
        data = annotations[phase]
        self.id2cat, self.cat2id = annotations["id2cat"], annotations["cat2id"]
        self.paths = list(data["label"])
        self.labels = [int(data["label"][path]) for path in self.paths]
        self.frequencies = [int(data["frequency"][path]) for path in self.paths]
        self.attributes = None if phase == "train" else [int(data["attribute"][path]) for path in self.paths]


def drawn() -> pa.Table:
    """The rows that the step keeps, with a path and vectors."""
    rows = glt(rows_of(CELLS), **NUMBERS)[0]
    kept = [
        glt or cbl for glt, cbl in zip(*(rows.column(f"split_{of}").to_pylist() for of in ("glt", "cbl")), strict=True)
    ]
    rows = rows.filter(pa.array([name is not None for name in kept]))
    paths = [f"{row['label']}/{row['uid']}.JPEG" for row in rows.select(["label", "uid"]).to_pylist()]
    vectors = vector_array(np.random.default_rng(0).normal(size=(len(paths), 4)).astype(np.float16))
    return rows.append_column("image_path", pa.array(paths)).append_column("clip", vectors)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path]:
    """A table and its release; do not change it."""
    root = tmp_path_factory.mktemp("glt")
    table = write_table(root / "toy", drawn(), cuts=(40,))
    GltLayout(more=("clip",)).write(table, root / "out", ABOUT)
    return table, root / "out"


def test_the_published_loader_reads_classes_frequencies_and_attributes(made: tuple[Table, Path]) -> None:
    table, folder = made
    rows = {row["image_path"]: row for row in table.read().to_pylist()}
    for name, column in ((LT, "split_glt"), (BL, "split_cbl")):
        for phase in SETS:
            loaded = ImageNetLT(folder / name, phase)
            assert Counter(loaded.paths) == Counter(path for path, row in rows.items() if row[column] == phase)
            for index, path in enumerate(loaded.paths):
                row = rows[path]
                assert loaded.labels[index] == row["class_index"]
                assert loaded.id2cat[str(loaded.labels[index])] == row["label"]
                assert loaded.frequencies[index] == row["frequency"]
                if loaded.attributes is not None:
                    assert loaded.attributes[index] == row["attribute"]
            assert loaded.cat2id == {label: number for number, label in loaded.id2cat.items()}
            assert len(loaded.id2cat) == len(CELLS)


def test_the_form_of_the_files_is_the_published_one(made: tuple[Table, Path]) -> None:
    for name in (LT, BL):
        text = (made[1] / name).read_text(encoding="utf-8")
        found = json.loads(text)
        assert list(found) == ["cat2id", "id2cat", *SETS]
        for kind in SETS:
            assert list(found[kind]) == ["label", "frequency", "attribute"]
            assert all(type(label) is str for label in found[kind]["label"].values())
            for other in ("frequency", "attribute"):
                assert all(type(value) is int for value in found[kind][other].values())
                assert list(found[kind][other]) == list(found[kind]["label"])
        assert json.dumps(found) == text
    assert found["test_lt"] == {"label": {}, "frequency": {}, "attribute": {}}


def test_the_table_says_the_same_and_the_card_counts(made: tuple[Table, Path]) -> None:
    table, folder = made
    rows = pq.read_table(folder / "metadata.parquet")
    names = ["uid", "path", "label", "class_index", "attribute", "frequency", "split_glt", "split_cbl", "clip"]
    assert rows.column_names == names
    theirs = table.read(["uid", "image_path", *names[2:]]).rename_columns({"image_path": "path"}).select(names)
    assert rows.sort_by("uid").to_pylist() == theirs.sort_by("uid").to_pylist()
    order = [(row["class_index"], row["attribute"], row["path"]) for row in rows.to_pylist()]
    assert order == sorted(order)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| Train-CBL | `split_cbl` = `train` | " in card
    assert "| Test-GBL | `split_glt` = `test_bbl` | 54 | 12 | 6 | 33.3% | 33.3% | 33.3% |" in card
    assert "5 classes, numbered from the largest on: 2 many, 2 medium, 1 few." in card
    assert "![Classes and attributes of each set](figures/sets.png)" in card
    assert "By <code>split_glt</code>" not in card
    statistics = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["long_tailed_sets"]["Test-CBL"] == {"by_class": [10] * 5, "by_attribute": [35, 10, 5]}
    assert (folder / "figures" / "sets.png").stat().st_size > 10_000


def test_the_release_verifies(made: tuple[Table, Path]) -> None:
    found = verify(made[1], full=True)
    assert found.ok, found.words
    assert any(check.name == "sets" and "no image of a test is in another set" in check.words for check in found.checks)


def _swap_a_label(folder: Path) -> None:
    document = json.loads((folder / LT).read_text(encoding="utf-8"))
    path = next(iter(document["val"]["label"]))
    document["val"]["label"][path] = "4"
    (folder / LT).write_text(json.dumps(document))


def _lose_a_name(folder: Path) -> None:
    document = json.loads((folder / BL).read_text(encoding="utf-8"))
    del document["id2cat"]["3"]
    (folder / BL).write_text(json.dumps(document))


def _train_on_a_test(folder: Path) -> None:
    rows = pq.read_table(folder / "metadata.parquet")
    sets = ["train" if name == "test_bbl" else name for name in rows.column("split_cbl").to_pylist()]
    index = rows.schema.get_field_index("split_cbl")
    pq.write_table(rows.set_column(index, rows.schema.field(index), pa.array(sets)), folder / "metadata.parquet")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_swap_a_label, "'label' of val differs from the 25 rows of the table"),
        (_lose_a_name, "do not have the 5 classes"),
        (_train_on_a_test, "54 test images are in other sets too: "),
    ],
)
def test_what_does_not_agree_is_found(
    made: tuple[Table, Path], tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = Path(shutil.copytree(made[1], tmp_path / "out"))
    damage(folder)
    write_sums(folder, {})
    assert message in verify(folder).words


def test_paths_get_a_root_and_files_a_name(made: tuple[Table, Path], tmp_path: Path) -> None:
    layout = GltLayout(root="/data/imagenet/train/", name="toys", figures=False)
    layout.write(made[0], tmp_path / "out", ABOUT)
    found = ImageNetLT(tmp_path / "out" / "toys_intra_lt_inter_lt.json", "train")
    assert all(path.startswith("/data/imagenet/train/") and "//" not in path for path in found.paths)
    assert "Paths begin with `/data/imagenet/train/`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert verify(tmp_path / "out").ok
    with pytest.raises(ValidationError, match="the names of files begin with"):
        GltLayout(name="../up")


def changed(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: changed(rows, "image_path", pa.array(["same.jpg"] * len(rows))), "rows have the path 'same.jpg'"),
        (lambda rows: changed(rows, "image_path", pa.nulls(len(rows), pa.string())), "has no path, as 'image_path'"),
        (lambda rows: changed(rows, "label", pa.array(["same"] * len(rows))), "does not number the classes"),
        (
            lambda rows: rows.filter(pc.not_equal(rows.column("class_index"), 2)),
            "does not number the classes of 'label' from 0, each once: .* has number 3",
        ),
    ],
)
def test_rows_that_cannot_be_released(tmp_path: Path, change: Callable[[pa.Table], pa.Table], message: str) -> None:
    table = write_table(tmp_path / "toy", change(drawn()))
    with pytest.raises(ReleaseError, match=message):
        GltLayout(figures=False).write(table, tmp_path / "out", ABOUT)


def test_columns_that_are_missing_or_have_another_type() -> None:
    schema = drawn().schema
    with pytest.raises(StepError, match="what the step `glt` draws, but there is no column 'split_cbl'"):
        GltLayout().needs(schema.remove(schema.get_field_index("split_cbl")))
    with pytest.raises(StepError, match="paths are text"):
        GltLayout(path="frequency").needs(schema)
    with pytest.raises(StepError, match="'label' names the column 'name', which the table does not have"):
        GltLayout(label="name").needs(schema)
    with pytest.raises(StepError, match="'more' names 'uid', which this layout has"):
        GltLayout(more=("uid",)).needs(schema)


def _released(folder: Path, rows: pa.Table, parts: int, workers: int) -> dict[str, bytes]:
    (folder / "rows").mkdir(parents=True)
    edges = np.linspace(0, len(rows), parts + 1).astype(int)
    for part, (first, last) in enumerate(pairwise(edges)):
        pq.write_table(rows.slice(first, last - first), folder / "rows" / f"{part}.parquet")
    data = {
        "recipe": 1,
        "name": "regenerates",
        "seed": 25,
        "pools": {"rows": {"read": "table", "path": "rows"}},
        "tables": {"glt": {"from": "rows", "steps": [{"glt": NUMBERS}]}},
        "releases": [{"table": "glt", "layout": "glt", "to": "out"}],
    }
    Recipe.from_data(data, folder).run(folder / "run", workers=workers)
    names = (LT, BL, "metadata.parquet", "figures/sets.png")
    return {name: (folder / "out" / name).read_bytes() for name in names}


def test_it_regenerates_byte_for_byte(tmp_path: Path) -> None:
    rows = rows_of(CELLS).select(["uid", "label", "attribute"])
    rows = rows.append_column("image_path", rows.column("uid"))
    first = _released(tmp_path / "first", rows, 1, 1)
    shuffled = rows.take(pa.array(np.random.default_rng(3).permutation(len(rows))))
    for name, other in {
        "again": _released(tmp_path / "again", rows, 1, 1),
        "another order and cut, two workers": _released(tmp_path / "other", shuffled, 5, 2),
    }.items():
        assert other == first, name
