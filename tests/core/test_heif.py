"""HEIF is read if its plugin is installed; without it, such files are counted and the extra is named."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from PIL import Image

from poolwright.core.images.formats import HAS_HEIF, extension_of_bytes, is_image_name
from poolwright.core.images.image import open_image, probe
from poolwright.pools.image_folder import ImageFolder
from poolwright.release.data.image_changes import ImageChanges

HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAA"
    "AERAAAEAAQAAAAABoAABAAAAAAAAACoAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADc"
    "aXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAA"
    "AwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFw"
    "AAAAEAAAAAEAAAAIAAAAAf///9AAAAAC////yAAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAMm1kYXQAAAAm"
    "KAGvGSFeQkDvXaW//34+/1mF/iVbfKZKppcE14iZCwOBgI2RnTg="
)
"""A red picture of 16 x 8 pixels."""


def folder_of(folder: Path) -> ImageFolder:
    (folder / "a.heic").write_bytes(HEIC)
    (folder / "notes.md").write_text("mine")
    Image.new("RGB", (4, 4)).save(folder / "b.jpg")
    return ImageFolder.model_validate({"path": str(folder)})


@pytest.mark.skipif(HAS_HEIF, reason="pi-heif is installed")
def test_without_the_plugin_the_extra_is_named(tmp_path: Path) -> None:
    words = folder_of(tmp_path).remarks()[0]
    assert "2 other files of the folder are not read: 1 .heic, 1 .md" in words
    assert "pip install 'poolwright[heif]'" in words
    assert probe(HEIC) == "not_an_image"


@pytest.mark.skipif(not HAS_HEIF, reason="needs pi-heif")
def test_with_the_plugin_heif_is_a_format_as_others(tmp_path: Path) -> None:
    assert is_image_name("IMG_0001.HEIC")
    assert extension_of_bytes(HEIC) == "heic"
    assert folder_of(tmp_path).parts()[0].rows == 2
    found = probe(HEIC)
    assert not isinstance(found, str)
    assert (found.format, found.width, found.height) == ("HEIF", 16, 8)
    image = open_image(HEIC)
    assert not isinstance(image, str)
    assert image.getpixel((8, 4)) == pytest.approx((200, 30, 30), abs=30)
    assert open_image(HEIC[:-30]) in ("truncated_image", "broken_image")
    changed = ImageChanges(format="jpeg").apply(HEIC)
    assert not isinstance(changed, str)
    assert changed.data.startswith(b"\xff\xd8")
