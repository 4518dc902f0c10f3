"""Draw the demo's shelf: pictures of everyday things with a few maps among them, and examples of both to learn from.

examples/<map|other>/<number>.jpg   collected examples
shelf/images/<number>.jpg           pictures to search
shelf/truth.parquet                 uid, and whether it is a map
shelf/shelf.json                    arguments of the drawing
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from poolwright.core.files import write_text
from poolwright.core.parquet import write_parquet
from poolwright.demo.drawing import KINDS, draw_kind, measure
from poolwright.demo.pen import BLACK, BROWN, Colour, mix
from poolwright.demo.style import CONTINENTS, age

MAP, OTHER = "map", "other"
PREVALENCE = 0.03
EXAMPLES = {MAP: 60, OTHER: 240}
"""Examples of maps, and of other things; there are more ways not to be a map."""

_DRAWING = 1
_SUPERSAMPLE = 3
_EXAMPLE, _SHELF = 5, 6
_SEAS: tuple[Colour, ...] = ((176, 212, 236), (150, 196, 222), (232, 222, 196), (206, 226, 232))
_LANDS: tuple[Colour, ...] = ((234, 220, 176), (206, 218, 170), (240, 232, 214), (222, 196, 158), (248, 244, 226))


def draw_shelf(folder: Path, n: int, seed: int) -> None:
    """Draw a shelf of `n` pictures, and the examples; returns at once if they exist already."""
    marker = folder / "shelf" / "shelf.json"
    arguments = json.dumps({"drawing": _DRAWING, "n": n, "seed": seed}) + "\n"
    if marker.exists() and marker.read_text() == arguments:
        return
    for name in ("shelf", "examples"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name, count in EXAMPLES.items():
        for number in range(count):
            key = [seed, _EXAMPLE, number, name == MAP]
            _save(_draw(name == MAP, key), folder / "examples" / name / f"{number:04d}.jpg")
    maps = [is_map(number, seed) for number in range(n)]
    for number, wanted in enumerate(maps):
        _save(_draw(wanted, [seed, _SHELF, number]), folder / "shelf" / "images" / f"{number:05d}.jpg")
    _write_truth(folder / "shelf" / "truth.parquet", maps)
    write_text(marker, arguments)


def is_map(number: int, seed: int) -> bool:
    """Whether a picture of the shelf is a map."""
    return bool(np.random.default_rng([seed, _SHELF, number, 1]).random() < PREVALENCE)


def draw_map(rng: Generator, year: float = 2010.0) -> Image.Image:
    """Draw a map of an island or a coast: borders, rivers, towns, a grid, a frame. RGB, 44 to 84 pixels per side."""
    width, height = (_SUPERSAMPLE * side for side in measure(year, rng))
    sea, land = (list(colours)[int(rng.integers(len(colours)))] for colours in (_SEAS, _LANDS))
    image = Image.new("RGB", (width, height), sea)
    draw = ImageDraw.Draw(image)
    line = mix(BLACK, BROWN, rng.uniform(0, 0.8))
    coast = _coast(width, height, rng)
    draw.polygon(coast, fill=land)
    _countries(draw, image, coast, land, line, rng)
    draw.line([*coast, coast[0]], fill=line, width=round(rng.uniform(2, 5)), joint="curve")
    if rng.random() < 0.7:
        _grid(draw, width, height, mix(line, sea, 0.55), rng)
    if rng.random() < 0.6:
        edge = round(rng.uniform(3, 7))
        draw.rectangle((0, 0, width - 1, height - 1), outline=line, width=edge)
    return age(image.reduce(_SUPERSAMPLE), year, rng)


def _coast(width: int, height: int, rng: Generator) -> list[tuple[float, float]]:
    """Return a closed line whose distance from its centre is a sum of waves, with smaller amplitudes for finer ones."""
    angles = np.linspace(0, 2 * math.pi, 90, endpoint=False)
    radius = np.full(90, rng.uniform(0.55, 0.95))
    for wave in range(2, 14):
        radius += rng.normal(0, 0.42 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * math.pi))
    radius = np.maximum(radius, 0.12)
    x = width * (rng.uniform(0.35, 0.65) + 0.5 * radius * np.cos(angles))
    y = height * (rng.uniform(0.35, 0.65) + 0.5 * radius * np.sin(angles))
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _countries(
    draw: ImageDraw.ImageDraw,
    image: Image.Image,
    coast: list[tuple[float, float]],
    land: Colour,
    line: Colour,
    rng: Generator,
) -> None:
    """Draw countries in tints of their own, rivers and towns, on the land only."""
    shape = Image.new("1", image.size)
    ImageDraw.Draw(shape).polygon(coast, fill=1)
    drawn = image.copy()
    inside = ImageDraw.Draw(drawn)
    middle = (image.width * rng.uniform(0.4, 0.6), image.height * rng.uniform(0.4, 0.6))
    corners = sorted(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 7))).tolist())
    far = 2 * max(image.size)
    tinted = rng.random() < 0.6
    for begin, end in zip(corners, [*corners[1:], corners[0] + 2 * math.pi], strict=True):
        steps = [begin + (end - begin) * part / 4 for part in range(5)]
        wedge = [(middle[0] + far * math.cos(angle), middle[1] + far * math.sin(angle)) for angle in steps]
        tint = tuple(int(value) for value in rng.integers(120, 250, 3)) if tinted else land
        inside.polygon([middle, *wedge], fill=mix(land, (tint[0], tint[1], tint[2]), 0.5))
        inside.line(_wandering(middle, wedge[0], rng), fill=line, width=2)
    for _ in range(int(rng.integers(1, 4))):
        ends = [(image.width * rng.random(), image.height * rng.random()) for _ in range(2)]
        inside.line(_wandering(ends[0], ends[1], rng), fill=(86, 140, 196), width=3)
    for _ in range(int(rng.integers(2, 8))):
        x, y = image.width * rng.random(), image.height * rng.random()
        inside.ellipse((x - 3, y - 3, x + 3, y + 3), fill=BLACK)
    image.paste(drawn, mask=shape)


def _wandering(start: tuple[float, float], stop: tuple[float, float], rng: Generator) -> list[tuple[float, float]]:
    parts = np.linspace(0, 1, 40)
    away = np.cumsum(rng.normal(0, 3, (2, 40)), axis=1)
    x = start[0] + (stop[0] - start[0]) * parts + away[0]
    y = start[1] + (stop[1] - start[1]) * parts + away[1]
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _grid(draw: ImageDraw.ImageDraw, width: int, height: int, colour: Colour, rng: Generator) -> None:
    step = rng.uniform(0.16, 0.3) * width
    for x in np.arange(step / 2, width, step).tolist():
        draw.line([(x, 0), (x, height)], fill=colour, width=1)
    for y in np.arange(step / 2, height, step).tolist():
        draw.line([(0, y), (width, y)], fill=colour, width=1)


def _draw(wanted: bool, key: list[int]) -> Image.Image:
    rng = np.random.default_rng(key)
    year = float(rng.uniform(2004, 2015))
    if wanted:
        return draw_map(rng, year)
    return draw_kind(str(rng.choice(KINDS)), rng, str(rng.choice(list(CONTINENTS))), year)


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "JPEG", quality=85)


def _write_truth(path: Path, maps: list[bool]) -> None:
    import pyarrow as pa

    table = pa.table({"uid": [f"{number:05d}.jpg" for number in range(len(maps))], "is_map": maps})
    write_parquet(path, table)


if __name__ == "__main__":
    draw_shelf(Path(sys.argv[1]), *map(int, sys.argv[2:]))
