"""Draw shapes in the coordinates of a thing, at any position of the thing in the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]] | NDArray[np.float64]

BLACK: Colour = (30, 28, 32)
WHITE: Colour = (248, 246, 240)
BROWN: Colour = (124, 82, 48)
GREEN: Colour = (64, 140, 66)
STEEL: Colour = (150, 158, 168)
GLASS: Colour = (176, 218, 236)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Interpolate between the colours `one` (share 0) and `other` (share 1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@dataclass(frozen=True)
class Ink:
    """The colours of one drawing: of the thing, of its details and of its outline."""

    main: Colour
    accent: Colour
    line: Colour
    line_width: float

    @property
    def dark(self) -> Colour:
        """The main colour in shade."""
        return mix(self.main, BLACK, 0.32)

    @property
    def light(self) -> Colour:
        """The main colour in light."""
        return mix(self.main, WHITE, 0.42)


@dataclass(frozen=True)
class Pose:
    """The position of a thing: centre and half size in canvas pixels, angle in radians, mirrored or not."""

    x: float
    y: float
    size: float
    angle: float = 0.0
    mirrored: bool = False

    def to_canvas(self, points: Points) -> NDArray[np.float64]:
        """Return the canvas pixels `(n, 2)` of points in the thing's own square, x right and y down, -1 to 1."""
        cos, sin = math.cos(self.angle) * self.size, math.sin(self.angle) * self.size
        flip = -1.0 if self.mirrored else 1.0
        matrix = np.array([[cos * flip, sin * flip], [-sin, cos]])
        placed: NDArray[np.float64] = np.asarray(points, dtype=np.float64) @ matrix + (self.x, self.y)
        return placed


class Pen:
    """Draws filled and outlined shapes; all lengths are in units of the thing's half size."""

    def __init__(self, image: Image.Image, pose: Pose, ink: Ink) -> None:
        self._draw = ImageDraw.Draw(image)
        self._pose = pose
        self.ink = ink

    def polygon(self, points: Points, fill: Colour, outlined: bool = True) -> None:
        """A filled polygon."""
        corners = [(x, y) for x, y in self._pose.to_canvas(points).tolist()]
        self._draw.polygon(corners, fill=fill)
        width = self._pixels(self.ink.line_width)
        if outlined and width > 0:
            joint = "curve" if len(corners) < 10 else None
            self._draw.line([*corners, *corners[:2]], fill=self.ink.line, width=width, joint=joint)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, outlined: bool = True) -> None:
        """A filled rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, outlined)

    def disc(
        self,
        x: float,
        y: float,
        rx: float,
        fill: Colour,
        ry: float | None = None,
        tilt: float = 0.0,
        outlined: bool = True,
    ) -> None:
        """A filled ellipse, its axes turned by `tilt` radians."""
        self.polygon(arc(x, y, rx, rx if ry is None else ry, tilt=tilt), fill, outlined)

    def dot(self, x: float, y: float, radius: float, fill: Colour = BLACK) -> None:
        """A small disc without outline."""
        self.disc(x, y, radius, fill, outlined=False)

    def line(self, points: Points, width: float, fill: Colour | None = None) -> None:
        """A line of even width with round ends; in the outline's colour when no `fill` is given."""
        placed = [(x, y) for x, y in self._pose.to_canvas(points).tolist()]
        pixels = max(self._pixels(width), 1)
        colour = self.ink.line if fill is None else fill
        self._draw.line(placed, fill=colour, width=pixels, joint="curve" if len(placed) < 6 else None)
        radius = pixels / 2
        for x, y in (placed[0], placed[-1]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def tube(self, points: Points, width: float, fill: Colour) -> None:
        """A line with an outline of its own."""
        if self.ink.line_width > 0:
            self.line(points, width + 2 * self.ink.line_width)
        self.line(points, width, fill)

    def _pixels(self, length: float) -> int:
        return round(length * self._pose.size)


@lru_cache(maxsize=256)
def _unit_arc(start: float, stop: float, n: int) -> NDArray[np.float64]:
    angles = np.linspace(start, stop, n)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def arc(
    x: float,
    y: float,
    rx: float,
    ry: float,
    start: float = 0.0,
    stop: float = 2 * math.pi,
    tilt: float = 0.0,
    n: int = 26,
) -> NDArray[np.float64]:
    """`n` points of an elliptic arc; angles in radians run clockwise on the picture, 0 points right."""
    points = _unit_arc(start, stop, n) * (rx, ry)
    if tilt:
        cos, sin = math.cos(tilt), math.sin(tilt)
        points = points @ np.array([[cos, sin], [-sin, cos]])
    moved: NDArray[np.float64] = points + np.array([x, y])
    return moved


def around(n: int, radius: float, turn: float = 0.0) -> list[tuple[float, float]]:
    """`n` points evenly spaced on a circle about the middle."""
    steps = (turn + 2 * math.pi * i / n for i in range(n))
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in steps]
