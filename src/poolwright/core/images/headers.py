"""Reads the headers of image files: checks that decoders make too late, or not at all."""

from __future__ import annotations

_SOS, _DQT = 0xDA, 0xDB
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SKIPPED = frozenset((0xC4, 0xDD, 0xFE, *range(0xE3, 0xED), 0xEF))  # Huffman tables, restarts, comments, applications
_KNOWN = {0xE0: (b"JFIF\0", 14), 0xE2: (b"ICC_PROFILE\0", 14), 0xEE: (b"Adobe", 12)}
"""Beginning and least length of further segments."""

_END = b"\xff\xd9"  # end mark of JPEG and JPEG 2000; cannot occur within their coded data


def claimed_size(data: bytes) -> tuple[int, int]:
    """Return the size in the header, for formats of which Pillow allocates all pixels on opening, else (0, 0)."""
    head = data[:30]
    if head[:3] == b"GIF":
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0, 0
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def cut_short(data: bytes) -> bool:
    """Whether a WebP or AVIF file, whose decoders do not report it, is shorter than its own lengths."""
    if data[:4] == b"RIFF":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data[4:8] != b"ftyp":
        return False
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8:  # 0: to the end of the file; 1: a 64-bit length, of no use in a picture
            return False
        at += length
    return at != len(data)


def unfinished(format: str, data: bytes) -> bool:
    """Whether a file lacks its end in a way that its decoder may ignore.

    A JPEG that ends in zeros without its end mark is a download whose space was reserved but not filled;
    zeros are valid image data, so the decoder would paint the rest grey. OpenJPEG returns what it has.
    """
    if format in ("JPEG", "MPO"):
        return not any(data[-32:]) and data.find(_END, _scan(data)) < 0
    return format == "JPEG2000" and _END not in data


def plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG without metadata that Pillow would interpret, in a tenth of its time.

    None for any other file: with EXIF, XMP, several pictures or Photoshop's resources, damaged, cut off before its
    first scan, or with a segment of which Pillow might make an error. So whenever there is a size, Pillow opens the
    file, and finds the same size, one picture, and no orientation.
    """
    if data[:2] != b"\xff\xd8":
        return None
    at, last, size = 2, len(data) - 4, None
    while at <= last and data[at] == 0xFF:
        mark, begin, end = data[at + 1], at + 4, at + 2 + (data[at + 2] << 8) + data[at + 3]
        length = end - begin
        if length < 0 or end > len(data):
            return None
        if mark == _SOS:
            return size
        if mark in _FRAMES:
            layers = data[begin + 5] if length > 5 else 0
            if size or layers not in (1, 3, 4) or length != 6 + 3 * layers or data[begin] != 8:
                return None
            size = (data[begin + 3] << 8) + data[begin + 4], (data[begin + 1] << 8) + data[begin + 2]
            if not size[0] or not size[1]:
                return None
        elif mark == _DQT:
            if length % 65 or any(data[table] > 15 for table in range(begin, end, 65)):
                return None
        elif mark not in _SKIPPED:
            known = _KNOWN.get(mark)
            if known is None or length < known[1] or data[begin : begin + len(known[0])] != known[0]:
                return None
        at = end
    return None


def jpeg_headers(data: bytes) -> bytes:
    """Return what precedes the first scan of a JPEG, where its metadata are; the whole file if that is not found."""
    at = _scan(data)
    return data[:at] if data[at : at + 2] == b"\xff\xda" else data


def _scan(data: bytes) -> int:
    """Return the offset of the first scan of a JPEG, past the thumbnails that its headers may hold."""
    at, last = 2, len(data) - 4
    while at <= last and data[at] == 0xFF and (mark := data[at + 1]) != 0xDA:
        at += 1 if mark == 0xFF else 2 + (data[at + 2] << 8) + data[at + 3]
    return at
