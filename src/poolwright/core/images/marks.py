"""Find what image files say of how they were made: IPTC's digital source type, and manifests of C2PA.

Source types: https://cv.iptc.org/newscodes/digitalsourcetype/, in the XMP property `Iptc4xmpExt:DigitalSourceType`
(IPTC Photo Metadata 2023.2) and in the actions of a manifest. Manifests are JUMBF boxes (ISO 19566-5) at the places
that C2PA 2.2, A.3, gives for each format. Signatures are not checked, nor is anything that a manifest refers to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MadeByAi = Literal["trained", "composite"]

SOURCE_TYPES: dict[str, MadeByAi] = {
    "trainedAlgorithmicMedia": "trained",
    "compositeWithTrainedAlgorithmicMedia": "composite",
    "compositeSynthetic": "composite",
}
"""Source types of pictures that generative AI made, or made a part of."""

_TERMS = b"|".join(term.encode() for term in SOURCE_TYPES)
_IN_XMP = re.compile(
    rb"DigitalSourceType\s*(?:=\s*[\"']|[^<>]*resource\s*=\s*[\"']|>\s*)(?:https?://[^\"'<>\s]*/)?(" + _TERMS + rb")\b"
)
_IN_MANIFEST = re.compile(rb"digitalsourcetype/(" + _TERMS + rb")")  # CBOR has no sign after a text
_PACKET, _PACKET_END = b"<x:xmpmeta", b"</x:xmpmeta>"
_LONGEST = 1 << 24

_STORE = bytes.fromhex("6332706100110010800000aa00389b71")
"""UUID of the JUMBF box that holds the manifests of C2PA."""

_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""UUID of the box of AVIF and its kin with the store."""

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Marks:
    """What a file says of how it was made.

    Attributes:
        made_by_ai: 'trained' if generative AI made the picture, 'composite' if it made a part of it; None if nothing
            is said.
        c2pa: whether the file holds a manifest of C2PA.
    """

    made_by_ai: MadeByAi | None
    c2pa: bool


def marks_of(data: bytes) -> Marks:
    """Return the marks of an image file. What is damaged says nothing."""
    store = b"".join(_store(data))
    there = _STORE in store
    found = {SOURCE_TYPES[term.decode()] for packet in _packets(data) for term in _IN_XMP.findall(packet)}
    found |= {SOURCE_TYPES[term.decode()] for term in (_IN_MANIFEST.findall(store) if there else ())}
    # A picture that was put together has the marks of its parts, too.
    made: MadeByAi | None = "composite" if "composite" in found else "trained" if found else None
    return Marks(made, there)


def _packets(data: bytes) -> Iterator[bytes]:
    """Yield the packets of XMP, which stand in files of all formats as plain text."""
    at = data.find(_PACKET)
    while at >= 0:
        end = data.find(_PACKET_END, at, at + _LONGEST)
        yield data[at : end if end >= 0 else at + _LONGEST]
        at = data.find(_PACKET, max(end, at + 1))


def _store(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of the store of manifests, piece by piece."""
    if data[:2] == b"\xff\xd8":
        yield from _jpeg(data)
    elif data.startswith(_PNG):
        yield from _chunks(data, len(_PNG), "big", b"caBX")
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from _chunks(data, 12, "little", b"C2PA")
    elif data[4:8] == b"ftyp":
        yield from _boxes(data)


def _jpeg(data: bytes) -> Iterator[bytes]:
    """Yield the JUMBF boxes of segments APP11; one that is cut into several repeats the head of its box."""
    at, seen = 2, set[bytes]()
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xEB and content[:2] == b"JP":
            number, head = content[2:4], 16 if content[8:12] != b"\x00\x00\x00\x01" else 24
            yield content[8:] if number not in seen else content[head:]
            seen.add(number)
        at += 2 + length


def _chunks(data: bytes, at: int, order: Literal["big", "little"], wanted: bytes) -> Iterator[bytes]:
    """Yield the content of chunks of PNG (length, name, content, checksum) or WebP (name, length, content)."""
    while at + 8 <= len(data):
        first, second = data[at : at + 4], data[at + 4 : at + 8]
        name, size = (second, first) if order == "big" else (first, second)
        length = int.from_bytes(size, order)
        if name == wanted:
            yield data[at + 8 : at + 8 + length]
        at += 12 + length if order == "big" else 8 + length + length % 2


def _boxes(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(data):
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = at + length if length else len(data)
        if data[at + 4 : at + 8] == b"uuid" and data[at + head : at + head + 16] == _BOX:
            yield data[at + head + 16 : end]
        if end <= at:
            return
        at = end
