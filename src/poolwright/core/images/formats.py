"""List the image formats that are read, and the extensions of their files."""

from __future__ import annotations

import posixpath
import re
from importlib.util import find_spec

IMAGE_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "mpo"),
    "PNG": ("png", "apng"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "AVIF": ("avif", "avifs"),
    "BMP": ("bmp",),
    "TIFF": ("tif", "tiff"),
    "JPEG2000": ("jp2", "j2k", "jpx", "jpf", "jpc", "j2c"),
    "PPM": ("ppm", "pgm", "pbm", "pnm", "pfm"),
}
"""Extensions by format, as Pillow names it; files are written with the first."""

HEIF_EXTENSIONS = ("heic", "heif", "hif")
HAS_HEIF = find_spec("pi_heif") is not None
"""Whether the plugin of Pillow is installed that decodes HEIF; it comes with the extra `heif`."""
if HAS_HEIF:
    IMAGE_FORMATS["HEIF"] = HEIF_EXTENSIONS

MEDIA_TYPES: dict[str, str] = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "jp2": "image/jp2",
    "ppm": "image/x-portable-pixmap",
    "pgm": "image/x-portable-graymap",
    "pbm": "image/x-portable-bitmap",
    "heic": "image/heic",
}
"""Media type by extension, for the extensions that files are written with."""

IMAGE_EXTENSIONS = frozenset(extension for extensions in IMAGE_FORMATS.values() for extension in extensions)

UNKNOWN_EXTENSION = "bin"
"""Extension of an image file whose format was not looked at."""

_MAGIC = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
    (b"II+\x00", "tif"),
    (b"MM\x00+", "tif"),
    (b"\x00\x00\x00\x0cjP  ", "jp2"),
    (b"\xff\x4f\xff\x51", "j2k"),
    (b"P1", "pbm"),
    (b"P4", "pbm"),
    (b"P2", "pgm"),
    (b"P5", "pgm"),
    (b"P3", "ppm"),
    (b"P6", "ppm"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
_SIZES = re.compile(r"[_:!-](?:large|orig|medium|small|thumb|tiny|\d+x\d+)$")  # photo.jpg_large, photo.jpg:orig


def extension_of(format: str | None) -> str:
    """Return the extension that a file of a format is written with."""
    return IMAGE_FORMATS[format][0] if format in IMAGE_FORMATS else UNKNOWN_EXTENSION


def extension_of_name(name: str) -> str:
    """Return the extension of a file name in lower case, without the dot and without a size such as `_large`."""
    return _SIZES.sub("", posixpath.splitext(name)[1][1:].lower())


def is_image_name(name: str) -> bool:
    """Whether a file name has an extension of an image format that is read."""
    return extension_of_name(name) in IMAGE_EXTENSIONS


def extension_of_bytes(data: bytes) -> str | None:
    """Return the extension of an image file by its first bytes; None if they are of no format that is read."""
    if data[:3] == _MAGIC[0][0]:
        return _MAGIC[0][1]  # most files are JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    if HAS_HEIF and data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "heic"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)
