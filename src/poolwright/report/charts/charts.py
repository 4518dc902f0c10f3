"""Draw charts as inline SVG, by small pure functions of numbers. Text stays outside, in HTML, so that it never shrinks.

Marks are drawn in their own units and stretched to the width of the page; every mark has its numbers in a `<title>`,
and colours come from the page's style.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from poolwright.report.charts.words import clean, short

_BIN = 10
_TALL = 1000
_ENDS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


class Markup(str):
    """Markup that a template writes without escaping."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class BarSegment:
    """A part of a bar: its length, its class in the page's style, and its text."""

    length: float
    style: str
    words: str


@dataclass(frozen=True)
class Tick:
    """A label next to a chart, `position` per cent from its left or bottom end."""

    position: float
    text: str


@dataclass(frozen=True)
class Line:
    """A limit drawn through a histogram, `position` per cent from the left."""

    position: float
    text: str


def bar(segments: Sequence[BarSegment], whole: float) -> Markup:
    """Draw a horizontal stacked bar; `whole` is the length that fills its width. Its numbers are text next to it."""
    marks, start = [], 0.0
    for part in segments:
        width = 1000 * part.length / whole if whole else 0.0
        if part.length:
            shown = max(width, 1.0)
            left = _number(min(start, 1000 - shown))
            marks.append(
                f'<rect class="{part.style}" x="{left}" width="{_number(shown)}" height="10">'
                f"<title>{_text(part.words)}</title></rect>"
            )
        start += width
    return _svg(1000, 10, "".join(marks), "", "bar")


def columns(
    counts: Sequence[float], titles: Sequence[str], label: str, top: float, behind: Sequence[float] = ()
) -> Markup:
    """Draw a histogram. `behind` is the outline of another one, in the same bins and with the same `top`."""
    wide = _BIN * len(counts)
    marks = [_outline(behind, top)] if behind else []
    for index, (count, title) in enumerate(zip(counts, titles, strict=True)):
        height = max(_TALL * count / top, 4.0) if count and top else 0.0
        filled = (
            f'<rect class="kept" x="{_number(index * _BIN + 0.4)}" y="{_number(_TALL - height)}" '
            f'width="{_BIN - 0.8:g}" height="{_number(height)}"/>'
            if count
            else ""
        )
        marks.append(
            f'<g>{filled}<rect class="hit" x="{index * _BIN}" width="{_BIN}" height="{_TALL}"/>'
            f"<title>{_text(title)}</title></g>"
        )
    return _svg(wide, _TALL, "".join(marks), label, "columns")


def _outline(counts: Sequence[float], top: float) -> str:
    heights = [_number(_TALL - min(_TALL, _TALL * count / top)) if top else str(_TALL) for count in counts]
    path = "".join(f"V{height}h{_BIN}" for height in heights)
    return f'<path class="behind" d="M0 {_TALL}{path}V{_TALL}z"/>'


@dataclass(frozen=True)
class Curve:
    """Sizes by rank: the drawing, its scale, and ticks for both axes."""

    svg: Markup
    logarithmic: bool
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def rank_curve(sizes: Sequence[int], label: str, points: int = 320) -> Curve:
    """Draw a long tail: sizes, largest first, by their rank. The scale is logarithmic if they differ twentyfold.

    Args:
        points: largest number of ranks to draw.
    """
    logarithmic = sizes[0] > 20 * sizes[-1]
    values = np.asarray(sizes, np.float64)
    if len(values) > points:
        ranks = np.unique(np.linspace(0, len(values) - 1, points).round().astype(np.int64))
    else:
        ranks = np.arange(len(values))
    top = _decade(values[0]) if logarithmic else nice_top(values[0])
    low = 10.0 ** math.floor(math.log10(values[-1])) if logarithmic else 0.0
    heights = [_height(float(values[rank]), low, top, logarithmic) for rank in ranks]
    ends = [float(rank) / len(values) for rank in ranks[1:]] + [1.0]
    steps = "".join(
        f"V{_number(_TALL * (1 - height))}H{_number(_TALL * end)}" for height, end in zip(heights, ends, strict=True)
    )
    first = _number(_TALL * (1 - heights[0]))
    line = f"M0 {first}{steps}"
    marks = f'<path class="area" d="M0 {_TALL}{steps}V{_TALL}z"/><path class="line" d="{line}"/>'
    up = _decades(low, top) if logarithmic else [(value / top, value) for value in tick_values(0, top, 4)]
    return Curve(
        _svg(_TALL, _TALL, marks, label, "curve"),
        logarithmic,
        tuple(Tick(round(100 * (rank - 0.5) / len(values), 2), short(rank)) for rank in _rank_ticks(len(values))),
        tuple(Tick(round(100 * share, 2), short(value)) for share, value in up),
    )


def _decade(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= value)


def _decades(low: float, top: float) -> list[tuple[float, float]]:
    """Return (share of the height, value) of the powers of ten, at most about six."""
    first, last = round(math.log10(low)), math.floor(math.log10(top) + 1e-9)
    every = max(1, math.ceil((last - first) / 5))
    values = [10.0**power for power in range(first, last + 1, every)]
    return [(_height(value, low, top, True), value) for value in values]


def _height(value: float, low: float, top: float, logarithmic: bool) -> float:
    if logarithmic:
        return (math.log10(value) - math.log10(low)) / (math.log10(top) - math.log10(low))
    return value / top


def _rank_ticks(number: int) -> list[int]:
    middle = [int(value) for value in tick_values(0, number, 5) if 0 < value < number * 0.95 and value == int(value)]
    return [1, *(value for value in middle if value > number * 0.05), number] if number > 1 else [1]


def trace(values: Sequence[float], top: float, label: str) -> Markup:
    """Draw values from left to right as a line, on a scale from 0 to `top`."""
    across = _TALL / max(len(values) - 1, 1)
    points = [(index * across, _TALL * (1 - min(value, top) / top)) for index, value in enumerate(values)]
    points += [(float(_TALL), points[0][1])] if len(points) == 1 else []
    line = "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
    marks = f'<path class="area" d="M0 {_TALL}L{line}V{_TALL}z"/><path class="line" d="M{line}"/>'
    return _svg(_TALL, _TALL, marks, label, "curve")


def globe(cells: np.ndarray, label: str, land: str) -> tuple[Markup, tuple[tuple[int, int], ...]]:
    """Draw rows on an equirectangular map, by cells (rows from 90 degrees north, columns from 180 degrees west).

    Args:
        land: the land as an SVG path, in half degrees.

    Returns:
        The drawing, and the (least, most) rows of each of its shades; `shade1` is the faintest.
    """
    height, width = cells.shape
    shades = _shades(int(cells.max()))
    lines = "".join(f"M{width * line / 12:g} 0V{height}" for line in range(1, 12))
    lines += "".join(f"M0 {height * line / 6:g}H{width}" for line in range(1, 6))
    marks = [f'<path class="land" transform="scale({width / 720:g})" d="{land}"/><path class="grid" d="{lines}"/>']
    for number, (least, most) in enumerate(shades, start=1):
        down, across = np.nonzero((cells >= least) & (cells <= most))
        path = "".join(f"M{x} {y}h1v1h-1z" for y, x in zip(down.tolist(), across.tolist(), strict=True))
        marks.append(f'<path class="shade{number}" d="{path}"/>')
    drawing = _svg(width, height, "".join(marks), label, "globe", stretch=False)
    return drawing, tuple(shades)


def dots(points: np.ndarray, members: np.ndarray, label: str) -> Markup:
    """Draw points (n, 2) within 0 .. 1 in the colours of their groups: styles `cluster0` to `cluster9`."""
    low, high = points.min(axis=0), points.max(axis=0)
    corner = (40 + 920 * np.column_stack([points[:, 0], high[1] - points[:, 1]])).round().astype(int)
    marks = []
    for group in np.unique(members):
        path = "".join(f"M{x} {y}h0" for x, y in corner[members == group].tolist())
        marks.append(f'<path class="cluster{group % 10}" d="{path}"/>')
    return _svg(1000, 80 + 920 * float(high[1] - low[1]), "".join(marks), label, "dots", stretch=False)


def _shades(most: int) -> list[tuple[int, int]]:
    """Return about five ranges of counts, each wider than the last by a constant factor."""
    edges = sorted({max(1, math.ceil(most ** (index / 5))) for index in range(6)})
    if len(edges) == 1:
        return [(1, max(1, most))]
    return [
        (low if index == 0 else low + 1, high)
        for index, (low, high) in enumerate(pairwise(edges))
        if high >= (low if index == 0 else low + 1)
    ]


def scatter(points: np.ndarray, styles: Sequence[str], titles: Sequence[str], label: str) -> Markup:
    """Draw points in a square, with its diagonal.

    Args:
        points: float (n, 2) in 0..1, across and up.
        styles: class of each point in the page's style.
    """
    marks = [f'<path class="diagonal" d="M0 {_TALL}L{_TALL} 0"/>']
    for (across, up), style, title in zip(points.tolist(), styles, titles, strict=True):
        centre = f'cx="{_number(_TALL * across)}" cy="{_number(_TALL * (1 - up))}"'
        marks.append(f'<circle class="{style}" {centre} r="7"><title>{_text(title)}</title></circle>')
    return _svg(_TALL, _TALL, "".join(marks), label, "scatter", stretch=False)


def nice_top(value: float) -> float:
    """Return a round number at least as large as `value`, at which an axis may end."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in _ENDS if factor * power >= value * 0.999)


def tick_values(low: float, high: float, about: int) -> list[float]:
    """Return about `about` round values from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1, 2, 2.5, 5, 10)), key=lambda size: abs(size - rough))
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def count_ticks(top: float) -> tuple[Tick, ...]:
    """Return ticks of an axis that counts rows from 0 to `top`."""
    values = [value for value in tick_values(0, top, 3) if value == int(value)]
    return tuple(Tick(round(100 * value / top, 2), short(value)) for value in values)


def _svg(width: float, height: float, marks: str, label: str, style: str, stretch: bool = True) -> Markup:
    ratio = ' preserveAspectRatio="none"' if stretch else ""
    role = f'role="img" aria-label="{_text(label)}"' if label else 'aria-hidden="true"'
    return Markup(f'<svg class="{style}" viewBox="0 0 {_number(width)} {_number(height)}"{ratio} {role}>{marks}</svg>')


def _text(words: str) -> str:
    return escape(clean(words), quote=True)


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
