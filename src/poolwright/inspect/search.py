"""Search: the rows of a finished table that are nearest to a prompt, or to an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import BUCKET, UID, is_vector
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.search_result import Contest, Ranked, SearchResult
from poolwright.core.table import Table
from poolwright.kernels.similarity.exact_matmul import grid_products, prompts_on_grid
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.models.encoders.load import load_encoder
from poolwright.models.texts.text_features import encode_classes, read_features
from poolwright.recipe.recipe import Recipe
from poolwright.steps.describe.embed import Embed
from poolwright.steps.describe.vector_columns import check_encoder, vector_column

_BATCH_ROWS = 16_384
_DEEPER = (3, 10, 30, 100, 300, 1000)
_EACH_DEEPER = 8
_NEIGHBOURS = 24


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes:
        prompt: a text; None where only `like` is given.
        against: a second text, to compete with the first.
        like: uid of a row whose neighbours are wanted; None takes the nearest row to the prompt.
        bucket: only rows of this bucket.
        n: rows wanted.
    """

    prompt: str | None
    against: str | None = None
    like: str | None = None
    bucket: str | None = None
    n: int = 50


def search(
    table: Table,
    query: Query,
    encoders: Mapping[str, EncoderSpec],
    column: str | None = None,
    features: Path | None = None,
) -> SearchResult:
    """Search all rows of a table, exactly.

    Holds four bytes a row and prompt, and eight a row.

    Args:
        encoders: by column of vectors, those that are known.
        column: of the vectors; default the first whose encoder is known, or the first.
        features: ready text features of the prompts, instead of an encoder.

    Raises:
        RecipeError: nothing is asked for, or there is no such column, bucket or encoder.
        InputError: the table has no such row, or none to search.
    """
    if query.prompt is None and query.like is None:
        raise RecipeError("search: give a prompt, or the uid of an image with --like")
    if not all(text.strip() for text in (query.prompt, query.against) if text is not None):
        raise RecipeError("search: the prompt is empty; write a text such as 'a photo of a map'")
    if query.against is not None and query.prompt is None:
        raise RecipeError("search: --against needs a prompt to compete with")
    name = _column(table, column, encoders)
    liked = None if query.like is None else _vector_of(table, name, query.like)
    texts = [text for text in (query.prompt, query.against) if text is not None]
    vectors = _text_vectors(table, name, texts, encoders.get(name), features) if texts else liked
    places, scores = _scan(table, name, vectors, query.bucket)
    if not len(places):
        within = f" in bucket {query.bucket}" if query.bucket is not None else ""
        raise InputError(f"{table.name}: no row{within} has a vector in '{name}' to search by")
    order = np.argsort(-scores[0], kind="stable")
    nearest = _ranked(places, scores[0], order, 1, query.n)
    like = query.like or str(_uid_at(table, nearest.places[0]))
    liked = _vector_of(table, name, like) if liked is None else liked
    around, near = _scan(table, name, liked, None) if texts else (places, scores)
    return SearchResult(
        table=table.name,
        column=name,
        within="" if query.bucket is None else f"bucket {query.bucket}",
        prompt=query.prompt or "",
        rows=len(places),
        nearest=nearest,
        deeper=_deeper(places, scores[0], order, query.n),
        all_scores=scores[0][order],
        like=like,
        neighbours=_ranked(around, near[0], np.argsort(-near[0], kind="stable"), 1, _NEIGHBOURS),
        contest=_contest(places, scores, query) if query.against is not None else None,
    )


def encoders_of(recipe: Recipe) -> dict[str, EncoderSpec]:
    """The encoders that a recipe names for columns of vectors; those of image vectors first."""
    found: dict[str, EncoderSpec] = {}
    steps = [placed.step for table in recipe.tables.values() for placed in table.steps]
    for step in sorted(steps, key=lambda step: not isinstance(step, Embed)):
        model = getattr(step, "model", None)
        for name in ("image", "with_", "of", "text"):
            column = getattr(step, name, None)
            if isinstance(model, EncoderSpec) and isinstance(column, str):
                found.setdefault(column, model)
    return found


def _column(table: Table, column: str | None, encoders: Mapping[str, EncoderSpec]) -> str:
    """The column of vectors to search."""
    schema = table.schema
    if column is not None:
        vector_column(schema, column, "search")
        return column
    vectors: list[str] = [field.name for field in schema if is_vector(field.type)]
    if not vectors:
        others = "search a table before keep_columns"
        raise RecipeError(f"search: table '{table.name}' has no column of vectors; {others}, with --table")
    known = [name for name in encoders if name in vectors]
    return (known or vectors)[0]


def _text_vectors(
    table: Table, column: str, texts: list[str], encoder: EncoderSpec | None, features: Path | None
) -> np.ndarray:
    """Features (p, d) of the prompts."""
    field = table.schema.field(column)
    if features is not None:
        return read_features(str(features), texts, field.type.list_size, 0)
    if encoder is None:
        raise RecipeError(
            f"search: the run names no encoder for '{column}'; name one with --model KIND:PLACE, or give ready text "
            "features with --features FILE.npy"
        )
    loaded = load_encoder(encoder)
    check_encoder(field, "the prompt", loaded)
    return encode_classes(loaded, texts, [[text] for text in texts])


def _scan(table: Table, column: str, vectors: np.ndarray | None, bucket: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of the rows that have a vector, and their cosines (p, n) to `vectors`."""
    if bucket is not None and BUCKET not in table.schema.names:
        raise RecipeError(f"search: table '{table.name}' has no column '{BUCKET}'; make one with the step bucket")
    prompts = prompts_on_grid(unit_rows(np.atleast_2d(vectors if vectors is not None else []), np.float64)).astype(
        np.float64
    )
    places, scores, start = [np.empty(0, np.int64)], [np.empty((len(prompts), 0), np.float32)], 0
    columns = [column] if bucket is None else [column, BUCKET]
    seen: set[str] = set()
    for rows in table.batches(columns, _BATCH_ROWS):
        products, inside = grid_products(rows.vectors(column), prompts)
        if bucket is not None:
            texts = rows.column(BUCKET).cast(pa.string())
            seen.update(text for text in pc.unique(texts).to_pylist() if text is not None)
            inside &= pc.fill_null(pc.equal(texts, bucket), False).to_numpy(zero_copy_only=False)
        places.append(start + np.flatnonzero(inside))
        scores.append(products[:, inside])
        start += len(rows)
    if bucket is not None and bucket not in seen:
        raise RecipeError(f"search: table '{table.name}' has no bucket '{bucket}'; {did_you_mean(bucket, seen)}")
    return np.concatenate(places), np.concatenate(scores, axis=1)


def _vector_of(table: Table, column: str, uid: str) -> np.ndarray:
    """The vector (d,) of a row."""
    for rows in table.batches([UID, column], _BATCH_ROWS):
        here = np.flatnonzero(pc.equal(rows.column(UID), uid).to_numpy(zero_copy_only=False))
        if len(here):
            vector = rows.slice(int(here[0]), 1).vectors(column)[0].astype(np.float64)
            if not np.isfinite(vector).all() or not vector.any():
                raise InputError(f"{table.name}: '{uid}' has no usable vector in '{column}'")
            return np.asarray(vector)
    raise InputError(f"{table.name}: no row '{uid}' was kept; look for it with: poolwright why RUN {uid}")


def _uid_at(table: Table, place: int) -> Any:
    for rows in table.batches([UID], _BATCH_ROWS):
        if place < len(rows):
            return rows.column(UID)[place].as_py()
        place -= len(rows)
    raise InputError(f"{table.name}: it has fewer rows than its record says; run the recipe again")


def _ranked(places: np.ndarray, scores: np.ndarray, order: np.ndarray, first: int, count: int) -> Ranked:
    """So many rows of an order, from rank `first` on."""
    rows = order[first - 1 : first - 1 + count]
    return Ranked(tuple(places[rows].tolist()), tuple(scores[rows].tolist()), first)


def _deeper(places: np.ndarray, scores: np.ndarray, order: np.ndarray, n: int) -> tuple[Ranked, ...]:
    """A few rows at ranks ever further down, and the last of all."""
    ranks = [times * n for times in _DEEPER if times * n + _EACH_DEEPER < len(order)]
    if len(order) > n + _EACH_DEEPER:
        ranks.append(len(order) - _EACH_DEEPER + 1)
    return tuple(_ranked(places, scores, order, rank, _EACH_DEEPER) for rank in ranks)


def _contest(places: np.ndarray, scores: np.ndarray, query: Query) -> Contest:
    first, second = scores
    near = [set(np.argsort(-score, kind="stable")[: query.n].tolist()) for score in scores]
    both, either = sorted(near[0] & near[1]), np.array(sorted(near[0] | near[1]))
    closest = either[np.argsort(np.abs(first[either] - second[either]), kind="stable")]
    # A draw goes to the first, as in `retrieve`.
    won = int((first[both] >= second[both]).sum())
    everywhere = int((first >= second).sum())
    return Contest(
        other=query.against or "",
        everywhere=(everywhere, len(first) - everywhere),
        alone=(len(near[0] - near[1]), len(near[1] - near[0])),
        both=len(both),
        won=(won, len(both) - won),
        places=tuple(places[closest].tolist()),
        scores=tuple(zip(first[closest].tolist(), second[closest].tolist(), strict=True)),
    )
