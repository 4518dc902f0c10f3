"""Draw the classes and attributes of each set of a table."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from poolwright.core.images.drawing import INK, KEPT, LARGE, RULE, SMALL, SOFT, fonts
from poolwright.kernels.selection.row_sets import SetCounts
from poolwright.release.card.figures.drawing import WIDTH, thousands

_COLOURS = (LARGE, KEPT, SMALL)
"""Colours of the frequency groups."""
_ROW = 1.05  # height of a set, inches


def draw_sets(found: SetCounts) -> Any:
    """Draw a row per set: rows of the classes by number, coloured by frequency group, and rows of the attributes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = list(found.counts)
    figure = Figure(figsize=(WIDTH, 0.9 + _ROW * len(titles)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(titles), 2, width_ratios=(3.6, 1), squeeze=False)
    for line, title in zip(grid, titles, strict=True):
        _draw_classes(line[0], found, title)
        _draw_attributes(line[1], found.by_attribute(title))
        for axes in line:
            _plain(axes)
    for axes in grid[:-1].ravel():
        axes.set_xticklabels([])
    grid[-1][0].set_xlabel("class, by number", color=SOFT, fontsize=9)
    grid[-1][1].set_xlabel("attribute", color=SOFT, fontsize=9)
    figure.suptitle("Classes and attributes of each set", x=0.01, ha="left", color=INK, fontsize=12, fontweight="bold")
    _legend(figure, found)
    return figure


def _draw_classes(axes: Any, found: SetCounts, title: str) -> None:
    sizes, start = found.by_class(title), 0
    for count, colour in zip(found.groups, cycle(_COLOURS), strict=False):
        part = range(start, start + count)
        axes.bar(part, [sizes[number] for number in part], width=1.0, color=colour, linewidth=0)
        start += count
    axes.set_xlim(-0.5, max(found.classes, 1) - 0.5)
    axes.set_ylim(0, max(*sizes, 1) * 1.12)
    axes.set_title(f"{title}   {sum(sizes):,}", loc="left", color=INK, fontsize=9, family=fonts(), pad=4)


def _draw_attributes(axes: Any, rows: list[int]) -> None:
    axes.bar(range(len(rows)), rows, width=0.72, color=SOFT)
    axes.set_xticks(range(len(rows)))
    axes.set_ylim(0, max(*rows, 1) * 1.12)


def _plain(axes: Any) -> None:
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, colors=SOFT, labelsize=8)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.locator_params(axis="y", nbins=3, integer=True)
    axes.yaxis.set_major_formatter(thousands())


def _legend(figure: Any, found: SetCounts) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=colour, label=name)
        for name, colour in zip(found.described.group_names, cycle(_COLOURS), strict=False)
    ]
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=9, labelcolor=INK)
