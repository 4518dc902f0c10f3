"""Check vector columns, and the models that made them, for the steps that compare vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from poolwright.core.columns import is_vector, same_space, vector_field, vector_model
from poolwright.core.encoder import Encoder
from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.files import sha256_file
from poolwright.core.remote.files import local_file
from poolwright.core.step import Reason

NO_VECTOR = Reason("no_vector", "no usable vector: null, not finite or zero", bad=True)


def vector_column(given: pa.Schema, name: str, verb: str) -> pa.Field:
    """Return the field of a vector column.

    Raises:
        StepError: there is no such column, or it does not hold vectors of one width.
    """
    if name not in given.names:
        vectors = [field.name for field in given if is_vector(field.type)]
        raise StepError(f"{verb}: no column '{name}'; {did_you_mean(name, vectors or given.names)}")
    field = given.field(name)
    if not is_vector(field.type):
        raise StepError(
            f"{verb}: column '{name}' is {field.type}, not vectors; give it fixed-size lists of floats, as 'embed' does"
        )
    return field


def check_encoder(field: pa.Field, of: str, encoder: Encoder) -> None:
    """Check that what an encoder makes may be compared with a column.

    Args:
        of: the encoder's inputs for the error, such as 'label texts'.

    Raises:
        StepError: the widths differ, or the column is known to be of another model or other weights.
    """
    made_by = vector_model(field)
    # A source may name the model of its vectors and know nothing of the weights.
    weights = encoder.weights if made_by is None or made_by[1] else ""
    same_space(field, vector_field(of, encoder.width, encoder.name, weights))


def check_features(field: pa.Field, model: str | None, path: str) -> None:
    """Check that precomputed text features are of the model that made a column, if both are known.

    Raises:
        StepError: they are not.
    """
    made_by = vector_model(field)
    if model and made_by and made_by[0] != model:
        raise StepError(
            f"'{field.name}' was made by {made_by[0]} and {path} by {model} (features_model); "
            "vectors of two models must not be mixed in one similarity"
        )


def features_record(path: str) -> dict[str, str]:
    """Return the record of a features file for a state: its name and SHA-256."""
    return {"features": Path(path).name, "features_sha256": sha256_file(local_file(path))}


def without_direction(similarity: np.ndarray, *vectors: np.ndarray) -> np.ndarray:
    """Find rows without a similarity to anything: one of their vectors is NaN, infinite or all zeros.

    Args:
        similarity: (n,), NaN where a vector is not finite.
        vectors: (n, d) each.

    Returns:
        bool (n,).
    """
    missing = np.isnan(similarity)
    # An inner product of exactly 0 is rare, so few rows are checked again.
    zero = np.flatnonzero(similarity == 0)
    for matrix in vectors:
        missing[zero] |= ~matrix[zero].any(axis=1)
    return np.asarray(missing)
