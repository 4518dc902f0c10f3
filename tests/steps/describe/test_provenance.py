"""Marks of generative AI in image files."""

from __future__ import annotations

import io
import zlib

import pyarrow as pa
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from poolwright.core.images.marks import Marks, marks_of
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.steps.describe.provenance import Provenance

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
STORE = b"c2pa" + bytes.fromhex("00110010800000aa00389b71")


def xmp(said: str) -> bytes:
    """A packet of XMP; `said` is what stands in its description."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" {said}</rdf:RDF></x:xmpmeta>'
    ).encode()


def attribute(term: str) -> bytes:
    return xmp(f'Iptc4xmpExt:DigitalSourceType="{IPTC}{term}"/>')


def picture(kind: str, packet: bytes | None = None) -> bytes:
    out = io.BytesIO()
    if kind == "PNG" and packet:
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        Image.new("RGB", (16, 16)).save(out, kind, pnginfo=info)
    elif kind == "TIFF" and packet:
        Image.new("RGB", (16, 16)).save(out, kind, tiffinfo={700: packet})
    else:
        Image.new("RGB", (16, 16)).save(out, kind, **({"xmp": packet} if packet else {}))
    return out.getvalue()


def box(name: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + name + content


def store(term: str = "") -> bytes:
    """A store of manifests with an action in CBOR, in which nothing follows a text."""
    text = f"{IPTC}{term}".encode()
    action = b"\xa2qdigitalSourceTypex" + bytes([len(text)]) + text + b"factionlc2pa.created" if term else b""
    return box(b"jumb", box(b"jumd", STORE + b"\x03c2pa\x00") + box(b"jumb", box(b"cbor", action)))


def with_store(kind: str, content: bytes) -> bytes:
    """A picture with a store of manifests where C2PA has it."""
    data = picture(kind)
    if kind == "JPEG":  # in segments of 40 bytes, each with the head of the box
        head, rest = content[:8], content[8:]
        cut = [rest[at : at + 40] for at in range(0, len(rest), 40)]
        parts = [b"JP\x00\x01" + number.to_bytes(4, "big") + head + part for number, part in enumerate(cut, start=1)]
        segments = b"".join(b"\xff\xeb" + (len(part) + 2).to_bytes(2, "big") + part for part in parts)
        return data[:2] + segments + data[2:]
    if kind == "PNG":
        chunk = b"caBX" + content
        return data[:33] + len(content).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]
    if kind == "WEBP":
        data += b"C2PA" + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
        return data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
    uuid = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    return data + box(b"uuid", uuid + b"\x00\x00\x00\x00manifest\x00" + bytes(8) + content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_source_type_of_xmp(kind: str) -> None:
    assert marks_of(picture(kind, attribute("trainedAlgorithmicMedia"))) == Marks("trained", False)
    assert marks_of(picture(kind, attribute("compositeWithTrainedAlgorithmicMedia"))) == Marks("composite", False)
    assert marks_of(picture(kind, attribute("digitalCapture"))) == Marks(None, False)
    assert marks_of(picture(kind)) == Marks(None, False)


@pytest.mark.parametrize(
    ("said", "made"),
    [
        (
            f"><Iptc4xmpExt:DigitalSourceType>{IPTC}trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType></x>",
            "trained",
        ),
        (f'><Iptc4xmpExt:DigitalSourceType rdf:resource="{IPTC}compositeSynthetic"/></x>', "composite"),
        ("Iptc4xmpExt:DigitalSourceType = 'trainedAlgorithmicMedia'/>", "trained"),
        (f'Iptc4xmpExt:DigitalSourceType="{IPTC}trainedAlgorithmicMediaNot"/>', None),
        (f'dc:description="about {IPTC}trainedAlgorithmicMedia"/>', None),
    ],
)
def test_forms_of_the_source_type(said: str, made: str | None) -> None:
    assert marks_of(picture("JPEG", xmp(said))).made_by_ai == made


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_manifests(kind: str) -> None:
    assert marks_of(with_store(kind, store())) == Marks(None, True)
    assert marks_of(with_store(kind, store("digitalCapture"))) == Marks(None, True)
    made = with_store(kind, store("trainedAlgorithmicMedia"))
    assert marks_of(made) == Marks("trained", True)
    assert (
        marks_of(with_store(kind, store("trainedAlgorithmicMedia") + store("compositeSynthetic"))).made_by_ai
        == "composite"
    )
    assert marks_of(with_store(kind, box(b"jumb", b"other"))) == Marks(None, False)
    Image.open(io.BytesIO(made)).load()
    for at in range(0, len(made), 7):  # a file that is cut off says less, but no more, and is no error
        assert marks_of(made[:at]) in (Marks(None, False), Marks(None, True), Marks("trained", True))


def test_the_step_gives_columns_and_drops_what_is_no_file() -> None:
    files = [picture("PNG"), with_store("JPEG", store("trainedAlgorithmicMedia")), b"", None, b"text"]
    step = Provenance()
    outcome = step.apply(Rows(pa.table({"image": pa.array(files, pa.binary())})), State())
    assert outcome.columns["made_by_ai"].to_pylist() == [None, "trained", None, None, None]
    assert outcome.columns["c2pa"].to_pylist() == [False, True, None, None, False]
    assert outcome.drop is not None
    assert [step.reasons[code - 1].name if code else "" for code in outcome.drop] == [
        "",
        "",
        "empty_file",
        "missing_file",
        "",
    ]
