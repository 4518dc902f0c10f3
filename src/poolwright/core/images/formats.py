"""List the image formats that are read, and the extensions of their files."""

from __future__ import annotations

IMAGE_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "PNG": ("png",),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "AVIF": ("avif",),
    "BMP": ("bmp",),
    "TIFF": ("tif", "tiff"),
    "JPEG2000": ("jp2", "j2k", "jpx", "jpf"),
    "PPM": ("ppm", "pgm", "pbm", "pnm"),
}
"""Extensions by format, as Pillow names it; files are written with the first."""

IMAGE_EXTENSIONS = frozenset(extension for extensions in IMAGE_FORMATS.values() for extension in extensions)

UNKNOWN_EXTENSION = "bin"
"""Extension of an image file whose format was not looked at."""


def extension_of(format: str | None) -> str:
    """Return the extension that a file of a format is written with."""
    return IMAGE_FORMATS[format][0] if format in IMAGE_FORMATS else UNKNOWN_EXTENSION
