"""Write figures as files, light and dark, with the same bytes for the same numbers; their colours and fonts."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

INK, SOFT, RULE = "#1f2a37", "#64707d", "#dde2e8"
KEPT, GONE = "#2b6f9e", "#d9dee4"
LARGE, SMALL = "#0f3350", "#7fb0d0"
PAPER = "#ffffff"

LIGHT_PNG, DARK_PNG, SVG = ".png", ".dark.png", ".svg"
"""Endings of the files of a figure."""

_DARK = {
    INK: "#e6edf3",
    SOFT: "#9aa7b4",
    RULE: "#2b3440",
    KEPT: "#4f9ccd",
    GONE: "#3a444f",
    LARGE: "#b9def5",
    PAPER: "#0d1117",
}
"""The colour on a dark page by that on a light one. Others, such as the cells of a heatmap, are the same on both."""

_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei", "Noto Sans")
"""The first has Latin, Greek and Cyrillic; the others, if installed, cover other scripts."""

_DOTS = 144
"""Dots per inch."""

Rendered = Mapping[str, bytes]
"""A figure as PNG for light and for dark pages, and as SVG that follows the page's colour scheme, by their endings."""


def rendered(figure: Any, name: str) -> Rendered:
    """Render a figure, which is given the colours of a dark page.

    Args:
        name: the ids within the SVG depend on it.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.set(dpi=_DOTS, facecolor=PAPER)
    canvas, light, dark, svg = figure.canvas, io.BytesIO(), io.BytesIO(), io.StringIO()
    # Characters that no font has are drawn as boxes; the card's tables have the names.
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # Unlike `savefig`, the canvas draws once for each file, and lays the figure out once.
        canvas.print_png(light, metadata={"Software": None})
        figure.set_layout_engine("none")
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
        _darken(figure)
        figure.set_dpi(_DOTS)  # print_svg sets 72
        canvas.print_png(dark, metadata={"Software": None})
    return {LIGHT_PNG: light.getvalue(), DARK_PNG: dark.getvalue(), SVG: _themed(svg.getvalue()).encode()}


def write_figure(files: Rendered, path: Path) -> list[Path]:
    """Write a figure as `<path>.png`, `<path>.dark.png` and `<path>.svg`; returns the files."""
    written = {path.with_name(f"{path.name}{ending}"): data for ending, data in files.items()}
    for file, data in written.items():
        file.write_bytes(data)
    return list(written)


def _darken(figure: Any) -> None:
    """Give all parts of a figure the colours of a dark page."""
    from matplotlib.colors import to_hex, to_rgb, to_rgba_array

    for artist in figure.findobj():
        if getattr(artist, "get_array", lambda: None)() is not None:
            continue  # coloured by its numbers
        for kind in ("color", "facecolor", "edgecolor"):
            light = to_rgba_array(getattr(artist, f"get_{kind}", lambda: "none")()).tolist()
            dark = [[*to_rgb(_DARK.get(to_hex(colour), colour)), colour[3]] for colour in light]
            if dark != light:
                getattr(artist, f"set_{kind}")(dark if len(dark) > 1 else dark[0])


def _themed(svg: str) -> str:
    """Return an SVG whose colours follow the colour scheme of the page."""
    names = {light: f"--c{number}" for number, light in enumerate(_DARK)}
    light, dark = (
        "".join(f"{name}:{colours[colour]};" for colour, name in names.items())
        for colours in ({colour: colour for colour in _DARK}, _DARK)
    )
    for colour, name in names.items():
        svg = svg.replace(colour, f"var({name})")
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    return svg.replace("<defs>", f"<defs>{style}", 1)


@cache
def fonts() -> list[str]:
    """Return the installed font families, in order of preference."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [name for name in _FONTS if name in installed] or ["sans-serif"]
