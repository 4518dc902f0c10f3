"""region: names, codes and coordinates to countries, regions and continents, over the data shipped or installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from poolwright.core.errors import ChangedError, MissingExtra, RecipeError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.models.texts import gazetteer
from poolwright.models.texts import package_files as installed
from poolwright.reference.countries import Countries, spellings_of
from poolwright.reference.country_names import ALIASES, AMBIGUOUS, HISTORIC, HISTORIC_CODES, PARTS
from poolwright.reference.m49 import read_countries
from poolwright.steps.describe import region
from poolwright.steps.describe.region import Region

GEOYFCC = """Argentina, Australia, Austria, Belgium, Bolivia, Brazil, Cambodia, Canada, Chile, China, Colombia,
Costa Rica, Croatia, Cuba, Czech Republic, Denmark, Ecuador, Egypt, Finland, France, Germany, Greece, Guatemala,
Hong Kong, Hungary, Iceland, India, Indonesia, Iran, Ireland, Israel, Italy, Japan, Jordan, Kenya, Malaysia, Mexico,
Morocco, Myanmar, Nepal, Netherlands, New Zealand, Norway, Peru, Philippines, Poland, Portugal, Puerto Rico,
Romania, Russia, Singapore, South Africa, South Korea, Spain, Sri Lanka, Sweden, Switzerland, Syria, Taiwan,
Tanzania, Thailand, Turkey, Ukraine, United Arab Emirates, United Kingdom, United States, Venezuela, Vietnam, Viet
Nam"""

# The names of ISO 3166-1 that differ from the common ones, and what other lists write.
ISO_NAMES = {
    "Bolivia, Plurinational State of": "BOL",
    "Bolivia (Plurinational State of)": "BOL",
    "Bahamas (The)": "BHS",
    "Bonaire, Sint Eustatius and Saba": "BES",
    "Brunei Darussalam": "BRN",
    "Cabo Verde": "CPV",
    "Cocos (Keeling) Islands": "CCK",
    "Congo, Democratic Republic of the": "COD",
    "Côte d'Ivoire": "CIV",
    "Falkland Islands (Malvinas)": "FLK",
    "Gambia, The": "GMB",
    "Heard Island and McDonald Islands": "HMD",
    "Holy See": "VAT",
    "Iran (Islamic Republic of)": "IRN",
    "Korea, Democratic People's Republic of": "PRK",
    "Korea, Republic of": "KOR",
    "Lao People's Democratic Republic": "LAO",
    "Macao": "MAC",
    "Micronesia (Federated States of)": "FSM",
    "Moldova, Republic of": "MDA",
    "Netherlands, Kingdom of the": "NLD",
    "Palestine, State of": "PSE",
    "Russian Federation": "RUS",
    "Saint Barthélemy": "BLM",
    "Saint Helena, Ascension and Tristan da Cunha": "SHN",
    "Saint Martin (French part)": "MAF",
    "Sint Maarten (Dutch part)": "SXM",
    "Svalbard and Jan Mayen": "SJM",
    "Syrian Arab Republic": "SYR",
    "Taiwan, Province of China": "TWN",
    "Tanzania, United Republic of": "TZA",
    "Venezuela (Bolivarian Republic of)": "VEN",
    "Viet Nam": "VNM",
    "Virgin Islands (British)": "VGB",
    "Virgin Islands (U.S.)": "VIR",
    "Wallis and Futuna": "WLF",
    "Egypt, Arab Rep.": "EGY",
    "Korea, Dem. People's Rep.": "PRK",
    "Hong Kong SAR, China": "HKG",
    "Macedonia, the former Yugoslav Republic of": "MKD",
    "Libyan Arab Jamahiriya": "LBY",
    "Myanmar (Burma)": "MMR",
    "Swaziland": "SWZ",
    "Ivory Coast": "CIV",
    "Czechia": "CZE",
    "Georgia": "GEO",
    "Guinea": "GIN",
    "Kosovo": "XKX",
    "U.S.A.": "USA",
    "UK": "GBR",
    "Great Britain": "GBR",
    "DR Congo": "COD",
    "Bosnia": "BIH",
    "Trinidad": "TTO",
    "Palestine": "PSE",
}
NEVER = """New Mexico|New Jersey|New Guinea|Prussia|Mexico City|Jersey City|England|England and France|Georgia, USA|
State of Georgia|Congo|Korea|Soviet Union|Czechoslovakia|East Germany|Serbia and Montenegro|Zaire|Republic of Vietnam|
Virgin Islands|Channel Islands|America|Europe|Guinea pig|Peru, Indiana|Turkish Republic of Northern Cyprus|Cook|Virgin|
Christmas|Islands|Saint|United|Central African|Dominican|GER|EU|zz"""

Answer = tuple[dict[str, list[Any]], list[str | None]]


def told(table: pa.Table, **parameters: Any) -> Answer:
    """What the step gives, and the reason each row is dropped for."""
    step = Region.model_validate(parameters)
    fields = step.gives(table.schema)
    outcome = step.apply(Rows(table), fitted(step, table))
    assert outcome.drop is not None
    assert {field.name: field.type for field in fields} == {n: v.type for n, v in outcome.columns.items()}
    given = {name: values.to_pylist() for name, values in outcome.columns.items()}
    return given, [step.reasons[code - 1].name if code else None for code in outcome.drop]


def fitted(step: Region, table: pa.Table) -> State:
    return step.fit(MemoryFrame(table), Context())


def named(*texts: str | None, **parameters: Any) -> Answer:
    return told(pa.table({"country": pa.array(texts, pa.string())}), **parameters)


def at(*points: tuple[float | None, float | None]) -> Answer:
    latitude, longitude = (pa.array(values, pa.float64()) for values in zip(*points, strict=True))
    return told(pa.table({"lat": latitude, "lon": longitude}), at=["lat", "lon"])


def test_a_row_gets_country_code_region_and_continent() -> None:
    given, reasons = named("viet nam", "Nigeria", "USA", "Fiji", "Soviet Union", None)
    assert given["country"][:4] == ["Vietnam", "Nigeria", "United States", "Fiji"]
    assert given["country_code"] == ["VNM", "NGA", "USA", "FJI", None, None]
    assert given["region"][:4] == ["South-eastern Asia", "Western Africa", "Northern America", "Melanesia"]
    assert given["continent"][:4] == ["Asia", "Africa", "North America", "Oceania"]
    assert reasons == [None, None, None, None, "historic_country", "no_country"]


def test_a_dropped_row_keeps_its_text_for_why() -> None:
    assert named("Soviet Union", None)[0]["country"] == ["Soviet Union", None]


@pytest.mark.parametrize("column", ["country", "official", "country_code", "alpha_2"])
def test_every_country_is_found_by_its_names_and_codes(column: str) -> None:
    table = read_countries()
    codes = [(text.split()[0] if column == "alpha_2" else text) for text in table[column].to_pylist()]
    for spelled in (codes, [text.upper() for text in codes], [text.lower() for text in codes]):
        given, _ = named(*spelled, codes="iso2" if column == "alpha_2" else "auto")
        assert given["country_code"] == table["country_code"].to_pylist()


def test_the_249_countries_of_the_standard_and_kosovo_have_all_that_is_given() -> None:
    table = read_countries()
    assert table.num_rows == 250
    assert len(set(table["country_code"].to_pylist())) == 250
    assert all(text for name in table.column_names for text in table[name].to_pylist())
    assert set(table["continent"].to_pylist()) == {
        *("Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America")
    }


def test_the_countries_of_geoyfcc_lie_on_six_continents() -> None:
    given, reasons = named(*(name.strip() for name in GEOYFCC.split(",")))
    assert not any(reasons)
    assert len(set(given["continent"])) == 6


def test_the_names_of_the_standard_and_of_other_lists() -> None:
    given, _ = named(*ISO_NAMES)
    assert given["country_code"] == list(ISO_NAMES.values())


def test_the_names_of_the_time_zone_database() -> None:
    path = installed.package_file("tzdata", "test", "zoneinfo/iso3166.tab")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    lines = [line for line in lines if line[1] != "Samoa (western)"]  # Western Samoa, a name that Samoa gave up
    expected = named(*(code for code, _ in lines), codes="iso2")[0]["country_code"]
    assert named(*(name for _, name in lines), codes="none")[0]["country_code"] == expected


def test_nothing_is_guessed() -> None:
    texts = [text.strip() for text in NEVER.split("|")]
    given, reasons = named(*texts)
    assert [text for text, code in zip(texts, given["country_code"], strict=True) if code] == []
    assert all(reasons)


def test_every_listed_name_says_what_it_should() -> None:
    table = read_countries()
    finder = Countries(table, spellings_of(table))
    for code, names in ALIASES.items():
        assert {finder.find(name).code for name in names} == {code}
    for name in (*HISTORIC, *HISTORIC_CODES):
        assert finder.find(name).why == "historic_country", name
    assert {finder.find(name).why for name in AMBIGUOUS} == {"ambiguous_country"}
    assert {finder.find(name).why for name in PARTS} == {"unknown_country"}
    known = set(table["country_code"].to_pylist())
    assert {code for codes in (ALIASES, PARTS.values(), *AMBIGUOUS.values()) for code in codes} <= known


def test_codes_are_those_of_iso_and_can_be_switched_off() -> None:
    assert named("GM", "004", "826")[0]["country"] == ["Gambia", "Afghanistan", "United Kingdom"]
    assert named("GM", "004", codes="none")[1] == ["unknown_country", "unknown_country"]
    assert named("NA", "na", "NAM")[1] == ["ambiguous_country", "ambiguous_country", None]
    numbers = pa.table({"country": pa.array([4, 826, 999, None], pa.int16())})
    given, reasons = told(numbers, codes="numeric")
    assert given["country_code"][:2] == ["AFG", "GBR"]
    assert reasons == [None, None, "unknown_country", "no_country"]


def test_the_user_decides_what_a_text_stands_for() -> None:
    names = {"Scotland": "GB", "Yugoslavia": "Serbia", "Korea": "KOR"}
    given, _ = named("SCOTLAND", "yugoslavia", "Korea", "England", names=names)
    assert given["country_code"] == ["GBR", "SRB", "KOR", None]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"Scotland": "Untied Kingdom"}, "did you mean 'United Kingdom'"),
        ({"Zaire": "Congo"}, "may be COD or COG"),
        ({"Scotland": "GB", "SCOTLAND": "IE"}, "two spellings"),
    ],
)
def test_what_the_user_decides_is_checked(names: dict[str, str], words: str) -> None:
    with pytest.raises(StepError, match=words):
        named("a", names=names)


def test_one_or_two_americas() -> None:
    assert named("Peru", "Mexico", "Fiji", americas="one")[0]["continent"] == ["Americas", "Americas", "Oceania"]
    assert named("Peru", "Mexico")[0]["continent"] == ["South America", "North America"]


def test_other_columns_stay_as_they_are() -> None:
    table = pa.table({"place": ["Peru", "nowhere"], "country": ["x", "y"]})
    assert told(table, country="place")[0]["country"] == ["Peru", None]


@pytest.mark.parametrize("dtype", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_strings_in_any_coding(dtype: pa.DataType) -> None:
    texts = pa.array(["Peru", None, "Congo", "PE", ""], pa.string())
    assert told(pa.table({"country": texts.cast(dtype)})) == told(pa.table({"country": texts}))


PLACES = {
    "Stockholm": (59.33, 18.06, "SWE"),
    "Oslo": (59.91, 10.75, "NOR"),
    "Copenhagen": (55.68, 12.57, "DNK"),
    "Amsterdam": (52.37, 4.9, "NLD"),
    "Luxembourg": (49.61, 6.13, "LUX"),
    "Reykjavik": (64.15, -21.94, "ISL"),
    "Monaco": (43.7384, 7.4246, "MCO"),
    "Vatican": (41.9023, 12.4533, "VAT"),
    "Kuwait": (29.37, 47.98, "KWT"),
    "Phnom Penh": (11.56, 104.92, "KHM"),
    "Accra": (5.56, -0.2, "GHA"),
    "Abidjan": (5.32, -4.03, "CIV"),
    "Nassau": (25.06, -77.34, "BHS"),
    "Hong Kong": (22.3, 114.17, "HKG"),
    "Shenzhen": (22.54, 114.06, "CHN"),
    "Urumqi": (43.8, 87.58, "CHN"),
    "Detroit": (42.33, -83.046, "USA"),
    "Windsor": (42.314, -83.036, "CAN"),
    "Brazzaville": (-4.27, 15.27, "COG"),
    "Kinshasa": (-4.325, 15.322, "COD"),
    "Baarle-Hertog": (51.4409, 4.9331, "BEL"),
    "Strasbourg": (48.573, 7.752, "FRA"),
    "Kehl": (48.572, 7.815, "DEU"),
    "Honolulu": (21.3, -157.86, "USA"),
    "San Juan": (18.4, -66.1, "PRI"),
    "Ramallah": (31.9, 35.2, "PSE"),
    "Taveuni, on the date line": (-16.8, 180.0, "FJI"),
    "South Pole": (-90.0, 0.0, "ATA"),
}


def test_coordinates() -> None:
    given, reasons = at(*((latitude, longitude) for latitude, longitude, _ in PLACES.values()))
    assert given["country_code"] == [code for *_, code in PLACES.values()]
    assert not any(reasons)
    assert given["region"][0] == "Northern Europe"


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ((None, 1.0), "no_coordinates"),
        ((float("nan"), 1.0), "no_coordinates"),
        ((1.0, None), "no_coordinates"),
        ((90.5, 1.0), "bad_coordinates"),
        ((1.0, -180.5), "bad_coordinates"),
        ((float("inf"), 1.0), "bad_coordinates"),
        ((0.0, 0.0), "at_sea"),
        ((38.0, 5.0), "at_sea"),
        ((90.0, 0.0), "at_sea"),
        ((9.6, 28.4), "disputed"),
        ((43.0, 41.02), "disputed"),
    ],
)
def test_points_in_no_one_country(point: tuple[float | None, float | None], reason: str) -> None:
    given, reasons = at(point, (48.86, 2.35))
    assert reasons == [reason, None]
    assert given["country"] == [None, "France"]


def test_the_city_that_names_a_time_zone_lies_in_its_country() -> None:
    path = installed.package_file("tzdata", "test", "zoneinfo/zone.tab")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    points = [_degrees(line[1]) for line in lines]
    expected = named(*(line[0] for line in lines), codes="iso2")[0]["country_code"]
    wrong = [
        line[2]
        for line, code, want in zip(lines, at(*points)[0]["country_code"], expected, strict=True)
        if code != want
    ]
    assert wrong in ([], ["Europe/Monaco"])  # given to a minute of arc, which is in France


def _degrees(text: str) -> tuple[float, float]:
    """ISO 6709, +4043-07400 or with seconds."""
    cut = max(text.rfind("+"), text.rfind("-"))
    return _angle(text[:cut], 2), _angle(text[cut:], 3)


def _angle(text: str, digits: int) -> float:
    parts = [text[1 : 1 + digits], text[1 + digits : 3 + digits], text[3 + digits :] or "0"]
    degrees = int(parts[0]) + int(parts[1]) / 60 + int(parts[2]) / 3600
    return -degrees if text[0] == "-" else degrees


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-200, 200)), min_size=1, max_size=20))
def test_any_point_has_an_answer_of_its_own(points: list[tuple[float, float]]) -> None:
    together = at(*points)
    assert [at(point)[1][0] for point in points] == together[1]
    assert [bool(reason) for reason in together[1]] == [code is None for code in together[0]["country_code"]]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.lists(st.text(max_size=8), max_size=10), st.randoms())
def test_order_does_not_matter(texts: list[str], random: Any) -> None:
    texts = [*texts, "Peru", "peru", "Congo"]
    order = random.sample(range(len(texts)), len(texts))
    given, reasons = named(*texts)
    again, reasons_again = named(*(texts[place] for place in order))
    assert reasons_again == [reasons[place] for place in order]
    assert again == {name: [values[place] for place in order] for name, values in given.items()}


def test_a_saved_state_keeps_its_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of the table of countries."""
    table = pa.table({"country": ["Vietnam", "Congo"]})
    step = Region.model_validate({"names": {"Congo": "CG"}})
    fitted(step, table).save(tmp_path, "state")
    monkeypatch.setattr(region, "read_countries", lambda: pytest.fail("read"))
    outcome = step.apply(Rows(table), State.load(tmp_path, "state"))
    assert outcome.columns["country_code"].to_pylist() == ["VNM", "COG"]


def test_a_missing_library_is_named_when_the_recipe_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    gazetteer.read_zones.cache_clear()
    schema = pa.schema([("lat", pa.float64()), ("lon", pa.float64())])
    with pytest.raises(MissingExtra, match=r"pip install 'poolwright\[geo\]'"):
        Region.model_validate({"at": ["lat", "lon"]}).gives(schema)


def test_names_and_codes_need_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("tzfpy", "tzdata", "country_converter"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    read_countries.cache_clear()
    assert named("Vietnam", "TD", names={"Scotland": "UK"})[0]["country"] == ["Vietnam", "Chad"]


def test_missing_boundaries_are_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tzfpy", None)
    gazetteer._finder.cache_clear()
    gazetteer.read_zones.cache_clear()
    with pytest.raises(MissingExtra, match="needs tzfpy"):
        at((1.0, 1.0))


def test_other_boundaries_than_those_a_table_was_begun_with(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"lat": [48.86], "lon": [2.35]})
    step = Region.model_validate({"at": ["lat", "lon"]})
    state = fitted(step, table)
    other = State({**state.values, "boundaries": "timezone-boundary-builder 1999a"}, state.tables)
    with pytest.raises(ChangedError, match="1999a"):
        step.apply(Rows(table), other)


def test_boundaries_newer_than_the_time_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        @staticmethod
        def timezonenames() -> list[str]:
            return ["Europe/Paris", "Etc/GMT", "Moon/Tranquillity"]

    monkeypatch.setattr(gazetteer, "_finder", lambda purpose: Finder)
    gazetteer.read_zones.cache_clear()
    with pytest.raises(RecipeError, match="Moon/Tranquillity"):
        gazetteer.read_zones("test")


@pytest.mark.parametrize(
    "parameters",
    [
        {"country": "country", "at": ["lat", "lon"]},
        {"at": ["lat", "lon"], "names": {"a": "FR"}},
        {"at": ["lat", "lon"], "codes": "iso2"},
        {"at": ["lat", "lat"]},
        {"at": ["lat"]},
        {"codes": "fips"},
        {"names": {"": "FR"}},
    ],
)
def test_parameters_that_do_not_fit(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Region.model_validate(parameters)


@pytest.mark.parametrize(
    ("dtype", "parameters", "words"),
    [
        (pa.int64(), {}, "codes: numeric"),
        (pa.float64(), {"codes": "numeric"}, "a country is a text"),
        (pa.string(), {"at": ["lat", "country"]}, "numbers in degrees"),
    ],
)
def test_columns_that_do_not_fit(dtype: pa.DataType, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(StepError, match=words):
        Region.model_validate(parameters).gives(pa.schema([("country", dtype), ("lat", pa.float32())]))


def test_what_a_text_was_taken_for_is_told() -> None:
    table = pa.table({"country": ["a"]})
    step = Region.model_validate({"names": {"Scotland": "GB"}})
    state = fitted(step, table)

    def explain(text: str | None) -> str:
        return step.explain({"country": text}, state)

    assert explain("nigeria") == "country 'nigeria': Nigeria (NGA), Western Africa, Africa"
    assert explain("scotland") == ("country 'scotland': United Kingdom (GBR, as `names` says), Northern Europe, Europe")
    assert explain("Congo") == "country 'Congo': may be COD or COG"
    assert explain("Zaire") == "country 'Zaire': Zaire, now DR Congo"
    assert "United Kingdom" in explain("Wales")
    assert explain(None) == ""
    assert "'Scotland' is GBR" in step.learned(state)


def test_where_a_point_lies_is_told() -> None:
    step = Region.model_validate({"at": ["lat", "lon"]})
    state = fitted(step, pa.table({"lat": [0.0], "lon": [0.0]}))
    assert "France (FRA), Western Europe, Europe" in step.explain({"lat": 48.86, "lon": 2.35}, state)
    assert "claimed by GEO and RUS" in step.explain({"lat": 43.0, "lon": 41.02}, state)
    assert step.explain({"lat": None, "lon": 99.0}, state) == "lat None, lon 99.0"
    assert "zones" in step.learned(state)


def test_float32_coordinates() -> None:
    columns = {"lat": np.array([48.86, np.nan], np.float32), "lon": np.array([2.35, 1], np.float32)}
    given, reasons = told(pa.table(columns), at=["lat", "lon"])
    assert (given["country_code"], reasons) == (["FRA", None], [None, "no_coordinates"])
