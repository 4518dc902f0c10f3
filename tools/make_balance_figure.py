"""Draw docs/images/balance.png: clusters before and after an even sample, in the pool of the conformance test.

python -m tools.make_balance_figure
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.test_self_supervised import run_recipe

OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "balance.png"
LEVELS = {"cluster_4": "12 clusters at the top", "cluster_1": "240 leaves"}
COLOURS = {"clustered": "#9aa5b1", "sampled": "#1f6feb"}
NAMES = {"clustered": "the pool", "sampled": "an even sample of 480"}


def main() -> None:
    """Run the recipe on the generated pool, print the sizes of its clusters and draw them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with TemporaryDirectory() as folder:
        tables = run_recipe(Path(folder))
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
        for axis, (column, title) in zip(axes, LEVELS.items(), strict=True):
            for name in COLOURS:
                counts = sorted(Counter(tables[name].read([column]).column(column).to_pylist()).values(), reverse=True)
                print(title, name, len(counts), counts[0], counts[-1], f"{counts[-1] / counts[0]:.3f}")
                axis.step(range(1, len(counts) + 1), counts, where="mid", color=COLOURS[name], label=NAMES[name])
            axis.set(title=title, yscale="log", xlabel="clusters, the largest first", ylabel="rows")
            axis.spines[["top", "right"]].set_visible(False)
        axes[1].legend(frameon=False)
        figure.savefig(OUT, dpi=110)


if __name__ == "__main__":
    main()
