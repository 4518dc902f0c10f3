"""Remove metadata from JPEG, PNG and WebP files without touching their pixels.

Segments of JPEG: ITU-T T.81; chunks of PNG: https://www.w3.org/TR/png-3/; of WebP:
https://developers.google.com/speed/webp/docs/riff_container.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from poolwright.core.images.encoding import holds_position, rewritten

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\x00\x00"
_SEGMENTS_KEPT = ((0xE0, b"JFIF"), (0xE2, b"ICC_PROFILE\x00"), (0xEE, b"Adobe"))
"""Markers and first bytes of the JPEG segments that say how to decode pixels and show colours."""
_CHUNKS_KEPT = frozenset(b"tRNS gAMA cHRM sRGB iCCP cICP sBIT bKGD pHYs acTL fcTL fdAT".split())
"""Chunks of PNG that are kept in addition to the critical ones, whose names begin with a capital."""
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PROFILES = (b"Raw profile", b"XML:com.adobe.xmp")  # EXIF and XMP in texts, which may be compressed


class Malformed(ValueError):
    """A file does not follow its format, so its metadata cannot be found without decoding it."""


def without_metadata(data: bytes, everything: bool) -> bytes:
    """Return a JPEG, PNG or WebP file without positions, or without any metadata; the same bytes if it has none.

    Positions are in the GPS part of EXIF and in XMP; maker notes, and whatever follows the picture in the file, such
    as a second picture or a film, may hold them as well and are removed too. Colour profiles are always kept.

    Args:
        everything: remove EXIF, XMP, IPTC, comments and texts; otherwise what may hold a position.

    Raises:
        Malformed: the structure of the file cannot be followed.
    """
    try:
        if data[:2] == b"\xff\xd8":
            return b"".join(_jpeg(data, everything))
        if data.startswith(_PNG):
            return b"".join(_png(data, everything))
        return _webp(data, everything)
    except (IndexError, ValueError) as error:
        raise Malformed(str(error)) from None


def _jpeg(data: bytes, everything: bool) -> Iterator[bytes]:
    yield data[:2]
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # fill bytes
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        marker, content = data[at + 1], data[at + 4 : at + 2 + length]
        if length < 2 or len(content) != length - 2:
            raise Malformed("a segment is cut off")
        kept = _segment(marker, content, everything)
        if kept is not None:
            yield data[at : at + 2] + (len(kept) + 2).to_bytes(2, "big") + kept
        at += 2 + length
    if data[at] != 0xFF:
        raise Malformed("no marker after a segment")
    end = data.find(b"\xff\xd9", at)  # cannot occur within coded data
    yield data[at : end + 2] if end >= 0 else data[at:]


def _segment(marker: int, content: bytes, everything: bool) -> bytes | None:
    """Return what is kept of a segment; None if it is left out."""
    if everything:
        needed = any(marker == known and content.startswith(start) for known, start in _SEGMENTS_KEPT)
        return content if needed or not (0xE0 <= marker <= 0xEF or marker == 0xFE) else None
    if marker == 0xE1 and content.startswith(_EXIF):
        return _without_position(content)
    if marker == 0xE2 and content.startswith(b"MPF\x00"):
        return None  # the index of the further pictures, which are cut off
    return None if marker in (0xE1, 0xED, 0xFE) and b"GPS" in content.upper() else content


def _png(data: bytes, everything: bool) -> Iterator[bytes]:
    yield _PNG
    at = len(_PNG)
    while True:
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunk, content = data[at : at + 12 + length], data[at + 8 : at + 8 + length]
        if len(chunk) != length + 12:
            raise Malformed("a chunk is cut off")
        if not everything and name == b"eXIf":
            content = (_without_position(_EXIF + content) or b"")[len(_EXIF) :]
            framed = len(content).to_bytes(4, "big") + name + content
            chunk = framed + crc32(framed[4:]).to_bytes(4, "big") if content else b""
        elif everything:
            chunk = chunk if name[:1].isupper() or name in _CHUNKS_KEPT else b""
        elif name in _TEXTS and (b"GPS" in content.upper() or content.startswith(_PROFILES)):
            chunk = b""
        yield chunk
        if name == b"IEND":
            return
        at += 12 + length


def _webp(data: bytes, everything: bool) -> bytes:
    chunks, at, flags = [], 12, 0
    end = min(int.from_bytes(data[4:8], "little") + 8, len(data))
    while at < end:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        content = data[at + 8 : at + 8 + length]
        if len(content) != length:
            raise Malformed("a chunk is cut off")
        at += 8 + length + length % 2
        if name == b"EXIF" and not everything:
            whole = content if content.startswith(_EXIF) else _EXIF + content
            content = (_without_position(whole) or b"")[len(_EXIF) :]
            flags |= 0x08 if content else 0
        elif name == b"XMP " and not everything and b"GPS" not in content.upper():
            flags |= 0x04
        elif name in (b"EXIF", b"XMP "):
            content = b""
        if content or name not in (b"EXIF", b"XMP "):
            chunks.append((name, content))
    body = b"".join(_webp_chunk(name, content, flags) for name, content in chunks)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _webp_chunk(name: bytes, content: bytes, flags: int) -> bytes:
    if name == b"VP8X":
        content = bytes([content[0] & ~0x0C | flags]) + content[1:]
    return name + len(content).to_bytes(4, "little") + content + b"\x00" * (len(content) % 2)


def _without_position(content: bytes) -> bytes | None:
    """Return EXIF without position and maker notes; as it is if it has neither, None if nothing is left."""
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(content)
        return content if not holds_position(exif) else rewritten(exif, upright=False, gps=False) or None
    except Exception:  # EXIF that cannot be read may hold a position
        return None
