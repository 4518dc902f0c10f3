"""Style pictures by continent (background, palette, outline) and year (ageing)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from poolwright.demo.pen import BLACK, Colour, Pose, mix

Plane = NDArray[np.float32]
Pattern = Callable[[Plane, Plane], Plane]

COLOURS: dict[str, Colour] = {
    "red": (212, 48, 46),
    "orange": (240, 136, 36),
    "yellow": (248, 208, 52),
    "green": (70, 158, 72),
    "blue": (48, 104, 200),
    "purple": (134, 76, 172),
    "pink": (238, 132, 172),
    "brown": (140, 92, 56),
    "white": (244, 242, 236),
    "grey": (140, 144, 150),
}


def _arches(u: Plane, v: Plane) -> Plane:
    """Rows of overlapping half circles, as on Japanese cloth."""
    row = np.floor(v * 5)
    dx = (u * 2.6 + 0.5 * (row % 2)) % 1 - 0.5
    radius = np.hypot(dx, (v * 5) % 1 * 0.5)
    return np.asarray((radius * 5.5) % 1 < 0.4, dtype=np.float32)


def _zigzag(u: Plane, v: Plane) -> Plane:
    """Bands of zigzag."""
    wave = np.abs((u * 5) % 1 - 0.5)
    return np.asarray((v * 5 + wave) % 1 < 0.4, dtype=np.float32)


def _tiles(u: Plane, v: Plane) -> Plane:
    """Tiles with thin joints, every second one tinted."""
    a, b = u * 5, v * 5
    tinted = (np.floor(a) + np.floor(b)) % 2 * 0.4
    joint = (a % 1 < 0.1) | (b % 1 < 0.1)
    return np.asarray(np.where(joint, 1.0, tinted), dtype=np.float32)


def _plaid(u: Plane, v: Plane) -> Plane:
    """Crossing broad stripes."""
    across, down = (u * 4) % 1 < 0.45, (v * 4) % 1 < 0.45
    return np.asarray(across * 0.5 + down * 0.5, dtype=np.float32)


def _diamonds(u: Plane, v: Plane) -> Plane:
    """Nested diamonds."""
    rhombus = np.abs((u * 3) % 1 - 0.5) + np.abs((v * 3) % 1 - 0.5)
    return np.asarray((rhombus * 4) % 1 < 0.5, dtype=np.float32)


def _dots(u: Plane, v: Plane) -> Plane:
    """Staggered rows of dots."""
    row = np.floor(v * 7)
    dx, dy = (u * 7 + 0.5 * (row % 2)) % 1 - 0.5, (v * 7) % 1 - 0.5
    return np.asarray(dx * dx + dy * dy < 0.09, dtype=np.float32)


@dataclass(frozen=True)
class ContinentStyle:
    """The look of a continent's pictures.

    Attributes:
        pattern: the background's pattern, from coordinates in about 0 to 1 to a share of the second colour.
        grounds: pairs of background colours; one of them is chosen.
        tint: a colour that all colours of the thing lean to.
        line: the outline's colour.
        line_width: the outline's width in units of the thing's half size; 0 draws none.
    """

    pattern: Pattern
    grounds: tuple[tuple[Colour, Colour], ...]
    tint: Colour
    line: Colour
    line_width: float


CONTINENTS: dict[str, ContinentStyle] = {
    "Africa": ContinentStyle(
        _zigzag,
        (((226, 172, 96), (178, 92, 48)), ((240, 204, 140), (206, 130, 60)), ((150, 70, 44), (96, 48, 40))),
        (214, 120, 40),
        (62, 36, 26),
        0.075,
    ),
    "Asia": ContinentStyle(
        _arches,
        (((246, 232, 218), (228, 160, 152)), ((220, 236, 222), (130, 180, 160)), ((168, 52, 56), (206, 104, 92))),
        (200, 60, 70),
        (40, 34, 44),
        0.028,
    ),
    "Europe": ContinentStyle(
        _tiles,
        (((206, 218, 234), (140, 164, 200)), ((226, 222, 206), (176, 170, 156)), ((98, 118, 156), (66, 84, 122))),
        (120, 140, 180),
        (38, 48, 88),
        0.045,
    ),
    "North America": ContinentStyle(
        _plaid,
        (((224, 234, 246), (112, 158, 220)), ((242, 210, 204), (206, 96, 92)), ((58, 84, 148), (152, 62, 74))),
        (255, 255, 255),
        (252, 252, 252),
        0.07,
    ),
    "South America": ContinentStyle(
        _diamonds,
        (((250, 224, 92), (60, 172, 96)), ((246, 130, 176), (250, 200, 70)), ((34, 130, 110), (110, 60, 140))),
        (250, 180, 40),
        (24, 20, 24),
        0.1,
    ),
    "Oceania": ContinentStyle(
        _dots,
        (((60, 188, 196), (240, 246, 226)), ((22, 96, 140), (118, 216, 214)), ((212, 108, 60), (252, 226, 180))),
        (60, 190, 200),
        (0, 0, 0),
        0.0,
    ),
}


def background(width: int, height: int, continent: str, main: Colour, rng: Generator) -> Image.Image:
    """Draw a patterned ground of the continent, in a colour that contrasts with the thing's `main` colour."""
    style = CONTINENTS[continent]
    picks = rng.choice(len(style.grounds), size=2, replace=False)
    ground, figure = max((style.grounds[i] for i in picks), key=lambda pair: _distance(pair[0], main))
    u, v = _coordinates(width // 2, height // 2)
    turn, scale = rng.uniform(-0.2, 0.2), rng.uniform(0.75, 1.2)
    shift_u, shift_v = rng.uniform(0, 1, 2).astype(np.float32)
    mask = style.pattern((u + turn * v) * scale + shift_u, (v - turn * u) * scale + shift_v)
    opacity = np.float32(255 * rng.uniform(0.35, 0.8))
    jitter = rng.uniform(-14, 14, 3)
    low, high = (_shifted(colour, jitter) for colour in (ground, figure))
    canvas = Image.new("RGB", (width, height), low)
    coarse = Image.fromarray((mask * opacity).astype(np.uint8))
    canvas.paste(high, mask=coarse.resize((width, height), Image.Resampling.BILINEAR))
    return canvas


def _shifted(colour: Colour, shift: NDArray[np.float64]) -> Colour:
    red, green, blue = (int(min(max(c + s, 0), 255)) for c, s in zip(colour, shift.tolist(), strict=True))
    return red, green, blue


@lru_cache(maxsize=64)
def _coordinates(width: int, height: int) -> tuple[Plane, Plane]:
    unit = np.float32(max(width, height))
    v, u = np.indices((height, width), dtype=np.float32)
    return u / unit, v / unit


def _distance(one: Colour, other: Colour) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def shadow_colour(image: Image.Image, pose: Pose) -> Colour:
    """A darker shade of the ground where the thing stands."""
    x = min(max(round(pose.x), 0), image.width - 1)
    pixel = image.getpixel((x, image.height - 1))
    assert isinstance(pixel, tuple)
    return mix((int(pixel[0]), int(pixel[1]), int(pixel[2])), BLACK, 0.35)


def age(image: Image.Image, year: float, rng: Generator) -> Image.Image:
    """Render a scene as a camera of `year` (2004 to 2015) would: early ones are dull, yellowish and noisy."""
    youth = min(max((year - 2004) / 11, 0.0), 1.0)
    pixels = np.asarray(image, dtype=np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    saturation = 0.42 + 0.68 * youth + rng.normal(0, 0.08)
    gain = 0.78 + 0.3 * youth + rng.normal(0, 0.05)
    cast = np.array([10.0, 3.0, -14.0], dtype=np.float32) * np.float32(1 - youth)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    noise *= np.float32(2.5 + 14 * (1 - youth) ** 1.3 * rng.uniform(0.6, 1.2))
    slope = rng.uniform(-0.22, 0.22)
    light = np.linspace(gain * (1 - slope), gain * (1 + slope), len(pixels), dtype=np.float32)[:, None, None]
    aged = (grey + (pixels - grey) * np.float32(saturation)) * light + cast + noise
    return Image.fromarray(np.clip(aged, 0, 255).astype(np.uint8))
