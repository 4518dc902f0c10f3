"""Reading and decoding of image files that are large, odd, broken or hostile."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from poolwright.core.images.image import FORMATS as READ
from poolwright.core.images.image import REASONS, Probe, drop_codes, is_turned, open_image, probe
from poolwright.core.images.image_files import Limits, read_bytes
from tests.models.making import encoded, picture

FORMATS = [name for name in READ if name != "HEIF"]  # which Pillow's plugin does not write

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, about the damage that is meant


def pixels(image: Image.Image | str) -> np.ndarray:
    assert not isinstance(image, str), image
    assert image.mode == "RGB"
    return np.asarray(image)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG file of raw rows; `more` are chunks before the pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), *more]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture(params=[False, True], ids=["strict", "lenient"])
def switch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's switches as other libraries may have left them."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None if request.param else 20_000)


@pytest.mark.parametrize("format", FORMATS)
def test_formats_decode_to_their_pixels(format: str) -> None:
    image = picture(1)
    data = encoded(image, format)
    found = pixels(open_image(data)).astype(int)
    tolerance = 0 if format in ("PNG", "BMP", "TIFF", "PPM", "JPEG2000") else 14
    assert np.abs(found - np.asarray(image, int)).mean() <= tolerance
    assert probe(data) == Probe(format, 200, 150, 1)


@pytest.mark.parametrize("format", [*FORMATS, "progressive", "lossless"])
@pytest.mark.usefixtures("switch")
def test_cut_files_are_refused_whole(format: str) -> None:
    image = picture(2)
    if format == "progressive":
        data = encoded(image, "JPEG", progressive=True)
    elif format == "lossless":
        data = encoded(image, "WEBP", lossless=True)
    else:
        data = encoded(image, format)
    cuts = [40, 100, *(int(len(data) * share) for share in (0.2, 0.5, 0.8, 0.97)), len(data) - 20]
    assert {open_image(data[:cut]) for cut in cuts} == {"truncated_image"}
    assert {open_image(data[:cut]) for cut in (1, 2)} <= {"not_an_image", "truncated_image"}
    assert isinstance(open_image(data), Image.Image)


@pytest.mark.usefixtures("switch")
def test_jpeg_with_a_tail_of_zeros_is_truncated() -> None:
    data = encoded(picture(3), quality=95)
    half = len(data) // 2
    assert open_image(data[:half] + bytes(len(data) - half)) == "truncated_image"
    assert isinstance(open_image(data + bytes(100)), Image.Image)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_never_raise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = {reason.name for reason in REASONS}
    for format in FORMATS:
        data = bytearray(encoded(picture(seed, 60, 40), format))
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(0, 256)
        for found in (open_image(bytes(data)), probe(bytes(data))):
            assert not isinstance(found, str) or found in names


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "missing_file"),
        (b"", "empty_file"),
        (b"<html>404 not found</html>" * 10, "not_an_image"),
        (b"\0" * 1000, "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_an_image"),
        (b"\xff\xd8\xff", "truncated_image"),
    ],
)
def test_what_is_no_image(data: bytes | None, reason: str) -> None:
    assert open_image(data) == reason
    assert probe(data) == reason


@pytest.mark.usefixtures("switch")
def test_bombs_are_refused_by_their_header() -> None:
    bombs = [
        png(60_000, 60_000, 8, 2, b"\0" * 1000),
        b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\x80\0\0" + b"\0" * 50,
        b"RIFF"
        + struct.pack("<I", 100)
        + b"WEBPVP8X"
        + struct.pack("<I", 10)
        + b"\0" * 4
        + b"\xff\xff\x3f" * 2
        + b"\0" * 90,
        encoded(picture(1, 64, 64), "BMP").replace(struct.pack("<ii", 64, 64), struct.pack("<ii", 60_000, 60_000)),
    ]
    assert [open_image(data) for data in bombs] == ["too_many_pixels"] * len(bombs)
    assert [probe(data) for data in bombs] == ["too_many_pixels"] * len(bombs)
    assert open_image(encoded(picture(1)), Limits(max_pixels=200 * 150 - 1)) == "too_many_pixels"
    assert isinstance(open_image(encoded(picture(1)), Limits(max_pixels=200 * 150)), Image.Image)


def test_header_is_checked_before_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    data = encoded(picture(1), "PNG")
    assert open_image(data, Limits(max_pixels=10)) == "too_many_pixels"
    assert isinstance(probe(data), Probe)
    assert isinstance(probe(encoded(picture(1), "JPEG", exif=_exif(6))), Probe)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_orientation_is_applied(format: str, orientation: int) -> None:
    stored = picture(4, 96, 64)
    turn = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation]
    data = encoded(stored, format, exif=_exif(orientation), quality=100)
    found, upright = pixels(open_image(data)), turn(np.asarray(stored))
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 9
    assert probe(data) == Probe(format, found.shape[1], found.shape[0], 1, orientation)


@pytest.mark.parametrize("orientation", [1, 6])
def test_only_headers_say_that_a_jpeg_is_turned(orientation: int) -> None:
    plain, turned = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (20, 10)).save(plain, "JPEG")
    Image.new("RGB", (20, 10)).save(turned, "JPEG", exif=_exif(orientation))
    assert is_turned(turned.getvalue()) == (orientation == 6)
    assert not is_turned(plain.getvalue() + turned.getvalue())
    assert not is_turned(plain.getvalue()[:30])


def test_senseless_exif_is_ignored() -> None:
    data = encoded(picture(1), exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\x13" * 30)
    assert pixels(open_image(data)).shape == (150, 200, 3)
    assert pixels(open_image(encoded(picture(1), exif=_exif(77)))).shape == (150, 200, 3)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 128, 129, 257, 32_768, 65_407, 65_535]], np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    expected = np.rint(values / 257).astype(np.uint8)
    assert np.array_equal(pixels(open_image(png(7, 1, 16, 0, rows)))[..., 0], expected)
    assert np.array_equal(pixels(open_image(encoded(Image.fromarray(values), "TIFF")))[..., 2], expected)
    white = pixels(open_image(png(7, 1, 16, 0, rows, (b"tRNS", struct.pack(">H", 257)))))[..., 1]
    assert white.tolist() == [[0, 0, 1, 255, 128, 255, 255]]


def test_floats_are_taken_as_zero_to_one() -> None:
    values = np.array([[0, 0.5, 1, 7, np.nan, -1]], np.float32)
    assert pixels(open_image(encoded(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == [0, 128, 255, 255, 0, 0]


def test_transparency_is_shown_on_white() -> None:
    red = (200, 10, 10)
    rgba = Image.new("RGBA", (3, 1), (*red, 255))
    rgba.putpixel((1, 0), (*red, 0))
    rgba.putpixel((2, 0), (*red, 128))
    expected = [[200, 10, 10], [255, 255, 255], [227, 132, 132]]
    for format in ("PNG", "TIFF"):
        assert np.abs(pixels(open_image(encoded(rgba, format)))[0].astype(int) - expected).max() <= 1
    grey = Image.new("LA", (2, 1), (50, 255))
    grey.putpixel((1, 0), (50, 0))
    assert pixels(open_image(encoded(grey, "PNG")))[0].tolist() == [[50] * 3, [255] * 3]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([*red, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    data = encoded(palette, "PNG", transparency=bytes([0, 255]))
    assert pixels(open_image(data))[0].tolist() == [[255] * 3, [0, 0, 255]]
    assert pixels(open_image(encoded(palette, "GIF", transparency=1)))[0].tolist() == [list(red), [255] * 3]


def test_bilevel_and_grey_become_rgb() -> None:
    for mode in ("1", "L"):
        image = Image.new(mode, (2, 1), 0)
        image.putpixel((1, 0), 255)
        assert pixels(open_image(encoded(image, "PNG")))[0].tolist() == [[0] * 3, [255] * 3]


def test_cmyk_of_adobe_and_of_others() -> None:
    ink = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # full cyan
    adobe = encoded(ink, "JPEG", quality=95)
    marker = adobe.index(b"\xff\xee\0\x0eAdobe")
    assert np.abs(pixels(open_image(adobe))[8, 8].astype(int) - [0, 255, 255]).max() < 6
    # Without Adobe's mark the same samples, 0 of cyan and 255 of the others, are the ink itself: black.
    plain = adobe[:marker] + adobe[marker + 16 :]
    assert pixels(open_image(plain))[8, 8].max() < 6
    assert np.abs(pixels(open_image(encoded(ink, "TIFF")))[8, 8].astype(int) - [0, 255, 255]).max() < 6


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    for format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
        assert np.abs(pixels(open_image(data))[5, 5].astype(int) - [255, 0, 0]).max() < 12
        seen = probe(data)
        assert isinstance(seen, Probe)
        assert (seen.width, seen.height) == (40, 30)
        assert seen.frames > 1


def test_draft_decodes_large_jpegs_small_and_nearly_the_same() -> None:
    large = picture(5, 1600, 1200)
    data = encoded(large, quality=95)
    small, full = open_image(data, wanted=100), open_image(data)
    assert isinstance(small, Image.Image)
    assert isinstance(full, Image.Image)
    assert small.size == (400, 300)
    one, other = (np.asarray(image.resize((133, 100), Image.Resampling.BICUBIC), float) for image in (small, full))
    assert np.abs(one - other).mean() < 1
    ordinary = encoded(picture(6, 399, 380))
    assert np.array_equal(pixels(open_image(ordinary, wanted=200)), pixels(open_image(ordinary)))


def test_read_bytes_below_a_root(tmp_path: Path) -> None:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "images" / "sub" / "ä b#%20.jpg").write_bytes(b"data")
    (tmp_path / "images" / "empty.jpg").write_bytes(b"")
    root = str(tmp_path / "images")
    assert read_bytes(root, "sub/ä b#%20.jpg") == b"data"
    assert read_bytes(root, "sub/../sub/./ä b#%20.jpg") == b"data"
    assert read_bytes(root, "nothing.jpg") == "missing_file"
    assert read_bytes(root, "empty.jpg/below") == "missing_file"
    assert read_bytes(root, "empty.jpg") == "empty_file"
    assert read_bytes(root, "sub") == "unreadable_file"
    assert read_bytes(root, "a\0b") == "unreadable_file"
    assert read_bytes(root, "sub/ä b#%20.jpg", Limits(max_bytes=3)) == "too_many_bytes"
    for path in ("../secret.jpg", "sub/../../secret.jpg", str(tmp_path / "secret.jpg"), "file:///etc/hosts", "", ".."):
        assert read_bytes(root, path) == "outside_root"
    assert read_bytes(None, str(tmp_path / "secret.jpg")) == b"secret"


def test_read_bytes_of_urls() -> None:
    import fsspec

    fsspec.filesystem("memory").pipe({"/bucket/in/a.jpg": b"data", "/bucket/out.jpg": b"out"})
    assert read_bytes("memory://bucket/in/", "a.jpg") == b"data"
    assert read_bytes("memory://bucket/in", "a.jpg", Limits(max_bytes=3)) == "too_many_bytes"
    assert read_bytes("memory://bucket/in", "b.jpg") == "missing_file"
    assert read_bytes("memory://bucket/in", "../out.jpg") == "outside_root"
    assert read_bytes(None, "memory://bucket/out.jpg") == b"out"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert read_bytes(str(tmp_path), "pipe.jpg") == "unreadable_file"


def test_drop_codes_follow_the_reasons() -> None:
    codes = drop_codes([None, REASONS[0].name, REASONS[-1].name, "nan_vector"], ("nan_vector",))
    assert codes is not None
    assert codes.tolist() == [0, 1, len(REASONS), len(REASONS) + 1]
    assert drop_codes([None, None]) is None
    assert all(reason.bad for reason in REASONS)
