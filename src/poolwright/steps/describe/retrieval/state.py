"""Make the tables that `retrieve` learns, read its prompts and cuts from them, and put them into words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.rows import one_array, vector_array, vectors_of
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.wording import some
from poolwright.kernels.selection.groups import groups_of
from poolwright.kernels.similarity.retrieval import BucketCuts, Cut, Retrieved, WantedCounts, nothing
from poolwright.kernels.similarity.retrieval_pass import Prompts
from poolwright.models.texts.vocabulary import Vocabulary

BACKGROUND = "BACKGROUND"
PROMPTS, BUCKETS, CUTS = "prompts", "buckets", "cuts"
_FEATURE = "feature"
_CUTS = ("query", "keep", "low_query", "low_keep")


def prompt_table(vocabulary: Vocabulary, texts: Sequence[tuple[str, int]], features: np.ndarray) -> pa.Table:
    """Return the prompts with their classes and features.

    Args:
        texts: (prompt, class) each.
        features: float32 (p, d).
    """
    of_class = [index for _, index in texts]
    columns = {
        "text": pa.array([text for text, _ in texts], pa.string()),
        "class": pa.array(of_class, pa.int32()),
        "name": pa.array([vocabulary.names[index] for index in of_class], pa.string()),
        _FEATURE: vector_array(features),
    }
    return pa.table(columns)


def cut_table(found: Sequence[Retrieved], classes: int) -> pa.Table:
    """Return one row per bucket and class, by bucket: rows given, kept and of the background, and the cuts."""

    def joined(parts: Sequence[np.ndarray], kind: Any) -> pa.Array:
        return pa.array(np.concatenate([np.empty(0, kind), *parts]).astype(kind))

    columns = {
        "bucket": pa.array(np.repeat(np.arange(len(found), dtype=np.int32), classes)),
        "class": pa.array(np.tile(np.arange(classes, dtype=np.int32), len(found))),
    }
    for name in ("given", "kept", "background"):
        columns[name] = joined([getattr(one, name) for one in found], np.int64)
    for name in _CUTS:
        cuts: list[Cut] = [getattr(one, name) for one in found]
        columns[f"{name}_score"] = joined([cut.score for cut in cuts], np.float32)
        columns[f"{name}_rank"] = joined([cut.rank for cut in cuts], np.int64)
    return pa.table(columns)


def prompts_of(state: State) -> Prompts:
    """Return the prompts of a state with their features, built once per process."""

    def made(state: State) -> Prompts:
        table = state.tables[PROMPTS]
        return Prompts(vectors_of(one_array(table.column(_FEATURE))), table.column("class").to_numpy())

    return once("prompts", state, made)


def cuts_of(state: State) -> BucketCuts:
    """Return the cuts of all buckets; at the end those of id -1, no bucket, which keep no row."""

    def made(state: State) -> BucketCuts:
        table, classes = state.tables[CUTS], len(state.values["classes"])
        none = nothing(classes)

        def cut(name: str) -> Cut:
            score, rank = (table.column(f"{name}_{part}").to_numpy().reshape(-1, classes).T for part in Cut._fields)
            return Cut(np.column_stack([score, none.score]), np.column_stack([rank, none.rank]))

        return BucketCuts(*map(cut, _CUTS))

    return once("cuts", state, made)


def class_names(state: State) -> pa.Array:
    """Return the names of the classes by index, that of the background last."""
    return pa.array([*state.values["classes"], BACKGROUND], pa.string())


def list_columns(member: np.ndarray, names: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the names and indices of all classes of each row, as lists.

    Args:
        member: bool (m, n): whether row j is of class i.
    """
    indices = pa.array(np.nonzero(member.T)[1].astype(np.int32))
    ends = pa.array(np.concatenate([[0], np.cumsum(member.sum(axis=0))]).astype(np.int32))
    return pa.ListArray.from_arrays(ends, names.take(indices)), pa.ListArray.from_arrays(ends, indices)


def short_words(state: State, wanted: WantedCounts, by_bucket: bool) -> str:
    """Describe which classes have fewer images than wanted in which buckets; empty if none has."""
    cuts, classes = state.tables[CUTS], state.values["classes"]
    names = groups_of(state.tables[BUCKETS]).names()
    lacking = []
    for row in cuts.select(["bucket", "class", "given", "kept", "background"]).to_pylist():
        where = f" in bucket {names[row['bucket']]}" if by_bucket else ""
        if row["kept"] < wanted.n:
            lacking.append(f"'{classes[row['class']]}'{where} has {row['kept']:,} of {wanted.n:,}")
        if row["background"] < wanted.background:
            has = f"has {row['background']:,} of {wanted.background:,} far from '{classes[row['class']]}'"
            lacking.append(f"{BACKGROUND}{where} {has}")
    if not lacking:
        return ""
    what = "classes in buckets" if by_bucket else "classes"
    of = len(cuts) * (2 if wanted.background else 1)
    return f"{len(lacking):,} of {of:,} {what} have too few images: {some(lacking, 5)}"


def bound_words(score: float) -> str:
    if score == -np.inf:
        return "whatever the similarity"
    return "never" if score == np.inf else f"from {score:.4f}"


def texts_of(vocabulary: Vocabulary, prefix: str) -> list[tuple[str, int]]:
    """Return (prompt, class) of all classes: their prompts, or name and synonyms if a class has none."""
    return [
        (prefix + text, index)
        for index, one in enumerate(vocabulary.classes)
        for text in one.prompts or (one.name, *one.synonyms)
    ]
