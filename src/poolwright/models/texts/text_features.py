"""Make text features, one unit vector per class, encoded from prompts or read from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from poolwright.core.encoder import Encoder
from poolwright.core.errors import RecipeError
from poolwright.core.remote.files import local_file
from poolwright.kernels.similarity.unit_length import unit_rows

TEXTS_A_CALL = 1024

KIND, VOCABULARY, NAME, FEATURE = "classes", "vocabulary", "name", "feature"
"""A state of this kind holds the classes of a vocabulary: a table with their names and unit features, in order."""


def encode_classes(encoder: Encoder, names: Sequence[str], prompts: Sequence[Sequence[str]]) -> np.ndarray:
    """Return one feature per class: the normalised mean of the normalised features of its prompts, as in CLIP.

    Args:
        names: the names of the classes, for errors.
        prompts: the texts of each class, at least one.

    Returns:
        float32 (m, width), unit length.

    Raises:
        RecipeError: the model has no text encoder, or its feature of a class has no direction (NaN or zero).
    """
    blocks = [_ensemble(encoder, prompts[start:stop]) for start, stop in _blocks([len(texts) for texts in prompts])]
    return _unit(np.concatenate(blocks), names, encoder.name)


def _ensemble(encoder: Encoder, prompts: Sequence[Sequence[str]]) -> np.ndarray:
    texts = [text for of_class in prompts for text in of_class]
    vectors = unit_rows(encoder.texts(texts), np.float64, zero=np.nan)
    starts = np.cumsum([0, *(len(of_class) for of_class in prompts[:-1])])
    return np.asarray(np.add.reduceat(vectors, starts, axis=0))


def _blocks(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield runs of classes with about TEXTS_A_CALL texts, so that 21,843 x 80 prompts are never in memory at once."""
    start = texts = 0
    for index, count in enumerate(counts):
        texts += count
        if texts >= TEXTS_A_CALL or index + 1 == len(counts):
            yield start, index + 1
            start, texts = index + 1, 0


def read_features(path: str, names: Sequence[str], width: int, axis: int | None = None) -> np.ndarray:
    """Read precomputed text features from a `.npy` file, of any length.

    Args:
        names: the names of the classes; class i has row or column i.
        width: dimensions of a feature.
        axis: as in `features_axis`.

    Returns:
        float32 (m, width), unit length.

    Raises:
        RecipeError: no such file, another shape, or a feature without direction (NaN or zero).
    """
    axis = features_axis(path, len(names), width, axis)
    matrix = _open(path)
    return _unit(matrix if axis == 0 else matrix.T, names, path)


def features_axis(path: str, classes: int, width: int, axis: int | None = None) -> int:
    """Return the axis of a `.npy` file that counts the classes, from its header.

    Args:
        axis: 0 if a row is a class (classes, width), 1 if a column is (width, classes); None decides by the shape.

    Raises:
        RecipeError: no such file, another shape, or a square one without `axis`.
    """
    shape = _open(path).shape
    shapes = {0: (classes, width), 1: (width, classes)}
    fitting = [at for at, wanted in shapes.items() if shape == wanted and axis in (None, at)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RecipeError(
            f"{path}: {classes} classes of {width} dimensions; set features_axis to the axis that counts the classes: "
            "0 (a row is a class) or 1 (a column is)"
        )
    wanted_shape = " or ".join(str(wanted) for at, wanted in shapes.items() if axis in (None, at))
    raise RecipeError(
        f"{path}: shape {shape}, but {classes} classes and vectors of width {width} need {wanted_shape}; "
        "features, vocabulary and vectors must belong together"
    )


def _open(path: str) -> np.ndarray:
    """Open the array of a file without reading it; one vector (d,) as (1, d)."""
    try:
        file = local_file(path)
        if not file.is_file():
            raise FileNotFoundError
        matrix = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file of text features; check the path") from None
    except (OSError, ValueError, EOFError) as error:
        raise RecipeError(f"{path}: not a .npy file that can be read: {error}") from None
    if not isinstance(matrix, np.ndarray) or not np.issubdtype(matrix.dtype, np.floating):
        raise RecipeError(f"{path}: text features are one array of floats; save it with numpy.save")
    return matrix[None, :] if matrix.ndim == 1 else matrix


def _unit(matrix: np.ndarray, names: Sequence[str], where: str) -> np.ndarray:
    unit = unit_rows(matrix, zero=np.nan)
    broken = np.flatnonzero(np.isnan(unit).any(axis=1))
    if len(broken):
        at = int(broken[0])
        raise RecipeError(f"{where}: text feature {at} ('{names[at]}') is zero or not finite, so it has no direction")
    return unit
