"""Retrieve by rows: what `retrieve` learns, decides and says when it is given another table instead of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.errors import StepError
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.table import Table
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.clusters.group_vectors import usable_type
from poolwright.kernels.selection.group_counts import count_rows
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.similarity.nearest_rows import NearestRows, check_key, nearest_rows
from poolwright.kernels.similarity.unit_length import has_direction
from poolwright.steps.describe.retrieval.cells import SEARCHED, Queries, search_cells, words

Method = Literal["auto", "exact", "cells"]

FOUND = "found"
NOT_LIKE = 5
"""Drop code: not among the nearest of any row of the other table."""

EXACT_QUERIES, EXACT_PAIRS = 10 * SEARCHED, 10**10
"""`auto` compares all rows with up to so many of the other table, or up to so many pairs; as measuring the recall takes
an exact search of `SEARCHED` rows, cells do not pay with fewer."""

_MOST_QUERIES, _MOST_FOUND = 1_000_000, 10_000_000


@dataclass(frozen=True)
class Likeness:
    """How rows are searched; see `Retrieve`.

    Attributes:
        column: of their vectors.
        k: rows that each row of the other table finds.
        method: see `Retrieve`.
        probes: likewise.
        recall: likewise.
    """

    column: str
    k: int
    method: Method
    probes: int
    recall: float


def learn_like(frame: Frame, table: Table, vectors: str, how: Likeness, key: int) -> State:
    """Return the rows nearest to each row of another table, as a state.

    Args:
        frame: the rows to search.
        table: the other table.
        vectors: its column of vectors.
        how: how they are searched.
        key: 64-bit key of the hash ranks.

    Raises:
        StepError: the table has more rows than can be compared, or none with a usable vector.
    """
    rows, k = table.record.rows_kept, how.k
    if rows > _MOST_QUERIES or rows * k > _MOST_FOUND:
        raise StepError(
            f"retrieve: '{table.name}' has {in_rows(rows)}, and {k} are wanted for each; compared are at most "
            f"{_MOST_QUERIES:,}, to find {_MOST_FOUND:,} in all: take fewer with `sample`, or a lower k"
        )
    uids, queries = _queries(table, vectors)
    if not len(queries):
        raise StepError(f"retrieve: '{table.name}' has no row with a usable vector in '{vectors}' to retrieve by")
    nearest, searched = _search(frame, Queries(uids, queries, k, key), how)
    found, several = _found(nearest, uids)
    values = {"key": str(key), "like": table.name, "k": k, "queries": len(queries), **searched}
    return State({**values, "without_vector": rows - len(queries), "several": several}, mapped={FOUND: found})


def _search(frame: Frame, queries: Queries, how: Likeness) -> tuple[NearestRows, dict[str, Any]]:
    """Search exactly or by cells; return also values for the state."""
    count = 0 if how.method == "exact" else count_rows(frame)
    few = len(queries) <= EXACT_QUERIES or count * len(queries) <= EXACT_PAIRS
    if how.method == "exact" or (how.method == "auto" and few):
        return nearest_rows(frame, how.column, queries.vectors, queries.k, queries.key), {"method": "exact"}
    return search_cells(frame, how.column, count, queries, how.probes, how.recall)


def _queries(table: Table, column: str) -> tuple[pa.Array, npt.NDArray[np.floating]]:
    """Return uids and vectors of the rows with a usable vector, by uid."""
    uids: list[pa.Array] = []
    vectors: list[npt.NDArray[np.floating]] = []
    for rows in table.batches([UID, column]):
        some = usable_type(rows.vectors(column))
        usable = has_direction(some)
        uids.append(rows.column(UID).filter(pa.array(usable)))
        vectors.append(some[usable])
    if not uids:
        return pa.array([], pa.string()), np.empty((0, 1), np.float32)
    names = pa.concat_arrays(uids)
    order = pc.sort_indices(names)
    return names.take(order), np.concatenate(vectors)[order.to_numpy()]


def _found(nearest: NearestRows, uids: pa.Array) -> tuple[pa.Table, int]:
    """Return the rows found with the query of highest cosine, by hash rank; and how many several queries found."""
    query, place = np.nonzero(nearest.scores > -np.inf)
    ranks, checks, scores = (values[query, place] for values in (nearest.ranks, nearest.checks, nearest.scores))
    order = np.lexsort((query, -scores, checks, ranks))
    same = (np.diff(ranks[order]) == 0) & (np.diff(checks[order]) == 0)
    again = np.append(False, same)[: len(order)]
    best = order[~again]
    columns = {"rank": ranks[best], "check": checks[best], "query": uids.take(pa.array(query[best]))}
    several = len(np.unique(np.cumsum(~again)[again]))
    return pa.table({**columns, "similarity": scores[best]}), several


def apply_like(rows: Rows, column: str, state: State) -> tuple[tuple[pa.Array, pa.Array], np.ndarray]:
    """Return the query and cosine of each row, null if none found it; and the drop codes of `retrieve`."""
    table = state.mapped[FOUND]
    key = int(state.values["key"])
    ranks = hash_ranks(rows.column(UID), key)
    known = table.column("rank").to_numpy()
    at = np.searchsorted(known, ranks)
    inside = np.flatnonzero(at < len(known))
    inside = inside[known[at[inside]] == ranks[inside]]
    checks = hash64(rows.column(UID).take(pa.array(inside)), check_key(key))
    usable = has_direction(rows.vectors(column))
    found = np.zeros(len(rows), bool)
    found[inside] = (table.column("check").to_numpy()[at[inside]] == checks) & usable[inside]
    picked = pa.array(at, mask=~found)
    query, similarity = (table.column(name).combine_chunks().take(picked) for name in ("query", "similarity"))
    return (query, similarity), np.where(found, 0, np.where(usable, NOT_LIKE, 1)).astype(np.uint8)


def explain_like(row: Mapping[str, Any], names: tuple[str, str], state: State) -> str:
    """Say which row of the other table found a row."""
    query, similarity = (row.get(name) for name in names)
    of = f"{state.values['k']} nearest of {in_rows(state.values['queries'])} of '{state.values['like']}'"
    if query is None or similarity is None:
        return f"not among the {of}"
    return f"similarity {similarity:.4f} to '{query}': among the {of}"


def learned_like(state: State, how: Likeness) -> str:
    """Describe what was retrieved, and the recall if it was searched by cells."""
    values, found = state.values, state.mapped[FOUND].num_rows
    text = (
        f"{in_rows(found)} retrieved as the {values['k']} nearest of {in_rows(values['queries'])} of '{values['like']}'"
    )
    text += f"; {values['several']:,} by several of them" if values["several"] else ""
    text += f"; {values['without_vector']:,} of its rows have no vector" if values["without_vector"] else ""
    return f"{text}; {words(values, how.probes, how.recall)}" if values.get("method") == "cells" else text
