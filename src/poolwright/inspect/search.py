"""Searches the rows of a finished table by cosine with a text, a class of the vocabulary, or another row's vector.

The CLI, the API and the studio share this search. Its scores are those that the step `similarity` would give, so a
threshold found by looking can become a step.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from poolwright.core.columns import BUCKET, SIMILARITY, UID, vector_model
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.files import write_atomically
from poolwright.core.results.search_result import Query, SearchResult
from poolwright.inspect.search_texts import encoders_for, text_classes, text_encoder
from poolwright.inspect.views.vectors import VectorRows, scores, vector_columns, vectors_at
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows
from poolwright.models.encoders.load import load_encoder, peek
from poolwright.models.texts.text_features import encode_classes, read_features
from poolwright.steps.describe.vector_columns import check_encoder, vector_column

SCORE = "search score"
"""Column of a searched view; no recipe has a column of this name."""

QUERIES = "queries"

Float32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


class _Sought(NamedTuple):
    """Features (p, d) of unit length; the encoder as the recipe writes it; the first feature as it was given."""

    features: Float32
    model: Any
    given: npt.NDArray[np.floating]


def search(rows: VectorRows, query: Query) -> SearchResult:
    """Score all rows that have a vector, exactly.

    The vectors are read once, or twice to find a row's neighbours. Memory is four bytes per row and feature. Nothing is
    written.

    Args:
        rows: a view, or `TableRows`: the kept rows without an index.
        query: the query.

    Raises:
        RecipeError: the query is empty, or there is no such column, bucket, encoder or class.
        InputError: there is no such row, or no row to search.
        MissingExtra: the library that runs the encoder is not installed.
    """
    _check(query)
    column = _column(rows, query)
    liked = None if query.like is None else _vector_of(rows, column, query.like)
    sought = _of_texts(rows, column, query) if query.prompt is not None else _of_vector(liked)
    also = query.neighbours > 0 and liked is not None and query.prompt is not None
    features = np.concatenate([sought.features, _of_vector(liked).features]) if also else sought.features
    inside = None if query.bucket is None else _in_bucket(rows, query.bucket)
    found = scores(rows, column, features)
    texts = found[: len(sought.features)]
    if inside is not None:
        texts[:, ~inside] = np.nan
    if not np.isfinite(texts[0]).any():
        within = f" in bucket {query.bucket}" if query.bucket is not None else ""
        raise InputError(f"{rows.table.name}: no row{within} has a vector in '{column}' to search by")
    like, near = _neighbours(rows, column, query, found, len(sought.features))
    rival = texts[1] if query.against is not None else None
    name = rows.table.name
    return SearchResult(name, column, query, features[0], sought.model, sought.given, texts[0], rival, like, near)


def _check(query: Query) -> None:
    if query.prompt is None and query.like is None:
        raise RecipeError("search: give a prompt, or the uid of an image with --like")
    if not all(text.strip() for text in (query.prompt, query.against) if text is not None):
        raise RecipeError("search: the prompt is empty; write what to look for, such as 'a photo of a map'")
    if query.against is not None and query.prompt is None:
        raise RecipeError("search: --against needs a prompt to compete with")


def _column(rows: VectorRows, query: Query) -> str:
    """Return the column of vectors to search."""
    schema, known = rows.table.schema, vector_columns(rows)
    if query.column is not None:
        return str(vector_column(schema, query.column, "search").name)
    if not known:
        raise RecipeError(
            f"search: table '{rows.table.name}' has no column of vectors; search a table before keep_columns, "
            "with --table"
        )
    if query.prompt is None or query.model is not None or query.features is not None:
        return known[0]
    return next((name for name in known if text_encoder(rows.run, schema.field(name))), known[0])


def _of_texts(rows: VectorRows, column: str, query: Query) -> _Sought:
    """Return the features of the prompts: ready ones, or by an encoder, or those of classes of these names."""
    texts = [text.strip() for text in (query.prompt, query.against) if text is not None]
    field = rows.table.schema.field(column)
    if query.features is not None:
        features = read_features(str(query.features), texts, field.type.list_size, 0)
        return _Sought(features, None, np.atleast_2d(np.load(query.features, mmap_mode="r"))[0])
    known = text_encoder(rows.run, field) if query.model is None else (query.model, query.model.model)
    if known is None:
        given = np.stack([_of_class(rows, column, text) for text in texts])
        return _Sought(unit_rows(given), None, given[0])
    encoder = load_encoder(known[0])
    check_encoder(field, "the prompt", encoder)
    features = encode_classes(encoder, texts, [[text] for text in texts])
    return _Sought(features, known[1], features[0])


def _of_class(rows: VectorRows, column: str, text: str) -> Float32:
    """Return the feature (d,) of a class of the vocabulary."""
    classes = text_classes(rows.run, column)
    for name, feature in classes.items():
        if name.lower() == text.lower():
            return feature
    for _, spec in encoders_for(rows.run, column)[0]:
        peek(spec)  # one that cannot be read says why
    text = f"search: the run names no encoder for '{column}' that encodes texts"
    if classes:
        text += f", and its {len(classes):,} classes have no '{text}': search for the name of a class"
    raise RecipeError(
        f"{text}; name an encoder with --model KIND:MODEL, give ready text features with --features FILE.npy, or look "
        "for more like a row"
    )


def _of_vector(vector: npt.NDArray[np.floating] | None) -> _Sought:
    if vector is None:
        raise RecipeError("search: give a prompt, or the uid of an image with --like")
    return _Sought(unit_rows(vector[None, :]), None, vector)


def _vector_of(rows: VectorRows, column: str, uid: str) -> Float32:
    """Return the vector (d,) of a row."""
    vector = vectors_at(rows, column, np.array([rows.position_of(uid)]))[0].astype(np.float32)
    if not has_direction(vector[None, :])[0]:
        raise InputError(f"{rows.table.name}: '{uid}' has no usable vector in '{column}' to look for others by")
    return np.asarray(vector)


def _neighbours(rows: VectorRows, column: str, query: Query, found: Float32, texts: int) -> tuple[str, Float32 | None]:
    """Return the row whose neighbours are wanted, by default the nearest to the prompt, and its vector's scores."""
    if not query.neighbours:
        return query.like or "", None
    if query.like is not None:
        return query.like, found[texts] if len(found) > texts else found[0]
    nearest = int(np.nanargmax(found[0]))
    vector = vectors_at(rows, column, np.array([nearest]))[0].astype(np.float32)
    return _uid_at(rows, nearest), scores(rows, column, _of_vector(vector).features)[0]


def _uid_at(rows: VectorRows, position: int) -> str:
    for uids in rows.values(UID):
        if position < len(uids):
            return str(uids[position].as_py())
        position -= len(uids)
    raise InputError(f"{rows.table.name}: it has fewer rows than its record says; run the recipe again")


def _in_bucket(rows: VectorRows, bucket: str) -> Bools:
    """Return bool (rows,): which rows are in a bucket."""
    name = rows.table.name
    if BUCKET not in rows.table.schema.names:
        raise RecipeError(f"search: table '{name}' has no column '{BUCKET}'; make one with the step bucket")
    known, found = _equal_to(rows.values(BUCKET), bucket)
    if bucket not in known:
        raise RecipeError(f"search: table '{name}' has no bucket '{bucket}'; {did_you_mean(bucket, known)}")
    return found


def _equal_to(pieces: Iterable[pa.Array], text: str) -> tuple[set[str], Bools]:
    """Return the values that occur, as texts, and which rows have the value `text`."""
    known: set[str] = set()
    found = [np.empty(0, bool)]
    for piece in pieces:
        texts = piece.cast(pa.string())
        known.update(value for value in pc.unique(texts).to_pylist() if value is not None)
        found.append(pc.fill_null(pc.equal(texts, text), False).to_numpy(zero_copy_only=False))
    return known, np.concatenate(found)


def search_steps(rows: VectorRows, found: SearchResult, threshold: float | None = None, n: int | None = None) -> str:
    """Return the steps that make the same cut, as YAML for a recipe.

    A feature that does not come from an encoder is stored in the run folder, so that the step can name it.

    Args:
        rows: the rows that were searched.
        found: the result of `search`.
        threshold: lowest score to keep.
        n: number of rows with the highest scores to keep, instead of a threshold.
    """
    into = _into(rows)
    parameters: dict[str, Any] = {"of": found.column}
    if found.model is not None:
        parameters |= {"prompt": found.prompt.strip(), "model": found.model}
    else:
        parameters |= {"features": _kept_feature(rows, found.given)}
    parameters["into"] = into
    made_by = vector_model(rows.table.schema.field(found.column))
    if found.model is None and made_by:
        parameters["features_model"] = made_by[0]
    steps = [_step("similarity", parameters)]
    if n is not None:
        steps.append(_step("top", {"by": into, "n": n}))
    elif threshold is not None:
        steps.append(_step("where", f"{into} >= {threshold!r}"))
    return "\n".join(steps) + "\n"


def _kept_feature(rows: VectorRows, vector: npt.NDArray[np.floating]) -> str:
    """Store a feature; return its file as a recipe writes it: relative to the recipe's folder if it is below."""
    exact = np.ascontiguousarray(vector)
    path = rows.folder / QUERIES / f"{hashlib.sha256(exact.tobytes()).hexdigest()[:16]}.npy"
    if not path.exists():
        write_atomically(path, lambda out: np.save(out, exact))
    folder, whole = rows.run.recipe.folder, path.resolve()
    return os.path.relpath(whole, folder) if whole.is_relative_to(folder) else str(whole)


def _into(rows: VectorRows) -> str:
    """Return the name of a column that the table does not have yet, for the similarities of a query."""
    taken = rows.table.schema.names
    return next(name for name in (SIMILARITY, "match", *(f"match_{n}" for n in range(2, 99))) if name not in taken)


def _step(verb: str, parameters: Any) -> str:
    text = yaml.safe_dump(
        {verb: parameters}, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 20
    )
    return f"- {text.strip()[1:-1]}"
