"""Draw the heatmaps of a dataset card: classes by domain, and measured matrices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.images.drawing import INK, KEPT, LARGE, SOFT, fonts
from poolwright.core.results.measured import Matrix
from poolwright.release.card.figures.drawing import (
    ON_FAINT,
    ON_STRONG,
    WIDTH,
    axes_of,
    name_rows,
    shown,
    thousands,
)
from poolwright.release.domain_counts import DomainCounts

_MOST_NAMED = 30
_MOST_DOMAINS = 24
_MOST_WRITTEN = 10
_MOST_COLUMNS = 400
_SHADES = ("#e3edf4", KEPT, LARGE)
_LETTER = 0.075  # width of a letter at 9 points, inches
_LONGEST_HEAD = 24

Grid = npt.NDArray[np.float64]
Cell = tuple[int, int]


def draw_domains(found: DomainCounts) -> Any:
    """Draw the rows of each class and domain on a logarithmic scale: cells, or strips if there are many classes."""
    names = found.domain_names()[:_MOST_DOMAINS]
    grid = np.array(found.counts, np.float64).reshape(len(found.classes), -1)[:, :_MOST_DOMAINS]
    title = f"Rows of the {len(found.classes):,} classes by {found.column}"
    if len(found.classes) <= _MOST_NAMED:
        return _class_cells(title, grid, found.class_names(), names)
    return _class_strips(title, grid.T, names)


def draw_matrix(name: str, matrix: Matrix) -> Any:
    """Draw the numbers of a matrix; those of a group with itself are framed."""
    grid = np.array(matrix.values, np.float64)
    figure, axes = axes_of(1.2 + _head(matrix) + 0.42 * len(matrix.rows), name)
    low, high = matrix.limits()
    image = axes.imshow(grid, cmap=_colours(), aspect="auto", origin="lower", vmin=low, vmax=high)
    _name_columns(axes, matrix.columns, matrix.rows)
    name_rows(axes, list(matrix.rows))
    axes.set_xlabel(matrix.across, color=SOFT, fontsize=9, labelpad=8)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel(matrix.down, color=SOFT, fontsize=9, labelpad=8)
    same = {(down, matrix.columns.index(row)) for down, row in enumerate(matrix.rows) if row in matrix.columns}
    if len(matrix.columns) <= _MOST_WRITTEN:
        _write(axes, image, [[f"{value:.3f}" for value in line] for line in grid], same)
    else:
        _scale(figure, image, "")
    _frame(axes, same)
    return figure


def _class_cells(title: str, grid: Grid, classes: Sequence[str], domains: Sequence[str]) -> Any:
    figure, axes = axes_of(1.0 + _head_height(domains, classes) + 0.29 * len(classes), title)
    image = _log_image(axes, grid)
    _name_columns(axes, domains, classes)
    name_rows(axes, list(classes))
    if len(domains) <= _MOST_WRITTEN:
        _write(axes, image, [[f"{value:,.0f}" for value in line] for line in grid])
    else:
        _scale(figure, image, "rows, logarithmic; white is none")
    return figure


def _class_strips(title: str, grid: Grid, domains: Sequence[str]) -> Any:
    number = grid.shape[1]
    figure, axes = axes_of(1.9 + 0.36 * len(domains), title)
    words = "rows"
    if number > _MOST_COLUMNS:
        words = f"rows, mean of {round(number / _MOST_COLUMNS):,} classes"
        edges = np.linspace(0, number, _MOST_COLUMNS + 1).round().astype(np.int64)
        grid = np.add.reduceat(grid, edges[:-1], axis=1) / np.diff(edges)
    image = _log_image(axes, grid, (0.5, number + 0.5, -0.5, len(domains) - 0.5))
    name_rows(axes, list(domains))
    for border in range(1, len(domains)):
        axes.axhline(border - 0.5, color="white", linewidth=2)
    axes.set_xlabel("class, by size in all", color=SOFT, fontsize=9)
    axes.xaxis.set_major_formatter(thousands())
    _scale(figure, image, f"{words}, logarithmic; white is none")
    return figure


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("rows", _SHADES).with_extremes(bad="white")


def _log_image(axes: Any, grid: Grid, extent: tuple[float, float, float, float] | None = None) -> Any:
    from matplotlib.colors import LogNorm

    counts = np.ma.masked_equal(grid, 0)
    low, high = (float(counts.min()), float(counts.max())) if counts.count() else (1.0, 1.0)
    scale = LogNorm(low, max(high, low * 1.01))
    # From below, as `name_rows` inverts the axes.
    shape = {"aspect": "auto", "interpolation": "nearest", "origin": "lower", "extent": extent}
    return axes.imshow(counts, cmap=_colours(), norm=scale, **shape)


def _scale(figure: Any, image: Any, words: str) -> None:
    bar = figure.colorbar(image, ax=image.axes, pad=0.015, fraction=0.035, aspect=14)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, colors=SOFT, labelsize=8)
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter(thousands())
    bar.set_label(words, color=SOFT, fontsize=8)


def _write(axes: Any, image: Any, texts: Sequence[Sequence[str]], bold: Collection[Cell] = ()) -> None:
    """Write the number of each cell, in white if the cell is dark."""
    values = image.get_array()
    for down, line in enumerate(texts):
        for across, text in enumerate(line):
            value = values[down, across]
            dark = value is not np.ma.masked and float(image.norm(value)) > 0.4
            weight = "bold" if (down, across) in bold else "normal"
            colour = ON_STRONG if dark else ON_FAINT
            axes.text(
                across,
                down,
                text,
                ha="center",
                va="center",
                color=colour,
                fontsize=9,
                fontweight=weight,
                in_layout=False,
            )
    for border in range(1, len(texts)):
        axes.axhline(border - 0.5, color="white", linewidth=1)
    for border in range(1, len(texts[0]) if texts else 0):
        axes.axvline(border - 0.5, color="white", linewidth=1)


def _frame(axes: Any, cells: Collection[Cell]) -> None:
    from matplotlib.patches import Rectangle

    for down, across in sorted(cells):
        corner = (across - 0.5, down - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.4, clip_on=False, zorder=3))


def _name_columns(axes: Any, names: Sequence[str], down: Sequence[str]) -> None:
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(names)), [shown(name, _LONGEST_HEAD) for name in names], family=fonts(), color=INK)
    axes.tick_params(axis="x", length=0, pad=4)
    if _turned(names, down):
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="left", rotation_mode="anchor")


def _turned(names: Sequence[str], down: Sequence[str]) -> bool:
    """Whether the names of the columns are too long to fit side by side."""
    left = 0.6 + _LETTER * max((min(len(name), 36) for name in down), default=0)
    return _LETTER * (_longest(names) + 1.5) > (WIDTH - left) / max(1, len(names))


def _head_height(names: Sequence[str], down: Sequence[str]) -> float:
    return 0.6 * _LETTER * _longest(names) if _turned(names, down) else 0.0


def _head(matrix: Matrix) -> float:
    return _head_height(matrix.columns, matrix.rows)


def _longest(names: Sequence[str]) -> int:
    return max((min(len(name), _LONGEST_HEAD) for name in names), default=0)
