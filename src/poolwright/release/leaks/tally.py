"""Count the rows that several parts of a dataset have in common, in bounded memory, in a database on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.results.leaks import Leak, LeakPair
from poolwright.core.runtime.scratch import scratch_database
from poolwright.kernels.selection.hashing import hash64

MOST_PAIRS = 20
"""Pairs of parts that are listed."""
MOST_EXAMPLES = 5
"""Pairs of rows that are named for each of them."""
MOST_PARTS = 1_000
"""Parts of a division; a column with more values divides nothing."""

Order = Callable[[str], Any]
"""Sort key of the names of parts: a row leaks from an earlier part into a later one."""

_EQUAL = """
    with counted as (select key, rank, count(*) n, min(name) named from met join ranks on part = d{at} group by all)
    select one.rank a, other.rank b, one.key key_one, other.key key_other, one.n n_one, other.n n_other,
        one.named named_one, other.named named_other
    from counted one join counted other on one.key = other.key and one.rank < other.rank
"""
"""Links of two parts: each value that both have, with the number of rows that have it and the first of them."""

_EQUAL_WITHIN = """
    union all
    select rank a, rank b, key, key, count(*), count(*), min(name), max(name)
    from met join ranks on part = d{at} group by rank, key having count(*) > 1
"""
"""The same within a part: values that several of its rows have."""

_NEAR = """
    with ranked as (
        select p.name one, q.name other, r.rank a, s.rank b from near
        join parts p on p.name = near.one join ranks r on r.part = p.d{at}
        join parts q on q.name = near.other join ranks s on s.part = q.d{at}
        where how = {how} {apart})
    select distinct least(a, b) a, greatest(a, b) b, if(a < b, one, other) key_one, if(a < b, other, one) key_other,
        1 n_one, 1 n_other, key_one named_one, key_other named_other
    from ranked
    where not exists (from drawn where how = {how}) or key_other in (select name from drawn where how = {how})
"""
"""The same for pairs of rows; if rows were drawn, for those whose later row is one of them."""


class LeakTally:
    """Rows with their part in each of several divisions, and what they are compared by. `leak_tally` makes one.

    Args:
        base: a connection to an empty database.
        folder: for files that are removed at the end.
        within: whether rows of the same part are compared, too; they do not count among the rows of a leak.
        examples: pairs of rows that are named for each pair of parts.
        divisions: what divides the rows into parts: 'split', or the names of columns.
    """

    def __init__(self, base: Any, folder: Path, divisions: Sequence[str], within: bool, examples: int) -> None:
        self._base, self.folder, self.divisions = base, folder, tuple(divisions)
        self.within, self.examples = within, examples
        base.execute(f"create table parts (name varchar{''.join(f', d{at} varchar' for at in range(len(divisions)))})")
        base.execute("create table keys (how integer, name varchar, key varchar)")
        base.execute("create table numbers (name varchar, number bigint, rank ubigint)")
        base.execute("create table near (how integer, one varchar, other varchar)")
        base.execute("create table drawn (how integer, name varchar)")
        self._hows: list[str] = []
        self._drawn: set[str] = set()
        self._sizes: dict[str, dict[str, int]] = {}

    def add_parts(self, names: pa.Array, parts: Mapping[str, pa.Array]) -> None:
        """Add rows by their names, with the part of each by division; null for rows in none."""
        columns = {division: parts.get(division, pa.nulls(len(names))).cast(pa.string()) for division in self.divisions}
        self._insert("parts", pa.table([names.cast(pa.string()), *columns.values()], names=["", *columns]))
        self._sizes.clear()

    def add_keys(self, how: str, names: pa.Array, keys: pa.Array) -> None:
        """Add the values by which rows are compared; null for rows that have none."""
        there = keys.is_valid()
        names, keys = names.filter(there), keys.filter(there)
        how_number = pa.repeat(pa.scalar(self._number(how)), len(keys))
        self._insert("keys", pa.table({"how": how_number, "name": names.cast(pa.string()), "key": keys}))

    def add_numbers(self, names: pa.Array, first: int) -> None:
        """Number rows whose vectors are compared, from `first` on."""
        given = {
            "name": names.cast(pa.string()),
            "number": np.arange(first, first + len(names)),
            "rank": hash64(names, 0),
        }
        self._insert("numbers", pa.table(given))

    def numbered(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Return the numbers of the rows that are in a part, the cell of each, by which they are sorted, and its rank.

        Rows of one cell are in the same part of every division. Ranks are random, and those of a name are the same.
        """
        columns = ", ".join(f"d{at}" for at in range(len(self.divisions)))
        found = self._base.execute(
            f"select number, dense_rank() over (order by {columns}) - 1 cell, rank from numbers "
            f"join parts using (name) where coalesce({columns}) is not null order by cell, number"
        ).fetchnumpy()
        return found["number"], found["cell"], found["rank"]

    def draw(self, how: str, numbers: npt.NDArray[np.int64]) -> None:
        """Note that only these rows are compared with all others, as a sample."""
        with self._given(pa.table({"number": numbers})):
            self._base.execute(
                f"insert into drawn select {self._number(how)}, name from given join numbers using (number)"
            )
        if len(numbers):
            self._drawn.add(how)

    def add_near(self, how: str, one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> None:
        """Add pairs of rows that are near each other, by their numbers."""
        if len(one):
            with self._given(pa.table({"one": one, "other": other})):
                self._base.execute(
                    f"insert into near select {self._number(how)}, p.name, q.name from given "
                    "join numbers p on p.number = one join numbers q on q.number = other"
                )

    def _number(self, how: str) -> int:
        if how not in self._hows:
            self._hows.append(how)
        return self._hows.index(how)

    def _insert(self, table: str, rows: pa.Table) -> None:
        with self._given(rows):
            self._base.execute(f"insert into {table} select * from given")

    @contextmanager
    def _given(self, rows: pa.Table) -> Iterator[None]:
        """Let queries read rows as the table `given`."""
        self._base.register("given", rows)
        try:
            yield
        finally:
            self._base.unregister("given")

    def parts(self, division: str, order: Order) -> list[str]:
        """Return the parts of a division in order; none if it has more than `MOST_PARTS`."""
        names = self._rows_of(division)
        return sorted(names, key=order) if len(names) <= MOST_PARTS else []

    def _rows_of(self, division: str) -> dict[str, int]:
        """Return the number of rows of each part of a division, of one more than `MOST_PARTS` at most."""
        if division not in self._sizes:
            part = f"d{self.divisions.index(division)}"
            sizes = f"select {part}, count(*) from parts where {part} is not null group by all limit {MOST_PARTS + 1}"
            self._sizes[division] = dict(self._rows(sizes))
        return self._sizes[division]

    def count_equal(self, how: str, order: Order) -> list[Leak]:
        """Count the rows that have the same value as a row of another part, in each division of several parts."""
        own = f"select name, key from keys where how = {self._number(how)}"
        self._base.execute(
            f"create or replace temp table met as with own as ({own}), "
            "twice as (select key from own group by key having count(*) > 1) "
            "select key, parts.* from own semi join twice using (key) join parts using (name)"
        )
        links = _EQUAL + (_EQUAL_WITHIN if self.within else "")
        return self._count(how, order, "met", links, ("sum(n_one)", "sum(n_other)"))

    def count_near(self, how: str, order: Order) -> list[Leak]:
        """Count the rows that are near a row of another part, in each division of several parts."""
        return self._count(how, order, "near", _NEAR, ("count(distinct key_one)", "count(distinct key_other)"))

    def _count(self, how: str, order: Order, pairs: str, query: str, rows: tuple[str, str]) -> list[Leak]:
        """Count in each division; `pairs` is the table that the links are made from, often an empty one."""
        found = []
        some = bool(self._rows(f"select 1 from {pairs} limit 1"))
        for at, division in enumerate(self.divisions):
            names = self.parts(division, order)
            if len(names) > (0 if self.within else 1):
                if some or how in self._drawn:
                    with self._given(pa.table({"part": names, "rank": range(len(names))})):
                        self._base.execute("create or replace temp table ranks as select * from given")
                if some:
                    apart = "" if self.within else "and r.rank <> s.rank"
                    links = query.format(at=at, how=self._number(how), apart=apart)
                    self._base.execute(f"create or replace temp table links as {links}")
                found.append(self._leak(at, how, names, rows, some))
        return found

    def _leak(self, at: int, how: str, names: Sequence[str], rows: tuple[str, str], some: bool) -> Leak:
        division, drawn = self.divisions[at], how in self._drawn
        later = self._drawn_later(at, how) if drawn else sum(self._rows_of(division)[name] for name in names[1:])
        if not some:
            return Leak(division, how, 0, later, (), 0, drawn)
        pairs = self._rows(f"select a, b, count(*), {rows[0]}, {rows[1]} from links group by all order by 5 desc, 1, 2")
        ((leaked,),) = self._rows(
            "select sum(n_other) from (select distinct b, key_other, n_other from links where a < b)"
        )
        listed = tuple(
            LeakPair(names[a], names[b], values, int(one), int(other), self._examples(a, b))
            for a, b, values, one, other in pairs[:MOST_PAIRS]
        )
        return Leak(division, how, int(leaked or 0), later, listed, len(pairs) - len(listed), drawn)

    def _drawn_later(self, at: int, how: str) -> int:
        """Return the number of drawn rows in other parts than the first."""
        only = f"semi join (select name from drawn where how = {self._number(how)}) using (name)"
        ((count,),) = self._rows(f"select count(*) from parts join ranks on part = d{at} {only} where rank > 0")
        return int(count)

    def _examples(self, a: int, b: int) -> tuple[tuple[str, str], ...]:
        return tuple(
            self._rows(
                f"select named_one, named_other from links where a = {a} and b = {b} order by all limit {self.examples}"
            )
        )

    def _rows(self, query: str) -> list[Any]:
        return list(self._base.execute(query).fetchall())


@contextmanager
def leak_tally(
    divisions: Sequence[str], folder: Path | None = None, within: bool = False, examples: int = MOST_EXAMPLES
) -> Iterator[LeakTally]:
    """Open an empty tally; its files are removed at the end.

    Args:
        divisions, within, examples: as those of `LeakTally`.
        folder: where to put them; default the system's folder for temporary files.
    """
    with scratch_database("poolwright-leaks-", folder) as (base, work):
        yield LeakTally(base, work, divisions, within, examples)
