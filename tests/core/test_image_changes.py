"""Images on their way out: sizes, formats, orientation, metadata, and boxes that stay on what they mark."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydantic import ValidationError

from poolwright.core.images.metadata import without_metadata
from poolwright.core.images.resizing import fitting
from poolwright.release.data.image_changes import ChangedImage, ImageChanges


def marked(width: int = 60, height: int = 30) -> Image.Image:
    """Grey, with a red rectangle 12 wide and 6 high, 6 from the left and 3 from the top."""
    image = Image.new("RGB", (width, height), (128, 128, 128))
    image.paste((255, 0, 0), (6, 3, 18, 9))
    return image


def file_of(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}) | options)
    return out.getvalue()


def exif(orientation: int = 1) -> bytes:
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010F] = "Maker"
    found[0x8825] = {1: "N", 2: (47.0, 22.0, 0.0)}
    return found.tobytes()


def changed(data: bytes, **options: Any) -> ChangedImage:
    image = ImageChanges.model_validate(options).apply(data)
    assert not isinstance(image, str), image
    return image


def opened(image: ChangedImage) -> Image.Image:
    return Image.open(io.BytesIO(image.data))


@pytest.mark.parametrize(
    ("edge", "mode", "upscale", "size"),
    [
        (20, "shortest", False, (40, 20)),
        (20, "longest", False, (20, 10)),
        (20, "center_crop", False, (20, 20)),
        (20, "border", False, (20, 20)),
        (90, "shortest", False, (60, 30)),
        (90, "shortest", True, (180, 90)),
        (90, "center_crop", False, (30, 30)),
        (90, "border", False, (90, 90)),
        (1, "longest", False, (1, 1)),
        (None, "shortest", False, (60, 30)),
    ],
)
def test_sizes(edge: int | None, mode: Any, upscale: bool, size: tuple[int, int]) -> None:
    assert fitting((60, 30), edge, mode, upscale).size == size


def test_names_of_img2dataset_are_known() -> None:
    assert ImageChanges(resize=9, mode="keep_ratio_largest").mode == "longest"  # type: ignore[arg-type]


def test_what_is_as_asked_keeps_its_bytes() -> None:
    data = file_of(marked())
    assert changed(data, resize=30, format="jpeg").data == data
    assert changed(data, resize=30, quality=95).data != data
    assert changed(data, resize=29).data != data


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("upright", [True, False])
def test_pictures_are_turned_and_boxes_with_them(orientation: int, upright: bool) -> None:
    image = changed(file_of(marked(), exif=exif(orientation)), resize=60, upscale=True, upright=upright)
    found = opened(image)
    assert found.getexif().get(0x0112, 1) == (1 if upright else orientation)
    assert found.size == ((60, 120) if upright and orientation >= 5 else (120, 60))
    assert (image.width, image.height) == ((60, 120) if orientation >= 5 else (120, 60))
    red = np.argwhere(np.asarray(found.convert("RGB"))[..., 1] < 64)
    (top, left), (bottom, right) = red.min(0), red.max(0) + 1
    wanted = image.box((6, 3, 12, 6))
    assert np.allclose((left, top, right - left, bottom - top), wanted, atol=2)


def test_boxes_are_cut_with_the_picture() -> None:
    image = changed(file_of(marked(), "PNG"), resize=15, mode="center_crop")
    assert opened(image).size == (15, 15)
    assert image.box((0, 0, 60, 30)) == (0, 0, 15, 15)
    assert image.box((0, 0, 10, 10)) == (0, 0, 0, 5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("strip", ["gps", "all"])
def test_metadata_goes_and_pixels_stay_as_they_are_coded(kind: str, strip: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = file_of(marked(), kind, exif=exif(), icc_profile=profile)
    image = changed(data, strip=strip)
    found = opened(image)
    assert not image.encoded
    assert 0x8825 not in found.getexif()
    assert (found.getexif().get(0x010F) == "Maker") == (strip == "gps")
    assert found.info["icc_profile"] == profile
    assert found.tobytes() == Image.open(io.BytesIO(data)).tobytes()
    assert changed(image.data, strip=strip).data == image.data


def test_positions_in_xmp_and_in_what_follows_the_picture_go() -> None:
    data = file_of(marked(), xmp=b"<x exif:GPSLatitude='47,22N'/>", comment=b"mine") + b"\x00\x00ftypmp42 GPS 47.22"
    left = without_metadata(data, everything=False)
    assert b"47" not in left
    assert b"mine" in left
    assert b"mine" not in without_metadata(data, everything=True)


def test_a_position_goes_from_pictures_that_are_encoded_anew() -> None:
    found = opened(changed(file_of(marked(), exif=exif(6)), strip="gps", resize=10))
    assert dict(found.getexif()) == {0x010F: "Maker"}


def test_transparency_is_laid_on_white_or_kept() -> None:
    clear = marked().convert("RGBA")
    clear.putalpha(0)
    data = file_of(clear, "PNG")
    flat = changed(data, format="jpeg")
    assert flat.flattened
    assert opened(flat).convert("RGB").getpixel((30, 15)) == (255, 255, 255)
    assert opened(changed(data, format="webp")).convert("RGBA").getpixel((30, 15))[3] == 0  # type: ignore[index]


def test_deep_grey_ink_and_floats_become_rgb() -> None:
    deep = Image.fromarray(np.full((4, 4), 257 * 100, np.uint16))
    assert opened(changed(file_of(deep, "PNG"), format="jpeg")).getpixel((0, 0)) == (100, 100, 100)
    ink = opened(changed(file_of(marked().convert("CMYK")), format="png")).getpixel((10, 6))
    assert ink == pytest.approx((255, 0, 0), abs=12)


def test_the_first_of_several_pictures_is_released() -> None:
    data = file_of(marked(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 30))])
    image = changed(data, format="png")
    assert image.original.frames > 1
    assert opened(image).n_frames == 1  # type: ignore[attr-defined]


def test_broken_pictures_and_impossible_sizes_have_reasons() -> None:
    data = file_of(marked(300, 300))
    assert ImageChanges(resize=10).apply(data[: len(data) // 2]) == "truncated_image"
    assert ImageChanges().apply(b"text") == "not_an_image"
    wide = file_of(Image.new("1", (17_000, 2)), "PNG")
    assert "webp holds at most 16,383 pixels" in str(ImageChanges(format="webp").apply(wide))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "longest"}, "need 'resize'"),
        ({"format": "png", "quality": 90}, "PNG is lossless"),
        ({"strip": "all", "upright": False}, "removes the orientation"),
        ({"strip": "exif"}, "gps"),
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ImageChanges.model_validate(options)
