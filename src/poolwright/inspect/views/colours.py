"""Assigns colours to points on a map: a code from 0 to 255 per row, and the meanings of the codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.inspect.views.store import as_numbers
from poolwright.inspect.views.view import View

MOST_HUES = 12
SHADES = 64
OTHER, NOTHING = 250, 251
"""Codes of values that are not among the most frequent, and of no value."""


@dataclass(frozen=True)
class Hue:
    """The meaning of a code: a value with its rows on the map; for numbers, the value that the code begins at."""

    code: int
    words: str | None
    rows: int


@dataclass(frozen=True)
class Colours:
    """Codes of points.

    Attributes:
        column: the column whose values they stand for.
        shades: whether codes are numbers from low to high, in `SHADES` steps, rather than values.
        codes: uint8 (n,).
        hues: meanings of the codes; for shades the two ends.
    """

    column: str
    shades: bool
    codes: npt.NDArray[np.uint8]
    hues: tuple[Hue, ...]


def colours(view: View, column: str, positions: npt.NDArray[np.int64]) -> Colours:
    """Assign colours to some rows by a facet or a column of numbers.

    Raises:
        InputError: the column is neither.
    """
    found = view.column(column)
    if found.facet:
        return _by_value(column, found.names, found.codes_at(positions))
    if not found.orderable:
        raise InputError(f"'{column}' has too many different values to colour by")
    return _by_number(column, as_numbers(found.take(positions)))


def _by_value(column: str, names: list[str], values: npt.NDArray[np.int32]) -> Colours:
    rows = np.bincount(values + 1, minlength=len(names) + 1)
    order = [index for index in np.argsort(-rows[1:], kind="stable")[:MOST_HUES].tolist() if rows[index + 1]]
    code_of = np.full(len(names) + 1, OTHER, np.uint8)
    code_of[0] = NOTHING
    code_of[np.asarray(order, np.int64) + 1] = np.arange(len(order))
    codes = code_of[values + 1]
    hues = [Hue(code, names[index], int(rows[index + 1])) for code, index in enumerate(order)]
    hues += [Hue(code, None, int((codes == code).sum())) for code in (OTHER, NOTHING) if (codes == code).any()]
    return Colours(column, False, codes, tuple(hues))


def _by_number(column: str, values: npt.NDArray[np.float64]) -> Colours:
    finite = values[np.isfinite(values)]
    # The colours span the middle 98 % of the rows, so that one outlier does not use them up.
    low, high = np.quantile(finite, (0.01, 0.99)) if len(finite) else (0.0, 1.0)
    share = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    codes = np.clip(share * SHADES, 0, SHADES - 1).astype(np.uint8)
    codes[np.isnan(values)] = NOTHING
    hues = (Hue(0, repr(float(low)), len(finite)), Hue(SHADES - 1, repr(float(high)), len(finite)))
    missing = (Hue(NOTHING, None, len(values) - len(finite)),) if len(finite) < len(values) else ()
    return Colours(column, True, codes, (*hues, *missing))
