"""Search: the rows of a view by their cosine with a text, a class of the vocabulary, or the vector of another row.

The scores are those that the step `similarity` would give, so a threshold that was found by looking becomes a step.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from poolwright.core.columns import SIMILARITY, vector_model
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import InputError, PoolwrightError
from poolwright.core.files import write_atomically
from poolwright.core.rows import one_array, vectors_of
from poolwright.core.table import RECORD
from poolwright.inspect.views.vectors import scores, vector_field, vectors_at
from poolwright.inspect.views.view import View
from poolwright.models.encoders.load import load_encoder, peek
from poolwright.models.texts.text_features import encode_classes, read_features
from poolwright.recipe.tables import StepSpec
from poolwright.steps.describe.label import FEATURE, VOCABULARY, Label
from poolwright.steps.describe.vector_columns import check_encoder

SCORE = "search score"
"""Column of a searched view; no recipe names its columns so."""

QUERIES = "queries"

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Query:
    """What rows are held against.

    Attributes:
        column: with the vectors.
        words: what was asked, for people.
        feature: float32 (d,), unit length.
        parameters: of the step `similarity` that gives the same scores.
    """

    column: str
    words: str
    feature: Float32
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """Rows with their scores.

    Attributes:
        view: the rows, with the column `SCORE`.
        query: what they were held against.
        scored: rows that have a score.
    """

    view: View
    query: Query
    scored: int

    def steps(self, threshold: float | None = None, n: int | None = None) -> str:
        """The steps that make the same cut, as YAML for a recipe.

        Args:
            threshold: keep scores from here on.
            n: keep so many of the highest; instead of a threshold.
        """
        into = self.query.parameters["into"]
        steps = [_step("similarity", self.query.parameters)]
        if n is not None:
            steps.append(_step("top", {"by": into, "n": n}))
        elif threshold is not None:
            steps.append(_step("where", f"{into} >= {threshold!r}"))
        return "\n".join(steps) + "\n"


def search(view: View, query: Query) -> Search:
    """Score all rows of a view that have a vector. Reads the vectors once."""
    found = scores(view, query.column, query.feature)
    return Search(view.with_column(SCORE, found), query, int(np.isfinite(found).sum()))


def text_query(view: View, column: str, text: str) -> Query:
    """A query in words: encoded by the encoder that the recipe names for the vectors, or a class of the vocabulary.

    Raises:
        InputError: the run knows no text encoder of these vectors, and no class of that name.
        MissingExtra: the library that runs the encoder is not installed.
    """
    words = text.strip()
    if not words:
        raise InputError("write what to look for, such as: a red car")
    field = vector_field(view, column)
    found = text_encoder(view, column)
    if found is None:
        return _class_query(view, column, words)
    spec, model = found
    encoder = load_encoder(spec)
    check_encoder(field, "the search", encoder)
    feature = encode_classes(encoder, [words], [[words]])[0]
    return Query(column, words, feature, {"of": column, "prompt": words, "model": model, "into": into_of(view)})


def like_query(view: View, column: str, position: int) -> Query:
    """A query by the vector of a row: more like this.

    The feature is kept in the run folder, so that a recipe can name it.

    Raises:
        InputError: the row has no usable vector.
    """
    uid = str(view.read([position], ["uid"])[0]["uid"])
    vector = vectors_at(view, column, np.array([position]))[0].astype(np.float32)
    if not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"row '{uid}' has no vector '{column}' to look for others by")
    return _kept_feature(view, column, f"like {uid}", vector)


def _class_query(view: View, column: str, words: str) -> Query:
    classes = text_classes(view, column)
    for name, feature in classes.items():
        if name.lower() == words.lower():
            return _kept_feature(view, column, name, feature)
    if classes:
        raise InputError(
            f"no encoder of this run encodes texts for '{column}', and its {len(classes):,} classes have no '{words}'; "
            "search for the name of a class"
        )
    raise InputError(
        f"no encoder of this run encodes texts for '{column}', and no step labelled by it; choose a row and look for "
        "more like it"
    )


def _kept_feature(view: View, column: str, words: str, vector: npt.NDArray[np.floating]) -> Query:
    exact = np.ascontiguousarray(vector, np.float32)
    path = view.folder / QUERIES / f"{hashlib.sha256(exact.tobytes()).hexdigest()[:16]}.npy"
    if not path.exists():
        write_atomically(path, lambda out: np.save(out, exact))
    feature = read_features(str(path), [words], len(exact))[0]
    model = vector_model(vector_field(view, column))
    parameters = {"of": column, "features": _from_recipe(view, path), "into": into_of(view)}
    if model:
        parameters["features_model"] = model[0]
    return Query(column, words, feature, parameters)


def _from_recipe(view: View, path: Path) -> str:
    """A path as a recipe writes it: relative to the recipe's folder, where the file lies below."""
    folder = view.run.recipe.folder
    inside = path.resolve().is_relative_to(folder)
    return os.path.relpath(path.resolve(), folder) if inside else str(path.resolve())


def into_of(view: View) -> str:
    """A column that the table does not have yet, for the similarities of a query."""
    taken = view.table.schema.names
    return next(name for name in (SIMILARITY, "match", *(f"match_{n}" for n in range(2, 99))) if name not in taken)


def text_encoder(view: View, column: str) -> tuple[EncoderSpec, Any] | None:
    """The encoder that the recipe names for a vector column, if it encodes texts; and how it is written there."""
    field = vector_field(view, column)
    about: list[tuple[StepSpec, EncoderSpec]] = []
    others: list[tuple[StepSpec, EncoderSpec]] = []
    for placed, spec in _encoders(view):
        parameters = placed.step.model_dump(by_alias=True)
        (about if column in _strings(parameters) else others).append((placed, spec))
    for placed, spec in [*about, *(others if vector_model(field) else [])]:
        if _encodes(spec, field):
            return spec, _as_written(placed, spec)
    return None


def _encoders(view: View) -> Iterator[tuple[StepSpec, EncoderSpec]]:
    for table in view.run.recipe.tables.values():
        for placed in table.steps:
            yield from ((placed, spec) for spec in placed.encoders)


def _strings(parameters: dict[str, Any]) -> set[str]:
    return {value for value in parameters.values() if isinstance(value, str)}


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


def text_classes(view: View, column: str) -> dict[str, Float32]:
    """Text features by name of class, from what `label` steps of the run learned for a vector column."""
    found: dict[str, Float32] = {}
    for name, table in view.run.recipe.tables.items():
        folder = view.run.table_folder(name)
        if not (folder / RECORD).exists():
            continue
        for place, placed in enumerate(table.steps):
            if isinstance(placed.step, Label) and placed.step.with_ == column:
                found |= _classes_of(folder, place, (folder / RECORD).stat().st_mtime_ns, view)
    return found


def _classes_of(folder: Path, place: int, version: int, view: View) -> dict[str, Float32]:
    return _read_classes(folder, view.run.table(folder.name).record.steps[place].state_name, version)


@lru_cache(maxsize=8)
def _read_classes(folder: Path, state: str, version: int) -> dict[str, Float32]:
    from poolwright.core.state import State

    table = State.load(folder / "states", state).tables[VOCABULARY]
    names = table.column("name").to_pylist()
    features = vectors_of(one_array(table.column(FEATURE)))
    return dict(zip(reversed(names), features[::-1], strict=True))  # of one name, the first class wins, as in `label`


def _step(verb: str, parameters: Any) -> str:
    text = yaml.safe_dump(
        {verb: parameters}, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 20
    )
    return f"- {text.strip()[1:-1]}"
