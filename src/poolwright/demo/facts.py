"""Generate the facts about each picture of the demo's world from the world's seed and the picture's index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from poolwright.demo import captions
from poolwright.demo.drawing import KINDS, colours_of
from poolwright.demo.people import COUNTRIES, pick_country, pick_license, pick_place, pick_user

DUPLICATES = 0.02
CORRUPT = 0.006
WRONG_CAPTIONS = 0.125
EMPTY_CAPTIONS = 0.02
PNGS = 0.05

BEGIN, END = datetime(2004, 1, 1), datetime(2014, 12, 31, 23, 59, 59)

_FACTS = 1
_LARGEST, _SMALLEST = 580, 40


@dataclass(frozen=True)
class Facts:
    """All facts about one picture.

    Attributes:
        index: the picture's number in the world.
        kind: kind of thing that it shows, one of `KINDS`.
        caption_kind: kind that its caption names; None if the caption is empty.
        duplicate_of: the index of the picture it is a copy of, exact or re-encoded.
        corrupt: whether its file cannot be decoded.
        suffix: `jpg` or `png`.
    """

    index: int
    uid: str
    kind: str
    colour: str
    country: int
    lat: float
    lon: float
    user: str
    license: str
    title: str
    text: str
    caption_kind: str | None
    taken_at: datetime
    uploaded_at: datetime
    corrupt: bool
    suffix: str
    duplicate_of: int | None = None

    @property
    def continent(self) -> str:
        """The name of the continent."""
        return COUNTRIES[self.country].continent

    @property
    def year(self) -> float:
        """The time of upload in years, with fraction."""
        return 2004 + 11 * _youth(self.uploaded_at)

    @property
    def image_path(self) -> str:
        """Path of the file within the folder of images."""
        return f"{self.uid[:2]}/{self.uid}.{self.suffix}"


@lru_cache(maxsize=65_536)  # asked for by the picture, by its copies and by the tables
def facts_of(index: int, seed: int) -> Facts:
    """Return the facts of picture `index` of the world of `seed`, independent of later pictures."""
    rng = np.random.default_rng([seed, _FACTS, index])
    if rng.random() < DUPLICATES and index > 0:
        original = _original(int(rng.integers(index)), seed)
        if original is not None:
            return _facts_of_copy(index, original, seed, rng)
    return _facts_of_original(index, seed, rng)


def _original(latest: int, seed: int) -> Facts | None:
    """Return the last picture up to `latest` that is neither a copy nor corrupt."""
    for index in range(latest, -1, -1):
        facts = facts_of(index, seed)
        if facts.duplicate_of is None and not facts.corrupt:
            return facts
    return None


def _facts_of_original(index: int, seed: int, rng: Generator) -> Facts:
    uploaded_at = BEGIN + rng.beta(2.0, 1.5) * (END - BEGIN)
    kind = _pick_kind(_youth(uploaded_at), rng)
    colour = str(rng.choice(colours_of(kind)))
    country = pick_country(rng)
    lat, lon = pick_place(COUNTRIES[country], rng)
    owner = pick_user(seed, country, rng)
    text, caption_kind = _caption(kind, colour, country, uploaded_at.year, rng)
    named = kind if rng.random() < 0.95 else _other_kind(kind, rng)
    return Facts(
        index=index,
        uid=_uid(index, seed),
        kind=kind,
        colour=colour,
        country=country,
        lat=lat,
        lon=lon,
        user=owner.uid,
        license=owner.license if rng.random() < 0.85 else pick_license(rng),
        title=captions.title(named, owner.names, COUNTRIES[country], uploaded_at.year, rng),
        text=text,
        caption_kind=caption_kind,
        taken_at=_seconds(uploaded_at - timedelta(days=rng.exponential(400 if rng.random() < 0.03 else 12))),
        uploaded_at=_seconds(uploaded_at),
        corrupt=bool(rng.random() < CORRUPT),
        suffix="png" if rng.random() < PNGS else "jpg",
    )


def _facts_of_copy(index: int, original: Facts, seed: int, rng: Generator) -> Facts:
    """Return the facts of a copy: somebody uploads a picture again, later, mostly with a caption of their own."""
    uploaded_at = min(original.uploaded_at + timedelta(days=rng.exponential(90)), END)
    owner = pick_user(seed, original.country, rng)
    copy = replace(
        original,
        index=index,
        uid=_uid(index, seed),
        user=owner.uid,
        license=owner.license,
        uploaded_at=_seconds(uploaded_at),
        duplicate_of=original.index,
    )
    if rng.random() < 0.4:
        return copy
    text, said = _caption(original.kind, original.colour, original.country, uploaded_at.year, rng)
    return replace(copy, text=text, caption_kind=said)


def _caption(kind: str, colour: str, country: int, year: int, rng: Generator) -> tuple[str, str | None]:
    """Return a caption and the kind it names: sometimes none, sometimes another than is shown."""
    chance = rng.random()
    if chance < EMPTY_CAPTIONS:
        return "", None
    said = _other_kind(kind, rng) if chance < EMPTY_CAPTIONS + WRONG_CAPTIONS else kind
    return captions.caption(said, colour, COUNTRIES[country], year, rng), said


def _other_kind(kind: str, rng: Generator) -> str:
    steps = int(rng.integers(1, len(KINDS)))
    return KINDS[(KINDS.index(kind) + steps) % len(KINDS)]


def _pick_kind(youth: float, rng: Generator) -> str:
    """Draw a kind, by the shares of its month."""
    return KINDS[int(np.searchsorted(_kind_edges(int(youth * 131)), rng.random(), side="right"))]


@lru_cache(maxsize=132)
def _kind_edges(month: int) -> NDArray[np.float64]:
    """Return the upper edges of the kinds' shares: long-tailed, and changing over the years."""
    order = np.arange(len(KINDS))
    size = _LARGEST * (_SMALLEST / _LARGEST) ** (order / (len(KINDS) - 1))
    drift = np.exp(0.8 * np.cos(2.4 * order) * (month / 131 - 0.57))
    edges: NDArray[np.float64] = np.cumsum(size * drift / (size * drift).sum())
    edges[-1] = 1.0
    return edges


def _uid(index: int, seed: int) -> str:
    return blake2b(f"{seed}/{index}".encode(), digest_size=8).hexdigest()


def _youth(moment: datetime) -> float:
    return (moment - BEGIN) / (END - BEGIN)


def _seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
