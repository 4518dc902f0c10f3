"""licenses: what sources write for a licence, and what a list allows."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.reference.license_codes import code_of
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
