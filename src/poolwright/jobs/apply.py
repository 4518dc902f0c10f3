"""Applies the steps of a release, with what they learned, to other rows: single pictures, a folder, a pool."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_PATH, UID
from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.images.formats import is_image_name
from poolwright.core.params import several
from poolwright.core.parquet import write_parquet
from poolwright.core.roles import Encoded, EncodingStep
from poolwright.pools.columns.table_plan import SUFFIXES
from poolwright.recipe.recipe import Recipe
from poolwright.recipe.released import Released, read_released
from poolwright.recipe.tables import StepSpec, TableSpec
from poolwright.registry import step_class
from poolwright.release.record import RELEASE
from poolwright.run.run import Run

POOL = "rows"


@dataclass(frozen=True)
class Application:
    """A recipe that applies a release.

    Attributes:
        recipe: the recipe, with one pool and one table.
        left_out: steps that single pictures cannot go through, as they lack the columns: verb -> columns.
    """

    recipe: Recipe
    left_out: Mapping[str, tuple[str, ...]]


def application(
    release: Path,
    inputs: Sequence[str],
    folder: Path,
    kind: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    skip: Sequence[str | int] = (),
    models: Mapping[str, Any] | None = None,
    ledger: str = "full",
) -> Application:
    """Make the recipe that applies a release to rows.

    On a pool, every step must find its columns, except those that only shape columns. Single pictures have no other
    columns, so they go through the steps that need only an image; the others are reported.

    Args:
        release: the folder of the release.
        inputs: picture files, or one folder, table file, or path of a pool.
        folder: the run folder; a list of pictures is written there.
        kind: kind of the pool, if `inputs` does not show it.
        parameters: parameters of the pool.
        skip: steps to leave out, by verb or by number from 1.
        models: encoder by column of vectors, for rows that are images.
        ledger: 'full' or 'counts'.

    Raises:
        RecipeError: no such release or input, or the rows lack what a step needs.
    """
    released = read_released(release.resolve())
    pictures = kind is None and all(is_image_name(path) for path in inputs)
    pool = _pictures(inputs, folder, released) if pictures else _pool(inputs, kind)
    applied: dict[str, Any] = {"release": str(released.folder), "skip": several(skip), "models": dict(models or {})}
    data: dict[str, Any] = {
        "recipe": 1,
        "name": released.table,
        # One unreadable picture of three is no reason to stop; in a pool it may be a warning sign.
        **({"max_bad": 1.0} if pictures else {}),
        "pools": {POOL: {**pool, **(parameters or {})}},
        "tables": {released.table: {"from": POOL, "ledger": ledger}},
    }
    schema = Run(Recipe.from_data(data), folder).pools[POOL].schema
    data["tables"][released.table]["apply"] = applied
    applied["models"] = {**_known_encoders(released, schema), **applied["models"]}
    missing = _missing(Recipe.from_data(data).tables[released.table], schema, pictures)
    left_out = {
        number: columns
        for number, columns in missing.items()
        if pictures or step_class(released.steps[number].verb).shapes_columns
    }
    applied["skip"] += [number + 1 for number in left_out]
    reported = {released.steps[number].verb: columns for number, columns in left_out.items()}
    return Application(Recipe.from_data(data), reported)


def _missing(spec: TableSpec, schema: pa.Schema, pictures: bool) -> dict[int, tuple[str, ...]]:
    """Return the columns that steps of the release need and that are missing, by the step's position in the release."""
    live, missing = schema, {}
    for placed in spec.steps:
        encoded = _encoded(placed)
        empty = {encoded.text} if pictures and encoded.image else set()
        lacking = tuple(name for name in placed.step.needs() if name not in live.names)
        if lacking and placed.learned:
            missing[placed.learned.position] = lacking
            continue
        try:
            gives = [field for field in placed.step.gives(live) if field.name not in empty]
        except PoolwrightError as error:
            raise RecipeError(f"{placed.step.verb}: {placed.words(error)}") from None
        gone = {*(field.name for field in gives), *placed.step.takes(live)}
        live = pa.schema([*(field for field in live if field.name not in gone), *gives])
    return missing


def _encoded(placed: StepSpec) -> Encoded:
    return placed.step.encoded(placed.parameters) if isinstance(placed.step, EncodingStep) else Encoded()


def _pool(inputs: Sequence[str], kind: str | None) -> dict[str, Any]:
    if kind is not None:
        if len(inputs) != 1:
            raise RecipeError(f"a pool of kind '{kind}' has one path, not {len(inputs)}")
        return {"read": kind, "path": _absolute(inputs[0])}
    if len(inputs) != 1:
        raise RecipeError("give picture files, or one folder, table or pool")
    path = _absolute(inputs[0])
    if os.path.isdir(path):
        return {"read": kind_of_folder(path), "path": path}
    if not os.path.exists(path) and "://" not in path:
        raise RecipeError(f"{path}: no such file or folder")
    return {"read": "table", "path": path}


def _pictures(inputs: Sequence[str], folder: Path, released: Released) -> dict[str, Any]:
    """Make a table of picture files, named as they were given, with nulls for texts that were embedded with images."""
    missing = [path for path in inputs if not os.path.isfile(path)]
    if missing:
        raise RecipeError(f"{missing[0]}: no such file")
    paths = [os.path.abspath(path) for path in inputs]
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    files = dict(zip(inputs, paths, strict=True))
    columns: dict[str, list[str | None]] = {
        UID: list(files),
        IMAGE_PATH: [Path(os.path.relpath(path, root)).as_posix() for path in files.values()],
    }
    for step in released.steps:
        if step.encoded.image and step.encoded.text_from:
            columns[step.encoded.text_from] = [None] * len(files)
    listed = folder / "pictures.parquet"
    write_parquet(listed, pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))
    return {"read": "table", "path": str(listed), "images": root}


def kind_of_folder(path: str) -> str:
    """Return the kind of pool: 'commonpool' if shards have an .npz file, 'image_folder' if there is nothing else."""
    if os.path.isfile(os.path.join(path, RELEASE)):
        return "release"
    names = [name for _, _, files in os.walk(path) for name in files]
    stems = {os.path.splitext(name)[0] for name in names if name.endswith(".parquet")}
    if any(os.path.splitext(name)[0] in stems for name in names if name.endswith(".npz")):
        return "commonpool"
    pictures = any(is_image_name(name) for name in names)
    return "table" if not pictures and any(name.endswith(tuple(SUFFIXES)) for name in names) else "image_folder"


def _known_encoders(released: Released, schema: pa.Schema) -> dict[str, Any]:
    """Return the encoders that the release's recipe names for vectors that its steps read and image rows lack."""
    if IMAGE not in schema.names:
        return {}
    given = {step.encoded.image for step in released.steps}
    found = {}
    for column in dict.fromkeys(vector.column for step in released.steps for vector in step.learned.vectors):
        model = released.encoders.get(column)
        model = released.models.get(model, model) if isinstance(model, str) else model
        if column not in given and column not in schema.names and model and "${" not in str(model):
            found[column] = model
    return found


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def parse_models(pairs: Iterable[str]) -> dict[str, str]:
    """Parse `COLUMN=KIND:MODEL` pairs; paths are made absolute by the recipe they go into.

    Raises:
        RecipeError: one is not such a pair.
    """
    found = {}
    for pair in several(pairs):
        column, equals, model = pair.partition("=")
        if not column or not equals or ":" not in model:
            raise RecipeError(f"'{pair}' names no encoder; write COLUMN=KIND:MODEL, such as clip=onnx:models/clip")
        found[column] = model
    return found
