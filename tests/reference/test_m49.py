"""The table of countries that ships with the package: complete, well formed, and grouped as UN M49 groups.

What is expected here was frozen from two independent copies of M49 and not from the table itself.
"""

from __future__ import annotations

import re

import pytest

from poolwright.reference.countries import Countries, spellings_of
from poolwright.reference.m49 import COUNTRIES_FILE, countries_origin, read_countries, read_lines

REGIONS = {
    "Antarctica": "ATA",
    "Australia and New Zealand": "AUS CCK CXR HMD NFK NZL",
    "Caribbean": (
        "ABW AIA ATG BES BHS BLM BRB CUB CUW CYM DMA DOM GLP GRD HTI JAM KNA LCA MAF MSR MTQ PRI SXM TCA TTO VCT "
        "VGB VIR"
    ),
    "Central America": "BLZ CRI GTM HND MEX NIC PAN SLV",
    "Central Asia": "KAZ KGZ TJK TKM UZB",
    "Eastern Africa": "ATF BDI COM DJI ERI ETH IOT KEN MDG MOZ MUS MWI MYT REU RWA SOM SSD SYC TZA UGA ZMB ZWE",
    "Eastern Asia": "CHN HKG JPN KOR MAC MNG PRK TWN",
    "Eastern Europe": "BGR BLR CZE HUN MDA POL ROU RUS SVK UKR",
    "Melanesia": "FJI NCL PNG SLB VUT",
    "Micronesia": "FSM GUM KIR MHL MNP NRU PLW UMI",
    "Middle Africa": "AGO CAF CMR COD COG GAB GNQ STP TCD",
    "Northern Africa": "DZA EGY ESH LBY MAR SDN TUN",
    "Northern America": "BMU CAN GRL SPM USA",
    "Northern Europe": "ALA DNK EST FIN FRO GBR GGY IMN IRL ISL JEY LTU LVA NOR SJM SWE",
    "Polynesia": "ASM COK NIU PCN PYF TKL TON TUV WLF WSM",
    "South America": "ARG BOL BRA BVT CHL COL ECU FLK GUF GUY PER PRY SGS SUR URY VEN",
    "South-eastern Asia": "BRN IDN KHM LAO MMR MYS PHL SGP THA TLS VNM",
    "Southern Africa": "BWA LSO NAM SWZ ZAF",
    "Southern Asia": "AFG BGD BTN IND IRN LKA MDV NPL PAK",
    "Southern Europe": "ALB AND BIH ESP GIB GRC HRV ITA MKD MLT MNE PRT SMR SRB SVN VAT XKX",
    "Western Africa": "BEN BFA CIV CPV GHA GIN GMB GNB LBR MLI MRT NER NGA SEN SHN SLE TGO",
    "Western Asia": "ARE ARM AZE BHR CYP GEO IRQ ISR JOR KWT LBN OMN PSE QAT SAU SYR TUR YEM",
    "Western Europe": "AUT BEL CHE DEU FRA LIE LUX MCO NLD",
}
"""Region of M49 (the intermediate one if there is one) -> alpha-3 codes, with Taiwan, Kosovo and Antarctica."""

LARGE_REGIONS = {
    "Africa": ("Africa",),
    "Asia": ("Asia",),
    "Europe": ("Europe",),
    "Americas": ("North America", "South America"),
    "Oceania": ("Oceania",),
    "": ("Antarctica",),
}
OTHER_CONTINENT = {
    "ATF": "Antarctica",
    "BVT": "Antarctica",
    "CCK": "Asia",
    "CXR": "Asia",
    "CYP": "Europe",
    "HMD": "Antarctica",
    "IOT": "Asia",
}
"""Countries whose continent is not the region that M49 puts them in."""

LEVELS = {
    "Sub-Saharan Africa": {"Eastern Africa", "Middle Africa", "Southern Africa", "Western Africa"},
    "Latin America and the Caribbean": {"Caribbean", "Central America", "South America"},
}
"""Sub-regions of M49 that have intermediate regions."""


def test_regions_are_those_of_m49() -> None:
    table = read_countries().to_pylist()
    found = {name: sorted(row["country_code"] for row in table if row["region"] == name) for name in REGIONS}
    assert found == {name: codes.split() for name, codes in REGIONS.items()}
    assert sum(map(len, found.values())) == len(table) == 250


def test_levels_fit_each_other() -> None:
    for line in read_lines():
        levels = LEVELS.get(line["sub_region"])
        assert (line["intermediate_region"] in levels) if levels else not line["intermediate_region"], line
        expected = OTHER_CONTINENT.get(line["alpha_3"])
        usual = line["continent"] in LARGE_REGIONS[line["region"]]
        assert line["continent"] == expected if expected else usual, line
    south = {line["alpha_3"] for line in read_lines() if line["continent"] == "South America"}
    assert south == set(REGIONS["South America"].split()) - {"BVT"}


@pytest.mark.parametrize("column", ["alpha_2", "alpha_3", "m49", "name", "official_name"])
def test_codes_and_names_are_unique(column: str) -> None:
    values = [line[column] for line in read_lines()]
    assert len(set(values)) == len(values) == 250
    assert all(value == value.strip() != "" for value in values)


def test_codes_have_their_form() -> None:
    for line in read_lines():
        assert re.fullmatch("[A-Z]{2}", line["alpha_2"]), line
        assert re.fullmatch("[A-Z]{3}", line["alpha_3"]), line
        assert re.fullmatch("[0-9]{3}", line["m49"]), line
    codes = [line["alpha_3"] for line in read_lines()]
    assert codes == sorted(codes)


def test_names_of_m49_are_recognised() -> None:
    table = read_countries()
    finder = Countries(table, spellings_of(table))
    named = {line["m49_name"]: line["alpha_3"] for line in read_lines() if line["m49_name"]}
    assert len(named) == 248  # all but Kosovo and Taiwan
    assert named.pop("Congo") == "COG"  # of the two, the one that M49 calls so; refused since it may be either
    assert {name: finder.find(name).code for name in named} == named


def test_the_second_codes_of_the_european_union() -> None:
    codes = dict(zip(*(read_countries()[name].to_pylist() for name in ("country_code", "alpha_2")), strict=True))
    assert {code: text for code, text in codes.items() if " " in text} == {"GBR": "GB UK", "GRC": "GR EL"}


def test_the_file_names_its_source() -> None:
    head = COUNTRIES_FILE.read_text(encoding="utf-8").split("\nalpha_3,")[0]
    assert all(line.startswith("#") and len(line) <= 120 for line in head.splitlines())
    assert "https://unstats.un.org/unsd/methodology/m49/" in head
    assert countries_origin()["countries"] == "UN M49 of September 2024"
