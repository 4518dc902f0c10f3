"""keep: keep the rows that a list names."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from poolwright.core.step import Reason
from poolwright.steps.choose.listed import ListedStep


class Keep(ListedStep):
    """Keep the rows whose uid, URL or hash is on a list, such as a published subset; drop all others.

    Lists are read and compared as by `remove`. Entries that no row has are counted, the first named.
    """

    verb: ClassVar[str] = "keep"
    example: ClassVar[str] = "keep: {ids: [b-17, b-23], by: uid}"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("not_listed", "not on the list of rows to keep"),)

    def drops(self, on_list: np.ndarray) -> np.ndarray:
        return (~on_list).astype(np.uint8)
