"""The card: its order, where columns come from, licences that do not fit, and what is left to fill in."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from poolwright import api
from poolwright.reference.license_codes import allows_more
from poolwright.release.card.figures.drawing import axes_of, save

pytestmark = pytest.mark.draws

RECIPE = """
recipe: 1
name: places
card: {title: Places, license: CC0-1.0, datasheet: {purpose: To look at., contact: us@example.org}}
pools: {photos: {read: table, path: photos.parquet}}
tables:
  measured: {from: photos, steps: [size, hash, {derive: {area: "width * height"}}]}
  wide: {from: measured, steps: [{where: width > 10}, {split: {ratios: {train: 0.5, test: 0.5}}}]}
  unused: {from: measured, steps: [{sample: {n: 1}}]}
releases:
  - {table: wide, layout: huggingface, to: out}
  - {table: wide, layout: image_folder, by: label, figures: false, to: folders}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, api.RunResult]:
    folder = tmp_path_factory.mktemp("card")
    images = []
    for number in range(20):
        out = io.BytesIO()
        Image.new("RGB", (10 + number, 20), (number * 12, 90, 40)).save(out, "PNG")
        images.append(out.getvalue())
    country = ["Peru", "Chad", "Cuba", "Peru"] * 5
    rows = {
        "uid": [f"p{number:02}" for number in range(20)],
        "image": images,
        "label": ["hill", "lake"] * 10,
        "author": ["Ann"] * 20,
        "license": ["cc-by-nc-nd-2.0"] * 15 + ["cc0-1.0"] * 5,
        "country": country,
        "country_code": [{"Peru": "PER", "Chad": "TCD", "Cuba": "CUB"}[name] for name in country],
    }
    pq.write_table(pa.table(rows), folder / "photos.parquet")
    (folder / "r.yaml").write_text(RECIPE)
    return folder, api.run(folder / "r.yaml")


def test_sections_are_in_the_order_of_a_reader(made: tuple[Path, api.RunResult]) -> None:
    text = (made[0] / "out/README.md").read_text()
    heads = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        *("Examples", "Splits and classes", "How to load it", "Columns", "How it was made", "Accuracy"),
        *("Licences and attribution", "Leakage", "Personal data", "Known limits", "Intended use", "Citation"),
        *("Contact", "Statistics", "How to verify it"),
    ]
    assert str(made[0]) not in text
    assert "unused" not in text
    assert "| `wide` | 1. `where` | " in text
    assert (made[0] / "out/funnel.md").read_text().count("1: the expression is not true") == 1


def test_examples_are_pictures_of_each_class_with_credit(made: tuple[Path, api.RunResult]) -> None:
    text = (made[0] / "out/README.md").read_text()
    assert "![hill](figures/examples/01.jpg)" in text or "![lake](figures/examples/01.jpg)" in text
    assert "lake<br>Ann, cc-by-nc-nd-2.0" in text or "lake<br>Ann, cc0-1.0" in text
    with Image.open(made[0] / "out/figures/examples/02.jpg") as picture:
        assert picture.height == 20
    assert not (made[0] / "folders/figures").exists()


def test_columns_name_the_step_that_made_them_in_any_table(made: tuple[Path, api.RunResult]) -> None:
    lines = (made[0] / "out/README.md").read_text().split("## Columns")[1].split("## How")[0].splitlines()
    origin = {line.split("`")[1]: line.split("|")[4].strip() for line in lines if line.startswith("| `")}
    assert origin["area"] == "`derive`, step 3 of measured"
    assert origin["split"] == "`split`, step 2 of wide"
    assert origin["author"] == origin["image"] == "pool photos"
    release = json.loads((made[0] / "out/release.json").read_text())
    meanings = {column["name"]: column["meaning"] for column in release["columns"]}
    assert meanings["area"] == "Given by step 3 of table measured, derive"


def test_a_licence_that_allows_more_than_the_images_is_warned_of(made: tuple[Path, api.RunResult]) -> None:
    words = "CC0-1.0, allows more than those of "
    assert f"> **Warning:** The licence of the dataset, {words}" in (made[0] / "out/README.md").read_text()
    assert all(any(words in note for note in written.notes) for written in made[1].releases)


@pytest.mark.parametrize(
    ("stated", "other", "more"),
    [
        ("CC0-1.0", "cc-by-2.0", True),
        ("CC-BY-4.0", "cc-by-sa-2.0", True),
        ("CC-BY-NC-ND-4.0", "cc-by-nc-2.0", False),
        ("CC-BY-4.0", "us-gov", False),
        ("MIT", "All rights reserved", True),
        ("ODbL-1.0", "CC BY-SA 3.0 DE", False),
        ("our own terms", "cc-by-2.0", False),
    ],
)
def test_licences_are_compared_by_what_they_ask_for(stated: str, other: str, more: bool) -> None:
    assert allows_more(stated, other) is more


def test_what_only_the_author_knows_is_marked(made: tuple[Path, api.RunResult]) -> None:
    text = (made[0] / "out/README.md").read_text()
    assert "## Intended use\n\nTo look at.\n" in text
    assert "## Contact\n\nus@example.org\n" in text
    assert "> **For the author to fill in:** how to cite it, with `card: {citation: ...}` in the recipe." in text
    assert "`author`: names of authors" in text


def test_columns_that_stand_for_another_have_no_table_of_their_own(made: tuple[Path, api.RunResult]) -> None:
    text = (made[0] / "out/README.md").read_text()
    assert "By <code>country</code>, 3 values" in text
    assert "By <code>country_code</code>" not in text


def test_the_header_counts_the_bytes_of_images(made: tuple[Path, api.RunResult]) -> None:
    for name in ("out", "folders"):
        folder = made[0] / name
        info = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["dataset_info"]
        release = json.loads((folder / "release.json").read_text())
        parts = [folder / file["path"] for file in release["files"]]
        images = 0 if name == "out" else release["images"]["bytes"]
        assert info["dataset_size"] == sum(part.stat().st_size for part in parts) + images
        assert info["dataset_size"] == sum(split["num_bytes"] for split in info["splits"])


def test_figures_are_pictures_and_drawings_that_follow_the_page(made: tuple[Path, api.RunResult]) -> None:
    folder = made[0] / "out/figures"
    assert {path.name for path in folder.glob("classes*")} == {"classes.png", "classes.dark.png", "classes.svg"}
    for name, paper in (("classes.png", (255, 255, 255)), ("classes.dark.png", (13, 17, 23))):
        with Image.open(folder / name) as picture:
            assert picture.convert("RGB").getpixel((2, 2)) == paper
    drawing = (folder / "classes.svg").read_text()
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert "@media (prefers-color-scheme:dark){:root{--c0:#e6edf3;" in drawing
    assert "fill: var(--c3)" in drawing
    assert "fill: #" not in drawing
    assert "<dc:date>" not in drawing


def test_the_same_figure_is_drawn_once(tmp_path: Path) -> None:
    drawn: list[str] = []

    def draw() -> object:
        drawn.append("")
        return axes_of(1.0, "Title")[0]

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save(draw, tmp_path / folder / "one", (("x", 1),))
    assert len(drawn) == 1
    for ending in ("png", "svg"):
        assert (tmp_path / f"a/one.{ending}").read_bytes() == (tmp_path / f"b/one.{ending}").read_bytes()
    save(draw, tmp_path / "one", (("x", 2),))
    save(draw, tmp_path / "other", (("x", 1),))
    save(draw, tmp_path / "one", (("x", True),))
    for _ in range(2):
        save(draw, tmp_path / "one", ([],))
    assert len(drawn) == 6
