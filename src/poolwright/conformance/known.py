"""List the reproductions by the name of their recipe; a recipe is added by an entry here."""

from __future__ import annotations

from pathlib import Path

from poolwright.conformance import clear, clip_geoyfcc, imagenet_glt, mappool
from poolwright.conformance.reproduction import Reproduction
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.results.conformance import Conformance
from poolwright.core.runtime.progress import Listener

REPRODUCTIONS: dict[str, Reproduction] = {
    one.recipe: one
    for one in (clip_geoyfcc.REPRODUCTION, *clear.REPRODUCTIONS, imagenet_glt.REPRODUCTION, mappool.REPRODUCTION)
}


def conformance(name: str, to: str | Path | None = None, listener: Listener | None = None) -> Conformance:
    """Run a shipped recipe at its published size, and compare it with the published numbers.

    Args:
        name: of a recipe in `REPRODUCTIONS`.
        to: folder for generated sources and the run: a new or an empty one, or that of an earlier call, which is
            continued. Default `conformance/<name>`.
        listener: receives progress.

    Raises:
        RecipeError: there is no such reproduction, or the folder holds other files. Nothing was written.
    """
    if name not in REPRODUCTIONS:
        raise RecipeError(f"no published numbers for '{name}'; {did_you_mean(name, REPRODUCTIONS)}")
    return REPRODUCTIONS[name].run(Path(to or Path("conformance") / name), listener)
