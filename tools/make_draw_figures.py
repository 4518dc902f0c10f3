"""Draw docs/images/imagenet-v2.png and mscoco-glt.png: the sets that two recipes draw, in their conformance tests.

python -m tools.make_draw_figures
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tests.conformance import test_imagenet_v2 as imagenet_v2
from tests.conformance import test_mscoco_glt as mscoco_glt

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
COLOURS = ("#9aa5b1", "#1f6feb", "#d29922", "#cf222e")
SETS = {"test_bl": "Test-CBL", "test_bbl": "Test-GBL", "train": "Train-GLT"}


def main() -> None:
    """Run both recipes on generated rows, print the numbers of their pages and draw them."""
    import matplotlib

    matplotlib.use("Agg")
    with TemporaryDirectory() as folder:
        draw_frequencies(Path(folder))
    with TemporaryDirectory() as folder:
        draw_attributes(Path(folder))


def draw_frequencies(folder: Path) -> None:
    """Draw the histograms of selection frequencies of the validation set and of the three sets."""
    validation, candidates, tables = imagenet_v2.run_recipe(folder)
    drawn = {name: tables[name].read(["selection_frequency"]) for name in imagenet_v2.SETS}
    figure, axis = subplots()
    edges = imagenet_v2.EDGES
    print(tables["matched-frequency"].record.steps[0].learned)
    for at, (name, rows) in enumerate({"validation": validation, "candidates": candidates, **drawn}.items()):
        values = rows.column("selection_frequency").to_numpy()
        shares = np.bincount(np.digitize(values, edges), minlength=len(edges) + 1) / len(values)
        print(name, f"{values.mean():.3f}", *(f"{share:.1%}" for share in shares))
        if name != "candidates":
            place = at - (at > 1)
            axis.bar(np.arange(len(shares)) + 0.2 * place - 0.3, shares, 0.2, color=COLOURS[place], label=name)
    names = ["below 0.2", *(f"from {edge}" for edge in edges)]
    axis.set(xticks=range(len(names)), xticklabels=names, xlabel="selection frequency", ylabel="share of the rows")
    axis.legend(frameon=False)
    figure.savefig(IMAGES / "imagenet-v2.png", dpi=110)


def draw_attributes(folder: Path) -> None:
    """Draw the share of each attribute in the sets of the long-tailed protocol, the most frequent first."""
    _, tables = mscoco_glt.run_recipe(folder)
    for name in mscoco_glt.COLUMNS:
        print(tables[name].record.steps[0].learned)
    rows = tables["mscoco-glt"].read(["attributes", "split"]).to_pylist()
    figure, axis = subplots()
    for colour, (name, title) in zip(COLOURS, SETS.items(), strict=False):
        counts = Counter(one for row in rows if row["split"] == name for one in row["attributes"])
        shares = [count / counts.total() for _, count in counts.most_common()]
        axis.step(range(1, len(shares) + 1), shares, where="mid", color=colour, label=title)
    axis.set(xlabel="attributes, the most frequent first", ylabel="share", ylim=(0, None))
    axis.legend(frameon=False)
    figure.savefig(IMAGES / "mscoco-glt.png", dpi=110)


def subplots() -> tuple[Any, Any]:
    """Return a figure with one plot."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


if __name__ == "__main__":
    main()
