"""The size of a plain JPEG, read without Pillow, is that which Pillow finds."""

from __future__ import annotations

import io
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from poolwright.core.images import image
from poolwright.core.images.headers import plain_jpeg_size
from poolwright.core.images.image import Probe, probe


def saved(mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((33, 18), 50).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def exif() -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = 6
    return found


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PLAIN = [saved(), saved("L"), saved("CMYK"), saved(progressive=True), saved(icc_profile=PROFILE, comment=b"a comment"),
         saved(quality=100, restart_marker_blocks=2)]  # fmt: skip
OTHERS = [saved(exif=exif()), saved(xmp=b'<x tiff:Orientation="6"/>')]


def by_pillow(data: bytes) -> Probe | str:
    with mock.patch.object(image, "plain_jpeg_size", return_value=None):
        return probe(data)


@pytest.mark.parametrize("data", PLAIN)
def test_plain_files_have_a_size(data: bytes) -> None:
    assert plain_jpeg_size(data) == (33, 18)
    assert probe(data) == by_pillow(data) == Probe("JPEG", 33, 18, 1)


@pytest.mark.parametrize("data", [*OTHERS, b"", b"\xff\xd8", b"\xff\xd8\xff", PLAIN[0][:100], b"\x89PNG" + PLAIN[0]])
def test_other_files_are_left_to_pillow(data: bytes) -> None:
    assert plain_jpeg_size(data) is None
    assert probe(data) == by_pillow(data)


@given(
    st.sampled_from([*PLAIN, *OTHERS]),
    st.lists(st.tuples(st.integers(0, 1_000), st.binary(max_size=4), st.integers(0, 4)), max_size=3),
    st.integers(0, 3_000),
)
def test_damaged_headers_are_judged_as_by_pillow(
    data: bytes, changes: list[tuple[int, bytes, int]], length: int
) -> None:
    for at, new, removed in changes:
        at %= 700
        data = data[:at] + new + data[at + removed :]
    for one in (data, data[:length]):
        assert probe(one) == by_pillow(one)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80))
def test_any_segment_is_judged_as_by_pillow(mark: int, length: int, content: bytes) -> None:
    segment = bytes((0xFF, mark, 0, length)) + content
    data = PLAIN[0][:20] + segment + PLAIN[0][20:]
    assert probe(data) == by_pillow(data)
    exact = PLAIN[0][:20] + segment[:3] + bytes((len(content) + 2,)) + content + PLAIN[0][20:]
    assert probe(exact) == by_pillow(exact)
