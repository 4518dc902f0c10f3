"""Read centroids from a file: .npy, or a Parquet file with a column of vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import is_vector, same_space, vector_type
from poolwright.core.errors import RecipeError
from poolwright.core.rows import one_array, vectors_of
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

_COLUMN = "centroid"


def read_centroids(path: str, field: pa.Field, unit: bool, most: int) -> npt.NDArray[np.float32]:
    """Read the centroids (k, d) of a file, as they are or scaled to unit length.

    Args:
        field: the column of vectors that will be compared with them.
        unit: whether to scale them.
        most: number of centroids that the file may hold.

    Raises:
        RecipeError: no such file, not centroids, more than `most`, or one that is not finite (unit: or zero).
        StepError: they are of another width, or known to be of another model.
    """
    try:
        vectors, found = _from_parquet(path) if path.endswith(".parquet") else _from_npy(path)
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise RecipeError(f"{path}: not centroids that can be read: {error}; give a .npy or .parquet file") from None
    same_space(field, found)
    if not 1 <= len(vectors) <= most:
        raise RecipeError(f"{path}: has {len(vectors):,} centroids; give 1 to {most:,}")
    with np.errstate(over="ignore"):
        centroids = np.ascontiguousarray(vectors, np.float32)
    usable = has_direction(centroids) if unit else np.isfinite(centroids).all(axis=1)
    if not usable.all():
        wrong = int(np.flatnonzero(~usable)[0])
        raise RecipeError(f"{path}: centroid {wrong} is {'not finite or zero' if unit else 'not finite'}")
    return unit_rows(centroids) if unit else centroids


def _from_npy(path: str) -> tuple[npt.NDArray[np.floating], pa.Field]:
    matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
        raise ValueError(f"it holds {matrix.dtype} of shape {matrix.shape}, not floats (centroids, width)")
    return matrix, pa.field(path, vector_type(matrix.shape[1]))


def _from_parquet(path: str) -> tuple[npt.NDArray[np.floating], pa.Field]:
    schema = pq.read_schema(path)
    vectors = [one.name for one in schema if is_vector(one.type)]
    name = _COLUMN if _COLUMN in vectors else vectors[0] if len(vectors) == 1 else None
    if name is None:
        raise ValueError(f"it has {len(vectors)} columns of vectors, none of them called '{_COLUMN}'")
    column = pq.read_table(path, columns=[name]).column(0)
    return vectors_of(one_array(column)), schema.field(name)
