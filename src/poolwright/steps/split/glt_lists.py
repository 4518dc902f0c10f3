"""Draw the sets of one protocol of the generalized long tail from rows with lists of attributes, as MSCOCO-GLT does.

After Tang et al., "Invariant Feature Learning for Generalized Long-Tailed Classification", arXiv 2207.09504. Test-GBL
are the rows of the hash ranks that `fit_most_even` finds. All other rows of a class are ordered by a second hash rank:
Test-CBL is the beginning, the rest follows. Of the whole rest, Test-GLT are the first by a third hash rank, and val
follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.errors import StepError
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.selection.counters import Counters
from poolwright.kernels.selection.groups import Groups, groups_of
from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.reference.glt_sets import SETS, TEST_BBL, TEST_BL, TEST_LT, TRAIN, VAL
from poolwright.steps.split.attribute_lists import fit_most_even, listed, survey, takes_part
from poolwright.steps.split.glt_words import NUMBER, ROWS

CLASSES, PICKED = "classes", "picked"
_TEST_BL, _REST = "cut.test_bl", "cut.rest"
_BBL, _BL, _LT, _VAL, _TRAIN = map(SETS.index, (TEST_BBL, TEST_BL, TEST_LT, VAL, TRAIN))
NOWHERE = len(SETS)

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ListSizes:
    """Sizes that a step asks for.

    Attributes:
        test_bbl, test_bl: rows of each class.
        test_lt, val: rows times the number of classes.
        rest: given the rows of each class that the tests leave, int64 (c,), the largest class first, returns those
            asked for in train, val and test_lt together.
    """

    test_bbl: int
    test_bl: int
    test_lt: int
    val: int
    rest: Callable[[Integers], Integers]


@dataclass(frozen=True)
class ListCuts:
    """The sets by hash ranks.

    Attributes:
        key: 64-bit key of the first hash ranks.
        classes: the classes.
        attribute: column of the lists.
        picked: int64 (m,) first ranks of Test-GBL, ascending.
        test_bl, rest: int64 (c,) greatest second rank in each class.
        test_lt, val: greatest third rank.
    """

    key: int
    classes: Groups
    attribute: str
    picked: Integers
    test_bl: Integers
    rest: Integers
    test_lt: int = -1
    val: int = -1

    @property
    def columns(self) -> Sequence[str]:
        """Return the columns that are read, with the uid."""
        return (*self.classes.columns, self.attribute)

    @property
    def second(self) -> int:
        """Key of the second hash ranks."""
        return hash_key(self.key, TEST_BL)

    @property
    def third(self) -> int:
        """Key of the third hash ranks."""
        return hash_key(self.key, TEST_LT)

    def picked_rows(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return which rows are in Test-GBL, if they take part: bool (n,)."""
        ranks = hash_ranks(rows.column(UID), self.key)
        at = np.minimum(np.searchsorted(self.picked, ranks), max(len(self.picked) - 1, 0))
        return np.asarray(self.picked[at] == ranks) if len(self.picked) else np.zeros(len(rows), np.bool_)

    def sets_of(self, rows: Rows) -> Integers:
        """Return the set of each row as index in `SETS`, or past its end for none: int64 (n,)."""
        (label,) = self.classes.columns
        part, ids = takes_part(rows, label, self.attribute), self.classes.ids(rows)
        second, third = (hash_ranks(rows.column(UID), key) for key in (self.second, self.third))
        test = second <= np.append(self.test_bl, -1)[ids]
        rest = second <= np.append(self.rest, -1)[ids]
        long_tailed = [rest & (third <= self.test_lt), rest & (third <= self.val), rest]
        choices = [~part | (ids < 0), self.picked_rows(rows), test, *long_tailed]
        return np.select(choices, [NOWHERE, _BBL, _BL, _LT, _VAL, _TRAIN], NOWHERE)


def fit_lists(frame: Frame, label: str, attribute: str, wanted: ListSizes, key: int) -> State:
    """Draw the sets.

    Raises:
        StepError: a class has fewer rows than asked for, or the rest is too small.
    """
    counted, attributes = survey(frame, label, attribute)
    classes, there = counted.groups, counted.counts
    order = np.argsort(-there, kind="stable")  # classes of equal size stay in the order of their names
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    _check_tests(classes, there, wanted)
    left = there - wanted.test_bbl - wanted.test_bl
    asked = np.zeros(len(left), np.int64)
    if len(left):
        asked[order] = wanted.rest(left[order])
    rest = np.minimum(asked, left)
    _check_rest(rest, wanted)
    picked = fit_most_even(frame, classes, attribute, attributes, key, wanted.test_bbl)
    none = np.full(len(left), -1, np.int64)
    cuts = ListCuts(key, classes, attribute, picked, none, none)
    bl = np.full(len(left), wanted.test_bl, np.int64)
    ranks = cut_ranks(frame, classes, left + wanted.test_bl, cuts.second, np.stack([bl, bl + rest]), _Free(cuts))
    cuts = replace(cuts, test_bl=ranks[0], rest=ranks[1])
    ends = np.cumsum([wanted.test_lt, wanted.val])[:, None] * len(left)
    total = np.array([rest.sum()], np.int64)
    test_lt, val = cut_ranks(frame, Groups([], ()), total, cuts.third, ends, _Free(cuts, in_rest=True))[:, 0].tolist()
    cuts = replace(cuts, test_lt=test_lt, val=val)
    rows, evenness = _count(frame, cuts, attributes)
    figures = {NUMBER: number.astype(np.int32), _TEST_BL: cuts.test_bl, _REST: cuts.rest}
    table = classes.table({**figures, **{ROWS + name: rows[at] for at, name in enumerate(SETS)}})
    values = {"key": str(key), "test_lt": test_lt, "val": val, "asked": int(asked.sum()), "attributes": len(attributes)}
    return State({**values, "deviation": evenness}, {CLASSES: table, PICKED: pa.table({"rank": picked})})


def apply_lists(rows: Rows, state: State, attribute: str) -> tuple[Integers, Integers]:
    """Return the set of each row, as `ListCuts.sets_of`, and the number of its class, -1 for none: int64 (n,) each."""
    cuts = once("cuts", state, partial(_cuts_of, attribute=attribute))
    numbers = state.tables[CLASSES].column(NUMBER).to_numpy().astype(np.int64)
    return cuts.sets_of(rows), np.append(numbers, -1)[cuts.classes.ids(rows)]


def _cuts_of(state: State, attribute: str) -> ListCuts:
    table, values = state.tables[CLASSES], state.values
    test_bl, rest = (table.column(name).to_numpy() for name in (_TEST_BL, _REST))
    picked = state.tables[PICKED].column("rank").to_numpy()
    return ListCuts(
        int(values["key"]), groups_of(table), attribute, picked, test_bl, rest, values["test_lt"], values["val"]
    )


def learned_lists(state: State) -> str:
    """Describe what was drawn."""
    table, values = state.tables[CLASSES], state.values
    if not table.num_rows:
        return "no classes"
    by_set = {name: table.column(ROWS + name).to_numpy() for name in SETS}
    sizes = ", ".join(f"{name} {int(rows.sum()):,}" for name, rows in by_set.items() if rows.any())
    text = f"{table.num_rows:,} classes, {values['attributes']:,} attributes: {sizes}"
    even = ", ".join(f"{name} {share:.2%}" for name, share in values["deviation"].items())
    text += f"; standard deviation of the attributes' shares: {even}"
    drawn = sum(int(by_set[name].sum()) for name in (TEST_LT, VAL, TRAIN))
    if drawn < values["asked"]:
        text += f"; the rest is cut from {values['asked']:,} rows to {drawn:,}"
    if without := int((by_set[TRAIN] == 0).sum()):
        text += f"; {without:,} {'class has' if without == 1 else 'classes have'} no row in train"
    return text


@dataclass(frozen=True)
class _Free:
    """Limit a draw to rows that are not in Test-GBL, or to those of the rest."""

    cuts: ListCuts
    in_rest: bool = False

    @property
    def columns(self) -> Sequence[str]:
        return self.cuts.columns

    def __call__(self, rows: Rows, ids: np.ndarray) -> np.ndarray:
        if self.in_rest:
            return np.asarray(self.cuts.sets_of(rows) == _TRAIN)
        (label,) = self.cuts.classes.columns
        return takes_part(rows, label, self.cuts.attribute) & ~self.cuts.picked_rows(rows)


@dataclass(frozen=True)
class _CountSets:
    """Count rows by set and class, and entries of the lists by set and attribute."""

    cuts: ListCuts
    attributes: pa.Array

    def start(self) -> Counters:
        return Counters((len(SETS) + 1) * (len(self.cuts.classes) + len(self.attributes)))

    def __call__(self, counters: Counters, rows: Rows) -> Counters:
        sets, ids = self.cuts.sets_of(rows), self.cuts.classes.ids(rows)
        drawn = sets < NOWHERE
        counters.add(sets[drawn] * len(self.cuts.classes) + ids[drawn])
        parents, values = _distinct(*listed(rows.column(self.cuts.attribute)), ValueIndex(self.attributes))
        before = (len(SETS) + 1) * len(self.cuts.classes)
        counters.add(before + sets[parents] * len(self.attributes) + values)
        return counters


def _distinct(parents: Integers, values: pa.Array, known: ValueIndex) -> tuple[Integers, Integers]:
    """Return row and number of each attribute of a list, each once; those that are not known are left out."""
    ids = known.find(values)
    pairs = np.unique(np.stack([parents[ids >= 0], ids[ids >= 0]], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _count(frame: Frame, cuts: ListCuts, attributes: pa.Array) -> tuple[Integers, dict[str, float]]:
    """Return the rows of each set and class, (s, c), and the standard deviation of the attributes' shares in each."""
    count = _CountSets(cuts, attributes)
    counts = frame.fold([*cuts.columns, UID], count.start, count, Counters.merge).counts
    by_class, by_attribute = np.split(counts, [(len(SETS) + 1) * len(cuts.classes)])
    rows = by_class.reshape(len(SETS) + 1, -1)[:NOWHERE]
    entries = by_attribute.reshape(len(SETS) + 1, -1)[:NOWHERE]
    names = [at for at in range(len(SETS)) if entries[at].any()]
    return rows, {SETS[at]: float(f"{(entries[at] / entries[at].sum()).std():.6g}") for at in names}


def _check_tests(classes: Groups, there: Integers, wanted: ListSizes) -> None:
    short = np.flatnonzero(there <= wanted.test_bbl + wanted.test_bl)
    if len(short):
        names = classes.names()
        small = some([f"{names[at]} ({there[at]:,})" for at in short], 5)
        raise StepError(
            f"glt: Test-GBL and Test-CBL take {wanted.test_bbl:,} + {wanted.test_bl:,} rows of each class, and more "
            f"are needed to train on; too small: {small}; ask for a "
            "smaller 'test_bbl' or 'test_bl', or drop such classes before with `drop_small`"
        )


def _check_rest(rest: Integers, wanted: ListSizes) -> None:
    drawn, there = (wanted.test_lt + wanted.val) * len(rest), int(rest.sum())
    if len(rest) and drawn >= there:
        raise StepError(
            f"glt: Test-GLT and val take {wanted.test_lt:,} + {wanted.val:,} rows x {len(rest):,} classes = {drawn:,}, "
            f"and the rest has {in_rows(there)}, so that none is left to train on; ask for smaller 'test_lt' and 'val'"
        )
