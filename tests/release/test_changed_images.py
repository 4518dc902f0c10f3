"""Releases with changed images: their columns are true, and the card says what was done."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright.core.errors import ReleaseError
from poolwright.core.table import Table
from poolwright.release.data.image_changes import ImageChanges
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.image_folder import ImageFolderLayout
from poolwright.testing.layouts import ABOUT
from tests.calling import call
from tests.release.build import toy_rows, write_table


def table_of(folder: Path, kinds: tuple[str, ...] = ("JPEG", "PNG", "GIF")) -> Table:
    """Three pictures of 60 x 40: a JPEG to be turned, a PNG with transparency, and a GIF."""
    rows = toy_rows(3).select(["uid", "image_path", "label"])
    digests = []
    exif = Image.Exif()
    exif[0x0112] = 6
    for path, kind in zip(rows.column("image_path").to_pylist(), kinds, strict=True):
        out = io.BytesIO()
        image = Image.new("RGBA" if kind == "PNG" else "RGB", (60, 40), (200, 10, 10))
        image.save(out, kind, **({"exif": exif} if kind == "JPEG" else {}))
        (folder / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / path).write_bytes(out.getvalue())
        digests.append(hashlib.sha256(out.getvalue()).hexdigest())
    sizes = {"width": [40, 60, 60], "height": [60, 40, 40], "aspect": [1.5] * 3, "sha256": digests}
    for name, values in sizes.items():
        rows = rows.append_column(name, pa.array(values))
    return write_table(folder / "run" / "tables" / "toy", rows, image_root=folder / "images")


def test_columns_are_those_of_the_released_files(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    layout = HuggingFace(images=ImageChanges(resize=20, mode="center_crop", format="jpeg"), figures=False)
    layout.write(table, tmp_path / "out", ABOUT)
    rows = pq.read_table(next((tmp_path / "out" / "data").iterdir())).to_pylist()
    for row, known in zip(rows, table.read(["sha256"]).to_pylist(), strict=True):
        image = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert (image.format, image.size) == ("JPEG", (20, 20))
        assert (row["width"], row["height"], row["aspect"]) == (20, 20, 1)
        assert row["sha256"] == hashlib.sha256(row["image"]["bytes"]).hexdigest()
        assert row["original_sha256"] == known["sha256"]
        assert row["image"]["path"].endswith(".jpg")
    assert [(row["original_width"], row["original_height"]) for row in rows] == [(40, 60), (60, 40), (60, 40)]


def test_card_and_croissant_say_what_was_done(tmp_path: Path) -> None:
    layout = ImageFolderLayout(images=ImageChanges(resize=30, format="jpeg", strip=("all",)), figures=False)
    layout.write(table_of(tmp_path), tmp_path / "out", ABOUT)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "resized so that the shorter edge has 30 pixels; smaller images were not enlarged" in card
    assert "3 images encoded anew" in card
    assert "1 image of these turned upright" in card
    assert "1 image of these with transparency, laid on white" in card
    assert "an EXIF orientation, stored as found" not in card
    protocol = json.loads((tmp_path / "out" / "croissant.json").read_text())["rai:dataPreprocessingProtocol"]
    assert any("Made with Pillow" in line for line in protocol)
    numbers = json.loads((tmp_path / "out" / "statistics.json").read_text())["numbers"]
    assert "width" not in numbers
    assert numbers["original_width"]["high"] == 60


def test_a_picture_that_cannot_be_decoded_stops_the_release(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    file = tmp_path / "images" / "0" / "1.jpg"
    file.write_bytes(b"no picture at all")
    row = table.read(["uid", "sha256"]).to_pylist()[1]
    layout = ImageFolderLayout(images=ImageChanges(resize=30), figures=False)
    with pytest.raises(ReleaseError, match=f"uid '{row['uid']}'"):
        layout.write(table, tmp_path / "out", ABOUT)
    assert not (tmp_path / "out").exists()


def test_recipes_write_it_and_mistakes_have_their_line(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (50, 50), (number, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
    text = """recipe: 1
name: small
pools: {photos: {read: image_folder, path: photos}}
tables: {all: {from: photos}}
releases:
  - {table: all, layout: image_folder, images: {resize: 25, format: webp}, figures: false, to: out}
"""
    (tmp_path / "small.yaml").write_text(text)
    assert call("run", tmp_path / "small.yaml").code == 0
    assert {Image.open(file).size for file in (tmp_path / "out").rglob("*.webp")} == {(25, 25)}
    (tmp_path / "small.yaml").write_text(text.replace("webp", "png, quality: 4"))
    found = call("check", tmp_path / "small.yaml")
    assert found.code == 2
    assert "small.yaml:6" in found.err
    assert "PNG is lossless and has no 'quality'" in found.err
