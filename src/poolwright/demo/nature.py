"""Draw plants, animals and other natural things: each function draws one kind in the square -1 to 1."""

from __future__ import annotations

import math

from numpy.random import Generator

from poolwright.demo.pen import BLACK, BROWN, GREEN, WHITE, Colour, Pen, arc, around, mix

ORANGE: Colour = (236, 132, 44)
CREAM: Colour = (244, 230, 200)


def tree(pen: Pen, rng: Generator) -> None:
    """A conifer or a round tree."""
    if rng.random() < 0.4:
        pen.box(-0.12, 0.5, 0.12, 0.95, BROWN)
        for top, half in ((0.05, 0.72), (-0.4, 0.58), (-0.9, 0.42)):
            pen.polygon([(0, top - 0.1), (half, top + 0.58), (-half, top + 0.58)], pen.ink.main)
        return
    pen.polygon([(-0.12, 0.1), (0.12, 0.1), (0.2, 0.95), (-0.2, 0.95)], BROWN)
    for x, y, radius in ((-0.38, 0.0, 0.42), (0.38, 0.0, 0.42), (0.0, -0.4, 0.5)):
        pen.disc(x, y, radius, pen.ink.main)
    pen.disc(0, -0.1, 0.45, pen.ink.main, outlined=False)
    pen.disc(-0.12, -0.5, 0.2, pen.ink.light, outlined=False)
    if rng.random() < 0.4:
        for x, y in ((-0.4, -0.05), (0.35, 0.05), (0.2, -0.5), (-0.05, -0.1)):
            pen.dot(x, y, 0.08, pen.ink.accent)


def flower(pen: Pen, rng: Generator) -> None:
    """Petals about a heart, on a stem with leaves."""
    pen.tube([(0, -0.2), (0.05, 0.95)], 0.08, GREEN)
    pen.disc(0.28, 0.55, 0.27, GREEN, ry=0.11, tilt=-0.6)
    if rng.random() < 0.6:
        pen.disc(-0.22, 0.7, 0.25, GREEN, ry=0.1, tilt=0.6)
    petals = int(rng.integers(5, 9))
    for x, y in around(petals, 0.36, rng.uniform(0, 2)):
        pen.disc(x, y - 0.32, 0.26, pen.ink.main, ry=0.17, tilt=math.atan2(y, x))
    pen.disc(0, -0.32, 0.2, pen.ink.accent)


def bird(pen: Pen, rng: Generator) -> None:
    """A small bird from the side, wing folded or up."""
    for x in (-0.05, 0.15):
        pen.line([(x, 0.5), (x + 0.04, 0.92), (x + 0.18, 0.92)], 0.06, ORANGE)
    pen.polygon([(-0.5, 0.05), (-1.0, -0.1), (-0.92, 0.28), (-0.4, 0.4)], pen.ink.dark)
    pen.disc(0, 0.2, 0.6, pen.ink.main, ry=0.4, tilt=-0.25)
    pen.polygon([(0.75, -0.42), (1.02, -0.26), (0.72, -0.18)], ORANGE)
    pen.disc(0.5, -0.32, 0.31, pen.ink.main)
    pen.disc(0.22, 0.36, 0.26, pen.ink.light, ry=0.18, tilt=-0.4, outlined=False)
    lift = rng.choice([0.0, -0.75])
    pen.polygon([(0.25, 0.05), (-0.45, 0.42 + lift * 1.4), (-0.5, 0.1 + lift), (-0.3, -0.08)], pen.ink.accent)
    pen.dot(0.58, -0.38, 0.1, WHITE)
    pen.dot(0.6, -0.38, 0.06)


def cat(pen: Pen, rng: Generator) -> None:
    """A cat's face, or a cat that sits."""
    if rng.random() < 0.5:
        _cat_face(pen, 0.0, 0.1, 0.72)
        return
    pen.tube([(0.35, 0.75), (0.8, 0.6), (0.75, 0.1), (0.9, -0.1)], 0.13, pen.ink.main)
    pen.disc(0, 0.5, 0.48, pen.ink.main, ry=0.48)
    pen.disc(0, 0.6, 0.22, pen.ink.light, ry=0.3, outlined=False)
    for x in (-0.2, 0.2):
        pen.disc(x, 0.92, 0.16, pen.ink.main, ry=0.1)
    _cat_face(pen, 0.0, -0.3, 0.46)


def _cat_face(pen: Pen, x: float, y: float, size: float) -> None:
    for side in (-1, 1):
        ear = [(0.98, -0.3), (0.9, -1.25), (0.22, -0.85)]
        pen.polygon([(x + side * size * a, y + size * b) for a, b in ear], pen.ink.main)
        inner = [(0.82, -0.6), (0.8, -1.02), (0.5, -0.8)]
        pen.polygon([(x + side * size * a, y + size * b) for a, b in inner], (236, 160, 160), outlined=False)
    pen.disc(x, y, size, pen.ink.main, ry=size * 0.88)
    pen.disc(x, y + size * 0.42, size * 0.42, pen.ink.light, ry=size * 0.32, outlined=False)
    for side in (-1, 1):
        pen.disc(x + side * size * 0.4, y - size * 0.12, size * 0.2, (196, 222, 90), ry=size * 0.22)
        pen.disc(x + side * size * 0.4, y - size * 0.12, size * 0.07, BLACK, ry=size * 0.19, outlined=False)
        for drop in (0.2, 0.42):
            ends = [(0.35, 0.36), (1.2, drop)]
            pen.line([(x + side * size * a, y + size * b) for a, b in ends], 0.035, BLACK)
    nose = [(-0.14, 0.2), (0.14, 0.2), (0, 0.36)]
    pen.polygon([(x + size * a, y + size * b) for a, b in nose], (224, 110, 120), outlined=False)


def fish(pen: Pen, rng: Generator) -> None:
    """A fish with fins, with or without stripes."""
    pen.polygon([(-0.5, 0), (-0.98, -0.48), (-0.84, 0), (-0.98, 0.48)], pen.ink.accent)
    pen.polygon([(-0.2, -0.3), (0.05, -0.72), (0.35, -0.3)], pen.ink.accent)
    pen.polygon([(-0.05, 0.32), (0.0, 0.64), (0.25, 0.3)], pen.ink.accent)
    pen.disc(0.12, 0, 0.74, pen.ink.main, ry=0.44)
    if rng.random() < 0.6:
        for x in (-0.3, -0.05, 0.2):
            pen.line([(x, -0.26), (x + 0.05, 0), (x, 0.26)], 0.09, pen.ink.light)
    pen.line(arc(0.38, 0, 0.14, 0.3, -1.2, 1.2, n=5), 0.05, pen.ink.dark)
    pen.dot(0.6, -0.12, 0.12, WHITE)
    pen.dot(0.62, -0.12, 0.065)
    for radius, y in ((0.06, -0.45), (0.09, -0.68)):
        if rng.random() < 0.5:
            pen.disc(0.9, y, radius, (210, 236, 246))


def sun(pen: Pen, rng: Generator) -> None:
    """A disc with rays, sometimes with a face."""
    rays, turn, length = int(rng.integers(8, 15)), rng.uniform(0, 1), rng.uniform(0.88, 1.0)
    half = 1.8 / rays
    for angle in (turn + 2 * math.pi * i / rays for i in range(rays)):
        tip = (length * math.cos(angle), length * math.sin(angle))
        sides = [(0.58 * math.cos(angle + s), 0.58 * math.sin(angle + s)) for s in (-half, half)]
        pen.polygon([tip, *sides], pen.ink.accent)
    pen.disc(0, 0, 0.52, pen.ink.main)
    if rng.random() < 0.5:
        pen.dot(-0.18, -0.1, 0.07)
        pen.dot(0.18, -0.1, 0.07)
        pen.line(arc(0, 0.05, 0.25, 0.2, 0.3, math.pi - 0.3, n=9), 0.06, BLACK)


def apple(pen: Pen, rng: Generator) -> None:
    """An apple with stem and leaf, whole or bitten."""
    pen.tube([(0.02, -0.35), (0.1, -0.85)], 0.09, BROWN)
    pen.disc(0.36, -0.72, 0.28, GREEN, ry=0.13, tilt=-0.4)
    for x in (-0.27, 0.27):
        pen.disc(x, 0.12, 0.5, pen.ink.main, ry=0.64)
    pen.disc(0, 0.15, 0.45, pen.ink.main, ry=0.55, outlined=False)
    pen.disc(-0.42, -0.1, 0.12, pen.ink.light, ry=0.2, tilt=0.4, outlined=False)
    if rng.random() < 0.25:
        for y in (-0.05, 0.25):
            pen.disc(0.74, y, 0.2, CREAM)


def butterfly(pen: Pen, rng: Generator) -> None:
    """Four spotted wings seen from above."""
    spots = rng.random() < 0.75
    for side in (-1, 1):
        pen.disc(side * 0.42, 0.42, 0.36, pen.ink.accent, ry=0.42, tilt=side * -0.5)
        pen.disc(side * 0.52, -0.32, 0.46, pen.ink.main, ry=0.54, tilt=side * 0.6)
        pen.line([(side * 0.03, -0.5), (side * 0.24, -0.95)], 0.05, BLACK)
        pen.dot(side * 0.24, -0.93, 0.06)
        if spots:
            pen.dot(side * 0.6, -0.4, 0.17, pen.ink.light)
            pen.dot(side * 0.45, 0.5, 0.13, pen.ink.dark)
    pen.disc(0, 0.05, 0.1, BLACK, ry=0.6)


def mushroom(pen: Pen, rng: Generator) -> None:
    """A capped mushroom with dots."""
    width = rng.uniform(0.2, 0.32)
    pen.polygon([(-width, 0.0), (width, 0.0), (width + 0.1, 0.9), (-width - 0.1, 0.9)], CREAM)
    pen.polygon(arc(0, 0.12, 0.92, rng.uniform(0.75, 1.0), math.pi, 2 * math.pi, n=18), pen.ink.main)
    pen.line([(-0.85, 0.12), (0.85, 0.12)], 0.1, CREAM)
    for x, y, radius in ((-0.5, -0.2, 0.13), (0.02, -0.42, 0.17), (0.5, -0.16, 0.12), (0.05, -0.05, 0.09)):
        pen.dot(x, y, radius, WHITE)


def moon(pen: Pen, rng: Generator) -> None:
    """A crescent, sometimes with small stars."""
    depth = rng.uniform(0.15, 0.5)
    outer = arc(0, 0, 0.88, 0.88, 0.5 * math.pi, 1.5 * math.pi, n=20)
    inner = arc(0, 0, depth, 0.88, 1.5 * math.pi, 0.5 * math.pi, n=20)
    pen.polygon([*outer.tolist(), *inner.tolist()], pen.ink.main)
    for y, radius in ((-0.3, 0.08), (0.05, 0.11), (0.4, 0.07)):
        pen.dot(-0.68, y, radius, pen.ink.dark)
    if rng.random() < 0.6:
        for x, y, size in ((0.5, -0.4, 0.14), (0.35, 0.3, 0.1)):
            points = [(x, y - size), (x + size * 0.3, y), (x, y + size), (x - size * 0.3, y)]
            pen.polygon(points, WHITE, outlined=False)
            pen.polygon([(b - y + x, a - x + y) for a, b in points], WHITE, outlined=False)


def snail(pen: Pen, rng: Generator) -> None:
    """A snail with a spiral shell."""
    skin = mix(CREAM, BROWN, rng.uniform(0.1, 0.5))
    for x in (0.62, 0.84):
        pen.tube([(0.68, 0.3), (x + 0.06, -0.2)], 0.06, skin)
        pen.dot(x + 0.06, -0.22, 0.08)
    pen.polygon([(-0.98, 0.8), (-0.5, 0.52), (0.42, 0.5), (0.5, 0.12), (0.82, 0.1), (0.92, 0.4), (0.8, 0.8)], skin)
    pen.disc(-0.12, 0.05, 0.6, pen.ink.main)
    turns = [(0.52 - 0.045 * i, 0.62 * i) for i in range(12)]
    spiral = [(-0.12 + r * math.cos(a), 0.05 + r * math.sin(a)) for r, a in turns]
    pen.line(spiral, 0.08, pen.ink.dark)


def cactus(pen: Pen, rng: Generator) -> None:
    """A column with arms, in the ground or in a pot."""
    high, low = rng.uniform(-0.5, -0.2), rng.uniform(0.0, 0.25)
    arms = [[(0, 0.3), (-0.55, 0.3), (-0.55, high)], [(0, low + 0.2), (0.52, low + 0.2), (0.52, low - 0.4)]]
    body: list[tuple[float, float]] = [(0, 0.75), (0, -0.72)]
    for points in (*arms, body):
        pen.line(points, 0.3 + 2 * pen.ink.line_width)
    for points in (*arms, body):
        pen.line(points, 0.3, pen.ink.main)
    for y in (-0.7, -0.4, -0.1, 0.2, 0.5):
        pen.dot(-0.06, y, 0.035, CREAM)
        pen.dot(0.07, y + 0.14, 0.035, CREAM)
    if rng.random() < 0.6:
        pen.polygon([(-0.42, 0.55), (0.42, 0.55), (0.3, 0.98), (-0.3, 0.98)], (190, 96, 60))
    if rng.random() < 0.4:
        pen.disc(0, -0.86, 0.14, (232, 90, 140))


def snowman(pen: Pen, rng: Generator) -> None:
    """Balls of snow with a hat, a carrot and stick arms."""
    for side in (-1, 1):
        pen.line([(side * 0.3, 0.1), (side * 0.92, rng.uniform(-0.35, 0.1))], 0.06, BROWN)
    pen.disc(0, 0.55, 0.44, WHITE)
    pen.disc(0, 0.02, 0.34, WHITE)
    pen.line([(-0.22, -0.22), (0.22, -0.22)], 0.13, pen.ink.main)
    pen.disc(0, -0.42, 0.27, WHITE)
    pen.box(-0.22, -1.0, 0.22, -0.64, BLACK, outlined=False)
    pen.line([(-0.36, -0.64), (0.36, -0.64)], 0.07, BLACK)
    for x, y in ((-0.1, -0.48), (0.1, -0.48), (0, 0.0), (0, 0.2), (0, 0.48)):
        pen.dot(x, y, 0.055)
    pen.polygon([(0, -0.42), (0.34, -0.34), (0, -0.3)], ORANGE, outlined=False)
