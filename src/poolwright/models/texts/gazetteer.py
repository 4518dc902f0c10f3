"""Look up the countries of coordinates, from installed packages and without a network.

tzfpy ships the boundaries of time zones, which are cut at the borders of countries; tzdata gives the country that each
zone belongs to. See docs/decisions/0008-countries.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import Any

import pyarrow as pa

from poolwright.core.columns import COUNTRY_CODE
from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.models.texts.package_files import package_file
from poolwright.reference.m49 import read_countries

AT_SEA = "Etc/"
"""Prefix of time zones of international waters."""


@cache
def read_zones(purpose: str) -> tuple[pa.Table, Mapping[str, str]]:
    """Read every time zone with its country, by the Time Zone Database.

    zone.tab names each zone with one country, unlike zone1970.tab, which merges zones of several.

    Returns:
        Columns `zone`, `country_code` (alpha-3), sorted; then the sources of these and of the boundaries.

    Raises:
        MissingExtra: tzfpy or tzdata is not installed.
        RecipeError: the boundaries have a zone that zone.tab lacks.
    """
    finder = _finder(purpose)
    countries = read_countries().select(["alpha_2", COUNTRY_CODE]).to_pylist()
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
    """Return name and release of the installed boundaries, such as 'timezone-boundary-builder 2026c'."""
    return f"timezone-boundary-builder {_finder(purpose).data_version()}"


def zones_at(latitude: float, longitude: float, purpose: str) -> list[str]:
    """Return the time zones whose boundaries contain the point: several if claims overlap, 'Etc/...' at sea; unordered.

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
