"""Set up the figures of a card: colours, fonts, axes, and files with the same bytes for the same numbers."""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

INK, SOFT, RULE = "#1f2a37", "#64707d", "#dde2e8"
KEPT, GONE = "#2b6f9e", "#d9dee4"
LARGE, SMALL = "#0f3350", "#7fb0d0"
ON_FAINT, ON_STRONG = "#1f2a38", "#fefefe"
"""Colours of text on the cells of a heatmap, which are the same on a dark page."""

_DARK = {
    INK: "#e6edf3",
    SOFT: "#9aa7b4",
    RULE: "#2b3440",
    KEPT: "#4f9ccd",
    GONE: "#3a444f",
    LARGE: "#b9def5",
    "#ffffff": "#0d1117",
}
"""The colour on a dark page by that on a light one."""

WIDTH = 8.0
"""Width of a figure in inches, at 144 dots per inch."""
# The first has Latin, Greek and Cyrillic; the others, if installed, cover other scripts.
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei", "Noto Sans")
_LONGEST_NAME = 36
_MOST_RECENT = 32
RECENT: OrderedDict[Any, tuple[bytes, str]] = OrderedDict()
"""PNG and SVG of the figures that were written last, by name and data."""


def save(draw: Callable[[], Any], path: Path, data: Any) -> None:
    """Write a figure as PNG, and as an SVG that takes dark colours on a dark page.

    Releases of one table have the same figures, so the most recent ones are not drawn again.

    Args:
        draw: makes the figure.
        path: of the files, without ending.
        data: what the figure shows; it is drawn again if this cannot be hashed.
    """
    # A class may be called True or 1, which are equal.
    key = (path.name, data, repr(data)) if _is_hashable(data) else None
    files = RECENT.pop(key, None) or _rendered(draw(), path.name)
    if key is not None:
        RECENT[key] = files
    if len(RECENT) > _MOST_RECENT:
        RECENT.popitem(last=False)
    png, svg = files
    path.with_suffix(".png").write_bytes(png)
    path.with_suffix(".svg").write_text(svg, encoding="utf-8", newline="\n")


def _is_hashable(data: Any) -> bool:
    try:
        hash(data)
    except TypeError:  # as of a tuple that holds a list
        return False
    return True


def _rendered(figure: Any, name: str) -> tuple[bytes, str]:
    """Return a figure as PNG, and as an SVG that takes dark colours on a dark page."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.set(dpi=144, facecolor="white")
    image, text = io.BytesIO(), io.StringIO()
    # Characters that no font has are drawn as boxes; the card's tables have the names.
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # Unlike `savefig`, the canvas draws once for each file, and lays the figure out once.
        figure.canvas.print_png(image, metadata={"Software": None})
        figure.set_layout_engine("none")
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    return image.getvalue(), _themed(text.getvalue())


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


def axes_of(height: float, title: str) -> tuple[Any, Any]:
    """Return a figure of a height in inches and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold", family=fonts(), pad=10)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, colors=SOFT, labelsize=9)
    axes.set_axisbelow(True)
    return figure, axes


def name_rows(axes: Any, names: list[str]) -> None:
    """Label the rows of a chart from top to bottom."""
    axes.set_yticks(range(len(names)), [shown(name) for name in names], family=fonts(), color=INK)
    axes.invert_yaxis()


def shown(name: str, longest: int = _LONGEST_NAME) -> str:
    """Shorten and escape a name for an axis."""
    cut = name if len(name) <= longest else f"{name[: longest - 1]}…"
    # A dollar sign would start a formula.
    return cut.replace("$", r"\$")


def thousands() -> Any:
    """Return a tick formatter with thousands separators."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}")
