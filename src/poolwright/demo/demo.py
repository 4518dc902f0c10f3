"""The demo: draw a world, make a dataset of it, and hold the dataset against the truth."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.api import RunResult, report, run
from poolwright.core.files import write_text
from poolwright.core.table import Table
from poolwright.demo.drawing import KINDS
from poolwright.demo.world import draw_world
from poolwright.recipe.recipe import Recipe
from poolwright.run.progress import Listener, Silent


@dataclass(frozen=True)
class DemoOutcome:
    """What the demo made.

    Attributes:
        result: of the run.
        figures: (name, value, what it means), measured against the truth of the drawn world.
        release: folder of the release.
        report: the HTML file to open.
    """

    result: RunResult
    figures: tuple[tuple[str, str, str], ...]
    release: Path
    report: Path


def run_demo(folder: Path, images: int = 6000, seed: int = 2024, listener: Listener | None = None) -> DemoOutcome:
    """Run poolwright's main job end to end on a drawn world.

    Args:
        folder: where the world, the run, the release and the report go; continued if it is there.
        images: pictures to draw.
        seed: of the drawn world.
        listener: is told of progress.
    """
    listener = listener or Silent()
    folder = folder.resolve()
    listener.note(f"drawing {images:,} pictures into {folder / 'world'}")
    draw_world(folder / "world", images, seed)
    recipe = write_recipe(folder, images)
    result = run(recipe, folder / "run", listener=listener)
    truth = pq.read_table(folder / "world" / "truth.parquet")
    figures = against_truth(result.tables["described"], result.tables["domains"], truth)
    return DemoOutcome(result, figures, result.releases[0].folder, report(folder / "run"))


def clip_folder() -> Path:
    """The tiny CLIP that comes with poolwright: ONNX image and text towers with their manifest."""
    return Path(str(files("poolwright.demo") / "clip"))


def write_recipe(folder: Path, images: int = 6000) -> Recipe:
    """Write the demo's recipe, vocabulary and encoder beside its world, and load the recipe.

    Args:
        folder: of the demo.
        images: pictures in the world; a smaller one has smaller classes, so `at_least` shrinks with it.
    """
    write_text(folder / "kinds.txt", "\n".join(KINDS) + "\n")
    text = (files("poolwright.demo") / "recipe.yaml").read_text(encoding="utf-8")
    shutil.copytree(clip_folder(), folder / "clip", dirs_exist_ok=True)
    path = folder / "recipe.yaml"
    text = re.sub(r"at_least: (\d+)", lambda found: f"at_least: {max(1, int(found[1]) * images // 6000)}", text)
    write_text(path, text)
    return Recipe.load(path)


def against_truth(described: Table, domains: Table, truth: pa.Table) -> tuple[tuple[str, str, str], ...]:
    """How right the dataset is: (name, value, meaning)."""
    kept = domains.read(["uid", "label", "split", "continent"]).join(truth, "uid")
    seen = described.read(["uid", "label"]).join(truth, "uid")
    broken = truth.filter(truth["corrupt"]).num_rows
    caught = broken - seen.filter(seen["corrupt"]).num_rows
    leaks = _copies_astride(kept)
    return (
        ("precision", _share(kept, "label"), "released labels that are what the picture shows"),
        ("precision before choosing", _share(seen, "label"), "labels of all readable pictures"),
        ("precision of captions", _share(kept, "caption_kind"), "captions of the same pictures that are right"),
        ("broken files caught", f"{caught}/{broken}", "files that cannot be decoded, each in the ledger"),
        ("copies astride the split", str(leaks), "copies parted from their original: resized so that the hash differs"),
        ("continents", str(pc.count_distinct(kept["continent"]).as_py()), "domains left of six; the rarest fell"),
    )


def _share(rows: pa.Table, column: str) -> str:
    right = pc.sum(pc.fill_null(pc.equal(rows[column], rows["kind"]), False)).as_py() or 0
    return f"{right / rows.num_rows:.3f}"


def _copies_astride(kept: pa.Table) -> int:
    split = dict(zip(kept["uid"].to_pylist(), kept["split"].to_pylist(), strict=True))
    pairs = zip(kept["uid"].to_pylist(), kept["duplicate_of"].to_pylist(), strict=True)
    return sum(original in split and split[uid] != split[original] for uid, original in pairs if original is not None)
