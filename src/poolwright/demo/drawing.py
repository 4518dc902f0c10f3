"""Draw a picture of one kind of thing from a random generator: `draw_kind`."""

from __future__ import annotations

import math
from collections.abc import Callable

from numpy.random import Generator
from PIL import Image

from poolwright.demo import nature, objects
from poolwright.demo.pen import Colour, Ink, Pen, Pose, mix
from poolwright.demo.style import COLOURS, CONTINENTS, age, background, shadow_colour

Draw = Callable[[Pen, Generator], None]

_DRAW: dict[str, Draw] = {
    "house": objects.house,
    "tree": nature.tree,
    "car": objects.car,
    "flower": nature.flower,
    "bird": nature.bird,
    "boat": objects.boat,
    "cat": nature.cat,
    "fish": nature.fish,
    "sun": nature.sun,
    "bicycle": objects.bicycle,
    "clock": objects.clock,
    "cup": objects.cup,
    "airplane": objects.airplane,
    "chair": objects.chair,
    "apple": nature.apple,
    "train": objects.train,
    "star": objects.star,
    "umbrella": objects.umbrella,
    "book": objects.book,
    "lamp": objects.lamp,
    "guitar": objects.guitar,
    "butterfly": nature.butterfly,
    "balloon": objects.balloon,
    "mushroom": nature.mushroom,
    "key": objects.key,
    "moon": nature.moon,
    "snail": nature.snail,
    "cactus": nature.cactus,
    "rocket": objects.rocket,
    "snowman": nature.snowman,
}

KINDS: tuple[str, ...] = tuple(_DRAW)
"""The kinds of things that can be drawn, the most frequent of the demo's world first."""

_OWN_COLOURS: dict[str, tuple[str, ...]] = {
    "tree": ("green", "green", "green", "orange", "yellow", "red"),
    "cactus": ("green",),
    "sun": ("yellow", "orange", "red"),
    "moon": ("yellow", "white", "grey"),
    "star": ("yellow", "white", "red", "blue"),
    "apple": ("red", "green", "yellow"),
    "cat": ("grey", "orange", "brown", "white"),
    "guitar": ("brown", "red", "orange", "white", "blue"),
    "key": ("yellow", "grey", "brown"),
    "airplane": ("white", "grey", "blue", "yellow"),
    "mushroom": ("red", "brown", "orange"),
}

_USUAL_TURN = 0.16
_TURNS = {
    "key": math.pi,
    "star": 0.6,
    "airplane": 0.9,
    "rocket": 0.7,
    "guitar": 0.6,
    "butterfly": 0.6,
    "fish": 0.35,
    "moon": 0.5,
    "sun": math.pi,
    "book": 0.3,
    "balloon": 0.25,
    "umbrella": 0.35,
}
_FLOATING = frozenset({"bird", "fish", "sun", "airplane", "star", "butterfly", "balloon", "moon", "rocket", "clock"})
_SUPERSAMPLE = 3


def colours_of(kind: str) -> tuple[str, ...]:
    """Return the names of the colours that a kind is drawn in; one named twice is drawn twice as often."""
    return _OWN_COLOURS.get(kind, tuple(COLOURS))


def draw_kind(
    kind: str, rng: Generator, continent: str = "Europe", year: float = 2010.0, colour: str | None = None
) -> Image.Image:
    """Draw a thing, as photographed on a continent in a year.

    Args:
        kind: one of `KINDS`.
        rng: the only source of chance; equal generators give equal pictures.
        continent: one of the six names of `CONTINENTS`; sets ground, palette and outline.
        year: 2004.0 to 2015.0, with fraction; early pictures are smaller, duller and noisier.
        colour: the thing's main colour, a name of `COLOURS`; default one that suits the kind.

    Returns:
        An RGB picture of 44 to 84 pixels per side.
    """
    width, height = measure(year, rng)
    colour = colour or str(rng.choice(colours_of(kind)))
    ink = _ink(colour, continent, rng)
    size = (width * _SUPERSAMPLE, height * _SUPERSAMPLE)
    canvas = background(*size, continent, ink.main, rng)
    pose = _pose(kind, *size, rng)
    if kind not in _FLOATING:
        flat = Pose(pose.x, pose.y, pose.size)
        Pen(canvas, flat, ink).disc(0.05, 0.9, 0.9, shadow_colour(canvas, pose), ry=0.14, outlined=False)
    _DRAW[kind](Pen(canvas, pose, ink), rng)
    return age(canvas.reduce(_SUPERSAMPLE), year, rng)


def measure(year: float, rng: Generator) -> tuple[int, int]:
    """Draw width and height in pixels of a picture of that year; the first numbers that `draw_kind` draws."""
    youth = min(max((year - 2004) / 11, 0.0), 1.0)
    side = 48 + 20 * youth + rng.uniform(-4, 4)
    ratio = float(rng.choice((1.0, 1.0, 1.15, 1.25)))
    longer, shorter = round(side * math.sqrt(ratio)), round(side / math.sqrt(ratio))
    return (longer, shorter) if rng.random() < 0.6 else (shorter, longer)


def _pose(kind: str, width: int, height: int, rng: Generator) -> Pose:
    half = min(width, height) / 2
    size = half * rng.uniform(0.64, 0.94)
    room = 1.03 * half - size
    turn = _TURNS.get(kind, _USUAL_TURN)
    return Pose(
        x=width / 2 + rng.uniform(-room, room),
        y=height / 2 + rng.uniform(-room, room),
        size=size,
        angle=rng.uniform(-turn, turn),
        mirrored=bool(rng.random() < 0.5),
    )


def _ink(colour: str, continent: str, rng: Generator) -> Ink:
    style = CONTINENTS[continent]
    others = [name for name in COLOURS if name != colour]
    lean = rng.uniform(0.05, 0.2)
    return Ink(
        main=_vary(mix(COLOURS[colour], style.tint, lean), rng),
        accent=_vary(mix(COLOURS[str(rng.choice(others))], style.tint, lean), rng),
        line=style.line,
        line_width=style.line_width,
    )


def _vary(colour: Colour, rng: Generator) -> Colour:
    red, green, blue = (int(min(max(c + rng.uniform(-16, 16), 0), 255)) for c in colour)
    return red, green, blue
