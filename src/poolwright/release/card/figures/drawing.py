"""What all figures of a card share: colours, fonts, axes, and a PNG with the same bytes for the same numbers."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

INK, SOFT, RULE = "#1f2a37", "#64707d", "#dde2e8"
KEPT, GONE = "#2b6f9e", "#d9dee4"
WIDTH = 8.0
"""Inches of a figure; 144 dots an inch."""
# After the first, which has Latin, Greek and Cyrillic: whatever there is for other scripts.
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei", "Noto Sans")
_LONGEST_NAME = 36


def save(figure: Any, path: Path) -> None:
    with warnings.catch_warnings():
        # A script that none of the fonts has is drawn as boxes; the card's tables have the names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, format="png", dpi=144, metadata={"Software": None}, facecolor="white")


@cache
def fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return [name for name in _FONTS if name in there] or ["sans-serif"]


def axes_of(height: float, title: str) -> tuple[Any, Any]:
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
    axes.set_yticks(range(len(names)), [shown(name) for name in names], family=fonts(), color=INK)
    axes.invert_yaxis()


def shown(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name for an axis: not too long."""
    cut = name if len(name) <= longest else f"{name[: longest - 1]}…"
    # A dollar sign would start a formula.
    return cut.replace("$", r"\$")


def thousands() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}")
