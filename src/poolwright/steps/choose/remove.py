"""remove: drop the rows that a list names."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from poolwright.core.step import Reason
from poolwright.steps.choose.listed import ListedStep


class Remove(ListedStep):
    """Drop the rows whose uid, URL or hash is on a list: opt-outs, takedowns, leaked test images.

    The list is in the recipe (`ids`) or in a file: text with one entry per line, csv or tsv, JSON, parquet, or npy
    (strings, integers, or DataComp's uids of two uint64).

    White space and quotation marks around an entry do not count, nor do the case and the 0x of hexadecimal numbers of
    16 and more digits; raw bytes are hexadecimal. With an integer column, 007 and 7.0 are 7. Of a URL, the scheme, the
    case of the host, the standard port, the fragment, and a query after the name of a picture file (a.jpg?w=90) do not
    count, and Flickr's static hosts are one. Entries that no row has are counted; the first are named, among up to
    2,000,000 rows each with one that comes close (same without case, marks, zeros in front, scheme and host, folder and
    extension). `check` says how many of the first 1,000 rows are on the list, or that this is not known before the run.
    The list is the state, so that a release records which rows may not come back.
    """

    verb: ClassVar[str] = "remove"
    example: ClassVar[str] = "remove: {ids: [b-17, b-23], by: uid}"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("removed", "on the list of rows to remove"),)

    def drops(self, on_list: np.ndarray) -> np.ndarray:
        return on_list.astype(np.uint8)
