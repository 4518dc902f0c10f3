"""Countries, their regions and their borders, out of installed packages and without a network.

country_converter brings a table of countries; its code is not used, see docs/decisions/0008-countries.md. tzfpy brings
the boundaries of time zones, which are cut at the borders of countries; tzdata says which country each zone lies in.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import Any

import pyarrow as pa

from poolwright.core.columns import CONTINENT, COUNTRY, COUNTRY_CODE, REGION
from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.models.texts.package_files import package_file

COUNTRY_COLUMNS = (COUNTRY_CODE, "alpha_2", "numeric", COUNTRY, "official", REGION, CONTINENT)
_SOURCE_COLUMNS = ("ISO3", "ISO2", "ISOnumeric", "name_short", "name_official", "UNregion", "Continent_7")
AT_SEA = "Etc/"
"""Time zones of international waters begin so."""


@cache
def read_countries(purpose: str) -> tuple[pa.Table, Mapping[str, str], Mapping[str, str]]:
    """The countries of ISO 3166-1, and Kosovo, as country_converter lists them.

    Args:
        purpose: what needs them, for the error.

    Returns:
        Columns `COUNTRY_COLUMNS`, all strings, sorted by code: `alpha_2` may be several codes joined by a space, the
        one of ISO first; `numeric` has three digits; `region` is a sub-region of UN M49, `continent` one of seven.
        Then names of states that are no more, with words about each, and where all this is from.

    Raises:
        MissingExtra: country_converter is not installed.
        RecipeError: its table is not as expected.
    """
    path = package_file("country_converter", purpose, "country_data.tsv")
    content = path.read_bytes()
    lines = list(csv.DictReader(content.decode("utf-8").splitlines(), delimiter="\t"))
    lacking = {*_SOURCE_COLUMNS, "obsolete"} - set(lines[0] if lines else ())
    if lacking:
        raise RecipeError(f"{purpose}: {path} has no {', '.join(sorted(lacking))}; install country_converter>=1.2")
    rows = sorted(_country(line) for line in lines if not line["obsolete"] and line["ISO2"])
    columns = {name: [row[place] for row in rows] for place, name in enumerate(COUNTRY_COLUMNS)}
    origin = {"countries": f"country_converter {version('country_converter')}"}
    origin["countries_sha256"] = hashlib.sha256(content).hexdigest()
    table = pa.table(columns, schema=pa.schema([(name, pa.string()) for name in COUNTRY_COLUMNS]))
    return table, dict(_former(lines)), origin


def _country(line: Mapping[str, str]) -> tuple[str, ...]:
    code, alpha_2, numeric, *others = (line[name].strip() for name in _SOURCE_COLUMNS)
    # The table writes codes beside those of ISO as a regular expression: ^GB$|^UK$
    spelled = " ".join(alpha_2.replace("^", "").replace("$", "").split("|"))
    return (code, spelled, numeric.zfill(3), *others)


def _former(lines: Iterable[Mapping[str, str]]) -> Iterable[tuple[str, str]]:
    for line in lines:
        if line["obsolete"]:
            for name in (line["name_short"], line["name_official"]):
                yield name.replace("(former)", "").strip(), f"until {line['obsolete']}"


@cache
def read_zones(purpose: str) -> tuple[pa.Table, Mapping[str, str]]:
    """Every time zone with the country it lies in, by the Time Zone Database.

    zone.tab names each zone with one country, unlike zone1970.tab, which merges zones of several.

    Returns:
        Columns `zone`, `country_code` (alpha-3), sorted; then where this and the boundaries are from.

    Raises:
        MissingExtra: tzfpy, tzdata or country_converter is not installed.
        RecipeError: the boundaries have a zone that zone.tab has not.
    """
    finder = _finder(purpose)
    countries = read_countries(purpose)[0].select(["alpha_2", COUNTRY_CODE]).to_pylist()
    codes = {row["alpha_2"].split()[0]: row[COUNTRY_CODE] for row in countries}
    text = package_file("tzdata", purpose, "zoneinfo/zone.tab").read_text(encoding="utf-8")
    lines = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    zones = sorted((zone, codes[country]) for country, _, zone, *_ in lines)
    unknown = set(finder.timezonenames()) - dict(zones).keys()
    unknown = {name for name in unknown if not name.startswith(AT_SEA)}
    if unknown:
        raise RecipeError(f"{purpose}: tzdata has no {', '.join(sorted(unknown))}, which tzfpy has; update tzdata")
    columns = {"zone": [zone for zone, _ in zones], COUNTRY_CODE: [code for _, code in zones]}
    return pa.table(columns), {"zones": f"tzdata {version('tzdata')}", "boundaries": boundaries_version(purpose)}


def boundaries_version(purpose: str) -> str:
    """Name and release of the boundaries that are installed, such as 'timezone-boundary-builder 2026c'."""
    return f"timezone-boundary-builder {_finder(purpose).data_version()}"


def zones_at(latitude: float, longitude: float, purpose: str) -> list[str]:
    """The time zones whose boundaries hold the point: several where claims overlap, 'Etc/...' at sea, in any order.

    Args:
        latitude: degrees, -90 to 90, WGS 84.
        longitude: degrees, -180 to 180.
    """
    return list(_finder(purpose).get_tzs(longitude, latitude))


@cache
def _finder(purpose: str) -> Any:
    try:
        import tzfpy
    except ImportError:
        raise MissingExtra("tzfpy", purpose) from None
    found: ModuleType = tzfpy
    return found
