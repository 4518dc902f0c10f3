"""Draw the people and countries of the demo: users have a home, a licence and a habit of naming pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


@dataclass(frozen=True)
class Country:
    """A country of the demo: its share of the pictures in percent, and a box of latitudes and longitudes."""

    name: str
    adjective: str
    continent: str
    share: float
    south: float
    north: float
    west: float
    east: float


COUNTRIES: tuple[Country, ...] = (
    Country("France", "French", "Europe", 8, 43.5, 49.5, -1.0, 6.5),
    Country("Germany", "German", "Europe", 8, 48.0, 53.5, 7.0, 13.5),
    Country("Italy", "Italian", "Europe", 7, 40.5, 45.8, 9.0, 14.0),
    Country("Spain", "Spanish", "Europe", 6, 37.5, 42.5, -6.0, -1.0),
    Country("Norway", "Norwegian", "Europe", 2, 59.0, 63.0, 6.5, 11.0),
    Country("Poland", "Polish", "Europe", 3, 50.0, 54.0, 15.5, 23.0),
    Country("United States", "American", "North America", 16, 33.0, 46.0, -118.0, -78.0),
    Country("Canada", "Canadian", "North America", 6, 49.5, 55.0, -120.0, -75.0),
    Country("Mexico", "Mexican", "North America", 4, 18.0, 25.0, -104.0, -97.0),
    Country("Cuba", "Cuban", "North America", 1, 21.5, 23.0, -83.0, -77.0),
    Country("Japan", "Japanese", "Asia", 7, 34.5, 37.5, 135.5, 140.0),
    Country("India", "Indian", "Asia", 5, 13.0, 27.0, 74.5, 83.0),
    Country("Thailand", "Thai", "Asia", 3, 14.0, 18.5, 99.0, 103.5),
    Country("South Korea", "Korean", "Asia", 3, 35.5, 37.7, 126.8, 129.0),
    Country("Turkey", "Turkish", "Asia", 3, 37.5, 40.5, 28.5, 42.0),
    Country("Brazil", "Brazilian", "South America", 4, -23.0, -6.0, -52.0, -39.0),
    Country("Argentina", "Argentine", "South America", 2.5, -38.0, -25.0, -67.0, -59.0),
    Country("Peru", "Peruvian", "South America", 2, -15.0, -6.0, -77.0, -71.0),
    Country("Chile", "Chilean", "South America", 1.5, -40.0, -28.0, -72.0, -70.5),
    Country("South Africa", "South African", "Africa", 2.5, -33.0, -26.0, 20.0, 30.0),
    Country("Kenya", "Kenyan", "Africa", 1.5, -2.5, 2.0, 36.0, 39.5),
    Country("Egypt", "Egyptian", "Africa", 1.5, 24.5, 30.5, 29.5, 32.5),
    Country("Ghana", "Ghanaian", "Africa", 1, 6.0, 10.0, -2.5, 0.0),
    Country("Australia", "Australian", "Oceania", 1.1, -36.5, -27.0, 142.0, 152.5),
    Country("New Zealand", "New Zealander", "Oceania", 0.6, -45.0, -37.0, 170.0, 177.0),
)

LICENSES: tuple[str, ...] = (
    "cc-by-2.0",
    "cc-by-sa-2.0",
    "cc-by-nd-2.0",
    "cc-by-nc-2.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-nd-2.0",
    "all-rights-reserved",
)
_LICENSE_SHARES = (0.15, 0.12, 0.06, 0.12, 0.18, 0.22, 0.15)
_USERS_PER_PERCENT = 5
_HOMES = 17


@dataclass(frozen=True)
class User:
    """A person who uploads pictures.

    Attributes:
        uid: the user's id, in the format that photo sites used.
        license: the usual licence of the user's pictures.
        names: whether the user names pictures by what they show, or leaves the camera's file names.
    """

    uid: str
    license: str
    names: bool


@lru_cache(maxsize=4096)
def user(seed: int, country: int, number: int) -> User:
    """Return the user of that number in the country of that index."""
    rng = np.random.default_rng([seed, _HOMES, country, number])
    return User(
        uid=f"{rng.integers(10_000_000, 99_999_999)}@N{rng.integers(0, 9):02d}",
        license=pick_license(rng),
        names=bool(rng.random() < 0.7),
    )


def pick_user(seed: int, country: int, rng: Generator) -> User:
    """Draw a user who was in the country: mostly a resident; a few users upload much, most little."""
    if rng.random() < 0.1:
        country = pick_country(rng)
    residents = max(3, round(COUNTRIES[country].share * _USERS_PER_PERCENT))
    return user(seed, country, int(residents * rng.random() ** 2.2))


def pick_country(rng: Generator) -> int:
    """Draw the index of a country, by its share of the pictures."""
    return int(np.searchsorted(_share_edges(), rng.random(), side="right"))


def pick_license(rng: Generator) -> str:
    """Draw a licence code."""
    return str(rng.choice(LICENSES, p=_LICENSE_SHARES))


def pick_place(country: Country, rng: Generator) -> tuple[float, float]:
    """Draw latitude and longitude in degrees, near the middle of the country more often than at its edge."""
    lat = country.south + (country.north - country.south) * rng.beta(2.0, 2.0)
    lon = country.west + (country.east - country.west) * rng.beta(2.0, 2.0)
    return round(lat, 5), round(lon, 5)


@lru_cache(maxsize=1)
def _share_edges() -> NDArray[np.float64]:
    shares = np.array([country.share for country in COUNTRIES])
    edges: NDArray[np.float64] = np.cumsum(shares / shares.sum())
    edges[-1] = 1.0
    return edges
