"""Tables in Python: slices, columns, iteration, other libraries, torch, and what notebooks show."""

from __future__ import annotations

import pickle
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import poolwright
from poolwright import RunResult, Table
from poolwright.api.progress import NotebookView, PlainLines
from poolwright.core.errors import InputError, MissingExtra, RecipeError
from poolwright.core.runtime.progress import TableProgress
from poolwright.run import write
from poolwright.run.sources import source
from tests.run.pools import make_recipe, make_rows, write_pool

SIZES = {"<b>cat": (30, 20), "dog": (20, 40)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A table of 3,000 rows with vectors, in several parts and groups of rows."""
    folder = tmp_path_factory.mktemp("rows")
    write_pool(folder, make_rows(3_000), row_group=300)
    recipe = make_recipe(folder, [{"where": "width % 7 > 0"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "UNIT_ROWS", 25_600)
        patch.setattr(write, "ROW_GROUP_ROWS", 150)
        return poolwright.run(recipe, folder / "run").tables["chosen"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run over pictures of two classes, one of which is gone since."""
    folder = tmp_path_factory.mktemp("photos")
    for label, size in SIZES.items():
        place = folder / "photos" / label
        place.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", size, (25 * number, 90, 60)).save(place / f"{number}.png")
    steps = [{"size": {}}, {"where": "width > 0"}, {"top": {"by": "width", "n": 18}}]
    recipe = poolwright.Recipe.from_data(
        {
            "recipe": 1,
            "name": "pictures",
            "pools": {"photos": {"read": "image_folder", "path": "photos", "pattern": "{label}/*"}},
            "tables": {"best": {"from": "photos", "steps": steps}},
            "releases": [{"table": "best", "layout": "image_folder", "figures": False, "to": "out"}],
        },
        folder,
    )
    return poolwright.run(recipe, folder / "run")


def test_slices_are_those_of_the_whole(rows: Table) -> None:
    whole = rows.to_arrow()
    assert len(rows) == whole.num_rows == rows.record.rows_kept
    assert whole.equals(rows.read())
    assert len(rows.record.parts) > 1
    for chosen in (
        slice(10),
        slice(700, 1900),
        slice(3, None, 7),
        slice(-5, None),
        slice(100, 20),
        slice(2_000, 9_999),
    ):
        part = rows[chosen]
        numbers = list(range(whole.num_rows))[chosen]
        assert len(part) == len(numbers)
        assert part.to_arrow().equals(whole.take(pa.array(numbers, pa.int64())))
    assert rows[10:900][5:100][::2]["uid"].to_pylist() == whole["uid"].to_pylist()[15:110:2]
    assert rows[["width", "uid"]].to_arrow().column_names == ["width", "uid"]
    assert rows["continent"].to_pylist() == whole["continent"].to_pylist()
    with pytest.raises(RecipeError, match="no column 'contnent'; did you mean 'continent'"):
        rows.select(["contnent"])
    with pytest.raises(RecipeError, match="positive step"):
        rows[::-1]


def test_single_rows(rows: Table) -> None:
    whole = rows.to_arrow()
    row = rows[1_234]
    assert row["uid"] == whole["uid"][1_234].as_py()
    assert row["embedding"].dtype == np.float16
    assert row["embedding"].shape == (16,)
    assert rows[-1]["uid"] == whole["uid"][-1].as_py()
    taken = rows.select(["uid"]).take([5, 2_000, 5, -1])["uid"].to_pylist()
    assert taken == [whole["uid"][number].as_py() for number in (5, 2_000, 5, len(whole) - 1)]
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_iteration_reads_batches(rows: Table) -> None:
    batches = list(rows.select(["uid"]).to_batches(100))
    assert max(batch.num_rows for batch in batches) == 100
    assert sum(batch.num_rows for batch in batches) == len(rows)
    uids = [row["uid"] for row in rows[200:500]]
    assert uids == rows["uid"].to_pylist()[200:500]
    assert all(row["text"] is None or "写真" in row["text"] for row in rows[:50])


def test_other_libraries_read_it(rows: Table) -> None:
    part = rows[:500].select(["uid", "width"])
    total = sum(part["width"].to_pylist())
    assert duckdb.sql("select count(*), sum(width) from part").fetchall() == [(500, total)]
    assert pa.table(rows).num_rows == len(rows)
    pandas = pytest.importorskip("pandas")
    frame = rows.to_pandas()
    assert (len(frame), frame["width"].sum()) == (len(rows), sum(rows["width"].to_pylist()))
    if hasattr(pandas.DataFrame, "from_arrow"):
        assert pandas.DataFrame.from_arrow(part)["width"].sum() == total


def test_polars(rows: Table) -> None:
    polars = pytest.importorskip("polars")
    frame = rows.to_polars()
    assert frame.shape == (len(rows), len(rows.columns))
    assert polars.DataFrame(rows[:20])["uid"].to_list() == rows["uid"].to_pylist()[:20]


@pytest.mark.parametrize("library", ["polars", "pandas", "torch"])
def test_a_missing_library(rows: Table, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'poolwright\[{library}\]'"):
        getattr(rows, f"to_{library}")()


def test_pictures(photos: RunResult) -> None:
    table = photos.tables["best"]
    pictures = list(table[:4].images())
    assert [picture.size for picture in pictures if picture] == [(row["width"], row["height"]) for row in table[:4]]
    last = table.image(-1)
    assert last is not None
    assert last.mode == "RGB"
    assert table.select(["uid", "image"])[0]["image"][:4] == b"\x89PNG"
    assert "image" not in table.columns, "the file is read if it is asked for"


def test_torch_with_two_workers(photos: RunResult) -> None:
    torch = pytest.importorskip("torch")
    table = photos.tables["best"]

    data = table.select(["uid", "label", "width"]).to_torch(transform=as_tensor, classes="label")
    assert isinstance(data, torch.utils.data.Dataset)
    assert data.classes == sorted(SIZES)
    assert set(data[0]) == {"uid", "label", "width", "image"}
    loader = torch.utils.data.DataLoader(data, batch_size=5, shuffle=True, num_workers=2)
    batches = list(loader)
    assert batches[0]["image"].shape == (5, 3, 8, 8)
    seen = {
        uid: (int(label), int(width))
        for one in batches
        for uid, label, width in zip(*map(one.get, ("uid", "label", "width")), strict=True)
    }
    assert seen == {row["uid"]: (data.classes.index(row["label"]), row["width"]) for row in table}
    again = pickle.loads(pickle.dumps(data))  # as workers that are spawned get it
    assert torch.equal(again[7]["image"], data[7]["image"])
    with pytest.raises(IndexError):
        data[len(data)]
    path = data._path
    assert path.exists()
    del loader, batches, again, data
    assert not path.exists()


def as_tensor(picture: Any) -> Any:
    import torch

    return torch.from_numpy(np.asarray(picture.resize((8, 8))).transpose(2, 0, 1).copy())


def test_torch_values(rows: Table) -> None:
    torch = pytest.importorskip("torch")
    data = rows[5:].to_torch()
    row = data[3]
    assert row["embedding"].dtype == torch.float16
    assert np.array_equal(row["embedding"].numpy(), rows[8]["embedding"])
    assert row["width"].item() == rows[8]["width"]
    assert "image" not in row
    with pytest.raises(RecipeError, match="no pictures"):
        rows.to_torch(images=True)
    with pytest.raises(RecipeError, match="did you mean 'continent'"):
        rows.to_torch(classes="continents")


def test_a_picture_that_is_gone(photos: RunResult, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    table = photos.tables["best"]
    file = Path(str(table.image_root)) / table[2]["image_path"]
    content = file.read_bytes()
    file.unlink()
    try:
        assert table.image(2) is None
        with pytest.raises(InputError, match=f"table 'best', row 2, uid {table[2]['uid']}: no picture: missing_file"):
            table.to_torch()[2]
        assert "missing_file" in table[:3]._repr_html_()
    finally:
        file.write_bytes(content)


class Parsed(HTMLParser):
    """Tags of a page, and the addresses of its pictures; every tag that is opened must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(str(dict(attrs)["src"]))
        elif tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_what_notebooks_show(photos: RunResult, rows: Table) -> None:
    table = photos.tables["best"]
    html = table._repr_html_()
    page = Parsed(html)
    assert len(page.pictures) == 12
    assert all(picture.startswith("data:image/webp;base64,") for picture in page.pictures)
    assert "&lt;b&gt;cat" in html
    assert "<b>cat" not in html
    assert "18 of 20 rows kept" in html
    assert len(html) < 100_000
    assert repr(table) == f"<table 'best': 18 of 20 rows kept, {len(table.columns)} columns>"
    assert Parsed(table[:3]._repr_html_()).pictures
    assert repr(table[:3][["uid"]]) == "<3 rows of table 'best': uid>"
    assert Parsed(rows[:0]._repr_html_()).pictures == Parsed(rows._repr_html_()).pictures == []
    assert "released" in photos._repr_html_()
    Parsed(photos._repr_html_())
    assert "best: 18 rows" in repr(photos)


def test_a_recipe_in_a_notebook(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(60))
    recipe = make_recipe(tmp_path)
    assert repr(recipe) == "<recipe 'test': pools rows; tables chosen>"
    Parsed(recipe._repr_html_())
    assert "largest, cap, split" in recipe._repr_html_()


def test_a_search_in_a_notebook(made_demo: Any, tmp_path: Path) -> None:
    run = made_demo.folder / "demo" / "run"
    found = poolwright.search(run, "rain", n=30)
    assert found._repr_html_().count("<img") == 24
    assert repr(found).startswith("<search for 'rain' in table '")
    nearest = found.to_arrow(["uid", "label"])
    assert nearest.column_names == ["rank", "score", "uid", "label"]
    assert nearest["score"].to_pylist() == sorted(nearest["score"].to_pylist(), reverse=True)


def test_progress_is_shown_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pool(tmp_path, make_rows(60))
    recipe = make_recipe(tmp_path, [])
    poolwright.run(recipe, tmp_path / "quiet")
    assert capsys.readouterr().err == ""
    poolwright.run(recipe, tmp_path / "shown", progress=True)
    shown = capsys.readouterr()
    assert "chosen: done, 60 of 60 rows kept" in shown.err
    assert shown.out == ""


def test_progress_in_a_notebook() -> None:
    class Handle:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def update(self, data: dict[str, str], raw: bool) -> None:
            self.texts.append(data["text/plain"])

    handle = Handle()
    view = NotebookView(handle)
    view.seconds = 0
    view.table_started("best", "write", 3)
    view.progress(TableProgress("best", "write", 3, 1, rows=10))
    view.note("best: done")
    assert handle.texts[0] == "best: write, 3 units"
    assert handle.texts[1].startswith("best: write 1/3 units, 10 rows")
    assert handle.texts[2] == "best: done"


def test_passes_of_one_phase_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()
    for phase, units in (("fit 01-cluster", 1), ("fit 01-cluster", 1), ("write", 0), ("write", 2)):
        lines.table_started("best", phase, units)
    assert capsys.readouterr().err == "best: fit 01-cluster, 1 unit\nbest: write, 2 units\n"
    every = PlainLines(seconds=0)
    for _ in range(2):
        every.table_started("best", "fit 01-cluster", 1)
    assert capsys.readouterr().err.count("best: fit 01-cluster, 1 unit\n") == 2
