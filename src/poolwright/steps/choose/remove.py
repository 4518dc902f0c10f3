"""remove: drop the rows that a list names."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from poolwright.core.step import Reason
from poolwright.steps.choose.listed import ListedStep


class Remove(ListedStep):
    """Drop the rows whose uid, URL or hash is on a list: opt-outs, takedowns, leaked test images.

    The list is in the recipe (`ids`) or in a file: text with one entry per line, csv or tsv, JSON, parquet, or npy
    (strings, integers, or DataComp's uids of two uint64). Spellings that differ only in white space, in the case of
    hexadecimal digits, or in the scheme and host's case of a URL are equal; see docs/steps.md. Entries that no row has
    are counted and named. The list is the state, so that a release records which rows may not come back.
    """

    verb: ClassVar[str] = "remove"
    example: ClassVar[str] = "remove: {ids: [b-17, b-23], by: uid}"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("removed", "on the list of rows to remove"),)

    def drops(self, on_list: np.ndarray) -> np.ndarray:
        return on_list.astype(np.uint8)
