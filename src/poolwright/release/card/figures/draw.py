"""Draw the figures of a dataset card as PNG, light and dark, and SVG files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from poolwright.core.columns import LABEL, SIMILARITY
from poolwright.core.errors import MissingExtra
from poolwright.core.images.drawing import GONE, INK, KEPT, RULE, SOFT, fonts
from poolwright.core.results.measured import Matrix, Measured
from poolwright.release.card.figures.drawing import axes_of, name_rows, save, thousands
from poolwright.release.card.figures.heatmaps import draw_matrix
from poolwright.release.lineage import Lineage
from poolwright.release.statistics import Statistics, Value, ValueSpread

FOLDER = "figures"
FUNNEL, CLASSES, SIMILARITIES = FIGURES = ("funnel", "classes", "similarity")
"""Names of the figures that any release can have, without extension."""
_MOST_BARS = 30

_Bar = tuple[str, int, int, str]
"""Name, rows kept, rows gone, colour."""


def draw_figures(
    folder: Path, family: Lineage, statistics: Statistics, matrices: Mapping[str, Measured]
) -> dict[str, str]:
    """Draw the figures that the statistics allow.

    Args:
        matrices: measured matrices by the name of their file, without extension.

    Returns:
        File name in the release -> caption of the figure.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("matplotlib", "the figures of a dataset card (figures: false leaves them out)") from None
    (folder / FOLDER).mkdir()
    captions: dict[str, str] = {}

    def add(name: str, words: str, data: Any, draw: Callable[[], Any]) -> None:
        save(draw, folder / FOLDER / name, data)
        captions[f"{FOLDER}/{name}.png"] = words

    bars = _funnel_bars(family)
    add(FUNNEL, "Rows kept and dropped by each step", bars, lambda: _funnel(bars))
    classes = tuple(pair for pair in statistics.counts(LABEL) if pair[0] is not None)
    if len(classes) > 1:
        add(CLASSES, "Sizes of the classes", classes, lambda: _classes(classes))
    spread = statistics.spreads.get(SIMILARITY)
    if spread and spread.counts:
        add(SIMILARITIES, "Similarity of images and their labels or texts", spread, lambda: _histogram(spread))
    for detail in statistics.details:
        drawn = detail.figure()
        if drawn:
            add(detail.name, drawn[1], detail, partial(drawn.__getitem__, 0))
    for name, found in matrices.items():
        if isinstance(found.value, Matrix):
            add(name, found.name, (found.name, found.value), partial(draw_matrix, found.name, found.value))
    return captions


def _funnel_bars(family: Lineage) -> tuple[_Bar, ...]:
    """Return the bars of the funnel, from top to bottom."""
    made = {record.name for record in family.records}
    names, kept, gone, colors = list[str](), list[int](), list[int](), list[str]()
    for record in family.records:
        read = {name: rows for name, rows in record.rows_by_source.items() if name.removeprefix("tables.") not in made}
        names += [f"{name.removeprefix('pools.')}, rows in" for name in read]
        shown = [row for row in record.funnel if row.step >= 0 or row.dropped]
        names += [f"{record.name}: {row.verb}" if len(family.records) > 1 else row.verb for row in shown]
        kept += [*read.values(), *(row.kept for row in shown)]
        gone += [*(0 for _ in read), *(row.rows_in - row.kept for row in shown)]
        colors += [*(SOFT for _ in read), *(KEPT for _ in shown)]
    return tuple(zip(names, kept, gone, colors, strict=True))


def _funnel(bars: tuple[_Bar, ...]) -> Any:
    names, kept, gone, colors = (list(values) for values in zip(*bars, strict=True))
    figure, axes = axes_of(1.1 + 0.36 * len(names), "Rows kept and dropped by each step")
    positions = range(len(names))
    axes.barh(positions, kept, height=0.72, color=colors)
    axes.barh(positions, gone, left=kept, height=0.72, color=GONE)
    top, limit = max(*kept, 1), 1.0
    for row_index, (size, lost) in enumerate(zip(kept, gone, strict=True)):
        text = f"{size:,}" + (f"   − {lost:,}" if lost else "")
        axes.text(
            size + lost + top * 0.012,
            row_index,
            text,
            va="center",
            color=INK,
            fontsize=9,
            family=fonts(),
            in_layout=False,
        )
        # A character takes about 1.4% of the axes' width.
        limit = max(limit, (size + lost + top * 0.02) / (1 - 0.014 * len(text)))
    name_rows(axes, names)
    axes.set_xlim(0, limit)
    axes.set_xticks([])
    return figure


def _classes(classes: Sequence[tuple[Value, int]]) -> Any:
    sizes = [rows for _, rows in classes]
    if len(classes) <= _MOST_BARS:
        return _class_bars([str(name) for name, _ in classes], sizes)
    figure, axes = axes_of(3.6, f"Sizes of the {len(classes):,} classes")
    ranks = range(1, len(sizes) + 1)
    axes.fill_between(ranks, sizes, step="mid", color=KEPT, alpha=0.18, linewidth=0)
    axes.step(ranks, sizes, where="mid", color=KEPT, linewidth=1.6)
    if sizes[0] > 20 * sizes[-1]:
        axes.set_yscale("log")
        axes.minorticks_off()
    else:
        axes.set_ylim(0, sizes[0] * 1.08)
    axes.set_xlim(1, len(sizes))
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    middle = sizes[len(sizes) // 2]
    text = f"largest {sizes[0]:,}   median {middle:,}   smallest {sizes[-1]:,}"
    axes.text(0.99, 0.95, text, transform=axes.transAxes, ha="right", va="top", color=INK, fontsize=9)
    axes.set_xlabel("class, by size", color=SOFT, fontsize=9)
    axes.set_ylabel("images", color=SOFT, fontsize=9)
    axes.yaxis.set_major_formatter(thousands())
    axes.xaxis.set_major_formatter(thousands())
    return figure


def _class_bars(names: list[str], sizes: list[int]) -> Any:
    figure, axes = axes_of(1.1 + 0.27 * len(names), f"Sizes of the {len(names):,} classes")
    axes.barh(range(len(names)), sizes, height=0.72, color=KEPT)
    for index, size in enumerate(sizes):
        axes.text(size + sizes[0] * 0.012, index, f"{size:,}", va="center", color=INK, fontsize=9, in_layout=False)
    name_rows(axes, names)
    axes.set_xlim(0, sizes[0] * 1.12)
    axes.set_xticks([])
    return figure


def _histogram(spread: ValueSpread) -> Any:
    low, high = float(spread.low or 0.0), float(spread.high or 0.0)
    width = (high - low) / len(spread.counts)
    figure, axes = axes_of(3.2, "Similarity")
    lefts = [low + index * width for index in range(len(spread.counts))]
    axes.bar(lefts, spread.counts, width=width * 0.92, align="edge", color=KEPT)
    axes.set_xlim(low, high)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_xlabel(f"cosine, {low:.4f} to {high:.4f}", color=SOFT, fontsize=9)
    axes.set_ylabel("images", color=SOFT, fontsize=9)
    axes.yaxis.set_major_formatter(thousands())
    return figure
