"""hash: SHA-256 and perceptual hashes."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError
from tests.models.making import encoded, picture

from poolwright.core.errors import MissingExtra
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.steps.describe.hash import Hash


def rows_of(*files: bytes | None) -> Rows:
    return Rows.of({"uid": [str(i) for i in range(len(files))], "image": pa.array(files, pa.binary())})


def test_both_hashes() -> None:
    imagehash = pytest.importorskip("imagehash")
    photo = picture(1, 600, 400)
    data = encoded(photo, quality=95)
    smaller = encoded(photo.resize((300, 200)), "PNG")
    outcome = Hash().apply(rows_of(data, smaller, encoded(picture(2))), State())
    assert outcome.columns["sha256"][0].as_py() == hashlib.sha256(data).hexdigest()
    phash = outcome.columns["phash"].to_pylist()
    assert phash[0] == str(imagehash.phash(Image.open(io.BytesIO(data))))
    bits = [np.array([int(digit, 16) for digit in one]) for one in phash]
    assert np.bitwise_count(bits[0] ^ bits[1]).sum() <= 6
    assert np.bitwise_count(bits[0] ^ bits[2]).sum() > 12
    assert all(len(one) == 16 for one in phash)
    assert outcome.drop is None


def test_reasons_depend_on_what_is_asked() -> None:
    files = (encoded(picture(1)), None, b"", b"some text", encoded(picture(1))[:200])
    bytes_only = Hash(kinds=("sha256",)).apply(rows_of(*files), State())
    assert list(bytes_only.columns) == ["sha256"]
    assert [bool(code) for code in bytes_only.drop] == [False, True, True, False, False]  # type: ignore[union-attr]
    pytest.importorskip("imagehash")
    decoded = Hash(kinds=("phash",)).apply(rows_of(*files), State())
    assert [Hash.reasons[code - 1].name if code else None for code in decoded.drop] == [  # type: ignore[union-attr]
        None, "missing_file", "empty_file", "not_an_image", "truncated_image",
    ]  # fmt: skip
    assert decoded.columns["phash"].null_count == 4


def test_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = rows_of().schema
    assert [field.name for field in Hash.model_validate({"kinds": "sha256"}).gives(schema)] == ["sha256"]
    assert [field.name for field in Hash.model_validate({"kinds": ["phash", "sha256"]}).gives(schema)] == [
        "sha256",
        "phash",
    ]
    with pytest.raises(ValidationError):
        Hash.model_validate({"kinds": ["md5"]})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"poolwright\[hash\]"):
        Hash().gives(schema)


def test_pdq_is_that_of_the_library_and_a_flat_picture_has_none() -> None:
    pdqhash = pytest.importorskip("pdqhash")
    photo = picture(1, 600, 400)
    flat = Image.new("RGB", (300, 200), (90, 120, 200))
    data = encoded(photo, "PNG")
    smaller = encoded(photo.resize((300, 200)), quality=80)
    outcome = Hash(kinds=("pdq",)).apply(rows_of(data, smaller, encoded(picture(2)), encoded(flat, "PNG")), State())
    found = outcome.columns["pdq"].to_pylist()
    bits, quality = pdqhash.compute(np.asarray(photo))
    assert quality > 50
    assert found[0] == f"{int(''.join(map(str, bits)), 2):064x}"
    assert (int(found[0], 16) ^ int(found[1], 16)).bit_count() <= 31
    assert (int(found[0], 16) ^ int(found[2], 16)).bit_count() > 31
    assert found[3] is None
    assert outcome.drop is None
