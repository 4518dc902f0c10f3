"""Decide which row of a group stays, and how alike the others are to it; the state of the step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, one_array
from poolwright.core.state import State
from poolwright.kernels.selection.ranks import ALL, Ranking
from poolwright.steps.describe.duplicates.members import central_cosines, cosines_with
from poolwright.steps.describe.duplicates.vectors import VectorLinks

MEMBERS = "members"


@dataclass(frozen=True)
class Grouping:
    """Rows and their groups.

    Attributes:
        frame: all rows.
        table: rows in order of their uid, those of all groups among them.
        first: int64 (n,), the first row of each row's group.
        keep: see `NearDuplicates`.
        by: likewise.
        compared: how vectors are compared; None if they are not.
        hashes: uint64 (n, w) hash of each row, and bool (n,) which of them say something; None without hashes.
    """

    frame: Frame
    table: pa.Table
    first: np.ndarray
    keep: str
    by: str | None
    compared: VectorLinks | None
    hashes: tuple[np.ndarray, np.ndarray] | None

    @cached_property
    def sizes(self) -> np.ndarray:
        """int64 (n,), rows of each row's group."""
        return np.asarray(np.bincount(self.first, minlength=len(self.first))[self.first])

    @cached_property
    def members(self) -> np.ndarray:
        """The rows of groups of two and more."""
        return np.flatnonzero(self.sizes > 1)

    @cached_property
    def uids(self) -> pa.Array:
        """Of the members."""
        return one_array(self.table.column(UID)).take(pa.array(self.members))

    @cached_property
    def twin(self) -> np.ndarray:
        """int64 (m,), the member that stays of each member's group; the first if all do."""
        group = np.searchsorted(self.members, self.first[self.members])
        if self.keep in ("all", "first"):
            return np.asarray(group, np.int64)
        ranked = np.lexsort((np.arange(len(group)), self._ranking(), group))
        begins = np.append(True, np.diff(group[ranked]) > 0)[: len(group)]
        best = np.empty(len(group), np.int64)
        best[group[ranked[begins]]] = ranked[begins]
        return np.asarray(best[group], np.int64)

    def _ranking(self) -> np.ndarray:
        """Return a number of each member, the lowest that of the row that stays."""
        if self.by is not None:
            keys, valid = Ranking(self.by, False, 0).keys(Rows(self.table.take(pa.array(self.members))))
            return np.asarray(np.where(valid, keys, ALL))
        compared = self.compared
        if compared is None or compared.cells is None:
            return np.zeros(len(self.members))
        cosine = central_cosines(self.frame, compared.column, self.uids, compared.cells)
        return np.asarray(np.where(np.isnan(cosine), np.inf, cosine if self.keep == "far" else -cosine))

    def likeness(self) -> dict[str, pa.Array]:
        """Return the cosine of each member with its twin and the bits between their hashes, null if unknown."""
        other = self.twin != np.arange(len(self.twin))
        cosine, bits = np.full(len(other), np.nan), np.zeros(len(other), np.uint16)
        known = np.zeros(len(other), bool)
        if self.compared is not None and len(other):
            cosine = cosines_with(self.frame, self.compared.column, self.uids, self.twin)
        if self.hashes is not None:
            hashes, valid = (values[self.members] for values in self.hashes)
            bits = np.bitwise_count(hashes ^ hashes[self.twin]).sum(axis=1, dtype=np.uint16)
            known = other & valid & valid[self.twin]
        rounded = np.round(cosine, 6)
        return {"cosine": pa.array(rounded, mask=np.isnan(cosine)), "bits": pa.array(bits, mask=~known)}


def as_state(grouping: Grouping, values: dict[str, Any]) -> State:
    """Return the state of the step. Rows come in order of their uid, so the first of a group is its name."""
    members, uids, twin = grouping.members, grouping.uids, grouping.twin
    drop = (twin != np.arange(len(twin))).astype(np.uint8) * np.uint8(grouping.keep != "all")
    groups = one_array(grouping.table.column(UID)).take(pa.array(grouping.first[members]))
    columns = {UID: uids, "group": groups, "drop": pa.array(drop), "twin": uids.take(pa.array(twin))}
    counted = {
        "members": len(members),
        "groups": len(np.unique(grouping.first[members])),
        "largest": int(grouping.sizes.max(initial=0)) if len(members) else 0,
        "dropped": int(drop.sum()),
    }
    return State({**values, **counted}, mapped={MEMBERS: pa.table({**columns, **grouping.likeness()})})
