"""Makes the map: a point in the plane for rows that have vectors, computed once and stored with the index.

Of more than `MOST_POINTS` rows, those with the smallest hashes of their uid are on the map. `pca` takes seconds and is
always available; `tsne` takes minutes and needs the extra `tsne`. Both give the same points for the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError, MissingExtra
from poolwright.core.files import write_atomically
from poolwright.inspect.views.build import RANK
from poolwright.inspect.views.vectors import vector_field, vectors_at, with_vectors
from poolwright.inspect.views.view import View
from poolwright.kernels.clusters.pca import principal_components
from poolwright.kernels.similarity.unit_length import has_direction

Method = Literal["pca", "tsne"]
METHODS: tuple[Method, ...] = ("pca", "tsne")

MOST_POINTS = 100_000
SEED = 2026
_COMPONENTS = 50  # principal components that t-SNE receives, as its authors advise
_LEAST = 4  # fewest points that t-SNE works on

Float32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Projection:
    """Points of rows in the plane.

    Attributes:
        column: the column of vectors.
        method: the method that computed them.
        positions: int64 (n,), ascending.
        coordinates: float32 (n, 2), within -1 to 1.
        of: rows of parts that have vectors, on the map or not.
    """

    column: str
    method: Method
    positions: Integers
    coordinates: Float32
    of: int


def map_file(view: View, column: str, method: Method) -> Path:
    """Return the file of a map."""
    number = [field.name for field in view.table.schema].index(column)
    return view.folder / f"map-{number:03d}-{method}.npz"


def known_projection(view: View, column: str, method: Method) -> Projection | None:
    """Return the map if it was made before, else None."""
    vector_field(view, column)
    path = map_file(view, column, method)
    if not path.exists():
        return None
    with np.load(path) as kept:
        return Projection(column, method, kept["positions"], kept["places"], int(kept["of"]))


def project(view: View, column: str, method: Method = "pca", most: int = MOST_POINTS) -> Projection:
    """Return the map of a table by a column of vectors; it is made if it does not exist.

    Memory is that of the vectors on the map.

    Raises:
        InputError: no such column, or fewer than two rows have a usable vector.
        MissingExtra: openTSNE is not installed, for `tsne`.
    """
    found = known_projection(view, column, method)
    if found is not None:
        return found
    if method == "tsne" and find_spec("openTSNE") is None:
        raise MissingExtra("openTSNE", "a map by t-SNE")
    positions, of = _sampled(view, column, most)
    vectors = vectors_at(view, column, positions)
    usable = has_direction(vectors)
    positions, vectors = positions[usable], vectors[usable]
    if len(positions) < (2 if method == "pca" else _LEAST):
        raise InputError(
            f"{len(positions)} rows of table '{view.name}' have a usable vector '{column}': too few to draw"
        )
    flat = principal_components(vectors, 2 if method == "pca" else _COMPONENTS)
    coordinates = _within(flat if method == "pca" else _tsne(flat))
    path = map_file(view, column, method)
    write_atomically(path, lambda out: _save(out, positions, coordinates, of))
    return Projection(column, method, positions, coordinates, of)


def _save(out: Any, positions: Integers, coordinates: Float32, of: int) -> None:
    np.savez(out, positions=positions, places=coordinates, of=np.int64(of))


def _sampled(view: View, column: str, most: int) -> tuple[Integers, int]:
    """Return positions of the rows with the smallest hashes, ascending, and the number they were drawn from."""
    ranks = view.column(RANK)
    segments = with_vectors(view, column)
    positions = np.concatenate(
        [np.empty(0, np.int64), *(np.arange(one.start, one.start + one.rows) for one in segments)]
    )
    if len(positions) <= most:
        return positions, len(positions)
    hashes = np.asarray(ranks.take(positions))
    chosen = np.argpartition(hashes, most)[:most]
    return np.sort(positions[chosen]), len(positions)


def _tsne(vectors: Float32) -> npt.NDArray[np.float64]:
    """Run t-SNE (van der Maaten and Hinton 2008) by openTSNE, initialised with the first principal components."""
    from openTSNE import TSNE

    first = vectors[:, :2].astype(np.float64)
    first = first / (first[:, 0].std() or 1.0) * 1e-4
    perplexity = min(30.0, max(1.0, (len(vectors) - 1) / 3))
    made = TSNE(perplexity=perplexity, initialization=first, random_state=SEED, n_jobs=1)
    return np.asarray(made.fit(vectors), np.float64)


def _within(points: npt.NDArray[np.floating]) -> Float32:
    """Scale points so that their middle is at 0 and their longer side spans -1 to 1."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = float((high - low).max()) / 2 or 1.0
    return np.asarray((points - (low + high) / 2) / half, np.float32)
