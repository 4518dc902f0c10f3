"""Encode images as JPEG, PNG or WebP, with the metadata of the file that they were decoded from."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

from poolwright.core.images.pixels import to_rgb

if TYPE_CHECKING:
    from PIL import Image

Encoding = Literal["jpeg", "png", "webp"]

QUALITY = 95
"""Quality of JPEG and WebP if none is named, as in img2dataset."""

MOST_PIXELS: dict[Encoding, int] = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}
"""Longest edge that a format holds, in pixels; of JPEG, the one that libjpeg writes."""

ORIENTATION = 0x0112
_GPS, _EXIF_IFD, _MAKER_NOTE, _WIDTH, _HEIGHT = 0x8825, 0x8769, 0x927C, 0xA002, 0xA003
_LONGEST_EXIF = 65_533 - 6  # bytes in one segment of a JPEG
_WITH_EXIF = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF")  # not TIFF, of which EXIF is the file itself


def encoder_versions() -> str:
    """Return the libraries that encode, with their versions: 'Pillow 13.0.0 (libjpeg-turbo 3.2.0, ...)'."""
    import PIL
    from PIL import features

    named = {"libjpeg_turbo": "libjpeg-turbo", "zlib": "zlib", "webp": "libwebp", "littlecms2": "Little CMS"}
    found = [f"{words} {features.version(name)}" for name, words in named.items() if features.version(name)]
    return f"Pillow {PIL.__version__}" + (f" ({', '.join(found)})" if found else "")


def encode(image: Image.Image, encoding: Encoding, quality: int | None, exif: bytes, profile: bytes) -> bytes:
    """Return the image file of RGB or RGBA pixels, whose `info` is emptied.

    The same pixels give the same bytes with one version of Pillow and its libraries.

    Args:
        quality: of JPEG and WebP, 1 to 100; None is `QUALITY`.
        exif: EXIF of the file, b'' for none.
        profile: ICC profile of the file, b'' for none.
    """
    options: dict[str, Any] = {} if encoding == "png" else {"quality": quality or QUALITY}
    options |= {"exif": exif} if exif else {}
    options |= {"icc_profile": profile} if profile else {}
    options |= {"method": 4} if encoding == "webp" else {}
    image.info = {}  # from which Pillow would take whatever the options do not name
    out = io.BytesIO()
    image.save(out, encoding.upper(), **options)
    return out.getvalue()


def pixels_for(image: Image.Image, encoding: Encoding) -> Image.Image:
    """Return a decoded image of any mode as RGB, or as RGBA if it has transparency and the format keeps it.

    CMYK with an ICC profile is converted to sRGB by it; everything else as by `to_rgb`.

    Raises:
        ValueError: a mode that Pillow cannot convert.
    """
    if encoding != "jpeg" and image.has_transparency_data and image.mode[0] not in "IF":
        return image.convert("RGBA")
    return (_by_profile(image) if image.mode == "CMYK" else None) or to_rgb(image)


def profile_of(image: Image.Image) -> bytes:
    """Return the ICC profile of a decoded image, if it is one of RGB pixels; else b''."""
    profile = image.info.get("icc_profile") or b""
    return profile if profile[16:20] == b"RGB " and image.mode in ("RGB", "RGBA", "P") else b""


def exif_of(image: Image.Image, upright: bool, gps: bool, size: tuple[int, int]) -> bytes:
    """Return the EXIF to write with an image: that of its file, as far as it can be read.

    Args:
        upright: the pixels have been turned, so the orientation is left out.
        gps: whether the position is kept.
        size: width and height of the pixels, which EXIF repeats.
    """
    from PIL import Image as images

    found = images.Exif()
    if image.format in _WITH_EXIF:
        try:
            found = image.getexif()
            inner = _details(found)
            inner.update({tag: length for tag, length in zip((_WIDTH, _HEIGHT), size, strict=True) if tag in inner})
        except Exception:  # EXIF is decoration, and parsing it raises anything
            found = images.Exif()
    return rewritten(found, upright, gps)


def holds_position(exif: Image.Exif) -> bool:
    """Whether EXIF has a position, or notes of the camera's maker, which may have one."""
    return _GPS in exif or _MAKER_NOTE in _details(exif)


def _details(exif: Image.Exif) -> dict[int, Any]:
    """Return the inner part of EXIF, with what is about the picture; {} if there is none, which Pillow would add."""
    return exif.get_ifd(_EXIF_IFD) if _EXIF_IFD in exif else {}


def rewritten(exif: Image.Exif, upright: bool, gps: bool) -> bytes:
    """Return EXIF with or without orientation, and position and maker notes; what cannot be written is left out."""
    from PIL import Image as images

    turned = exif.get(ORIENTATION, 1)
    for tag in [*([ORIENTATION] if upright else []), *([] if gps else [_GPS])]:
        if tag in exif:
            del exif[tag]
    if not gps:
        _details(exif).pop(_MAKER_NOTE, None)
    if not len(exif):
        return b""
    try:
        data = exif.tobytes()
    except Exception:  # values of types that cannot be written
        data = b""
    if data and len(data) <= _LONGEST_EXIF:
        return data
    least = images.Exif()
    least[ORIENTATION] = turned
    return b"" if upright or turned == 1 else least.tobytes()


def _by_profile(image: Image.Image) -> Image.Image | None:
    """Return CMYK as sRGB by its ICC profile; None if it has none that can be used."""
    from PIL import ImageCms

    from poolwright.core.images.pixels import ink

    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(ink(image), source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
