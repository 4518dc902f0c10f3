"""Pictures that EXIF says to turn are released as they are found, and counted, in every layout with images."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from poolwright.core.columns import IMAGE_PATH, UID
from poolwright.release.record import ReleaseRecord
from poolwright.testing.layouts import ABOUT, LayoutSuite
from tests.release import test_every_layout as layouts


@pytest.mark.parametrize(
    "suite",
    [
        layouts.TestHuggingFace,
        layouts.TestImageFolder,
        layouts.TestImageFolderCsv,
        layouts.TestDomainNet,
        layouts.TestClear,
        layouts.TestAvalanche,
        layouts.TestFiftyOne,
        layouts.TestCoco,
        layouts.TestParquetBytes,
        layouts.TestWebDataset,
        layouts.TestDataCompTars,
    ],
)
def test_turned_pictures_keep_their_bytes_and_are_counted(tmp_path: Path, suite: type[LayoutSuite]) -> None:
    table, layout = suite().build_table(tmp_path), suite.layout
    exif = Image.Exif()
    turned = {}
    for number, row in enumerate(table.read([UID, IMAGE_PATH]).slice(0, 3).to_pylist()):
        exif[0x0112] = (6, 3, 1)[number]  # a quarter, upside down, as stored
        file = Path(table.image_root or "") / row[IMAGE_PATH]
        Image.new("RGB", (20 + number, 10), (9, 9, 90)).save(file, "JPEG", exif=exif)
        turned[row[UID]] = file.read_bytes()
    layout.write(table, tmp_path / "out", ABOUT)
    release = ReleaseRecord.load(tmp_path / "out")
    found = {image.uid: image.data for image in layout.read_images(tmp_path / "out", release)}
    assert {uid: found[uid] for uid in turned} == turned
    assert release.images is not None
    assert release.images.turned == 2
    card = (tmp_path / "out" / "README.md").read_text()
    assert "2 images with an EXIF orientation, stored as found" in card
