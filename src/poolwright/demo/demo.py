"""Run the demo: draw a world, make a dataset of it, and compare the dataset with the truth."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.api import Recipe, RunResult, leaks, report, run, write_leaks
from poolwright.core.errors import WaitingForPeople
from poolwright.core.files import claim_folder, write_text
from poolwright.core.runtime.progress import Listener, Silent
from poolwright.core.table import Table
from poolwright.demo import atlas
from poolwright.demo.attributes import attributes_against_truth
from poolwright.demo.drawing import KINDS
from poolwright.demo.maps import LOOKED_AT, maps_against_truth, verify_maps
from poolwright.demo.needs import check_needs
from poolwright.demo.stream import PEOPLE, answer_sheets, stream_against_truth, write_prompts
from poolwright.demo.world import draw_world, drawing_processes

_SCALED = re.compile(r"(at_least|by: similarity, n|query|^ +n|keep): (\d+)", re.MULTILINE)
"""Numbers of the recipe that scale with the size of the world."""

_LEAST = {"query": 8, "n": 4, "keep": 3}


_SMALLEST_SHELF = 300


@dataclass(frozen=True)
class DemoOutcome:
    """The results of the demo.

    Attributes:
        result: result of the run.
        figures: (name, value, meaning), measured against the truth of the drawn world.
        release: folder of the release.
        report: the HTML file to open.
        leaks: the page with the copies that a split at random puts on both sides.
    """

    result: RunResult
    figures: tuple[tuple[str, str, str], ...]
    release: Path
    report: Path
    leaks: Path


def run_demo(folder: Path, images: int = 6000, seed: int = 2024, listener: Listener | None = None) -> DemoOutcome:
    """Run poolwright's main job end to end on a drawn world.

    Args:
        folder: folder for the world, the run, the release and the report: a new or an empty one, or that of an
            earlier demo, which is continued.
        images: number of pictures to draw.
        seed: seed of the drawn world.
        listener: receives progress.

    Raises:
        MissingExtra: a library of `poolwright[demo]` is not installed. Nothing was drawn.
        RecipeError: the folder holds other files, or a demo of other images. Nothing was written.
    """
    check_needs()
    listener = listener or Silent()
    folder = folder.resolve()
    claim_folder(folder, "demo", {"images": images, "seed": seed})
    listener.note(f"drawing {images:,} pictures into {folder / 'world'}")
    with drawing_processes(atlas.__name__, [(folder, max(_SMALLEST_SHELF, images // 4), seed)]):
        draw_world(folder / "world", images, seed)
    recipe = write_recipe(folder, images)
    listener.note("the run stops when people are asked")
    with suppress(WaitingForPeople):
        run(recipe, folder / "run", listener=listener, release=False)
    names = " and ".join(person.name for person in PEOPLE)
    listener.note(f"{names} look at {answer_sheets(folder):,} pictures that prompts found")
    listener.note(f"an annotator who is always right looks at {LOOKED_AT} pictures of the shelf")
    sheet = verify_maps(folder)
    result = run(recipe, folder / "run", listener=listener)
    truth = pq.read_table(folder / "world" / "truth.parquet")
    found, page = leaks_at_random(folder)
    figures = (
        *against_truth(result.tables, truth),
        found,
        *attributes_against_truth(folder, result.tables["attributes"]),
        *stream_against_truth(folder, result.tables["looked-at"]),
        *maps_against_truth(folder, result.tables["maps"], sheet),
    )
    return DemoOutcome(result, figures, result.releases[0].folder, report(folder / "run"), page)


def clip_folder() -> Path:
    """Return the folder of the tiny CLIP that comes with poolwright: ONNX image and text towers with their manifest."""
    return Path(str(files("poolwright.demo") / "clip"))


def write_recipe(folder: Path, images: int = 6000) -> Recipe:
    """Write the demo's recipe, vocabulary and encoder next to its world, and load the recipe.

    Args:
        folder: folder of the demo.
        images: number of pictures in the world; the numbers of the steps scale with it.
    """
    write_text(folder / "kinds.txt", "\n".join(KINDS) + "\n")
    write_prompts(folder / "stream.txt")
    text = (files("poolwright.demo") / "recipe.yaml").read_text(encoding="utf-8")
    for name in ("clip", "pixels"):
        shutil.copytree(Path(str(files("poolwright.demo") / name)), folder / name, dirs_exist_ok=True)
    path = folder / "recipe.yaml"
    text = _SCALED.sub(lambda found: _scaled(found[1], int(found[2]), images), text)
    write_text(path, text)
    return Recipe.load(path)


def _scaled(name: str, number: int, images: int) -> str:
    return f"{name}: {max(_LEAST.get(name.strip(), 1), number * images // 6000)}"


def against_truth(tables: Mapping[str, Table], truth: pa.Table) -> tuple[tuple[str, str, str], ...]:
    """Measure how right the dataset is: (name, value, meaning)."""
    described, classes, domains = (tables[name] for name in ("described", "classes", "domains"))
    seen = described.read(["uid", "label"])
    top = next(step.index for step in classes.record.steps if step.verb == "top")
    met, cut = (seen.filter(pa.array(survivors(described, classes, upto))) for upto in (top, top + 1))
    known = seen.join(truth, "uid")
    kept = domains.read(["uid", "label", "split", "continent"]).join(truth, "uid")
    broken = truth.filter(truth["corrupt"]).num_rows
    caught = broken - known.filter(known["corrupt"]).num_rows
    return (
        ("precision", _share(kept, "label"), "released labels that match the picture"),
        ("precision before the cut", _share(met.join(truth, "uid"), "label"), "labels of the rows that `top` received"),
        ("precision after the cut", _share(cut.join(truth, "uid"), "label"), "labels of the rows that it kept"),
        ("precision of captions", _share(kept, "caption_kind"), "captions of the released pictures that are right"),
        ("broken files caught", f"{caught}/{broken}", "files that cannot be decoded, each in the ledger"),
        (
            "copies across the split",
            str(_copies_across(kept)),
            "copies on the other side than their original: resized ones",
        ),
        (
            "continents",
            str(pc.count_distinct(kept["continent"]).as_py()),
            "domains left of six; the rarest was dropped",
        ),
    )


def survivors(source: Table, table: Table, upto: int) -> np.ndarray:
    """Return which rows of a source table were live before step `upto` of a table, by the ledger: bool (n,)."""
    starts = np.cumsum([0, *(part.rows for part in source.record.parts)])
    codes = [reason.code for reason in table.record.reasons if reason.step < upto]
    ledger = table.ledger()
    gone = ledger.filter(pc.is_in(ledger["code"], pa.array(codes, pa.uint16())))
    live = np.ones(starts[-1], dtype=bool)
    live[starts[gone["part"].to_numpy()] + gone["row"].to_numpy()] = False
    return live


def leaks_at_random(folder: Path) -> tuple[tuple[str, str, str], Path]:
    """Count the rows that a split at random puts on both sides: (name, value, meaning), and the page of pairs."""
    table = folder / "run" / "tables" / "at-random"
    found = leaks(table, by="random_split", vectors="none", pictures=True)
    page = write_leaks(found, folder / "leaks.html")
    words = "test rows that are in training, too, after a split at random: equal perceptual hash, see leaks.html"
    return ("leaks of a random split", f"{found.rows:,}", words), page


def _share(rows: pa.Table, column: str) -> str:
    right = pc.sum(pc.fill_null(pc.equal(rows[column], rows["kind"]), False)).as_py() or 0
    return f"{right / rows.num_rows:.3f}"


def _copies_across(kept: pa.Table) -> int:
    split = dict(zip(kept["uid"].to_pylist(), kept["split"].to_pylist(), strict=True))
    pairs = zip(kept["uid"].to_pylist(), kept["duplicate_of"].to_pylist(), strict=True)
    return sum(original in split and split[uid] != split[original] for uid, original in pairs if original is not None)
