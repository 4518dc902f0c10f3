"""licenses: what sources write for a licence, and what a list allows."""

from __future__ import annotations

import csv

import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.reference.license_codes import FLICKR, SPDX_FILE, code_of
from poolwright.steps.choose.licenses import Licenses


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CC-BY-2.0", "cc-by-2.0"),
        ("cc by 4.0", "cc-by-4.0"),
        ("CC_BY_SA_3.0", "cc-by-sa-3.0"),
        ("CC BY-NC-SA 2.0", "cc-by-nc-sa-2.0"),
        ("cc-by-nd-nc-1.0", "cc-by-nc-nd-1.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/2.0/", "cc-by-nc-nd-2.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.en", "cc0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "pdm-1.0"),
        ("Attribution-NonCommercial-ShareAlike License", "cc-by-nc-sa"),
        ("Attribution-NoDerivs License", "cc-by-nd"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "cc-by-sa-4.0"),
        ("CC0", "cc0"),
        ("All Rights Reserved", "all-rights-reserved"),
        ("Apache-2.0", "apache-2.0"),
        ("Photo by John", None),
        ("cc Photo by John", None),
        ("by", None),
        ("https://example.org/by-sa/", None),
        ("", None),
    ],
)
def test_codes(text: str, code: str | None) -> None:
    assert code_of(text) == code


def verdicts(allow: object, texts: list[str | None]) -> list[str]:
    step = Licenses.model_validate({"allow": allow})
    drop = step.apply(Rows.of({"license": pa.array(texts, pa.string()).dictionary_encode()}), State()).drop
    assert drop is not None
    return ["kept" if code == 0 else step.reasons[code - 1].name for code in drop]


def test_every_row_that_goes_has_its_own_reason() -> None:
    texts = ["CC BY 2.0", "CC BY-NC 2.0", None, " ", "my own", "CC0"]
    no, other = "no_license", "license_not_allowed"
    assert verdicts("open", texts) == ["kept", other, no, no, "unknown_license", "kept"]


def test_families_and_versions() -> None:
    assert verdicts(["cc-by"], ["CC-BY-2.0", "CC-BY-4.0", "CC-BY-SA-4.0"]) == ["kept", "kept", "license_not_allowed"]
    assert verdicts(["CC-BY-4.0"], ["cc by 4.0", "cc by 2.0", "cc by"]) == ["kept", *["license_not_allowed"] * 2]
    assert verdicts("noncommercial", ["CC BY-NC-SA 2.0", "CC BY-NC-ND 2.0"]) == ["kept", "license_not_allowed"]
    assert verdicts(["=my own"], ["my own", "My own"]) == ["kept", "unknown_license"]


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="did you mean 'open'"):
        Licenses(allow=("opne",))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CC-BY-NC-SA-3.0-IGO", "cc-by-nc-sa-3.0-igo"),
        ("http://creativecommons.org/licenses/by/3.0/igo/deed.es", "cc-by-3.0-igo"),
        ("https://creativecommons.org/licenses/by-sa/2.1/jp/", "cc-by-sa-2.1-jp"),
        ("Creative Commons Attribution 3.0 IGO", "cc-by-3.0-igo"),
        ("cc-pdm-1.0", "pdm-1.0"),
        ("CC_BY_NC_4_0", "cc-by-nc-4.0"),
        ("CC0_1_0", "cc0-1.0"),
        ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "cc0-1.0"),
        ("Attribution-NonCommercial 4.0 International Deed", "cc-by-nc-4.0"),
        ("Attribution-ShareAlike 4.0 International (CC BY-SA 4.0)", "cc-by-sa-4.0"),
        ("by-nd", "cc-by-nd"),
        ("flickr.com/commons/usage", "no-known-restrictions"),
        ("https://spdx.org/licenses/GFDL-1.3-only.html", "gfdl-1.3-only"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("CC0 2.0", None),  # there is only 1.0
        ("CC BY 4.1", None),
        ("CC BY-SA 4.0 DE", None),  # version 4.0 was not ported
        ("5", None),
    ],
)
def test_spellings_of_spdx_and_creative_commons(text: str, code: str | None) -> None:
    assert code_of(text) == code


def test_every_identifier_and_name_of_spdx_is_known() -> None:
    lines = [line for line in SPDX_FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        code = row["id"].lower().replace("cc-pdm", "pdm")
        assert code_of(row["id"]) == code
        assert code_of(row["id"].replace("-", "_")) == code
        if not row["deprecated"]:
            assert code_of(row["name"]) is not None, row["name"]


@pytest.mark.parametrize("code", [*FLICKR, "us-gov", "public-domain-work", "cc-by", "cc-by-3.0-igo", "pdm"])
def test_codes_are_spellings_of_themselves(code: str) -> None:
    spellings = (code, code.upper(), code.replace("-", "_"), code.replace("-", " "))
    assert {code_of(text) for text in spellings} == {code}


def test_a_version_allows_its_ports() -> None:
    texts = ["CC-BY-3.0-IGO", "CC BY 3.0 US", "CC-BY-4.0"]
    assert verdicts(["cc-by-3.0"], texts) == ["kept", "kept", "license_not_allowed"]
    assert verdicts(["cc-by-3.0-igo"], texts) == ["kept", *["license_not_allowed"] * 2]


def test_numbers_need_their_source() -> None:
    assert verdicts("open", ["4", "7"]) == ["numbered_license"] * 2
    step = Licenses.model_validate({"allow": "open", "numbers": "flickr"})
    for values in (pa.array(["4", "2", "17", "12"]), pa.array([4, 2, 17, 12])):
        drop = step.apply(Rows.of({"license": values}), State()).drop
        assert drop is not None
        assert [step.reasons[code - 1].name if code else "kept" for code in drop] == [
            "kept", "license_not_allowed", "unknown_license", "kept",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "code", ["cc0", "pdm", "us-gov", "public-domain-work", "no-known-restrictions", "all-rights-reserved"]
)
def test_codes_stand_for_themselves(code: str) -> None:
    assert code_of(code) == code
