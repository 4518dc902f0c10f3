"""Draw clusters as files: the map and contact sheet of each class, as PNG, light and dark, and SVG."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError, MissingExtra, RecipeError, did_you_mean
from poolwright.core.images.drawing import INK, SOFT, fonts, rendered, write_figure
from poolwright.core.wording import counted
from poolwright.core.wording import rows as in_rows
from poolwright.report.charts.words import cut
from poolwright.report.clusters import PER_SIDE, ClassMap, class_maps, class_names
from poolwright.report.images.thumbnails import Thumbnail
from poolwright.report.sheets import Budget, SheetCard
from poolwright.report.view import TableView

COLOURS = (
    *("#2b6f9e", "#d9822b", "#3a8f5c", "#b8433f", "#7b5ea7"),
    *("#1c9c9c", "#a8862a", "#d0648f", "#5c6b78", "#8fb339"),
)
_BUDGET = Budget(pictures=800, bytes_each=9_000)
_CELL, _MAP, _NAME, _GAP, _HEAD = 0.8, 3.6, 1.25, 0.16, 0.7
"""Sizes in inches: a picture, the map, a cluster's name, the gap between near and far, the title."""


def write_cluster_figures(views: Sequence[TableView], folder: Path, classes: Sequence[str] = ()) -> list[Path]:
    """Write the figures of all tables that have clusters.

    Args:
        classes: names of the classes; by default the largest.

    Returns:
        The files: `<table>-<class>.png`, `<table>-<class>.dark.png` and `.svg`, the same bytes for the same table.

    Raises:
        InputError: no table was clustered.
        RecipeError: a requested class does not exist.
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("matplotlib", "figures of clusters") from None
    known = {name for view in views for name in class_names(view.table)}
    for name in set(classes) - known if known else ():
        raise RecipeError(f"no table has clusters of the class '{name}'; {did_you_mean(name, known)}")
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    taken: Counter[str] = Counter()
    for view in views:
        for drawn in class_maps(view, _BUDGET, classes):
            name = f"{view.table.name}-{_file_name(drawn.name)}"
            taken[name] += 1
            path = folder / (name if taken[name] == 1 else f"{name}-{taken[name]}")
            written += write_figure(rendered(_figure(drawn), path.name), path)
    if not written:
        raise InputError("no table has clusters to draw; add the step 'cluster' to the recipe")
    return written


def _file_name(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-")[:80] or "class"


def _figure(drawn: ClassMap) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mapped = len(drawn.members) > 0
    left = 0.15 + (_MAP + 0.25 if mapped else 0)
    width = left + _NAME + 2 * PER_SIDE * _CELL + _GAP + 0.1
    height = _HEAD + 0.3 + max(len(drawn.clusters) * _CELL, _MAP if mapped else 0) + 0.1
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    page = _Page(figure, width, height)
    count = len(drawn.clusters) + drawn.more
    page.text(0.15, 0.28, cut(drawn.name, 80), size=12, weight="bold")
    texts = [in_rows(drawn.rows), counted(count, "cluster")]
    page.text(0.15, 0.52, "; ".join([", ".join(texts), *([drawn.problem] if drawn.problem else [])]), colour=SOFT)
    if mapped:
        page.dots(0.15, _HEAD + 0.2, drawn.points, drawn.members)
    near = left + _NAME
    page.text(near, _HEAD + 0.12, "nearest to the centroid", colour=SOFT)
    page.text(near + PER_SIDE * _CELL + _GAP, _HEAD + 0.12, "farthest", colour=SOFT)
    for row, cluster in enumerate(drawn.clusters):
        top = _HEAD + 0.3 + row * _CELL
        page.square(left, top + 0.26, COLOURS[cluster.number % 10])
        page.text(left + 0.2, top + 0.33, str(cluster.number), weight="bold")
        page.text(left + 0.38, top + 0.33, in_rows(cluster.rows), colour=SOFT)
        page.text(left + 0.2, top + 0.53, f"{drawn.attribute} {cluster.attribute}", colour=SOFT)
        page.pictures(near, top, cluster.nearest)
        page.pictures(near + PER_SIDE * _CELL + _GAP, top, cluster.farthest)
    return figure


class _Page:
    """A figure with coordinates in inches from its upper left corner."""

    def __init__(self, figure: Any, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def text(self, x: float, y: float, words: str, size: float = 9, colour: str = INK, weight: str = "normal") -> None:
        shown = words.replace("$", r"\$")  # a dollar sign would start a formula
        style = {"fontsize": size, "color": colour, "fontweight": weight, "family": fonts()}
        self.figure.text(x / self.width, 1 - y / self.height, shown, va="center", **style)

    def axes(self, x: float, y: float, wide: float, tall: float) -> Any:
        low = (self.height - y - tall) / self.height
        axes = self.figure.add_axes((x / self.width, low, wide / self.width, tall / self.height))
        axes.set_axis_off()
        return axes

    def square(self, x: float, y: float, colour: str) -> None:
        axes = self.axes(x, y, 0.13, 0.13)
        axes.fill([0, 1, 1, 0], [0, 0, 1, 1], color=colour, linewidth=0)
        axes.set(xlim=(0, 1), ylim=(0, 1))

    def dots(self, x: float, y: float, points: npt.NDArray[np.float64], members: npt.NDArray[np.int64]) -> None:
        axes = self.axes(x, y, _MAP, _MAP)
        for cluster in np.unique(members):
            own = points[members == cluster]
            axes.scatter(own[:, 0], own[:, 1], s=13, color=COLOURS[cluster % 10], alpha=0.8, linewidths=0)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")

    def pictures(self, x: float, y: float, cards: Sequence[SheetCard]) -> None:
        for index, card in enumerate(cards):
            axes = self.axes(x + index * _CELL, y, _CELL * 0.95, _CELL * 0.95)
            if card.picture:
                axes.imshow(_pixels(card.picture), interpolation="lanczos")
            else:
                words = (card.problem or card.uid)[:14].replace("$", r"\$")
                axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=6, color=SOFT, family=fonts())


def _pixels(picture: Thumbnail) -> npt.NDArray[np.uint8]:
    from PIL import Image

    data = base64.b64decode(picture.uri.partition(",")[2])
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB"))
