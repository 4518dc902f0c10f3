"""Finds the features of texts to search by: from encoders that a recipe names, and from classes of its vocabularies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.columns import vector_model
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import PoolwrightError
from poolwright.core.rows import one_array, vectors_of
from poolwright.core.state import State
from poolwright.core.table import RECORD
from poolwright.models.encoders.load import peek
from poolwright.models.texts.text_features import FEATURE, KIND, NAME, VOCABULARY
from poolwright.recipe.tables import StepSpec
from poolwright.run.run import Run

Float32 = npt.NDArray[np.float32]


def text_encoder(run: Run, field: pa.Field) -> tuple[EncoderSpec, Any] | None:
    """Return the encoder that the recipe names for a vector column, if it encodes texts, and as it is written."""
    about, others = encoders_for(run, field.name)
    for placed, spec in [*about, *(others if vector_model(field) else [])]:
        if _encodes(spec, field):
            return spec, _as_written(placed, spec)
    return None


def encoders_for(
    run: Run, column: str
) -> tuple[list[tuple[StepSpec, EncoderSpec]], list[tuple[StepSpec, EncoderSpec]]]:
    """Return the encoders of the recipe: those of steps that name a column, and the others."""
    about: list[tuple[StepSpec, EncoderSpec]] = []
    others: list[tuple[StepSpec, EncoderSpec]] = []
    for placed, spec in _encoders(run):
        parameters = placed.step.model_dump(by_alias=True)
        strings = {value for value in parameters.values() if isinstance(value, str)}
        (about if column in strings else others).append((placed, spec))
    return about, others


def _encoders(run: Run) -> Iterator[tuple[StepSpec, EncoderSpec]]:
    for table in run.recipe.tables.values():
        for placed in table.steps:
            yield from ((placed, spec) for spec in placed.encoders)


def _encodes(spec: EncoderSpec, field: pa.Field) -> bool:
    try:
        seen = peek(spec)
    except PoolwrightError:
        return False
    made_by = vector_model(field)
    if not seen.texts or seen.width != field.type.list_size:
        return False
    return made_by is None or (
        made_by[0] == seen.name and (made_by[1] == seen.weights or "" in (made_by[1], seen.weights))
    )


def _as_written(placed: StepSpec, spec: EncoderSpec) -> Any:
    written = placed.parameters.get("model")
    return written if isinstance(written, str | dict) else spec.model


def text_classes(run: Run, column: str) -> dict[str, Float32]:
    """Return text features by class name, from the vocabularies that steps of the run compared a column with."""
    found: dict[str, Float32] = {}
    for name in run.recipe.tables:
        folder = run.table_folder(name)
        if not (folder / RECORD).exists():
            continue
        for step in run.table(name).record.steps:
            if step.state_kind == KIND and column in (vectors.column for vectors in step.vectors):
                found |= _read_classes(folder, step.state_name, (folder / RECORD).stat().st_mtime_ns)
    return found


@lru_cache(maxsize=8)
def _read_classes(folder: Path, state: str, version: int) -> dict[str, Float32]:
    table = State.load(folder / "states", state).tables[VOCABULARY]
    names = table.column(NAME).to_pylist()
    features = vectors_of(one_array(table.column(FEATURE)))
    return dict(zip(reversed(names), features[::-1], strict=True))  # of one name, the first class wins
