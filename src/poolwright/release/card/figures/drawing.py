"""Set up the figures of a card: axes, the names and numbers next to them, and files that releases share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poolwright.core.images.drawing import INK, SOFT, Rendered, fonts, rendered, write_figure

ON_FAINT, ON_STRONG = "#1f2a38", "#fefefe"
"""Colours of text on the cells of a heatmap, which are the same on a dark page."""

WIDTH = 8.0
"""Width of a figure in inches, at 144 dots per inch."""
_LONGEST_NAME = 36
_MOST_RECENT = 32
RECENT: OrderedDict[Any, Rendered] = OrderedDict()
"""Figures that were written last, by name and data."""


def save(draw: Callable[[], Any], path: Path, data: Any) -> None:
    """Write a figure as PNG, light and dark, and as SVG.

    Releases of one table have the same figures, so the most recent ones are not drawn again.

    Args:
        draw: makes the figure.
        path: of the files, without ending.
        data: what the figure shows; it is drawn again if this cannot be hashed.
    """
    # A class may be called True or 1, which are equal.
    key = (path.name, data, repr(data)) if _is_hashable(data) else None
    files = RECENT.pop(key, None) or rendered(draw(), path.name)
    if key is not None:
        RECENT[key] = files
    if len(RECENT) > _MOST_RECENT:
        RECENT.popitem(last=False)
    write_figure(files, path)


def _is_hashable(data: Any) -> bool:
    try:
        hash(data)
    except TypeError:  # as of a tuple that holds a list
        return False
    return True


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
