"""Read the countries of ISO 3166-1 with their regions in UN M49, from the table that ships with this package.

`countries.csv` names its sources in its header; docs/decisions/0008-countries.md explains the choices.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pyarrow as pa

from poolwright.core.columns import CONTINENT, COUNTRY, COUNTRY_CODE, REGION

COUNTRY_COLUMNS = (COUNTRY_CODE, "alpha_2", "numeric", COUNTRY, "official", REGION, CONTINENT)
COUNTRIES_FILE = Path(__file__).with_name("countries.csv")
SOURCE = "UN M49 of September 2024"
RESERVED_CODES = {"GBR": "UK", "GRC": "EL"}
"""Second alpha-2 codes, which the European Union uses and ISO 3166-1 reserves."""


@cache
def read_countries() -> pa.Table:
    """Return the 249 countries and areas of ISO 3166-1, and Kosovo.

    Returns:
        Columns `COUNTRY_COLUMNS`, all strings, sorted by code: `alpha_2` may be two codes joined by a space, the one
        of ISO first; `numeric` has three digits; `region` is a sub-region of UN M49, or its intermediate region if
        there is one; `continent` is one of seven.
    """
    rows = [_country(line) for line in read_lines()]
    columns = {name: [row[index] for row in rows] for index, name in enumerate(COUNTRY_COLUMNS)}
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in COUNTRY_COLUMNS]))


def countries_origin() -> dict[str, str]:
    """Return name and SHA-256 of the table of countries, for the state of a step that uses it."""
    return {"countries": SOURCE, "countries_sha256": hashlib.sha256(COUNTRIES_FILE.read_bytes()).hexdigest()}


def read_lines() -> list[dict[str, str]]:
    """Read the rows of `countries.csv` by column, without its comments."""
    lines = COUNTRIES_FILE.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _country(line: Mapping[str, str]) -> tuple[str, ...]:
    code = line["alpha_3"]
    alpha_2 = " ".join(filter(None, (line["alpha_2"], RESERVED_CODES.get(code))))
    # M49 places Antarctica in no region.
    region = line["intermediate_region"] or line["sub_region"] or line["continent"]
    return (code, alpha_2, line["m49"], line["name"], line["official_name"], region, line["continent"])
