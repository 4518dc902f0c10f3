"""Which country a text names, given a small table of countries: exact after folding, or a reason."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.reference.countries import Codes, Countries, CountryMatch, spellings_of, words_of
from poolwright.reference.country_names import HISTORIC

ROWS = [
    ("COD", "CD", "180", "DR Congo", "Democratic Republic of the Congo"),
    ("COG", "CG", "178", "Congo Republic", "Republic of the Congo"),
    ("GBR", "GB UK", "826", "United Kingdom", "United Kingdom of Great Britain and Northern Ireland"),
    ("IRL", "IE", "372", "Ireland", "Ireland"),
    ("KOR", "KR", "410", "South Korea", "Republic of Korea"),
    ("MEX", "MX", "484", "Mexico", "United Mexican States"),
    ("NAM", "NA", "516", "Namibia", "Republic of Namibia"),
    ("PRK", "KP", "408", "North Korea", "Democratic People's Republic of Korea"),
    ("SHN", "SH", "654", "St. Helena", "Saint Helena, Ascension and Tristan da Cunha"),
    ("TUR", "TR", "792", "Türkiye", "Republic of Türkiye"),
    ("USA", "US", "840", "United States", "United States of America"),
]
COLUMNS = ("country_code", "alpha_2", "numeric", "country", "official")
TABLE = pa.table({name: [row[place] for row in ROWS] for place, name in enumerate(COLUMNS)})
SPELLINGS = spellings_of(TABLE, {**HISTORIC, "Ruritania": "until 1914"})


def find(text: str | None, codes: Codes = "auto", **names: str) -> CountryMatch:
    return Countries(TABLE, SPELLINGS, names, codes).find(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Côte d'Ivoire", "COTE D’IVOIRE"),
        ("Bahamas, The", "the bahamas"),
        ("Korea, Republic of", "Republic of Korea"),
        ("Iran (Islamic Republic of)", "Islamic Rep. of Iran"),
        ("St. Kitts & Nevis", "Saint Kitts and Nevis"),
        ("U.S.A.", "U S A"),
        ("South_Korea", "  south\tKorea "),
        ("TÜRKİYE", "Turkiye"),
        ("Cook Is.", "Cook Islands"),
    ],
)
def test_spellings_that_are_the_same(one: str, other: str) -> None:
    assert words_of(one) == words_of(other)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Mexico", "MEX"),
        ("Republic of Ireland", "IRL"),
        ("Ireland, Republic of", "IRL"),
        ("Congo, Rep.", "COG"),
        ("Congo, Dem. Rep.", "COD"),
        ("Korea (South)", "KOR"),
        ("Korea, Democratic People's Republic of", "PRK"),
        ("Turkey", "TUR"),
        ("Türkiye (Turkey)", "TUR"),
        ("uk", "GBR"),
        ("U.K.", "GBR"),
        ("Gbr", "GBR"),
        ("826", "GBR"),
        ("St Helena", "SHN"),
    ],
)
def test_names_and_codes(text: str, code: str) -> None:
    assert (find(text).code, find(text).why) == (code, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "no_country"),
        ("", "no_country"),
        (" \t\n", "no_country"),
        ("New Mexico", "unknown_country"),
        ("Mexico City", "unknown_country"),
        ("Dublin, Ireland", "unknown_country"),
        ("England", "unknown_country"),
        ("England and Ireland", "unknown_country"),
        ("Northern Ireland", "unknown_country"),
        ("United", "unknown_country"),
        ("Republic", "unknown_country"),
        ("the of and", "unknown_country"),
        ("???", "unknown_country"),
        ("N/A", "unknown_country"),
        ("36", "unknown_country"),
        ("Mexico " * 100, "unknown_country"),
        ("Korea", "ambiguous_country"),
        ("Democratic Republic of Korea", "ambiguous_country"),
        ("The Congo", "ambiguous_country"),
        ("NA", "ambiguous_country"),
        ("Mexico/USA", "ambiguous_country"),
        ("United Kingdom and Ireland", "ambiguous_country"),
        ("United Kingdom, Ireland", "ambiguous_country"),
        ("Ruritania", "historic_country"),
        ("Kingdom of Ruritania", "historic_country"),
        ("U.S.S.R.", "historic_country"),
        ("Yugoslavia", "historic_country"),
        ("YUG", "historic_country"),
        ("Democratic Republic of Viet Nam", "historic_country"),
    ],
)
def test_what_is_not_one_country_of_today(text: str | None, why: str) -> None:
    assert (find(text).code, find(text).why) == (None, why)


def test_a_name_of_two_countries_is_ambiguous() -> None:
    twins = TABLE.slice(0, 2).set_column(3, "country", pa.array(["Twin", "Twin"]))
    assert Countries(twins, spellings_of(twins, {})).find("twin").words == "may be COD or COG"


@pytest.mark.parametrize(
    ("codes", "text", "code"),
    [
        ("iso2", "na", "NAM"),
        ("iso2", "NAM", None),
        ("iso2", "Namibia", None),
        ("iso3", "usa", "USA"),
        ("iso3", "US", None),
        ("numeric", "36", None),
        ("numeric", " 840 ", "USA"),
        ("numeric", "USA", None),
        ("none", "MX", None),
        ("none", "484", None),
        ("none", "NA", None),
        ("none", "Mexico", "MEX"),
        ("none", "USA", "USA"),
    ],
)
def test_only_the_wanted_codes_are_read(codes: Codes, text: str, code: str | None) -> None:
    assert find(text, codes).code == code


def test_numbers_may_lack_their_leading_zeros() -> None:
    table = pa.table({"country_code": ["AFG"], "alpha_2": ["AF"], "numeric": ["004"]})
    assert Countries(table, SPELLINGS, codes="numeric").find("4").code == "AFG"


@pytest.mark.parametrize("codes", ["auto", "none", "iso2", "iso3", "numeric"])
def test_names_of_the_user_win_over_everything(codes: Codes) -> None:
    decided = {"Yugoslavia": "IRL", "Mexico": "USA", "US": "MEX", "???": "GBR"}
    for text, code in [*decided.items(), ("YUGOSLAVIA", "IRL"), ("u.s.", "MEX")]:
        assert find(text, codes, **decided).code == code
    assert find("!!!", "auto", **decided).code is None


def test_letters_that_only_look_like_codes_are_no_codes() -> None:
    assert find("ß").code is None  # its capitals are SS
    assert find("٨٢٦").code is None  # 826 in Arabic digits is no code of the standard


@given(st.text() | st.lists(st.sampled_from([row[3] for row in ROWS]) | st.text(max_size=3)).map(" ".join))
def test_any_text_has_an_answer_that_case_and_space_do_not_change(text: str) -> None:
    finder = Countries(TABLE, SPELLINGS)
    found = finder.find(text)
    assert (found.code is None) == bool(found.why)
    assert finder.find(f" {text}\n").code == found.code
    if text.isascii() and len(text) < 200:
        assert finder.find(text.upper()) == finder.find(text.lower()) == found
