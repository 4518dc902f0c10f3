"""balance_matches: the probabilities of MetaCLIP's balancing, from hashes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import InputError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.steps.choose.matches.balance_matches import BalanceMatches

LISTS = pa.list_(pa.int32())


def table_of(matches: list[list[int] | None]) -> pa.Table:
    return pa.table({"uid": [f"{row:05}" for row in range(len(matches))], "matches": pa.array(matches, LISTS)})


def balanced(table: pa.Table, n: int, key: int = 5) -> tuple[np.ndarray, State, BalanceMatches]:
    step = BalanceMatches(n=n)
    state = step.fit(MemoryFrame(table, cuts=(len(table) // 3,), batch_rows=999), Context(key))
    drop = step.apply(Rows(table), state).drop
    assert drop is not None
    return drop, state, step


def test_rows_stay_with_the_probability_that_one_of_their_entries_draws_them() -> None:
    draw = np.random.default_rng(2)
    kinds = [[0], [1], [0, 1], [2], [0, 1, 2], [], None]
    chosen = draw.choice(len(kinds), 60_000, p=[0.5, 0.2, 0.2, 0.0005, 0.0005, 0.05, 0.049])
    drop, state, step = balanced(table_of([kinds[kind] for kind in chosen]), 3_000)
    counts = [sum(number in (kinds[kind] or ()) for kind in chosen) for number in range(3)]
    assert state.tables["entries"].to_pydict() == {"entry": [0, 1, 2], "rows": counts}
    for kind, entries in enumerate(kinds):
        mine = drop[chosen == kind]
        if not entries:
            assert (mine == 1).all()
            continue
        chance = 1 - np.prod([1 - min(1, 3_000 / counts[entry]) for entry in entries])
        assert abs((mine == 0).mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / len(mine)) + 1e-9
        assert set(np.unique(mine)) <= {0, 2}
    assert step.learned(state).startswith(f"3 entries with {sum(counts):,} matches; the 1 of up to 3,000 rows, with ")
    assert (
        step.explain({"matches": [0, 2]}, state)
        == f"the rarest of its entries is 2, of {counts[2]} rows, which keeps each with 1"
    )


def test_a_larger_n_keeps_all_rows_of_a_smaller_one() -> None:
    table = table_of([[row % 3, 3 + row % 5] for row in range(3_000)])
    kept = [set(np.flatnonzero(balanced(table, n)[0] == 0).tolist()) for n in (50, 200, 2_000)]
    assert kept[0] < kept[1] < kept[2] == set(range(3_000))


def test_a_repeated_entry_counts_once_and_one_that_came_later_keeps_its_rows() -> None:
    _, state, step = balanced(table_of([[4, 4], [4], None]), 1)
    assert state.tables["entries"].to_pydict() == {"entry": [4], "rows": [2]}
    later = table_of([[1_000_000], [5]])
    assert step.apply(Rows(later), state).drop.tolist() == [0, 0]  # type: ignore[union-attr]
    assert step.explain({"matches": [None]}, state) == "it matches no entry"


def test_what_is_no_list_of_entries_is_refused() -> None:
    with pytest.raises(StepError, match="'matches' is of string, not lists of integers"):
        BalanceMatches(n=1).gives(pa.schema([("uid", pa.string()), ("matches", pa.string())]))
    with pytest.raises(InputError, match=r"'matches' has -1; numbers of entries are from 0 to 134,217,727"):
        balanced(table_of([[-1]]), 1)
