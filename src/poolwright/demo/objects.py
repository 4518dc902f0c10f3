"""Draw man-made things: each function draws one kind in the square -1 to 1."""

from __future__ import annotations

import math

from numpy.random import Generator

from poolwright.demo.pen import BLACK, BROWN, GLASS, STEEL, WHITE, Pen, arc, around, mix


def house(pen: Pen, rng: Generator) -> None:
    """A house with a gable, a door and windows."""
    if rng.random() < 0.6:
        pen.box(0.32, -0.8, 0.52, -0.2, pen.ink.dark)
    pen.box(-0.68, -0.12, 0.68, 0.86, pen.ink.main)
    peak = rng.uniform(-0.95, -0.7)
    pen.polygon([(-0.92, -0.06), (0, peak), (0.92, -0.06)], pen.ink.accent)
    door = rng.choice([-0.34, 0.0, 0.34])
    pen.box(door - 0.16, 0.28, door + 0.16, 0.86, BROWN)
    for x in (-0.42, 0.0, 0.42):
        if abs(x - door) > 0.3:
            pen.box(x - 0.17, 0.1, x + 0.17, 0.44, GLASS)
            pen.line([(x, 0.1), (x, 0.44)], 0.04)
    if rng.random() < 0.5:
        pen.disc(0, -0.38, 0.13, GLASS)


def car(pen: Pen, rng: Generator) -> None:
    """A car from the side: saloon, hatchback or convertible roof line."""
    back, front = rng.uniform(-0.75, -0.4), rng.uniform(0.3, 0.5)
    pen.polygon([(back - 0.1, 0.05), (back + 0.15, -0.42), (front - 0.15, -0.42), (front + 0.2, 0.05)], pen.ink.main)
    middle = (back + front) / 2
    pen.polygon([(back + 0.1, 0.0), (back + 0.22, -0.32), (middle, -0.32), (middle, 0.0)], GLASS)
    pen.polygon([(middle + 0.08, 0.0), (middle + 0.08, -0.32), (front - 0.18, -0.32), (front + 0.05, 0.0)], GLASS)
    pen.polygon([(-0.95, 0.08), (-0.85, 0.0), (0.72, 0.02), (0.95, 0.14), (0.98, 0.42), (-0.97, 0.42)], pen.ink.main)
    pen.line([(-0.8, 0.2), (0.75, 0.2)], 0.05, pen.ink.dark)
    pen.dot(0.88, 0.2, 0.08, (255, 232, 130))
    for x in (-0.55, 0.56):
        pen.disc(x, 0.42, 0.25, BLACK)
        pen.dot(x, 0.42, 0.12, STEEL)


def boat(pen: Pen, rng: Generator) -> None:
    """A sailing boat on small waves."""
    pen.line([(0.02, 0.4), (0.02, -0.95)], 0.07, BROWN)
    top = rng.uniform(-0.95, -0.75)
    pen.polygon([(0.1, top), (0.1, 0.25), (0.78, 0.25)], pen.ink.accent)
    pen.polygon([(-0.06, top + 0.15), (-0.06, 0.25), (-0.6, 0.25)], WHITE)
    pen.polygon([(-0.92, 0.38), (0.95, 0.38), (0.62, 0.82), (-0.6, 0.82)], pen.ink.main)
    pen.line([(-0.78, 0.52), (0.82, 0.52)], 0.06, pen.ink.light)
    for x in (-0.8, -0.3, 0.2, 0.7):
        pen.line(arc(x, 0.84, 0.25, 0.1, 0.1, math.pi - 0.1, n=7), 0.06, (70, 130, 190))


def bicycle(pen: Pen, rng: Generator) -> None:
    """Two wheels, a frame, a saddle and a handlebar."""
    for x in (-0.55, 0.55):
        pen.line(arc(x, 0.32, 0.4, 0.4), 0.1, BLACK)
        for dx, dy in around(6, 0.36, rng.uniform(0, 1)):
            pen.line([(x, 0.32), (x + dx, 0.32 + dy)], 0.025, STEEL)
    pedal, seat, head, front, rear = (-0.05, 0.34), (-0.22, -0.3), (0.36, -0.32), (0.55, 0.32), (-0.55, 0.32)
    for path in ([rear, seat, pedal, rear], [seat, head, pedal], [head, front]):
        pen.line(path, 0.1, pen.ink.main)
    pen.line([seat, (-0.26, -0.48)], 0.07, STEEL)
    pen.line([(-0.42, -0.5), (-0.1, -0.5)], 0.11, BLACK)
    pen.line([head, (0.32, -0.58), (rng.choice([0.12, 0.56]), -0.6)], 0.08, BLACK)
    pen.disc(*pedal, 0.1, pen.ink.accent)


def clock(pen: Pen, rng: Generator) -> None:
    """A wall clock or an alarm clock; it shows any time."""
    if rng.random() < 0.45:
        for side in (-1, 1):
            pen.disc(side * 0.48, -0.72, 0.26, pen.ink.accent, ry=0.18, tilt=side * 0.7)
            pen.tube([(side * 0.4, 0.62), (side * 0.6, 0.92)], 0.1, pen.ink.dark)
    pen.disc(0, 0, 0.8, pen.ink.main)
    pen.disc(0, 0, 0.62, WHITE)
    for x, y in around(12, 0.5):
        pen.dot(x, y, 0.045)
    for length, width in ((0.28, 0.09), (0.45, 0.06)):
        angle = rng.uniform(0, 2 * math.pi)
        pen.line([(0, 0), (length * math.cos(angle), length * math.sin(angle))], width, BLACK)
    pen.dot(0, 0, 0.07, pen.ink.main)


def cup(pen: Pen, rng: Generator) -> None:
    """A cup with its handle, often steaming, sometimes on a saucer."""
    if rng.random() < 0.5:
        pen.disc(-0.05, 0.76, 0.9, pen.ink.light, ry=0.14)
    pen.tube(arc(0.5, 0.2, 0.36, 0.3, -1.5, 1.5, n=14), 0.13, pen.ink.main)
    narrow = rng.uniform(0.36, 0.52)
    pen.polygon([(-0.66, -0.2), (0.55, -0.2), (narrow - 0.05, 0.76), (-narrow - 0.05, 0.76)], pen.ink.main)
    pen.disc(-0.055, -0.2, 0.605, mix(BROWN, BLACK, 0.4), ry=0.14)
    if rng.random() < 0.5:
        pen.line([(-0.52, 0.22), (0.4, 0.22)], 0.12, pen.ink.accent)
    if rng.random() < 0.7:
        for x in (-0.3, -0.02, 0.26):
            pen.line([(x, -0.4), (x + 0.08, -0.55), (x - 0.04, -0.72), (x + 0.06, -0.9)], 0.055, WHITE)


def airplane(pen: Pen, rng: Generator) -> None:
    """An airliner from above or from the side."""
    if rng.random() < 0.5:
        pen.polygon([(0.15, -0.1), (-0.35, -0.95), (-0.1, -0.95), (0.42, -0.1)], pen.ink.accent)
        pen.polygon([(0.15, 0.1), (-0.35, 0.95), (-0.1, 0.95), (0.42, 0.1)], pen.ink.accent)
        pen.polygon([(-0.7, 0), (-0.98, -0.36), (-0.8, -0.36), (-0.5, 0), (-0.8, 0.36), (-0.98, 0.36)], pen.ink.accent)
        pen.disc(0.05, 0, 0.9, pen.ink.main, ry=0.15)
        pen.disc(0.78, 0, 0.1, GLASS, ry=0.08)
        return
    pen.polygon([(-0.6, -0.12), (-0.98, -0.68), (-0.72, -0.68), (-0.3, -0.12)], pen.ink.accent)
    pen.disc(0.02, 0, 0.94, pen.ink.main, ry=0.23)
    pen.polygon([(0.22, 0.06), (-0.34, 0.7), (-0.1, 0.7), (0.5, 0.08)], pen.ink.accent)
    for x in (-0.45, -0.25, -0.05, 0.15, 0.35, 0.55):
        pen.dot(x, -0.07, 0.055, BLACK)
    pen.disc(0.76, -0.07, 0.11, GLASS, ry=0.07)


def chair(pen: Pen, rng: Generator) -> None:
    """A chair seen from the front corner."""
    for x, y in ((-0.5, 0.95), (0.3, 0.95), (-0.24, 0.72), (0.56, 0.72)):
        pen.tube([(x, 0.2), (x, y)], 0.1, pen.ink.dark)
    pen.tube([(-0.26, 0.1), (-0.26, -0.92)], 0.1, pen.ink.dark)
    pen.tube([(0.55, 0.1), (0.55, -0.92)], 0.1, pen.ink.dark)
    if rng.random() < 0.5:
        pen.box(-0.3, -0.9, 0.6, -0.3, pen.ink.main)
    else:
        for y in (-0.78, -0.48, -0.18):
            pen.tube([(-0.26, y), (0.55, y)], 0.15, pen.ink.main)
    pen.polygon([(-0.62, 0.3), (-0.28, 0.02), (0.66, 0.02), (0.4, 0.3)], pen.ink.main)
    pen.polygon([(-0.62, 0.3), (0.4, 0.3), (0.4, 0.4), (-0.62, 0.4)], pen.ink.dark)


def train(pen: Pen, rng: Generator) -> None:
    """A steam engine from the side."""
    pen.line([(-0.98, 0.88), (0.98, 0.88)], 0.07, STEEL)
    pen.box(0.42, -0.7, 0.66, -0.15, pen.ink.dark)
    for x, y, radius in ((0.5, -0.86, 0.12), (0.28, -0.95, 0.16)):
        if rng.random() < 0.8:
            pen.dot(x, y, radius, (214, 212, 210))
    pen.box(-0.92, -0.72, -0.25, 0.48, pen.ink.accent)
    pen.box(-0.78, -0.52, -0.4, -0.1, GLASS)
    pen.box(-1.0, -0.86, -0.16, -0.7, pen.ink.dark)
    pen.box(-0.25, -0.18, 0.86, 0.48, pen.ink.main)
    pen.line([(0.08, -0.12), (0.08, 0.42)], 0.06, pen.ink.light)
    pen.line([(0.46, -0.12), (0.46, 0.42)], 0.06, pen.ink.light)
    pen.polygon([(0.86, 0.4), (1.0, 0.82), (0.7, 0.82), (0.7, 0.4)], STEEL)
    for x, radius in ((-0.66, 0.27), (-0.05, 0.2), (0.42, 0.2)):
        pen.disc(x, 0.86 - radius, radius, BLACK)
        pen.dot(x, 0.86 - radius, radius * 0.5, pen.ink.accent)


def star(pen: Pen, rng: Generator) -> None:
    """A five-pointed star, plain or with a smaller one inside."""
    _star(pen, 0.95, rng.uniform(0.4, 0.48), pen.ink.main)
    if rng.random() < 0.5:
        _star(pen, 0.58, 0.26, pen.ink.light)


def _star(pen: Pen, outer: float, inner: float, fill: tuple[int, int, int]) -> None:
    tips = around(5, outer, -math.pi / 2)
    notches = around(5, inner, -math.pi / 2 + math.pi / 5)
    pen.polygon([point for pair in zip(tips, notches, strict=True) for point in pair], fill)


def umbrella(pen: Pen, rng: Generator) -> None:
    """An open umbrella with a hooked handle."""
    hook = arc(0.16, 0.75, 0.16, 0.18, math.pi, 0.0, n=9)
    pen.tube([(0, -0.1), (0, 0.75)], 0.07, BROWN)
    pen.tube([(0.16 - (x - 0.16), y) for x, y in hook], 0.07, BROWN)
    pen.line([(0, -0.8), (0, -0.98)], 0.07, BROWN)
    height = rng.uniform(0.75, 0.92)
    dome = arc(0, 0.06, 0.95, height, math.pi, 2 * math.pi, n=18)
    scallops = [arc(x, 0.06, 0.2375, 0.13, 0.0, -math.pi, n=6) for x in (0.7125, 0.2375, -0.2375, -0.7125)]
    pen.polygon([*dome.tolist(), *(point for scallop in scallops for point in scallop.tolist())], pen.ink.main)
    middle = arc(0, 0.06, 0.45, height, math.pi, 2 * math.pi, n=14)
    pen.polygon([*middle.tolist(), (0.2375, -0.07), (0, 0.06), (-0.2375, -0.07)], pen.ink.accent)


def book(pen: Pen, rng: Generator) -> None:
    """An open book, or a closed one."""
    if rng.random() < 0.55:
        pen.polygon([(-0.98, -0.42), (0, -0.3), (0.98, -0.42), (0.98, 0.62), (0, 0.74), (-0.98, 0.62)], pen.ink.main)
        for side in (-1, 1):
            page = [(0, -0.4), (0.45, -0.56), (0.88, -0.52), (0.88, 0.5), (0.45, 0.46), (0, 0.62)]
            pen.polygon([(side * x, y) for x, y in page], WHITE)
            for y in (-0.3, -0.1, 0.1, 0.3):
                pen.line([(side * 0.16, y + 0.06), (side * 0.74, y - 0.04)], 0.05, STEEL)
        return
    pen.polygon([(-0.5, -0.9), (-0.62, -0.78), (-0.62, 0.95), (0.58, 0.95), (0.7, 0.8)], WHITE)
    pen.box(-0.5, -0.92, 0.72, 0.8, pen.ink.main)
    pen.box(-0.5, -0.92, -0.3, 0.8, pen.ink.dark)
    pen.box(-0.08, -0.62, 0.5, -0.2, pen.ink.accent)
    pen.line([(-0.05, 0.3), (0.46, 0.3)], 0.07, pen.ink.light)


def lamp(pen: Pen, rng: Generator) -> None:
    """A table lamp with a shade."""
    pen.tube([(0, 0.0), (0, 0.8)], 0.11, STEEL)
    if rng.random() < 0.5:
        pen.disc(0, 0.45, 0.26, pen.ink.accent, ry=0.32)
    pen.polygon(arc(0, 0.9, 0.45, 0.22, math.pi, 2 * math.pi, n=12), pen.ink.accent)
    top = rng.uniform(0.25, 0.45)
    pen.polygon([(-0.72, 0.08), (-0.6, 0.34), (0.6, 0.34), (0.72, 0.08)], (255, 240, 170), outlined=False)
    pen.polygon([(-top, -0.85), (top, -0.85), (0.78, 0.1), (-0.78, 0.1)], pen.ink.main)
    pen.line([(-0.7, 0.02), (0.7, 0.02)], 0.08, pen.ink.light)


def guitar(pen: Pen, rng: Generator) -> None:
    """A guitar standing upright."""
    pen.box(-0.07, -0.78, 0.07, 0.1, mix(BROWN, BLACK, 0.3))
    pen.polygon([(-0.15, -1.0), (0.15, -1.0), (0.1, -0.72), (-0.1, -0.72)], pen.ink.accent)
    for y in (-0.94, -0.82):
        pen.dot(-0.2, y, 0.05, STEEL)
        pen.dot(0.2, y, 0.05, STEEL)
    pen.disc(0, 0.14, 0.36, pen.ink.main, ry=0.32)
    pen.disc(0, 0.58, 0.52, pen.ink.main, ry=0.42)
    pen.disc(0, 0.22, 0.3, pen.ink.main, ry=0.28, outlined=False)
    pen.dot(0, 0.26, 0.16)
    pen.box(-0.2, 0.66, 0.2, 0.74, BLACK, outlined=False)
    for x in (-0.035, 0.035):
        pen.line([(x, -0.8), (x, 0.68)], 0.02, WHITE)


def balloon(pen: Pen, rng: Generator) -> None:
    """A toy balloon on its string, or a hot-air balloon with a basket."""
    if rng.random() < 0.45:
        for x in (-0.2, 0.2):
            pen.line([(x * 1.8, 0.2), (x * 0.8, 0.66)], 0.04, BROWN)
        pen.polygon([(-0.62, -0.08), (0.62, -0.08), (0.22, 0.42), (-0.22, 0.42)], pen.ink.main)
        pen.disc(0, -0.3, 0.68, pen.ink.main, ry=0.66)
        pen.disc(0, -0.3, 0.3, pen.ink.accent, ry=0.66)
        pen.box(-0.18, 0.64, 0.18, 0.94, BROWN)
        return
    bends = [(0, 0.4), (0.08, 0.55), (-0.08, 0.7), (0.06, 0.85), (0, 1.0)]
    pen.line(bends, 0.045)
    pen.polygon([(0, 0.3), (0.13, 0.5), (-0.13, 0.5)], pen.ink.dark)
    pen.disc(0, -0.3, 0.56, pen.ink.main, ry=0.68)
    pen.disc(-0.22, -0.52, 0.1, pen.ink.light, ry=0.2, tilt=0.4, outlined=False)


def key(pen: Pen, rng: Generator) -> None:
    """A key with a round bow and a few teeth."""
    for x in (0.46, 0.66, 0.86)[: int(rng.integers(2, 4))]:
        pen.tube([(x, 0), (x, rng.uniform(0.2, 0.36))], 0.11, pen.ink.main)
    pen.tube([(-0.3, 0), (0.94, 0)], 0.15, pen.ink.main)
    if pen.ink.line_width > 0:
        pen.line(arc(-0.58, 0, 0.32, 0.32), 0.19 + 2 * pen.ink.line_width)
    pen.line(arc(-0.58, 0, 0.32, 0.32), 0.19, pen.ink.main)


def rocket(pen: Pen, rng: Generator) -> None:
    """A rocket with fins, a porthole and a flame."""
    if rng.random() < 0.75:
        pen.polygon([(-0.2, 0.5), (0.2, 0.5), (0.0, 1.0)], (250, 170, 40), outlined=False)
        pen.polygon([(-0.1, 0.5), (0.1, 0.5), (0.0, 0.8)], (255, 238, 130), outlined=False)
    for side in (-1, 1):
        pen.polygon([(side * 0.24, 0.05), (side * 0.62, 0.62), (side * 0.2, 0.5)], pen.ink.accent)
    pen.polygon(
        [(0, -0.98), (0.22, -0.6), (0.31, -0.1), (0.22, 0.55), (-0.22, 0.55), (-0.31, -0.1), (-0.22, -0.6)],
        pen.ink.main,
    )
    pen.polygon([(0, -0.98), (0.22, -0.58), (-0.22, -0.58)], pen.ink.accent)
    pen.disc(0, -0.22, 0.16, GLASS)
